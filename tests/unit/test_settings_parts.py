"""The small parts: line numbers, name templates, capacity."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.settings import Settings, Workers, differences, effective_processes, load
from dropmill.settings.explain import toml_value
from dropmill.settings.load import leaves
from dropmill.settings.locate import Key, json_lines, toml_lines

TOML = '''\
# comment with "quotes" and [brackets]
a = "x # no comment" # one
"quoted.key" = 1
b.c = [1, 2,
  3] # d = 9

[t.u] # header
  s = """
[not.a.table]
no = 1 \\""" ""\"\"
v = \'\'\'
x = 1\'\'\'
w = {p = 1, "q" = [{r = 2}], z.y = 3}
[[t.list]]
n = 1
[t.list.sub]
m = 1979-05-27 07:32:00
[[ t . list ]]
n = 2
[[t.list.deep]]
o = 'C:\\dir'
'''


def test_toml_keys_are_found_in_every_spelling() -> None:
    data = tomllib.loads(TOML)
    lines = toml_lines(TOML).by_key
    expected: dict[Key, int] = {
        ("a",): 2,
        ("quoted.key",): 3,
        ("b", "c"): 4,
        ("b", "c", 2): 5,
        ("t", "u"): 7,
        ("t", "u", "s"): 8,
        ("t", "u", "v"): 11,
        ("t", "u", "w"): 13,
        ("t", "u", "w", "q", 0, "r"): 13,
        ("t", "u", "w", "z", "y"): 13,
        ("t", "list", 0): 14,
        ("t", "list", 0, "n"): 15,
        ("t", "list", 0, "sub", "m"): 17,
        ("t", "list", 1): 18,
        ("t", "list", 1, "n"): 19,
        ("t", "list", 1, "deep", 0, "o"): 21,
    }
    assert {key: lines.get(key) for key in expected} == expected
    assert all(key in lines for key in leaves(data)), "every key that the parser knows has a line"
    assert ("not",) not in lines


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.\"' #=[]{}é", max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def paths(value: Any, key: Key = ()) -> set[Key]:
    found = {key}
    if isinstance(value, dict):
        for name, inner in value.items():
            found |= paths(inner, (*key, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found |= paths(inner, (*key, index))
    return found


@given(st.dictionaries(st.text("ab.\"' #=[]{}é", max_size=5), VALUES, max_size=5))
def test_every_key_has_its_line_whatever_the_text_holds(data: dict[str, Any]) -> None:
    toml = "".join(f"# [x]\n{toml_value({name: value})[1:-1]}\n" for name, value in data.items())
    assert tomllib.loads(toml) == data
    lines = toml_lines(toml)
    assert set(lines.by_key) == paths(data) - {()}
    assert [lines.by_key[(name,)] for name in data] == list(range(2, 2 * len(data) + 1, 2))
    assert not lines.twice
    for indent in (None, "\t"):
        found = json_lines(json.dumps(data, indent=indent, ensure_ascii=False))
        assert set(found.by_key) == paths(data) - {()}


@given(st.text("[]{}\"'=,.#\\ab1 \n:"))
def test_no_text_makes_the_scanner_turn_in_circles(text: str) -> None:
    toml_lines(text)
    json_lines(text)


def cgroup(root: Path, membership: str, files: dict[str, str]) -> str:
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


V2 = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("", {}, 8),
        ("0::/a/b\n", {f"{V2}/a/b/cpu.max": "150000 100000", f"{V2}/a/cpu.max": "max 100000"}, 2),
        ("0::/a/b\n", {f"{V2}/a/b/cpu.max": "max 100000", f"{V2}/a/cpu.max": "300000 100000"}, 3),
        ("0::/a\n", {f"{V2}/a/memory.max": str(3 << 30)}, 3),
        ("0::/a\n", {f"{V2}/a/memory.max": str(1 << 20)}, 1),
        ("0::/a\n", {f"{V2}/a/memory.max": "max", f"{V2}/a/cpu.max": "garbage"}, 8),
        ("0::/../host/path\n", {f"{V2}/cpu.max": "200000 100000"}, 2),
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n",
            {f"{V2}/cpu,cpuacct/x/cpu.cfs_quota_us": "400000", f"{V2}/cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("3:cpu,cpuacct:/x\n", {f"{V2}/cpu/cpu.cfs_quota_us": "-1", f"{V2}/cpu/cpu.cfs_period_us": "100000"}, 8),
        ("4:memory:/docker/id\n", {f"{V2}/memory/memory.limit_in_bytes": str(5 << 30)}, 5),
        ("4:memory:/\n", {f"{V2}/memory/memory.limit_in_bytes": "9223372036854771712"}, 8),
    ],
)
def test_processes_fit_the_control_group(tmp_path: Path, membership: str, files: dict[str, str], expected: int) -> None:
    assert effective_processes(Workers(), cpus=8, root=cgroup(tmp_path, membership, files)) == expected


def test_processes_that_are_said_are_taken() -> None:
    assert effective_processes(Workers(processes=3), cpus=1) == 3
    assert effective_processes(Workers()) >= 1


def test_limits_follow_the_settings() -> None:
    workers = Workers(max_pixels=5, max_bytes=6, min_bytes=2, max_frames=7)
    limits = workers.limits()
    assert (limits.max_pixels, limits.max_bytes, limits.min_bytes, limits.max_frames) == (5, 6, 2, 7)


def test_differences_name_what_changed_and_what_came_or_went_as_a_whole(tmp_path: Path) -> None:
    def settings(text: str) -> Settings:
        path = tmp_path / "c.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, {}, {}).settings

    one = '[[inboxes]]\nname = "a"\npath = "/srv/a"\noutput = "/srv/out"\n'
    two = one + '[[inboxes]]\nname = "b"\npath = "/srv/b"\noutput = "/srv/out"\n'
    old = settings('[log]\nlevel = "info"\n' + one)
    assert differences(old, old) == []
    assert differences(old, settings('[log]\nlevel = "debug"\n' + one)) == ["log.level"]
    assert differences(old, settings(two)) == ["inboxes.1"]
    assert differences(settings(two), old) == ["inboxes.1"]
    mine = '[profiles.mine]\nrenditions = [{name = "x", width = 3}]\n'
    assert differences(old, settings(one + mine)) == ["profiles.mine"]
    archived = one.replace("output", 'archive = "/srv/kept"\noutput')
    assert differences(old, settings(archived)) == ["inboxes.0.archive", "inboxes.0.on_success"]
