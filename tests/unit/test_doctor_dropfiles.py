"""``dropmill check`` of drop-files: everything is tried, each finding names its line, and nothing is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropmill.control.doctor import codecs
from dropmill.control.doctor.examination import examine
from dropmill.control.doctor.finding import Finding
from dropmill.observe.clock import SystemClock
from dropmill.settings import load


@pytest.fixture(autouse=True)
def no_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take a process, and are tried elsewhere."""
    monkeypatch.setattr(codecs, "look", list)


def findings(folder: Path, dropfile: str = "", top: str = "") -> list[Finding]:
    """What is said of the drop-file, written from line 6 on."""
    (folder / "c.toml").write_text(
        f'state_dir = "{folder}/state"\n[http]\nbind = "127.0.0.1:0"\n{top}\n'
        f'[[dropfiles]]\nname = "list"\npath = "{folder}/urls.txt"\noutput = "{folder}/out"\n{dropfile}\n'
    )
    told = examine(load(folder / "c.toml", {}, {}), SystemClock(), {})
    return [one for one in told if one.key.startswith(("dropfiles", "downloads"))]


def found(folder: Path, dropfile: str = "", top: str = "") -> list[tuple[str, str, str, str]]:
    """``(severity, line, key, found; fix)`` of what is not well; that a disk is in memory depends on the machine."""
    told = [one for one in findings(folder, dropfile, top) if one.severity != "ok" and one.check != "container"]
    return sorted((one.severity, one.where.rpartition(":")[2], one.key, f"{one.found}; {one.fix}") for one in told)


def test_a_configuration_with_drop_files_alone_is_fine_and_leaves_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, f'originals = "{tmp_path}/kept"\nquarantine = "{tmp_path}/bad"') == []
    assert sorted(os.listdir(tmp_path)) == ["c.toml"]
    told = findings(tmp_path, f'originals = "{tmp_path}/kept"\nquarantine = "{tmp_path}/bad"')
    well = {(one.key, one.found.rpartition(": ")[2]) for one in told if one.severity == "ok"}
    assert ("dropfiles.0.path", "is not there yet, and will be read once it is") in well
    assert {(f"dropfiles.0.{key}", "can be made") for key in ("output", "originals", "quarantine")} <= well


def test_a_results_file_is_tried_without_being_changed(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://a.test/\n")
    (tmp_path / "urls.txt.results.jsonl").write_text("{}\n")
    before = os.stat(tmp_path / "urls.txt.results.jsonl")
    assert found(tmp_path) == []
    after = os.stat(tmp_path / "urls.txt.results.jsonl")
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("what", ["directory", "fifo"])
def test_what_is_no_file_is_told_and_nobody_waits_for_it(tmp_path: Path, what: str) -> None:
    for name in ("urls.txt", "r.jsonl"):
        os.mkdir(tmp_path / name) if what == "directory" else os.mkfifo(tmp_path / name)
    told = found(tmp_path, f'results = "{tmp_path}/r.jsonl"')
    assert [(severity, line, key) for severity, line, key, _ in told] == [
        ("error", "7", "dropfiles.0.path"),
        ("error", "9", "dropfiles.0.results"),
    ]
    assert all(what in message for *_, message in told)


def test_folders_that_are_missing_or_no_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = found(
        tmp_path, f'results = "{tmp_path}/no/r"\noriginals = "{tmp_path}/file"\nquarantine = "{tmp_path}/file/q"'
    )
    assert sorted((key, line) for _, line, key, _ in told) == [
        ("dropfiles.0.originals", "10"),
        ("dropfiles.0.quarantine", "11"),
        ("dropfiles.0.results", "9"),
    ]
    assert any(f"mkdir -p {tmp_path}/no" in text for *_, text in told)


def test_a_drop_file_whose_folder_is_missing_is_told_once(tmp_path: Path) -> None:
    told = found(tmp_path, f'[[dropfiles]]\nname = "b"\npath = "{tmp_path}/no/urls.txt"\noutput = "{tmp_path}/out"')
    assert [(severity, key) for severity, _, key, _ in told] == [("error", "dropfiles.1.path")]


def test_a_results_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "urls.txt.results.jsonl").symlink_to(tmp_path / "elsewhere")
    ((severity, line, key, message),) = found(tmp_path)
    assert (severity, line, key) == ("error", "7", "dropfiles.0.path") and "link" in message


def test_u07_a_netrc_that_others_may_read_is_warned_of_and_its_passwords_are_not_told(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine a.test login me password correct-horse\n")
    netrc.chmod(0o644)
    top = f'[downloads]\nnetrc = "{netrc}"'
    ((severity, _, key, message),) = found(tmp_path, top=top)
    assert (severity, key) == ("warning", "downloads.netrc") and "chmod 600" in message
    assert "correct-horse" not in message
    netrc.chmod(0o600)
    assert found(tmp_path, top=top) == []
    netrc.write_text("machine a.test login me password correct-horse nonsense\n")
    ((severity, _, key, message),) = found(tmp_path, top=top)
    assert severity == "error" and "correct-horse" not in message
    netrc.unlink()
    ((severity, *_),) = found(tmp_path, top=top)
    assert severity == "error"
