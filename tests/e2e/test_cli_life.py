"""Starting, stopping, checking, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pictures
from dropmill.cli import reach
from dropmill.settings import load
from harness import PROGRAM, Mill, clean_environment

COMMANDS = [
    "run", "check", "try", "status", "jobs", "why", "health", "add", "retry", "cancel", "pause", "resume", "reprocess",
    "reload", "backup", "config show", "config schema", "config init", "version",
]  # fmt: skip


def _dropmill(*arguments: str, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        input=text,
        cwd=cwd,
        env=clean_environment(),
        timeout=60,
        check=False,
    )


def test_every_command_shows_an_example(tmp_path: Path) -> None:
    program = f"""
import sys
from dropmill.cli.app import app
for words in {COMMANDS!r}:
    print("=====" + words)
    try:
        app([*words.split(), "--help"], prog_name="dropmill")
    except SystemExit as end:
        assert not end.code
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    told = dict(part.split("\n", 1) for part in result.stdout.split("=====")[1:])
    assert list(told) == COMMANDS
    for words, text in told.items():
        assert f"dropmill {words}" in text.split("Example:")[1], words


def test_version_and_help_load_none_of_the_heavy_libraries() -> None:
    program = """
import sys
from dropmill.cli import main
sys.argv = ["dropmill", sys.argv[1]]
try:
    main()
except SystemExit:
    pass
print(sorted({"fastapi", "uvicorn", "apsw", "PIL", "numpy", "httpx", "pydantic_settings", "watchdog"} & set(sys.modules)))
"""
    for argument in ("version", "--help"):
        result = subprocess.run([sys.executable, "-c", program, argument], capture_output=True, text=True, check=True)
        assert result.stdout.strip().splitlines()[-1] == "[]"


def test_version_names_the_components(tmp_path: Path) -> None:
    told = json.loads(_dropmill("version", "--components", "--json", cwd=tmp_path).stdout)
    assert told["metadata"]["component"]["name"] == "dropmill"
    assert {"Python", "SQLite", "Pillow", "libheif", "imagehash"} <= {one["name"] for one in told["components"]}


def test_once_ends_with_0_or_3_and_a_summary(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("good.jpg", pictures.jpeg())
    good = mill.once()
    assert good.returncode == 0
    assert f"published {mill.inbox}/good.jpg" in good.stdout
    assert "outcome" in good.stdout
    mill.drop("bad.jpg", b"nothing")
    bad = mill.once()
    assert bad.returncode == 3
    assert "discarded: not-an-image" in bad.stdout
    assert mill.once().returncode == 0, "what an earlier run discarded is not this one's"


def test_once_ends_with_1_where_something_owed_could_not_be_done(tmp_path: Path) -> None:
    mill = Mill(tmp_path, archive="archive")
    (mill.root / "archive").rmdir()
    (mill.root / "archive").mkdir()
    (mill.root / "archive/sub").write_text("a file where a folder has to be")
    mill.drop("sub/one.jpg", pictures.jpeg())
    result = mill.once()
    assert result.returncode == 1, result.stdout
    assert "could not be put into place" in result.stdout
    assert mill.outputs() == ["sub/one-t.jpg"]
    assert (mill.inbox / "sub/one.jpg").exists()


def test_q12_a_second_daemon_names_the_first_ones_pid(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    assert mill.process is not None
    result = mill.run("run")
    assert result.returncode == 2
    assert f"in use by the daemon with pid {mill.process.pid}" in result.stderr
    assert "Traceback" not in result.stderr
    assert mill.once().returncode == 2


def test_w19_what_a_killed_daemon_left_is_taken_over(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    mill.kill()
    assert (mill.root / "state/daemon.json").exists()
    assert (mill.root / "state/dropmill.lock").exists()
    told = json.loads(mill.run("status", "--json").stdout)
    assert told["state"] == "stopped"
    assert mill.run("health").returncode == 4
    mill.start()
    assert reach.ask(load(mill.config, {}, {}).settings, "status")["state"] == "running"
    assert mill.stop() == 0
    assert not (mill.root / "state/daemon.json").exists()


def test_health_is_exit_code_4_where_the_state_cannot_be_looked_at(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/dropmill.lock").symlink_to("dropmill.lock")
    result = mill.run("health")
    assert result.returncode == 4
    assert "cannot be looked at" in result.stderr


def test_a_daemon_that_does_not_answer_is_exit_code_4(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    (mill.root / "state/daemon.json").unlink()
    for command in (["status"], ["pause"]):
        result = mill.run(*command)
        assert result.returncode == 4
        assert "hint: " in result.stderr


def test_the_command_line_finds_a_daemon_on_a_unix_socket_and_with_a_token(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    (tmp_path / "token").write_text("a-token-of-some-length\n")
    text = mill.config.read_text()
    mill.config.write_text(text.replace('bind = "127.0.0.1:0"', f'bind = "unix:{tmp_path}/s"\ntoken_file = "token"'))
    with mill.log.open("ab") as log:
        mill.process = subprocess.Popen([PROGRAM, "run", "--config", str(mill.config)], stdout=log, stderr=log)
    try:
        mill.wait_for(lambda: (tmp_path / "state/daemon.json").exists())
        told = json.loads(mill.run("status", "--json").stdout)
        assert told["state"] in {"starting", "running"}
        (tmp_path / "token").write_text("another-token-of-some-length\n")
        refused = mill.run("status")
        assert refused.returncode == 4
        assert (
            f"hint: it has changed since the daemon read it: systemctl reload dropmill, or kill -HUP {mill.process.pid}"
            in refused.stderr
        )
        assert mill.stop() == 0
    finally:
        if mill.process is not None:
            mill.process.kill()
            mill.process.wait()


def test_w28_folders_inside_an_inbox_are_refused_with_both_named(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.config.write_text(mill.config.read_text().replace('output = "out"', 'output = "in/out"'))
    for command in (["check"], ["run"], ["run", "--once"]):
        result = mill.run(*command)
        assert result.returncode == 2
        line = result.stderr.splitlines()[0]
        assert line.startswith(f"error: {mill.config}:")
        assert f"output {tmp_path}/in/out is inside inbox {tmp_path}/in" in line
    assert not (tmp_path / "in/out").exists()


def test_configuration_errors_come_all_at_once_with_their_lines(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.config.write_text(
        mill.config.read_text().replace("settle_seconds = 0.2", "setle_seconds = 0.2\nrecursive = 7")
    )
    result = mill.run("status")
    assert result.returncode == 2
    assert result.stderr.count("error: ") == 2
    assert "did you mean settle_seconds?" in result.stderr
    missing = _dropmill("status", "--config", "nowhere.toml", cwd=tmp_path)
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: ")


def test_check_really_tries_and_names_line_and_remedy(tmp_path: Path) -> None:
    mill = Mill(tmp_path, quarantine="quarantine")
    good = mill.run("check")
    assert good.returncode == 0, good.stderr
    (mill.root / "quarantine").rmdir()
    (mill.root / "quarantine").write_text("in the way")
    mill.inbox.rmdir()
    result = mill.run("check", "--json")
    assert result.returncode == 2
    told = json.loads(result.stdout)
    assert told["ok"] is False
    found = {one["key"]: one for one in told["findings"] if one["severity"] == "error"}
    assert set(found) == {"inboxes.0.path", "inboxes.0.quarantine"}
    assert found["inboxes.0.path"]["remedy"] == f"mkdir -p {mill.inbox}"
    lines = mill.config.read_text().splitlines()
    number = next(at for at, line in enumerate(lines, 1) if line.startswith("quarantine"))
    assert found["inboxes.0.quarantine"]["where"] == f"{mill.config}:{number}"
    assert [name for name in os.listdir(mill.root) if "dropmill-check" in name] == []
    refused = mill.run("run")
    assert refused.returncode == 2
    assert refused.stderr.strip().splitlines()[-1].startswith("hint: ")


def test_check_finds_an_address_that_is_taken(tmp_path: Path) -> None:
    first, second = Mill(tmp_path / "one"), Mill(tmp_path / "two")
    first.start()
    port = first.address.rpartition(":")[2]
    second.config.write_text(second.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    result = second.run("check")
    assert result.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in result.stderr
    refused = second.run("run")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_try_tells_and_changes_nothing(tmp_path: Path) -> None:
    mill = Mill(tmp_path, archive="archive", duplicates="duplicates", quarantine="quarantine")
    photo = pictures.jpeg(pictures.photo(200, 150, seed=1))
    mill.drop("one.jpg", photo)
    (tmp_path / "broken.jpg").write_bytes(photo[:500])

    def tried(name: str) -> dict[str, object]:
        result = mill.run("try", name, "--json")
        assert result.returncode == 0, result.stderr
        told: dict[str, object] = json.loads(result.stdout)
        return told

    fresh = tried("in/one.jpg")
    assert fresh["verdict"] == "published"
    assert fresh["original"] == f"archive: {tmp_path}/archive/one.jpg"
    assert [one["path"] for one in fresh["output"]] == [f"{mill.output}/one-t.jpg"]  # type: ignore[attr-defined]  # A list of objects.
    assert str(tried("broken.jpg")["verdict"]).startswith("discarded: ")
    assert not (tmp_path / "state").exists()
    assert mill.outputs() == []

    assert mill.once().returncode == 0
    (tmp_path / "copy.jpg").write_bytes(photo)
    again = tried("copy.jpg")
    assert again["verdict"] == f"duplicate: the same bytes as {mill.inbox}/one.jpg"
    assert again["original"] == f"duplicates: {tmp_path}/duplicates/copy.jpg"
    assert len(mill.jobs()) == 1


def test_config_init_writes_a_file_that_works(tmp_path: Path) -> None:
    result = _dropmill(
        "config", "init", "--inbox", "drop", "--output", "made", "--originals", "archive", "--archive", "kept",
        "--readers", "group", "--file", "mill.toml", "--state-dir", "state", "--yes", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode in {0, 2}, result.stderr
    # The default port may be taken on the machine that runs this test; nothing else may be wrong.
    assert all("http.bind" in line for line in result.stderr.splitlines() if line.startswith("error: "))
    settings = load(tmp_path / "mill.toml", {}, {}).settings
    assert settings.inboxes[0].path == str(tmp_path / "drop")
    assert settings.inboxes[0].on_success == "archive"
    assert settings.output.mode == "0640"
    assert (tmp_path / "drop").is_dir()
    twice = _dropmill("config", "init", "--file", "mill.toml", "--yes", cwd=tmp_path)
    assert twice.returncode == 1
    assert "exists already" in twice.stderr
    shown = _dropmill("config", "show", "--config", "mill.toml", cwd=tmp_path)
    assert 'on_success = "archive"  # mill.toml:' in shown.stdout
    assert "$schema" in json.loads(_dropmill("config", "schema", cwd=tmp_path).stdout)


def test_config_init_asks_what_it_is_not_told(tmp_path: Path) -> None:
    answers = "\n".join(["drop", "drop/made", "made", "nonsense", "delete", "doubles", "", "me", "state"]) + "\n"
    result = _dropmill("config", "init", "--file", "mill.toml", cwd=tmp_path, text=answers)
    assert "one of keep, archive, delete" in result.stdout
    assert f"{tmp_path}/drop/made is inside the inbox folder" in result.stdout
    settings = load(tmp_path / "mill.toml", {}, {}).settings
    assert settings.inboxes[0].on_success == "delete"
    assert settings.inboxes[0].quarantine == ""
    assert settings.inboxes[0].duplicates == str(tmp_path / "doubles")


def test_config_init_leaves_nothing_behind_where_an_answer_is_wrong_or_missing(tmp_path: Path) -> None:
    inside = _dropmill("config", "init", "--inbox", "in", "--output", "in/out", "--yes", cwd=tmp_path)
    assert inside.returncode == 2
    assert "in/out is inside the inbox folder" in inside.stderr
    ended = _dropmill("config", "init", cwd=tmp_path, text="in\n")
    assert ended.returncode == 2
    assert "hint: --yes " in ended.stderr
    group = _dropmill("config", "init", "--readers", "group", "--group", "no such group", "--yes", cwd=tmp_path)
    assert group.returncode == 2
    assert os.listdir(tmp_path) == []


def test_without_any_configuration_the_places_that_were_looked_at_are_told(tmp_path: Path) -> None:
    for command in (["status"], ["jobs"], ["why", "1"], ["health"], ["pause"]):
        result = _dropmill(*command, cwd=tmp_path)
        assert result.returncode == 2
        assert "$DROPMILL_CONFIG is not set" in result.stderr


def test_check_finds_an_inbox_of_another_daemon_and_says_what_it_tried(tmp_path: Path) -> None:
    first, second = Mill(tmp_path / "one"), Mill(tmp_path / "two")
    first.start()
    text = second.config.read_text()
    second.config.write_text(text.replace('path = "in"', f'path = "{first.inbox}"'))
    result = second.run("check")
    assert result.returncode == 2
    assert "which has another state directory" in result.stderr
    own = first.run("check", "--all")
    assert own.returncode == 0, own.stderr
    assert "a daemon runs already" in own.stdout
    assert f"ok: output {first.output}: written, synced, renamed" in own.stdout
    second.config.write_text(text.replace("settle_seconds", "setle_seconds"))
    second.inbox.rmdir()
    both = second.run("check").stderr
    assert "did you mean settle_seconds?" in both
    assert f"{second.inbox} does not exist" in both
    assert first.stop() == 0


def test_once_in_a_pipe_tells_each_event_once(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("one.jpg", pictures.jpeg())
    result = mill.once()
    assert f"published {mill.inbox}/one.jpg" in result.stdout
    assert "one.jpg" not in result.stderr
    mill.configure(log={"level": "info"})
    mill.drop("two.jpg", pictures.jpeg(pictures.photo(60, 40, seed=5)))
    assert "two.jpg" in mill.once().stderr


def test_a_reader_that_has_gone_changes_no_exit_code(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("bad.jpg", b"nothing")
    reading, writing = os.pipe()
    os.close(reading)
    command = [PROGRAM, "run", "--once", "--config", str(mill.config)]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.DEVNULL, env=clean_environment(), check=False)
    os.close(writing)
    assert ended.returncode == 3


@pytest.mark.parametrize("arguments", [["nonsense"], ["jobs", "--limit", "x"], ["--log-level", "loud", "status"]])
def test_mistakes_in_the_command_line_are_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    result = _dropmill(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
