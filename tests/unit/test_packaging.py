"""What is handed out: the wheel has everything and nothing else, says what is true of it, and comes out the same each time."""

from __future__ import annotations

import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import hatchling.build
import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from trove_classifiers import classifiers

from dropmill import __version__

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SHARED = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
INFO = f"dropmill-{__version__}.dist-info"
DATA = f"dropmill-{__version__}.data/data"

needs_sources = pytest.mark.skipif(
    not (ROOT / "daemon").exists(), reason="the sources are absent: this is the wheel that was built from them"
)


def built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    return folder / hatchling.build.build_wheel(str(folder))


def tracked(*folders: str) -> set[str]:
    """What belongs to the repository below these folders, or all of it."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z", *folders],
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git clone: what is ours cannot be told from what lies about")
    return {name.decode() for name in listed.stdout.split(b"\0") if name and (ROOT / name.decode()).is_file()}


@needs_sources
def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(built(tmp_path, monkeypatch)) as wheel:
        names = set(wheel.namelist())
        wanted = {f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
        places = {"daemon/dropmill": "dropmill", **{source: f"{DATA}/{place}" for source, place in SHARED.items()}}
        for source, place in places.items():
            wanted |= {name.replace(source, place, 1) for name in tracked(source)}
        assert names == wanted
        assert "dropmill/py.typed" in names
        assert f"{DATA}/share/dropmill/systemd/dropmill.service" in names
        assert wheel.read(f"{INFO}/entry_points.txt").decode().split("\n")[:2] == [
            "[console_scripts]",
            "dropmill = dropmill.cli:main",
        ]


@needs_sources
def test_what_the_wheel_says_of_itself_is_valid_and_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(built(tmp_path, monkeypatch)) as wheel:
        raw = wheel.read(f"{INFO}/METADATA")
    told = Metadata.from_email(raw, validate=True)
    assert (told.name, str(told.version), str(told.requires_python)) == ("dropmill", __version__, ">=3.11")
    assert told.license_expression == "Apache-2.0"
    assert set(told.provides_extra or ()) == {"dev", "heif", "parquet", "systemd", "vips"}
    assert set(told.classifiers or ()) <= classifiers
    assert told.description_content_type == "text/markdown"
    assert told.description == (ROOT / "README.md").read_text("utf-8")


@needs_sources
def test_the_same_sources_give_the_same_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = []
    for folder in ("one", "another"):
        (tmp_path / folder).mkdir()
        wheels.append(built(tmp_path / folder, monkeypatch).read_bytes())
    assert wheels[0] == wheels[1]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with zipfile.ZipFile(built(tmp_path, monkeypatch)) as dated:
        assert {entry.date_time[:3] for entry in dated.infolist()} == {(2023, 11, 14)}


@pytest.mark.long
@needs_sources
def test_the_source_distribution_holds_the_whole_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite is run from it with the wheel, so what it lacked there would be missed."""
    wanted = tracked()
    monkeypatch.chdir(ROOT)
    with tarfile.open(tmp_path / hatchling.build.build_sdist(str(tmp_path))) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert names == wanted | {"PKG-INFO"}


def test_every_version_that_tests_run_with_is_written_down() -> None:
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    }
    project = PROJECT["project"]
    asked = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    asked += [one for extra in project["optional-dependencies"].values() for one in extra]
    assert {canonicalize_name(Requirement(one).name) for one in asked} <= pinned


def test_the_suite_is_run_on_the_oldest_and_the_newest_python_that_are_named() -> None:
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.MULTILINE)
    told = re.findall(r"^make test-wheel PYTHON=python(\S+)$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert told == [named[0], named[-1]]
