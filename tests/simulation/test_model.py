"""The protocol keeps the promises in every state that the model can reach, and without any one of its rules it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.model_check import explore
from simulation.model_state import RULES, Config

FILE_ACTS = frozenset({"replace", "rewrite", "open", "rename", "copy", "delete"})
OUTPUT_ACTS = frozenset({"foreign", "foreign-archive", "same-bytes", "spoil", "own-rendition", "unmount", "lose"})
ANY = FILE_ACTS | OUTPUT_ACTS

QUICK = {
    "interrupted twice": (Config(daemon_crashes=2), 1_000),
    "a worker dies and the daemon too": (Config(worker_crashes=1, daemon_crashes=1), 2_000),
    "a file that takes its worker down": (Config(files="p", daemon_crashes=1, power_cuts=1), 400),
    "copied to another file system": (Config(cross_device=True, daemon_crashes=1, power_cuts=1), 1_000),
    "two copies": (Config(files="xx"), 600),
    "two copies, staging is damaged": (Config(files="xx", user_actions=1, acts=frozenset({"lose"}), delete=True), 700),
    "kept, everything done to it": (Config(keep=True, user_actions=1, acts=ANY), 900),
    "deleted, outputs meddled with": (Config(delete=True, user_actions=1, power_cuts=1, acts=OUTPUT_ACTS), 900),
}
LONG = {
    "workers die and the daemon too": (Config(worker_crashes=2, daemon_crashes=1), 15_000),
    "archived": (Config(user_actions=1, power_cuts=1, acts=ANY), 10_000),
    "archived, killed": (Config(user_actions=1, daemon_crashes=1, acts=ANY - {"copy"}), 20_000),
    "deleted": (Config(delete=True, user_actions=1, power_cuts=1, acts=ANY), 10_000),
    "replaced, killed": (Config(keep=True, replace=True, user_actions=1, daemon_crashes=1, acts=ANY), 10_000),
    "on another file system": (Config(cross_device=True, user_actions=1, power_cuts=1, acts=ANY - {"copy"}), 8_000),
    "replaced twice": (Config(keep=True, replace=True, user_actions=2, acts=ANY - {"copy"}), 30_000),
    "deleted, acted on twice": (
        Config(delete=True, user_actions=2, acts=frozenset({"replace", "rename", "delete"})),
        40_000,
    ),
    "deleted, outputs meddled with twice": (
        Config(delete=True, user_actions=2, power_cuts=1, acts=OUTPUT_ACTS),
        3_000,
    ),
    "two power cuts": (Config(user_actions=1, power_cuts=2, acts=OUTPUT_ACTS | {"replace"}), 10_000),
    "two copies, on another file system": (Config(files="xx", cross_device=True, power_cuts=1), 30_000),
    "two copies, killed": (Config(files="xx", daemon_crashes=1), 30_000),
    "two copies, archived": (
        Config(files="xx", user_actions=1, power_cuts=1, acts=frozenset({"spoil", "lose", "unmount"})),
        30_000,
    ),
    "two copies, deleted": (
        Config(files="xx", delete=True, user_actions=1, power_cuts=1, acts=frozenset({"spoil", "lose"})),
        15_000,
    ),
    "two copies, the first kept": (Config(files="xx", keep=True, user_actions=1, acts=ANY), 30_000),
    "two copies, both kept": (Config(files="xx", keep=True, keep_duplicates=True, user_actions=1, acts=ANY), 10_000),
}
DAEMON_KINDS = {"enqueue", "claim", "read", "stage", "commit", "publish"}


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=(pytest.mark.long, pytest.mark.timeout(600))) for name in LONG)]
)
def test_the_protocol_keeps_its_promises(name: str) -> None:
    config, floor = {**QUICK, **LONG}[name]
    explored = explore(config)
    assert not explored.wrong, explored.story()
    assert explored.complete
    assert explored.states > floor and explored.quiet > 0
    print(f"{name}: {explored.states} states, {explored.quiet} of them quiet")
    wanted = config.acts | (DAEMON_KINDS if "p" not in config.files else set())
    if config.daemon_crashes:
        wanted |= {"crash", "sweep"} | ({"orphan"} if "p" not in config.files else set())
    if config.worker_crashes:
        wanted |= {"worker lost", "late reply"}
    if config.power_cuts:
        wanted |= {"power cut"}
    if not config.keep:
        wanted |= {"dispose"}
    if config.replace:
        wanted |= {"retire"}
    assert wanted <= set(explored.kinds), wanted - set(explored.kinds)


def _acts(*acts: str, times: int = 1, **rest: object) -> Config:
    return Config(user_actions=times, acts=frozenset(acts), **rest)  # type: ignore[arg-type]  # The fields of Config.


# For each rule where it is needed, and the first word of what breaks without it.
NEEDED = {
    "signature": (_acts("rewrite", keep=True), "lost"),
    "moved": (_acts("rename", keep=True), "twice"),
    "superseded": (_acts("rewrite", keep=True), "torn"),
    "epoch-names": (Config(daemon_crashes=1), "torn"),
    "fsync-before-commit": (Config(power_cuts=1), "failed"),
    "fence": (Config(worker_crashes=1), "failed"),
    "decide-inside": (Config(files="xx"), "twice"),
    "never-overwrite": (_acts("foreign"), "lost"),
    "name-committed-first": (_acts("foreign", daemon_crashes=1), "unaccounted"),
    "look-at-target": (Config(daemon_crashes=1), "failed"),
    "more-than-an-inode": (_acts("lose", "foreign", times=2), "lost"),
    "recorded-mount": (_acts("unmount"), "failed"),
    "sync-then-visible": (Config(power_cuts=1), "not durable"),
    "adopted-synced": (_acts("same-bytes", power_cuts=1), "not durable"),
    "owned-only": (_acts("same-bytes", "replace", times=2, keep=True, replace=True), "lost"),
    "inode-matches": (_acts("own-rendition", "replace", times=2, keep=True, replace=True), "lost"),
    "dispose-after-visible": (Config(delete=True), "lost"),
    "verify-anchor": (_acts("spoil", files="xx", delete=True), "lost"),
    "reopen-duplicate": (_acts("lose", files="xx", keep=True, keep_duplicates=True), "lost"),
    "finish-what-began": (_acts("spoil", files="xx", power_cuts=1), "left over"),
    "finish-before-verify": (_acts("spoil", files="xx", power_cuts=1), "twice"),
    "private-name": (_acts("replace"), "wrong version"),
    "compare": (_acts("replace"), "wrong version"),
    "put-back-without-overwriting": (_acts("replace", times=2, delete=True), "lost"),
    "lease": (_acts("open"), "lost"),
    "target-recorded": (_acts("foreign-archive", daemon_crashes=1), "guessing"),
    "copy-synced": (Config(power_cuts=1, cross_device=True), "lost"),
    "identical-unlinked": (Config(daemon_crashes=1, cross_device=True), "twice"),
    "counted-apart": (Config(daemon_crashes=2), "discarded"),
    "crash-cap": (Config(files="p"), "endless"),
    "owed-is-kept": (_acts("unmount", daemon_crashes=1), "failed"),
    "sweep": (Config(daemon_crashes=1), "left over"),
    "sweep-before-claim": (Config(daemon_crashes=1), "failed"),
    "stray-private": (_acts("spoil", files="xx", power_cuts=1), "left over"),
}
SLOW = {"finish-what-began", "finish-before-verify", "stray-private"}


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, marks=pytest.mark.long) if rule in SLOW else rule for rule in RULES]
)
def test_without_rule(rule: str) -> None:
    config, breaks = NEEDED[rule]
    explored = explore(replace(config, without=rule))
    print(f"without rule {RULES[rule]}\n{explored.story()}")
    assert explored.wrong.partition(":")[0] == breaks
    assert explored.trace
