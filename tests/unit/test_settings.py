"""Loading: layers, origins, shorthands, paths, the example file."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dropmill.errors import ConfigurationError
from dropmill.settings import (
    PRESETS,
    Answers,
    Change,
    Inbox,
    Loaded,
    Profile,
    Rendition,
    Settings,
    SettingsError,
    Webhook,
    load,
    schema,
    show,
    starter,
)
from dropmill.settings.dropfiles import Dropfile
from dropmill.settings.presets import PROFILES
from dropmill.settings.problems import SECTIONS

EXAMPLE = Path(__file__).parents[2] / "config" / "dropmill.example.toml"
INBOX = '[[inboxes]]\nname = "camera"\npath = "in"\noutput = "out"\n'


def loaded(
    tmp_path: Path, text: str, environ: dict[str, str] | None = None, name: str = "dropmill.toml", **options
) -> Loaded:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load(path, environ or {}, {key.replace("__", "."): value for key, value in options.items()})


def uncommented(text: str) -> str:
    return re.sub(r"(?m)^#(?=[a-z0-9_]+ = |\[\[)", "", text)


def test_each_layer_beats_the_one_below_and_says_so(tmp_path: Path) -> None:
    text = 'preset = "fast"\n' + INBOX + "[workers]\nprocesses = 1\n[log]\nlevel = 'error'\n[queue]\nmax_attempts = 7\n"
    environ = {"DROPMILL_WORKERS__PROCESSES": "2", "DROPMILL_LOG__LEVEL": "warning"}
    result = loaded(tmp_path, text, environ, log__level="debug", http__bind=None)
    settings = result.settings
    assert (settings.queue.max_attempts, result.origin["queue.max_attempts"]) == (7, "dropmill.toml:11")
    assert (settings.workers.processes, result.origin["workers.processes"]) == (
        2,
        "environment DROPMILL_WORKERS__PROCESSES",
    )
    assert (settings.log.level, result.origin["log.level"]) == ("debug", "option --log-level")
    assert (settings.inboxes[0].settle_seconds, result.origin["inboxes.0.settle_seconds"]) == (1.0, "preset fast")
    assert (settings.inboxes[0].profile, result.origin["inboxes.0.profile"]) == ("fast", "preset fast")
    assert (settings.inboxes[0].priority, result.origin["inboxes.0.priority"]) == (3, "default")
    assert result.origin["inboxes.0.path"] == "dropmill.toml:4"
    assert settings.http.bind == "127.0.0.1:8686"


def test_a_file_beats_its_preset_inbox_by_inbox(tmp_path: Path) -> None:
    second = INBOX.replace("camera", "other").replace('"in"', '"in2"') + 'profile = "web"\nreceipts = false\n'
    result = loaded(tmp_path, 'preset = "dataset"\n' + INBOX + second)
    first, other = result.settings.inboxes
    assert (first.profile, first.receipts) == ("dataset", True)
    assert (other.profile, other.receipts, other.names) == ("web", False, "{sha256:2}/{sha256}-{rendition}.{ext}")
    assert result.settings.dedupe.scope == "global"
    assert result.origin["inboxes.1.receipts"] == "dropmill.toml:11"
    assert result.origin["dedupe.scope"] == "preset dataset"


def test_the_preset_may_come_from_the_environment(tmp_path: Path) -> None:
    result = loaded(tmp_path, 'preset = "fast"\n' + INBOX, {"DROPMILL_PRESET": "thumbs"})
    assert result.settings.inboxes[0].profile == "thumbs"
    assert result.origin["inboxes.0.profile"] == "preset thumbs"


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_gives_a_profile_that_works(tmp_path: Path, preset: str) -> None:
    settings = loaded(tmp_path, f'preset = "{preset}"\n' + INBOX).settings
    profile = settings.profiles[settings.inboxes[0].profile]
    recipe = profile.recipe()
    assert settings.inboxes[0].profile == preset
    assert len(recipe.renditions) == len(profile.renditions)
    assert len(recipe.digest()) == 64


def test_a_shipped_profile_can_be_changed_in_part(tmp_path: Path) -> None:
    result = loaded(tmp_path, INBOX + '[profiles.web]\nmetadata = "none"\n')
    profile = result.settings.profiles["web"]
    assert profile.metadata == "none"
    assert [spec.name for spec in profile.recipe().renditions] == ["large", "thumb"]
    large, thumb = profile.recipe().renditions
    assert (large.mode, large.width, large.height, large.quality) == ("fit", 1600, 1600, 82)
    assert (thumb.mode, thumb.width, thumb.format) == ("fit", 400, "auto")


def test_library_roots_are_a_list_of_paths(tmp_path: Path) -> None:
    told = 'library_roots = ["photos", "/srv/scans", "../up"]\n'
    (tmp_path / "file.toml").write_text(told)
    settings = load(tmp_path / "file.toml", {}, {}, need_inboxes=False).settings
    assert settings.library_roots == (f"{tmp_path}/photos", "/srv/scans", f"{tmp_path.parent}/up")
    given = load(tmp_path / "file.toml", {"DROPMILL_LIBRARY_ROOTS": '["/srv/only"]'}, {}, need_inboxes=False).settings
    assert given.library_roots == ("/srv/only",)
    (tmp_path / "file.toml").write_text('library_roots = ["~/photos"]\n')
    with pytest.raises(SettingsError, match="~ is not expanded"):
        load(tmp_path / "file.toml", {}, {}, need_inboxes=False)


def test_relative_paths_start_at_the_file_or_at_the_working_directory(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = loaded(tmp_path / "etc", 'state_dir = "../state/"\n[log]\nfile = "a.log"\n' + INBOX).settings
    assert settings.inboxes[0].path == str(tmp_path / "etc/in")
    assert settings.state_dir == str(tmp_path / "state")
    assert settings.log.file == str(tmp_path / "etc/a.log")
    settings = load(
        None, {"DROPMILL_INBOX": "in", "DROPMILL_OUTPUT": "./out"}, {"state_dir": "st"}, default_path="/nonexistent"
    ).settings
    assert (settings.inboxes[0].path, settings.inboxes[0].output) == (str(tmp_path / "in"), str(tmp_path / "out"))
    assert settings.state_dir == str(tmp_path / "st")


def test_three_variables_make_one_inbox() -> None:
    environ = {
        "DROPMILL_INBOX": "/in",
        "DROPMILL_OUTPUT": "/out",
        "DROPMILL_STATE_DIR": "/state",
        "DROPMILL_ARCHIVE": "/archive",
        "DROPMILL_DUPLICATES": "",
        "DROPMILL_QUARANTINE": "/bad",
    }
    result = load(None, environ, {}, default_path="/nonexistent")
    (inbox,) = result.settings.inboxes
    assert (inbox.name, inbox.profile, inbox.path, inbox.output) == ("inbox", "web", "/in", "/out")
    assert (inbox.on_success, inbox.archive, inbox.on_duplicate, inbox.quarantine) == (
        "archive",
        "/archive",
        "keep",
        "/bad",
    )
    assert result.settings.state_dir == "/state"
    assert result.origin["inboxes.0.path"] == "environment DROPMILL_INBOX"
    assert result.warnings == []
    assert result.path is None


def test_inboxes_come_as_json_and_replace_those_of_the_file(tmp_path: Path) -> None:
    environ = {"DROPMILL_INBOXES": '[{"name": "env", "path": "/e", "output": "/f"}]', "DROPMILL_INBOX": "/x"}
    result = loaded(tmp_path, INBOX + 'receipts = true\n[profiles.own]\nrenditions=[{name="a",scale=1}]\n', environ)
    assert [(inbox.name, inbox.receipts) for inbox in result.settings.inboxes] == [("env", False)]
    assert result.origin["inboxes.0.receipts"] == "default"
    assert result.origin["inboxes.0.path"] == "environment DROPMILL_INBOXES"
    assert [warning.where for warning in result.warnings] == ["environment DROPMILL_INBOX"]


def test_variables_nest_and_hold_json(tmp_path: Path) -> None:
    environ = {
        "DROPMILL_HTTP__ALLOWED_HOSTS": '["a.example"]',
        "DROPMILL_HTTP__BIND": "[::1]:0",
        "DROPMILL_PROFILES__WEB__METADATA": "none",
        "DROPMILL_PROFILES__WEB__RENDITIONS": '[{"name": "a", "fit": [1, 2]}]',
        "DROPMILL_OUTPUT__MODE": "0640",
        "DROPMILL_WORKERS": '{"max_frames": 9}',
        "DROPMILL_WORKERS__PROCESSES": "3",
        "DROPMILL_QUEUE__MAX_ATTEMPTS": "",
    }
    settings = loaded(tmp_path, INBOX, environ).settings
    assert settings.http.allowed_hosts == ("a.example",)
    assert settings.http.address.port == 0
    assert settings.profiles["web"].metadata == "none"
    assert settings.profiles["web"].renditions[0].fit == (1, 2)
    assert settings.output.mode_bits == 0o640
    assert (settings.workers.max_frames, settings.workers.processes) == (9, 3)
    assert settings.queue.max_attempts == 5


def test_unknown_variables_warn_and_kubernetes_is_ignored(tmp_path: Path) -> None:
    environ = {
        "DROPMILL_PORT": "tcp://10.0.0.1:8686",
        "DROPMILL_SERVICE_HOST": "10.0.0.1",
        "DROPMILL_SERVICE_PORT": "8686",
        "DROPMILL_SERVICE_PORT_HTTP": "8686",
        "DROPMILL_PORT_8686_TCP": "tcp://10.0.0.1:8686",
        "DROPMILL_PORT_8686_TCP_ADDR": "10.0.0.1",
        "DROPMILL_METRICS_PORT": "tcp://10.0.0.2:1",
        "DROPMILL_METRICS_SERVICE_HOST": "10.0.0.2",
        "DROPMILL_REQUIRE_ALL": "1",
        "DROPMILL_WORKER__PROCESSES": "1",
        "DROPMILL_INBOXES__0__PATH": "/x",
        "OTHER": "1",
    }
    result = loaded(tmp_path, INBOX, environ)
    assert [warning.where.split("_", 1)[1] for warning in result.warnings] == ["INBOXES__0__PATH", "WORKER__PROCESSES"]
    assert "as JSON in DROPMILL_INBOXES" in result.warnings[0].hint
    assert result.warnings[1].hint == "did you mean DROPMILL_WORKERS__PROCESSES?"
    wrong_port = loaded(tmp_path, INBOX, {"DROPMILL_PORT": "8686"})
    assert [warning.where for warning in wrong_port.warnings] == ["environment DROPMILL_PORT"]


def test_the_file_is_named_by_option_then_variable_then_default(tmp_path: Path) -> None:
    for name in ("option", "variable", "default"):
        (tmp_path / f"{name}.toml").write_text(INBOX.replace("camera", name))
    variable, default = str(tmp_path / "variable.toml"), str(tmp_path / "default.toml")
    environ = {"DROPMILL_CONFIG": variable}
    assert load(tmp_path / "option.toml", environ, {}, default_path=default).settings.inboxes[0].name == "option"
    assert load(None, environ, {}, default_path=default).settings.inboxes[0].name == "variable"
    assert load(None, {}, {}, default_path=default).settings.inboxes[0].name == "default"
    without = load(None, {}, {}, default_path=str(tmp_path / "none.toml"), need_inboxes=False)
    assert without.settings == Settings()
    assert set(without.origin.values()) == {"default"}
    with pytest.raises(SettingsError, match="neither an inbox nor a drop-file is configured"):
        load(None, {}, {}, default_path=str(tmp_path / "none.toml"))


def test_toml_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = loaded(tmp_path, INBOX + "[output]\nmode = '0600'\n")
    yaml = loaded(
        tmp_path, "inboxes:\n- name: camera\n  path: in\n  output: out\noutput: {mode: '0600'}\n", name="a.yaml"
    )
    json = loaded(
        tmp_path,
        '{\n"inboxes": [\n\t{"name": "camera", "path": "in",\n"output": "out"}],"output": {"mode": "0600"}}',
        name="a.json",
    )
    assert toml.settings == yaml.settings == json.settings
    assert (yaml.origin["inboxes.0.output"], json.origin["inboxes.0.output"]) == ("a.yaml:4", "a.json:4")


def test_what_show_prints_is_the_same_configuration(tmp_path: Path) -> None:
    text = (
        'preset = "seo"\n'
        + INBOX
        + 'label = "tab\\t\\"q\\" \\u007f"\n[profiles."a.b"]\nrenditions=[{name="x",scale=0.5}]\n'
    )
    first = loaded(tmp_path, text)
    shown = show(first)
    again = loaded(tmp_path, shown, name="again.toml")
    assert again.settings == first.settings
    assert 'profile = "seo"  # preset seo' in shown
    assert '[profiles."a.b"]' in shown
    assert "# shipped profiles not in use: archive, dataset, fast, thumbs, web" in shown


def test_show_tells_what_was_changed_at_runtime_and_how_to_take_it_back(tmp_path: Path) -> None:
    first = loaded(tmp_path, INBOX + "[dedupe]\nnear_phash = 6\n")
    at = "2026-01-31T12:00:00.000Z"
    shown = show(first, {"dedupe.near_phash": Change(2, at), "review.default_move": Change("/srv/away", at)})
    again = loaded(tmp_path, shown, name="again.toml").settings
    assert (again.dedupe.near_phash, again.review.default_move) == (2, "/srv/away")
    assert f"near_phash = 2  # changed at runtime on {at}; configured: 6, " in shown
    assert 'configured: "", default; back to that: dropmill config reset review.default_move' in shown
    assert first.settings.dedupe.near_phash == 6 and show(first) == show(first, {})


def test_show_never_prints_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t-token\n")
    result = loaded(tmp_path, INBOX + '[http]\nbind = "0.0.0.0:8686"\ntoken_file = "token"\n')
    assert result.settings.http.read_token() == "s3cr3t-token"
    assert "s3cr3t" not in show(result)


def test_the_schema_describes_every_key() -> None:
    result = schema()
    assert result["$schema"].endswith("2020-12/schema")
    assert "$id" not in result
    assert set(result["properties"]) == set(Settings.model_fields)
    for name, model in {**result["$defs"], "": result}.items():
        assert model["additionalProperties"] is False, name
        for key, described in model["properties"].items():
            target = result["$defs"][described["$ref"].rpartition("/")[2]] if "$ref" in described else described
            assert target.get("description"), f"{name}.{key}"
    assert result["$defs"]["Inbox"]["required"] == ["name", "path", "output"]


def test_the_example_loads_as_it_is_and_uncommented(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    plain = loaded(tmp_path, text)
    full = loaded(tmp_path, uncommented(text), name="full.toml")
    assert plain.warnings == full.warnings == []
    moved = {"on_success", "archive", "on_duplicate", "duplicates", "quarantine"}
    default = plain.settings.model_dump()
    for inbox in (example := full.settings.model_dump())["inboxes"] + default["inboxes"]:
        for key in moved:  # Examples rather than defaults, and the file says so.
            del inbox[key]
    (dropfile,) = full.settings.dropfiles  # None is there unless it is asked for.
    assert dropfile == Dropfile(name=dropfile.name, path=dropfile.path, output=dropfile.output)
    assert example.pop("dropfiles") and default.pop("dropfiles") == ()
    (webhook,) = full.settings.webhooks
    assert webhook == Webhook(name=webhook.name, url=webhook.url, secret_file=webhook.secret_file)
    assert example.pop("webhooks") and default.pop("webhooks") == ()
    assert example == default


def test_the_example_mentions_every_setting_and_describes_every_preset() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    data = tomllib.loads(uncommented(text))
    assert set(Settings.model_fields) == set(data)
    for name, model in SECTIONS.items():
        assert set(model.model_fields) == set(data[name]), name
    assert set(Inbox.model_fields) == set(data["inboxes"][0])
    assert set(Dropfile.model_fields) == set(data["dropfiles"][0])
    assert set(Webhook.model_fields) == set(data["webhooks"][0])
    assert set(Profile.model_fields) == set(data["profiles"]["web"])
    for field in Rendition.model_fields:
        assert re.search(rf"(?m)^#   {field}\b|\b{field} = ", text), field
    for name in PRESETS:
        assert re.search(rf"(?m)^#   {name} +\w+", text), name
    assert set(PRESETS) == set(PROFILES)


@pytest.mark.parametrize("originals", ["keep", "archive", "delete"])
@pytest.mark.parametrize("readers", ["me", "group", "everyone"])
def test_what_init_writes_loads_without_a_warning(tmp_path: Path, originals, readers) -> None:
    answers = Answers(
        inbox='/srv/in "box"',
        output="/srv/out",
        originals=originals,
        archive="/srv/archive",
        duplicates="/srv/dup",
        quarantine="/srv/bad",
        readers=readers,
        group="users",
        state_dir=str(tmp_path / "state"),
    )
    result = loaded(tmp_path, starter(answers))
    (inbox,) = result.settings.inboxes
    assert result.warnings == []
    assert (inbox.path, inbox.on_success, inbox.on_duplicate) == ('/srv/in "box"', originals, "move")
    assert bool(inbox.archive) == (originals == "archive")
    assert result.settings.output.mode == ("0644" if readers == "everyone" else "0640")
    assert result.settings.output.group == ("users" if readers == "group" else "")


def test_init_refuses_an_archive_without_a_folder() -> None:
    with pytest.raises(ValueError, match="archive"):
        starter(Answers("/in", "/out", "archive"))


def test_settings_are_frozen_and_read_nothing_by_themselves(monkeypatch) -> None:
    monkeypatch.setenv("STATE_DIR", "/x")
    monkeypatch.setenv("DROPMILL_STATE_DIR", "/x")
    settings = Settings(inboxes=(Inbox(name="a", path="/a", output="/b"),))
    assert settings.state_dir == "/var/lib/dropmill"
    assert settings.inbox("a").template.fields == {"dir", "stem", "rendition", "ext"}
    with pytest.raises(KeyError):
        settings.inbox("b")
    with pytest.raises(ValueError, match="frozen"):
        settings.state_dir = "/y"  # type: ignore[misc]  # that is the point


def test_groups_are_numbers_names_or_errors() -> None:
    assert Settings().output.gid() == -1
    assert Settings(output={"group": "1234"}).output.gid() == 1234
    assert Settings(output={"group": "root"}).output.gid() == 0
    with pytest.raises(ConfigurationError, match="no group"):
        Settings(output={"group": "no-such-group"}).output.gid()


def test_loading_stays_light() -> None:
    code = "import sys, dropmill.settings; print([m for m in ('yaml', 'PIL', 'numpy', 'fastapi', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
