"""One daemon reads a drop-file, whichever state directories there are, and however its results file is rotated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dropmill.errors import AlreadyRunning
from dropmill.files.holding import ResultsLock


def lock_of(folder: Path) -> ResultsLock:
    return ResultsLock(os.fsencode(folder), b"urls.txt.results.jsonl", 0o644, -1)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[ResultsLock]:
    with closing(lock_of(tmp_path)) as lock:
        lock.take()
        yield lock


@pytest.fixture
def other(tmp_path: Path) -> Iterator[ResultsLock]:
    with closing(lock_of(tmp_path)) as lock:
        yield lock


def test_w41_a_drop_file_that_somebody_reads_is_refused_until_he_ends(one: ResultsLock, other: ResultsLock) -> None:
    for _ in range(3):
        with pytest.raises(AlreadyRunning) as refused:
            other.take()
    assert refused.value.holder in {str(os.getpid()), ""}
    one.close()
    other.take()
    with pytest.raises(AlreadyRunning):
        one.take()


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_w41_a_rotated_results_file_changes_no_reader(
    one: ResultsLock, other: ResultsLock, tmp_path: Path, how: str
) -> None:
    results = tmp_path / "urls.txt.results.jsonl"
    with pytest.raises(AlreadyRunning):
        other.take()
    if how == "renamed":
        results.rename(tmp_path / "earlier.jsonl")
    else:
        results.unlink()
    with pytest.raises(AlreadyRunning):
        other.take()
    assert not results.exists(), "the refused one made none, which it could have locked first"
    one.take()
    with pytest.raises(AlreadyRunning):
        other.take()
    one.close()
    other.take()


def test_w41_where_no_results_can_be_written_lines_are_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "urls.txt.results.jsonl").mkdir()
    with closing(lock_of(tmp_path)) as lock:
        lock.take()


def test_nothing_stays_open(tmp_path: Path) -> None:
    def held() -> list[str]:
        """Descriptors of ours; others of this process come and go."""
        found = []
        for link in Path("/proc/self/fd").iterdir():
            try:
                found.append(os.readlink(link))
            except FileNotFoundError:
                continue  # Closed meanwhile, as that of the listing is.
        return [path for path in found if path.startswith(str(tmp_path))]

    one, other = lock_of(tmp_path), lock_of(tmp_path)
    one.take()
    for _ in range(3):
        with pytest.raises(AlreadyRunning):
            other.take()
        one.take()
    assert held()
    one.close()
    other.close()
    assert held() == []
