"""A changed configuration, applied to a running daemon: whole or not at all, and no job is lost on the way (S10)."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

import harness
import pictures
from harness import PROGRAM, Mill, clean_environment
from hooks import SECRET, receiving

# Two whole sets of parts follow each other here, with a zygote each: on a machine with more to do than processors, each
# of these waits has been seen to take a good part of the usual deadline.
BUSY_SECONDS = 90.0


def picture(number: int) -> bytes:
    return pictures.jpeg(pictures.photo(64, 48, number))


def lines(mill: Mill, event: str) -> list[dict[str, Any]]:
    """The lines of the log that tell of an event; the last line may be half written."""
    found = []
    for line in mill.log.read_text().splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if told["event"] == event:
            found.append(told)
    return found


def hang_up(mill: Mill) -> None:
    assert mill.process is not None
    mill.process.send_signal(signal.SIGHUP)


def in_force(mill: Mill) -> int:
    return len(lines(mill, "the new configuration is in force"))


def refused(mill: Mill) -> int:
    return len(lines(mill, "the configuration is refused; the earlier one stays in force"))


def configuration(mill: Mill) -> dict[str, Any]:
    told: dict[str, Any] = mill.get("/api/v1/status").json()["configuration"]
    return told


def part_of_health(mill: Mill) -> dict[str, Any]:
    parts = mill.get("/healthz").json()["parts"]
    found: dict[str, Any] = next(part for part in parts if part["name"] == "configuration")
    return found


def test_s10_a_good_configuration_is_applied_whole(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    assert mill.process is not None
    address = mill.address
    mill.drop("before.jpg", picture(1))
    mill.wait_for(lambda: mill.outputs() == ["before-t.jpg"], BUSY_SECONDS)
    mill.configure(second_inbox={}, renditions=[{"name": "tiny", "fit": [20, 20]}], log={"level": "debug"})
    hang_up(mill)
    mill.wait_for(lambda: in_force(mill) == 1, BUSY_SECONDS)
    assert lines(mill, "the new configuration is in force")[0]["changed"] == [
        "inboxes.1",
        "log.level",
        "profiles.test.renditions.0.fit",
        "profiles.test.renditions.0.name",
    ]
    mill.drop("new.jpg", picture(2))
    mill.drop("second.jpg", picture(3), inbox="second")
    mill.wait_for(lambda: mill.outputs() == ["before-t.jpg", "new-tiny.jpg", "second-tiny.jpg"], BUSY_SECONDS)
    with Image.open(mill.output / "new-tiny.jpg") as made:
        assert max(made.size) == 20
    mill.wait_for(lambda: lines(mill, "scanned"))  # Debug lines are written now.
    assert mill.address == address
    assert mill.get("/livez").status_code == 200
    assert mill.process.poll() is None
    assert configuration(mill) | {"applied_at": ""} == {
        "applied_at": "",
        "reloads": 1,
        "reloading": False,
        "refused": [],
    }
    assert part_of_health(mill)["status"] == "ok"
    assert mill.metric("dropmill_reloads_total") == 1
    # A file is there before the catalog, and whoever counts, hears of it. Counters go on over the reload.
    mill.wait_for(lambda: mill.metric("dropmill_renditions_total") == 3)
    assert mill.stop() == 0
    assert not lines(mill, "the run before ended without a shutdown")


def test_s10_of_a_broken_configuration_nothing_is_applied_and_everybody_is_told(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    mill.configure(settle_seconds=-3, archive="in/x", log={"level": "debug"})
    hang_up(mill)
    mill.wait_for(lambda: refused(mill) == 1)
    findings = lines(mill, "the configuration is refused; the earlier one stays in force")[0]["findings"]
    number = 1 + next(n for n, line in enumerate(mill.config.read_text().splitlines()) if "settle_seconds" in line)
    assert any(f"{mill.config}:{number}: inboxes.0.settle_seconds: -3" in finding for finding in findings)
    assert any("is inside inbox" in finding for finding in findings)
    assert configuration(mill)["refused"] == findings
    assert part_of_health(mill)["status"] == "degraded"
    assert str(tmp_path) not in json.dumps(part_of_health(mill)), "health shows no paths"
    assert "the earlier one stays in force" in mill.get("/").text
    status = mill.run("status")
    assert "the earlier one stays in force" in status.stdout
    assert "settle_seconds: -3 is not valid" in status.stderr
    mill.drop("one.jpg", pictures.jpeg())
    mill.wait_for(lambda: mill.outputs() == ["one-t.jpg"])
    assert not lines(mill, "scanned"), "the log's level is the earlier one"
    mill.configure(settle_seconds=0.1, archive="archive")
    hang_up(mill)
    mill.wait_for(lambda: in_force(mill) == 1)
    assert configuration(mill)["refused"] == []
    assert part_of_health(mill)["status"] == "ok"
    assert mill.stop() == 0


@pytest.mark.long
def test_s10_dropmill_reload_tells_each_finding_and_exit_code_2(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    result = mill.run("reload")
    assert (result.returncode, "no daemon runs" in result.stderr) == (4, True)
    mill.start()
    mill.configure(settle_seconds=-3)
    result = mill.run("reload")
    assert result.returncode == 2
    assert f"{mill.config}:" in result.stderr
    assert "settle_seconds: -3 is not valid" in result.stderr
    assert len(configuration(mill)["refused"]) == 1, "the daemon was asked, and remembers"
    broken = mill.config.read_text() + "[[["
    mill.config.write_text(broken)
    result = mill.run("reload")
    assert (result.returncode, "is not TOML" in result.stderr) == (2, True)
    mill.configure(settle_seconds=0.1)
    result = mill.run("reload")
    assert (result.returncode, result.stdout) == (0, "the new configuration is in force\n"), result.stderr
    assert configuration(mill)["refused"] == []
    assert json.loads(mill.run("reload", "--json").stdout)["reloads"] == 3
    assert mill.stop() == 0


@pytest.mark.long
def test_s10_what_fails_only_when_it_is_tried_brings_the_earlier_one_back(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    pid = mill.process.pid if mill.process else 0
    good = mill.config.read_text()
    mill.config.write_text(good.replace('path = "in"', 'path = "gone"'))
    result = mill.run("reload")
    assert result.returncode == 2
    assert "the inbox 'camera' does not exist" in result.stderr
    assert part_of_health(mill)["status"] == "degraded"
    mill.drop("one.jpg", pictures.jpeg())
    mill.wait_for(lambda: mill.outputs() == ["one-t.jpg"])
    assert mill.process is not None
    assert mill.process.pid == pid
    assert mill.get("/readyz").status_code == 200
    assert mill.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize("change", ["state_dir", "token", "netrc", "bind", "log"])
def test_s10_what_cannot_be_had_is_found_before_anything_is_stopped(tmp_path: Path, change: str) -> None:
    mill = Mill(tmp_path)
    mill.start()
    good = mill.config.read_text()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text, said = {
            "state_dir": (good.replace('/state"', '/elsewhere"'), "stop the daemon, move the folder"),
            "token": (good.replace("[http]", '[http]\ntoken_file = "none"'), "the token file"),
            "netrc": (good.replace("[downloads]", '[downloads]\nnetrc = "none"'), "the netrc file"),
            "bind": (good.replace("127.0.0.1:0", f"127.0.0.1:{port}"), "cannot be taken"),
            "log": (good.replace("[log]", '[log]\nfile = "none/log"'), "the log file cannot be opened"),
        }[change]
        mill.config.write_text(text)
        hang_up(mill)
        mill.wait_for(lambda: refused(mill) == 1)
    assert said in str(configuration(mill)["refused"])
    assert len(lines(mill, "ready")) == 1, "its parts were not touched"
    assert mill.stop() == 0


@pytest.mark.long
def test_s10_another_address_is_listened_on_and_the_earlier_one_no_more(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    before = mill.address
    mill.config.write_text(mill.config.read_text().replace("127.0.0.1:0", f"unix:{tmp_path}/http"))
    assert mill.run("reload").returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(before + "/livez", timeout=10)
    assert json.loads(mill.run("status", "--json").stdout)["state"] == "running"
    assert mill.stop() == 0
    assert not (tmp_path / "http").exists()


@pytest.mark.long
def test_s10_jobs_under_way_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    mill = Mill(tmp_path, archive="archive")
    mill.start()
    count = 150
    for number in range(count):
        mill.drop(f"{number:03}.jpg", picture(number))
        if number % 30 == 29:
            mill.wait_for(lambda: mill.metric("dropmill_jobs_total") > 0)
            before = in_force(mill)
            mill.configure(settle_seconds=0.1 + number / 1000)
            hang_up(mill)
            mill.wait_for(lambda before=before: in_force(mill) > before)  # type: ignore[misc]  # Binds the loop's value.
    mill.wait_for(lambda: len(os.listdir(tmp_path / "archive")) == count, seconds=120)
    assert mill.outputs() == [f"{number:03}-t.jpg" for number in range(count)]
    jobs = mill.jobs()
    assert len(jobs) == count
    assert {(job["state"], job["outcome"]) for job in jobs} == {("completed", "published")}
    assert mill.stop() == 0
    assert not lines(mill, "interrupted")


@pytest.mark.long
def test_s10_everything_changes_under_load_and_each_picture_is_done_and_told_of_once(tmp_path: Path) -> None:
    """Inboxes come, go and come back, profile, thresholds, log level, webhooks and token change, a bad file is refused."""
    (tmp_path / "secret").write_text(SECRET)
    with receiving() as receiver:
        told = {"name": "app", "url": receiver.url, "secret_file": "secret", "allow_networks": ["127.0.0.0/8"]}
        mill = Mill(tmp_path, archive="archive")
        mill.start()
        names: list[str] = []

        def drop(inbox: str, count: int) -> None:
            for _ in range(count):
                names.append(f"{len(names):03}")
                mill.drop(f"{names[-1]}.jpg", picture(len(names)), inbox=inbox)

        drop("camera", 20)
        mill.wait_for(lambda: mill.metric("dropmill_jobs_total") > 0)
        tiny = [{"name": "tiny", "fit": [20, 20]}]
        mill.configure(second_inbox={}, renditions=tiny, log={"level": "debug"}, webhooks=[told])
        hang_up(mill)
        drop("camera", 20)
        mill.wait_for(lambda: in_force(mill) == 1, BUSY_SECONDS)
        # What waits in an inbox that is taken out waits for it to come back.
        assert mill.run("pause", "second").returncode == 0
        drop("second", 20)
        drop("camera", 20)
        mill.wait_for(lambda: len([job for job in mill.jobs() if job["inbox"] == "second"]) == 20)

        # A bad file: whoever looks is told, and the earlier one goes on.
        mill.configure(second_inbox=None, dedupe={"near": "ignore"})
        told_bad = mill.run("reload")
        assert (told_bad.returncode, "dedupe.near" in told_bad.stderr) == (2, True), told_bad.stderr
        assert mill.metric("dropmill_config_last_reload_successful") == 0
        assert "dedupe.near" in str(configuration(mill)["refused"])
        assert part_of_health(mill)["status"] == "degraded"
        assert refused(mill) == 1
        drop("camera", 10)

        mill.configure(dedupe={"near": "skip"})
        applied_before = mill.metric("dropmill_config_last_reload_success_timestamp_seconds")
        answer = httpx.post(mill.address + "/api/v1/reload", timeout=30, trust_env=False)
        assert (answer.status_code, answer.json()["number"]) == (202, 3)
        mill.wait_for(lambda: in_force(mill) == 2, BUSY_SECONDS)
        assert mill.metric("dropmill_config_last_reload_successful") == 1
        assert mill.metric("dropmill_config_last_reload_success_timestamp_seconds") > applied_before
        assert [inbox["name"] for inbox in mill.get("/api/v1/status").json()["inboxes"]] == ["camera"]
        assert "is not configured any more" in mill.run("why", str(mill.second / "040.jpg")).stdout
        drop("camera", 10)

        mill.configure(second_inbox={})
        assert mill.run("reload").returncode == 0
        assert mill.run("resume", "second").returncode == 0
        drop("second", 10)
        mill.wait_for(lambda: mill.done(len(names)), seconds=180)
        jobs = mill.jobs()
        assert sorted(Path(job["source"]).stem for job in jobs) == names
        assert {(job["state"], job["outcome"]) for job in jobs} == {("completed", "published")}
        assert [name.partition("-")[0] for name in mill.outputs()] == names
        assert not lines(mill, "interrupted")
        # Told of each that was decided once it was configured, under an id of its own, at least once.
        mill.wait_for(lambda: mill.get("/api/v1/webhooks").json()[0]["waiting"] == 0)
        by_job = {request.data["job"]: request.id for request in list(receiver.requests)}
        assert len(set(by_job.values())) == len(by_job)
        assert len(set(receiver.ids())) == len(by_job)
        late = {job["id"] for job in jobs if Path(job["source"]).stem >= "040"}
        assert late <= by_job.keys()

        # A token, and another one: the earlier one holds until the file is read anew.
        (tmp_path / "token").write_text("a" * 40)
        mill.config.write_text(mill.config.read_text().replace("[http]", '[http]\ntoken_file = "token"'))
        assert mill.run("reload").returncode == 0

        def allowed(token: str) -> int:
            return mill.get("/api/v1/status", headers={"Authorization": f"Bearer {token}"}).status_code

        assert [allowed("c" * 40), allowed("a" * 40)] == [401, 200]
        (tmp_path / "token").write_text("b" * 40)
        assert [allowed("a" * 40), allowed("b" * 40)] == [200, 401]
        hang_up(mill)
        mill.wait_for(lambda: in_force(mill) == 5, BUSY_SECONDS)
        assert [allowed("a" * 40), allowed("b" * 40)] == [401, 200]
        assert mill.run("status").returncode == 0
        assert mill.stop() == 0


def in_use(mill: Mill) -> tuple[int, int, int]:
    """Instances of inotify, descriptors and threads of the daemon."""
    assert mill.process is not None
    own = Path(f"/proc/{mill.process.pid}")
    links = []
    for link in (own / "fd").iterdir():
        try:
            links.append(os.readlink(link))
        except FileNotFoundError:
            continue  # Closed meanwhile.
    return links.count("anon_inode:inotify"), len(links), len(list((own / "task").iterdir()))


@pytest.mark.long
def test_s10_w14_what_the_daemon_uses_does_not_grow_with_reloads(tmp_path: Path) -> None:
    mill = Mill(tmp_path, second_inbox={})
    text = mill.config.read_text()
    for name in ("third", "fourth", "fifth"):
        (tmp_path / name).mkdir()
        text += f'[[inboxes]]\nname = "{name}"\npath = "{name}"\noutput = "out"\nprofile = "test"\n'
    mill.config.write_text(text)

    def all_watched() -> bool:
        told = mill.get("/api/v1/status").json()["inboxes"]
        return [inbox["watch"] for inbox in told] == ["events"] * 5 and in_use(mill)[0] == 5

    mill.start()
    mill.wait_for(all_watched)
    began = in_use(mill)
    for times in range(1, 6):
        hang_up(mill)
        mill.wait_for(lambda times=times: in_force(mill) == times)  # type: ignore[misc]  # Binds the loop's value.
        mill.wait_for(all_watched)
    # Less than one for each reload; a connection or a call may be under way.
    mill.wait_for(lambda: all(now < then + 5 for now, then in zip(in_use(mill), began, strict=True)))
    assert mill.stop() == 0


@pytest.mark.long
def test_s10_who_connects_meanwhile_waits_and_is_not_refused(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    address, failures, over = mill.address, list[str](), threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            try:
                # A request that was accepted by the server that stops may be cut off; a connection is never refused.
                httpx.get(address + "/livez", timeout=30)
            except httpx.ConnectError as error:
                failures.append(repr(error))
            except httpx.HTTPError:
                continue

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        for times in range(1, 4):
            hang_up(mill)
            mill.wait_for(lambda times=times: in_force(mill) == times)  # type: ignore[misc]  # Binds the loop's value.
    finally:
        over.set()
        asking.join()
    assert failures == []
    assert mill.stop() == 0


@pytest.mark.long
def test_s10_of_signals_in_a_row_the_last_configuration_wins(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    mill.configure(renditions=[{"name": "first", "fit": [20, 20]}])
    hang_up(mill)
    mill.wait_for(lambda: lines(mill, "reading the configuration"))
    mill.configure(renditions=[{"name": "last", "fit": [20, 20]}])
    hang_up(mill)
    hang_up(mill)
    mill.drop("one.jpg", pictures.jpeg())

    def last_is_in_force() -> bool:
        told = lines(mill, "the new configuration is in force")
        return len(told) >= 2 or (len(told) == 1 and len(lines(mill, "reading the configuration")) == 1)

    mill.wait_for(last_is_in_force)
    mill.drop("two.jpg", picture(2))
    mill.wait_for(lambda: "two-last.jpg" in mill.outputs())
    mill.wait_for(lambda: len(mill.outputs()) == 2)
    assert mill.stop() == 0


@pytest.mark.parametrize("first", ["SIGTERM", "SIGHUP"])
def test_s10_a_stop_goes_before_a_reload(tmp_path: Path, first: str) -> None:
    mill = Mill(tmp_path)
    mill.start()
    process = mill.process
    assert process is not None
    both = [signal.SIGTERM, signal.SIGHUP]
    for number in both if first == "SIGTERM" else reversed(both):
        process.send_signal(number)
    assert process.wait(timeout=60) == 0
    mill.process = None
    assert lines(mill, "stopped")
    assert not lines(mill, "the run before ended without a shutdown")


@pytest.mark.long
def test_s10_a_single_pass_ends_orderly(tmp_path: Path) -> None:
    mill = Mill(tmp_path, settle_seconds=60.0)
    mill.drop("one.jpg", pictures.jpeg())
    process = subprocess.Popen(
        [PROGRAM, "run", "--once", "--config", str(mill.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=clean_environment() | {"DROPMILL_LOG__LEVEL": "info"},
    )
    assert process.stderr is not None
    told = b""
    while b'"ready"' not in told:
        told = process.stderr.readline()
        assert told, "it ended"
    process.send_signal(signal.SIGHUP)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP, "it has not done all that it was to do"
    assert b'"cause": "SIGHUP"' in rest


@pytest.mark.long
def test_s10_a_terminal_that_is_closed_ends_the_daemon(tmp_path: Path) -> None:
    mill = Mill(tmp_path, log={"file": str(tmp_path / "log")})
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(PROGRAM, [PROGRAM, "run", "--config", str(mill.config)], clean_environment())
    try:
        mill.wait_for(lambda: mill.log.exists() and lines(mill, "ready"))
    finally:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert lines(mill, "stopping")[0]["cause"] == "the terminal was closed"
    assert lines(mill, "stopped")


@pytest.mark.long
def test_s10_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(harness.SECONDS)
        clean: Callable[[], dict[str, str]] = clean_environment
        monkeypatch.setattr(harness, "clean_environment", lambda: clean() | {"NOTIFY_SOCKET": f"{tmp_path}/notify"})
        mill = Mill(tmp_path)
        mill.start()
        hang_up(mill)
        told: list[list[str]] = []
        while sum("READY=1" in message for message in told) < 2:
            told.append(manager.recv(4096).decode().splitlines())
        heads = [message[0] for message in told if not message[0].startswith(("STATUS", "WATCHDOG", "EXTEND"))]
        assert heads == ["READY=1", "RELOADING=1", "READY=1"]
        assert int(next(m for m in told if m[0] == "RELOADING=1")[1].removeprefix("MONOTONIC_USEC=")) > 0
        mill.configure(settle_seconds=-1)
        hang_up(mill)
        while "refused" not in told[-1][-1]:
            told.append(manager.recv(4096).decode().splitlines())
        assert told[-1][0] == "READY=1"
        assert mill.stop() == 0
