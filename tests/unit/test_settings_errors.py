"""What is wrong is said at once, with place, key and remedy; nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropmill.errors import ConfigurationError
from dropmill.settings import Finding, SettingsError, load

INBOX = '[[inboxes]]\nname = "camera"\npath = "/srv/in"\noutput = "/srv/out"\n'


def problems(tmp_path: Path, text: str, name: str = "c.toml", environ: dict[str, str] | None = None) -> list[Finding]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path, environ or {}, {})
    return list(caught.value.findings)


def only(tmp_path: Path, text: str, **more) -> Finding:
    (finding,) = problems(tmp_path, text, **more)
    return finding


def test_everything_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = """\
state_dirr = "x"
preset = "wep"
dropfiles = [{name = "x"}]
[http]
bind = "0.0.0.0:8686"
[log]
level = "loud"
[output]
mode = 0o644
[[inboxes]]
name = "a"
path = "/srv/in"
output = "/srv/in/out"
settle_secnds = 3
on_success = "archive"
priority = 9
symlinks = true
[[inboxes]]
name = "a"
path = "/srv/in/sub"
profile = "wbe"
names = "{stm}.{ext}"
[profiles.x]
renditions = [
  {name = "l", fit = [1, 2], fill = [3, 4]},
  {name = "m", fit = [1, 0], qualty = 3},
]
[dedupe]
similar = "hardlink"
[workers]
processes = "many"
"""
    found = problems(tmp_path, text)
    lines = [(int(finding.where.rpartition(":")[2]), finding.key) for finding in found]
    assert lines == [
        (1, "state_dirr"),
        (2, "preset"),
        (3, "dropfiles.0.path"),
        (3, "dropfiles.0.output"),
        (5, "http.bind"),
        (7, "log.level"),
        (9, "output.mode"),
        (13, "inboxes.0.output"),
        (14, "inboxes.0.settle_secnds"),
        (15, "inboxes.0.on_success"),
        (16, "inboxes.0.priority"),
        (17, "inboxes.0.symlinks"),
        (18, "inboxes.1.output"),
        (19, "inboxes.1.name"),
        (20, "inboxes.1.path"),
        (21, "inboxes.1.profile"),
        (22, "inboxes.1.names"),
        (25, "profiles.x.renditions.0"),
        (26, "profiles.x.renditions.1.fit"),
        (26, "profiles.x.renditions.1.qualty"),
        (29, "dedupe.similar"),
        (31, "workers.processes"),
    ]
    told = {finding.key: str(finding) for finding in found}
    assert told["state_dirr"] == f"{tmp_path}/c.toml:1: state_dirr: unknown key; did you mean state_dir?"
    assert "did you mean web?" in told["preset"]
    assert "is required: the text file" in told["dropfiles.0.path"]
    assert "never followed" in told["inboxes.0.symlinks"]
    assert "a link would show the other picture" in told["dedupe.similar"]
    assert "must be a whole number, not 'many'" in told["workers.processes"]
    assert all(finding.hint or "not" in finding.message or "is required: " in finding.message for finding in found)


def test_the_error_is_a_configuration_error_with_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("x = 1\ny = 2\n" + INBOX)
    with pytest.raises(ConfigurationError) as caught:
        load(path, {}, {})
    assert caught.value.exit_code == 2
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text", "line", "word"),
    [
        ("c.toml", 'a = 1\nb = "x\n', 2, "is not TOML"),
        ("c.toml", "a = 1\na = 2\n", 2, "is not TOML"),
        ("c.yaml", "a: 1\nb: [1\n", 3, "is not YAML"),
        ("c.yaml", "a: 1\nb: 2\na: 3\n", 3, "is given twice"),
        ("c.yaml", "- 1\n", 1, "no table"),
        ("c.json", '{"a": 1,\n"b" 2}', 2, "is not JSON"),
        ("c.json", '{"a": 1, "a": 2}', 1, "is given twice"),
        ("c.json", "[]", 1, "no table"),
    ],
)
def test_a_file_that_cannot_be_parsed_names_its_line(
    tmp_path: Path, name: str, text: str, line: int, word: str
) -> None:
    finding = only(tmp_path, text, name=name)
    assert finding.where == f"{tmp_path / name}:{line}"
    assert word in finding.message


def test_files_that_cannot_be_read_are_findings(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "c.ini").write_text("")
    expected = {
        "latin.toml": "not UTF-8",
        "folder.toml": "cannot be read",
        "c.ini": "says no format",
        "no.toml": "cannot be read",
    }
    for name, message in expected.items():
        with pytest.raises(SettingsError) as caught:
            load(tmp_path / name, {}, {})
        (finding,) = caught.value.findings
        assert message in finding.message
        assert finding.hint


def test_yaml_and_json_name_lines_too(tmp_path: Path) -> None:
    yaml = "inboxes:\n  - name: a\n    path: /in\n    output: /out\n    settel_seconds: 1\noutput:\n  mode: 0644\n"
    found = problems(tmp_path, yaml, name="c.yaml")
    assert [(finding.where[-2:], finding.key) for finding in found] == [
        (":5", "inboxes.0.settel_seconds"),
        (":7", "output.mode"),
    ]
    json = '{"inboxes": [\n\t{"name": "a",\n\t "path": "/in",\n\t "output": "/out", "prioritie": 3}],\n"a\\"b": 1}'
    found = problems(tmp_path, json, name="c.json")
    assert [(finding.where[-2:], finding.key) for finding in found] == [(":4", "inboxes.0.prioritie"), (":5", 'a"b')]


def test_yaml_reads_off_as_false_and_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("dedupe: {near: off, exact: off}\ninboxes: [{name: a, path: /in, output: /out}]\n")
    assert load(path, {}, {}).settings.dedupe.exact == "off"


def test_variables_and_options_are_named(tmp_path: Path) -> None:
    environ = {"DROPMILL_WORKERS__PROCESSES": "x", "DROPMILL_HTTP__ALLOWED_HOSTS": "a,b"}
    found = problems(tmp_path, INBOX, environ=environ)
    assert [finding.where for finding in found] == [
        "environment DROPMILL_HTTP__ALLOWED_HOSTS",
        "environment DROPMILL_WORKERS__PROCESSES",
    ]
    with pytest.raises(SettingsError, match=r"option --http-bind: http\.bind: 'nowhere' is no address"):
        load(tmp_path / "c.toml", {}, {"http.bind": "nowhere"})
    with pytest.raises(SettingsError, match="unknown key"):
        load(tmp_path / "c.toml", {}, {"http.bnd": "x"})


@pytest.mark.parametrize("name", ["output", "archive", "duplicates", "quarantine"])
def test_w28_what_is_written_is_never_inside_an_inbox(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path / "in", tmp_path / "link")
    text = f'[[inboxes]]\nname = "a"\npath = "in"\noutput = "out"\n{name} = "link/sub"\n'
    if name == "output":
        text = text.replace('output = "out"\n', "")
    finding = only(tmp_path, text)
    assert finding.key == f"inboxes.0.{name}"
    assert f"{tmp_path}/link/sub is inside inbox {tmp_path}/in" in finding.message


def test_w28_state_and_log_inside_an_inbox_are_refused_naming_both(tmp_path: Path) -> None:
    found = problems(tmp_path, 'state_dir = "/srv/in/state"\n[log]\nfile = "/srv/in/log"\n' + INBOX)
    assert [finding.key for finding in found] == ["state_dir", "log.file"]
    assert all("/srv/in/" in finding.message and "inbox /srv/in" in finding.message for finding in found)


@pytest.mark.parametrize(
    ("path", "output", "key", "message"),
    [
        ("/srv/in", "/srv/out2", "inboxes.1.path", "/srv/in and /srv/in are the same folder"),
        ("/srv/in/x", "/srv/out2", "inboxes.1.path", "inbox /srv/in/x is inside inbox /srv/in"),
        ("/srv", "/other", "inboxes.1.path", "inbox /srv/in is inside inbox /srv"),
        ("/srv/out/x", "/other", "inboxes.1.path", "inbox /srv/out/x is inside output /srv/out"),
        ("/srv/out", "/other", "inboxes.0.output", "output /srv/out is the inbox /srv/out itself"),
        ("/b", "/b", "inboxes.1.output", "output /b is the inbox /b itself"),
    ],
)
def test_w28_folders_that_overlap_are_refused(tmp_path: Path, path: str, output: str, key: str, message: str) -> None:
    found = problems(tmp_path, INBOX + f'[[inboxes]]\nname = "b"\npath = "{path}"\noutput = "{output}"\n')
    assert (key, message) in [(finding.key, finding.message) for finding in found]


def test_w28_names_that_only_begin_alike_are_different_folders(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(INBOX.replace("/srv/out", "/srv/in2"))
    assert load(tmp_path / "c.toml", {}, {}).warnings == []


@pytest.mark.parametrize("bind", ["0.0.0.0:1", "[::]:1", "192.168.1.2:80", "example.org:80"])
def test_off_loopback_needs_a_token_that_can_be_read(tmp_path: Path, bind: str) -> None:
    assert only(tmp_path, INBOX + f'[http]\nbind = "{bind}"\n').key == "http.bind"
    assert "cannot be read" in only(tmp_path, INBOX + f'[http]\nbind = "{bind}"\ntoken_file = "no"\n').message
    (tmp_path / "token").write_text("\n")
    assert "is empty" in only(tmp_path, INBOX + f'[http]\nbind = "{bind}"\ntoken_file = "token"\n').message


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "127.9.9.9:1", "[::1]:8686", "localhost:8686", "unix:/run/x.sock"])
def test_loopback_and_sockets_need_none(tmp_path: Path, bind: str) -> None:
    (tmp_path / "c.toml").write_text(INBOX + f'[http]\nbind = "{bind}"\n')
    assert load(tmp_path / "c.toml", {}, {}).settings.http.bind == bind


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('on_duplicate = "move"', "no duplicates folder"),
        ('on_unsupported = "quarantine"', "no quarantine folder"),
        ('names = "{dir}/{stem}.{ext}"', "one name"),
        ('names = "{stem}-{rendition}"', "no {ext}"),
        ('names = "/x/{rendition}.{ext}"', "absolute"),
        ('names = "../{rendition}.{ext}"', "'..'"),
        ('names = "{date:%Q}/{rendition}.{ext}"', "%Q"),
        ('names = "{sha256:0}/{rendition}.{ext}"', "length"),
        ('names = "{rendition.{ext}"', "{"),
        ('companions = ["jpg"]', "picture itself"),
        ('ignore = ["/abs"]', "matches nothing"),
        ('archive = "~/archive"', "not expanded"),
        ("priority = true", "must be a number"),
        ("settle_seconds = nan", "is not valid"),
        ('recursive = "perhaps"', "true or false"),
        ('profile = "nope"', "no profile"),
    ],
)
def test_settings_of_an_inbox_that_cannot_be(tmp_path: Path, line: str, word: str) -> None:
    finding = only(tmp_path, INBOX + line + "\n")
    assert word in finding.message
    assert finding.where.endswith(":5")


def test_broken_things_cause_no_further_findings(tmp_path: Path) -> None:
    broken_profile = INBOX + 'profile = "own"\n[profiles.own]\nrenditions = []\n'
    assert only(tmp_path, broken_profile).key == "profiles.own.renditions"
    assert only(tmp_path, 'inboxes = "none"\n').key == "inboxes"
    assert only(tmp_path, INBOX + 'on_success = "archive"\narchive = 5\n').key == "inboxes.0.archive"
    assert only(tmp_path, "http = 5\n" + INBOX).key == "http"
    assert only(tmp_path, "inboxes = [5]\n").key == "inboxes.0"
    assert only(tmp_path, INBOX + "profiles = 5\n").key == "inboxes.0.profiles"
    assert only(tmp_path, "profiles = 5\n" + INBOX).key == "profiles"


def test_rendition_names_differ_even_where_case_counts_for_nothing(tmp_path: Path) -> None:
    text = INBOX + '[profiles.web]\nrenditions = [{name = "a", scale = 1}, {name = "A", scale = 1}]\n'
    assert "two renditions are named 'a'" in only(tmp_path, text).message
    text = INBOX + '[profiles.web]\nrenditions = [{name = "a/b", scale = 1}]\n'
    assert "cannot be part of a file name" in only(tmp_path, text).message


def test_a_folder_that_is_never_used_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(INBOX + 'archive = "/srv/archive"\non_success = "keep"\n')
    (warning,) = load(tmp_path / "c.toml", {}, {}).warnings
    assert (warning.key, "never used" in warning.message) == ("inboxes.0.archive", True)


def dropfiles(*texts: str) -> str:
    lines = ['name = "a"\npath = "urls.txt"\noutput = "out"\n', *texts]
    inbox = '[[inboxes]]\nname = "camera"\npath = "in"\noutput = "out"\n'
    return inbox + "".join(f"[[dropfiles]]\n{text}" for text in lines)


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ('name = "a"\npath = "b"\noutput = "o"\n', "dropfiles.1.name", "another inbox or drop-file is named 'a'"),
        ('name = "camera"\npath = "b"\noutput = "o"\n', "dropfiles.1.name", "is named 'camera'"),
        (
            'name = "camera.urls"\npath = "b"\noutput = "o"\n',
            "dropfiles.1.name",
            "URLs that are added to inbox 'camera'",
        ),
        (
            'name = "b"\npath = "./x/../urls.txt"\nresults = "r"\noutput = "o"\n',
            "dropfiles.1.path",
            "is a drop-file already",
        ),
        ('name = "b"\npath = "in/urls.txt"\noutput = "o"\nresults = "r"\n', "dropfiles.1.path", "is inside inbox"),
        (
            'name = "b"\npath = "b"\nresults = "urls.txt"\noutput = "o"\n',
            "dropfiles.1.results",
            "is a drop-file already",
        ),
        ('name = "b"\npath = "b"\noutput = "in/o"\n', "dropfiles.1.output", "is inside inbox"),
        ('name = "b"\npath = "b"\noutput = "o"\noriginals = "in/o"\n', "dropfiles.1.originals", "is inside inbox"),
        ('name = "b"\npath = "b"\noutput = "o"\nquarantine = "in/q"\n', "dropfiles.1.quarantine", "is inside inbox"),
        ('name = "b"\npath = "b"\noutput = "o"\nprofile = "wbe"\n', "dropfiles.1.profile", "there is no profile"),
        ('name = "b"\npath = "b"\noutput = "o"\nnames = "{stem}.{ext}"\n', "dropfiles.1.names", "one name"),
        ('name = "b/c"\npath = "b"\noutput = "o"\n', "dropfiles.1.name", "no name for a drop-file"),
        ('name = "b"\npath = "b"\noutput = "o"\non_repeat = "again"\n', "dropfiles.1.on_repeat", "not valid"),
        ('name = "b"\npath = "b"\noutput = "o"\nquiet_seconds = 0\n', "dropfiles.1.quiet_seconds", "not valid"),
    ],
)
def test_drop_files_fit_together_with_each_other_and_with_inboxes(
    tmp_path: Path, text: str, key: str, told: str
) -> None:
    found = only(tmp_path, dropfiles(text))
    assert found.key == key
    assert told in found.message


def test_a_drop_file_needs_no_inbox_and_its_paths_are_taken_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('preset = "dataset"\n[[dropfiles]]\nname = "a"\npath = "urls.txt"\noutput = "out"\n')
    (item,) = load(path, {}, {}).settings.dropfiles
    assert (item.path, item.output, item.originals) == (f"{tmp_path}/urls.txt", f"{tmp_path}/out", "discard")
    assert item.results_path == f"{tmp_path}/urls.txt.results.jsonl"
    assert (item.profile, item.receipts, item.originals_folder) == ("dataset", True, "")
