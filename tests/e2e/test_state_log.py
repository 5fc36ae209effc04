"""Q10: somebody keeps reading the catalog, so that its log cannot be written back."""

from __future__ import annotations

import contextlib
from pathlib import Path

import apsw
import pytest

import pictures
from dropmill.store.catalog import WAL_ALARM_BYTES, catalog_path, file_bytes
from harness import Mill


def grow(path: str, size_bytes: int) -> None:
    """Another writer puts as much through the log as a long day's work would."""
    with contextlib.closing(apsw.Connection(path)) as connection:
        connection.set_busy_timeout(30_000)
        connection.execute("CREATE TABLE ballast (x)")
        while file_bytes(f"{path}-wal") < size_bytes:
            connection.execute("INSERT INTO ballast VALUES (randomblob(4000000))")
            connection.execute("DELETE FROM ballast")
        connection.execute("DROP TABLE ballast")


@pytest.mark.long
def test_q10_a_reader_that_stays_is_an_alarm_and_the_log_shrinks_when_it_goes(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    mill.drop("one.jpg", pictures.jpeg(pictures.photo(60, 40, seed=1)))
    mill.wait_for(lambda: mill.outputs() == ["one-t.jpg"])
    path = catalog_path(str(tmp_path / "state"))

    def part() -> dict[str, str]:
        parts: list[dict[str, str]] = mill.get("/healthz").json()["parts"]
        return next(one for one in parts if one["name"] == "catalog")

    assert part()["status"] == "ok"
    with contextlib.closing(apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM jobs").get == 1
        grow(path, WAL_ALARM_BYTES + (4 << 20))
        assert part()["status"] == "degraded"
        assert "MiB: a program keeps reading catalog.db" in part()["detail"]
        assert "end that program" in part()["remedy"]
        assert mill.metric("dropmill_catalog_wal_bytes") > WAL_ALARM_BYTES
        mill.wait_for(lambda: "the catalog's log grows" in mill.log.read_text())
        # Work goes on meanwhile, and the reader sees what it saw.
        mill.drop("two.jpg", pictures.jpeg(pictures.photo(60, 40, seed=2)))
        mill.wait_for(lambda: "two-t.jpg" in mill.outputs())
        assert reader.execute("SELECT count(*) FROM jobs").get == 1
        reader.execute("COMMIT")
    mill.wait_for(lambda: part()["status"] == "ok")
    mill.wait_for(lambda: mill.metric("dropmill_catalog_wal_bytes") < 16 << 20)
    assert mill.log.read_text().count("the catalog's log grows") == 1
    assert len(mill.jobs()) == 2
    assert mill.stop() == 0
    assert file_bytes(f"{path}-wal") == 0
