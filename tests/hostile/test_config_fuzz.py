"""Whatever a configuration file or the environment holds: settings, or findings that say what is wrong; nothing else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dropmill.settings import Finding, Settings, SettingsError, load
from dropmill.settings.environment import SHORTHANDS

EXTENSIONS = ("toml", "yaml", "json")
EXAMPLE = (Path(__file__).parents[2] / "config" / "dropmill.example.toml").read_bytes()
# Each of them is refused or accepted by a parser or validator of its own.
MANY = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def read(data: bytes, extension: str, environ: Mapping[str, str] | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"c.{extension}"
        path.write_bytes(data)
        findings: tuple[Finding, ...] | None = None
        try:
            found = load(path, environ or {}, {})
        except SettingsError as error:
            findings = error.findings
    if findings is None:
        assert isinstance(found.settings, Settings)
        assert found.origin
    else:
        assert findings
        assert all(finding.message and str(finding).encode("utf-8", "surrogateescape") for finding in findings)


def keys() -> st.SearchStrategy[str]:
    """Keys of ours at every level, and others."""
    ours: set[str] = set()
    todo: list[Any] = [Settings.model_json_schema()]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            ours |= part.get("properties", {}).keys()
            todo += part.values()
    return st.sampled_from(sorted(ours)) | st.text(max_size=8)


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["web", "/srv/in", "/srv/out", "camera", "archive", "0644", "~", "..", "\0", "unix:", "::1", "{stem}"]
    )
)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys(), inner, max_size=4), max_leaves=20
)
documents = st.dictionaries(keys(), values, max_size=6)


@pytest.mark.long
@MANY
@given(st.binary(max_size=300), st.sampled_from(EXTENSIONS))
@example(b"[" * 100_000, "json")
@example(b'{"a":' * 100_000, "json")
@example(b"a = " + b"[" * 100_000, "toml")
@example(b"a = " + b"{a=" * 20_000, "toml")
@example(b"[" + b"a." * 20_000 + b"a]\n", "toml")
@example(b"[" * 20_000, "yaml")
@example(b"- " * 20_000, "yaml")
@example(b"1" * 5000, "json")
@example(b'{"state_dir": ' + b"1" * 5000 + b"}", "json")
@example(b"state_dir = " + b"1" * 5000, "toml")
@example(b"state_dir: " + b"1" * 5000, "yaml")
@example(b"a: &a [*a]", "yaml")
@example(b"inboxes: &a [*a]", "yaml")
@example(b"inboxes: &a\n  x: *a", "yaml")
@example(b"profiles: &a\n  x: *a", "yaml")
@example(b"? [1, 2]\n: 3", "yaml")
@example(b"? {a: 1}\n: 3", "yaml")
@example(b"2020-01-01: 3\n!!binary x: 4", "yaml")
@example(b"<<: 3", "yaml")
@example(b"<<: [*x]", "yaml")
@example(b"state_dir: !!python/object/apply:os.system [id]", "yaml")
@example(b"--- 1\n--- 2", "yaml")
@example(b"state_dir: 2020-99-99", "yaml")
@example(b"state_dir: =", "yaml")
@example(b"state_dir = 2020-01-01T00:00:00Z", "toml")
@example(b"\xef\xbb\xbfstate_dir = 'x'\r\n", "toml")
@example(b'{"state_dir": "\\ud800"}', "json")
@example(b'{"inboxes": [{"name": "\\ud800", "path": "\\ud800", "output": "/o"}]}', "json")
@example(b'{"state_dir": "\\udd00"}', "json")
@example(b'{"http": {"bind": "unix:\\u0000"}, "log": {"file": "\\u0000"}}', "json")
def test_any_bytes_are_settings_or_findings(data: bytes, extension: str) -> None:
    read(data, extension)


@pytest.mark.long
@MANY
@given(documents, st.sampled_from(["json", "yaml"]))
def test_any_document_is_settings_or_findings(document: dict[str, Any], extension: str) -> None:
    text = json.dumps(document) if extension == "json" else yaml.safe_dump(document)
    read(text.encode("utf-8", "surrogatepass"), extension)


@pytest.mark.long
@MANY
@given(st.data())
def test_the_example_with_a_few_bytes_changed_is_settings_or_findings(data: st.DataObject) -> None:
    text = bytearray(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 40))] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"[", b"]", b"\n", b'"'])
        )
    read(bytes(text), "toml")


def variables() -> st.SearchStrategy[str]:
    tail = st.lists(keys().filter(str.isidentifier).map(str.upper), min_size=1, max_size=3).map("__".join)
    named = st.sampled_from([*SHORTHANDS, "DROPMILL_INBOXES", "DROPMILL_PROFILES", "DROPMILL_PRESET", "DROPMILL_"])
    return named | tail.map(lambda name: f"DROPMILL_{name}")


texts = (
    st.text(st.characters(exclude_characters="\0"), max_size=12) | documents.map(json.dumps) | values.map(json.dumps)
)


@pytest.mark.long
@MANY
@given(st.dictionaries(variables(), texts, max_size=6))
@example({"DROPMILL_INBOXES": "[" * 100_000})
@example({"DROPMILL_INBOXES": "1" * 5000})
@example({"DROPMILL_HTTP": "{}", "DROPMILL_HTTP__BIND": "x"})
@example({"DROPMILL_HTTP": "3", "DROPMILL_HTTP__BIND": "x"})
@example({"DROPMILL_PROFILES__X": "3", "DROPMILL_PROFILES__X__RENDITIONS": "[]"})
@example({"DROPMILL_INBOX": "\udcff", "DROPMILL_OUTPUT": "/o"})
def test_any_environment_is_settings_or_findings(environ: dict[str, str]) -> None:
    read(b"", "toml", environ)


def test_a_document_that_doubles_with_each_line_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    read("\n".join([*lines, "inboxes: *a59", "profiles: {web: *a59}"]).encode(), "yaml")
