"""The catalog as a table: every job once, in constant memory, as dataset tools read it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from dropmill.control import export as exporting
from dropmill.control.export import COLUMNS, Wish, export, export_to
from dropmill.control.formats import Format, harmless
from dropmill.errors import ConfigurationError, Conflict, NotFound
from dropmill.settings import Inbox, Settings
from dropmill.store.catalog import Catalog, catalog_path
from old_catalogs import digest, looks, old_catalog

NAMES = [column.name for column in COLUMNS]


def settings_of(root: Path) -> Settings:
    for name in ("in", "out"):
        (root / name).mkdir(exist_ok=True)
    inbox = Inbox(name="camera", path=str(root / "in"), output=str(root / "out"))
    return Settings(state_dir=str(root / "state"), inboxes=(inbox,))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A catalog of twelve jobs, two of each kind."""
    Catalog(str(old_catalog(tmp_path / "state", 1, jobs=12))).close()
    return settings_of(tmp_path)


def change(settings: Settings, text: str, *values: Any) -> None:
    with contextlib.closing(apsw.Connection(catalog_path(settings.state_dir))) as connection:
        connection.execute(text, values)


def written(settings: Settings, wish: Wish) -> bytes:
    out = io.BytesIO()
    export(settings, wish, out)
    return out.getvalue()


def of_csv(settings: Settings, **wish: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(settings, Wish("csv", **wish)).decode(), newline="")))


def of_jsonl(settings: Settings, **wish: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(settings, Wish("jsonl", **wish)).splitlines()]


def test_every_job_is_a_row_oldest_first(settings: Settings) -> None:
    rows = of_jsonl(settings)
    assert [row["id"] for row in rows] == list(range(1, 13))
    assert {tuple(row) for row in rows} == {(*NAMES, "renditions")}
    published = rows[1]
    assert (published["source"], published["outcome"], published["sha256"]) == ("/in/old/2.jpg", "published", digest(1))
    assert (published["phash"], published["coded_sha256"], published["width"]) == (
        f"{looks(1) % 2**64:016x}",
        "coded 1",
        10,
    )
    assert published["finished_at"] == "2026-05-28T20:26:40.000Z"
    (rendition,) = published["renditions"]
    assert (rendition["name"], rendition["path"], rendition["size_bytes"]) == ("t", "/out/2.jpg", 1)
    duplicate = rows[2]
    assert (duplicate["outcome"], duplicate["duplicate_of"]) == ("duplicate", 2)
    assert duplicate["renditions"] == published["renditions"]
    discarded = rows[3]
    assert (discarded["state"], discarded["reason"], discarded["sha256"]) == ("discarded", "truncated", None)
    assert discarded["renditions"] == []


def test_a_csv_has_columns_for_each_rendition(settings: Settings) -> None:
    rows = of_csv(settings)
    assert list(rows[0]) == [*NAMES, *(f"t_{key}" for key in ("path", "format", "width", "height", "size_bytes"))]
    assert (rows[1]["t_path"], rows[1]["t_format"], rows[1]["t_width"]) == ("/out/2.jpg", "jpeg", "1")
    assert rows[3]["t_path"] == rows[3]["sha256"] == ""


def test_the_formats_say_the_same(settings: Settings, tmp_path: Path) -> None:
    from pyarrow import parquet

    target = tmp_path / "jobs.parquet"
    assert export_to(settings, Wish("parquet"), os.fsencode(target), replace=False) == 12
    table = parquet.read_table(target)
    lines = of_jsonl(settings)
    for told, expected, cells in zip(table.to_pylist(), lines, of_csv(settings), strict=True):
        for column in COLUMNS:
            value = told[column.name]
            if column.kind == "time" and value is not None:
                value = value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            assert value == expected[column.name]
            assert cells[column.name] == ("" if value is None else str(value))
        assert told["renditions"] == expected["renditions"]
    assert str(table.schema.field("found_at").type) == "timestamp[ms, tz=UTC]"


def test_only_jobs_of_an_inbox_or_a_state(settings: Settings) -> None:
    change(settings, "UPDATE jobs SET inbox = 'gone' WHERE id <= 6")
    change(settings, "INSERT INTO job_counts VALUES ('gone', 'available', '', 1)")
    assert [row["id"] for row in of_jsonl(settings, state="discarded")] == [4, 10]
    assert [row["id"] for row in of_jsonl(settings, state="discarded", inbox="camera")] == [10]
    # One that is configured no more still has its jobs.
    assert [row["id"] for row in of_jsonl(settings, inbox="gone")] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(NotFound, match="no job state 'broken'") as caught:
        of_jsonl(settings, state="broken")
    assert "discarded" in caught.value.hint
    with pytest.raises(NotFound, match="no inbox 'nowhere'") as caught:
        of_jsonl(settings, inbox="nowhere")
    assert "camera" in caught.value.hint
    assert "gone" in caught.value.hint


def test_u07_a_url_is_told_with_where_it_came_from_and_without_credentials(settings: Settings) -> None:
    change(
        settings,
        "INSERT INTO downloads (job_id, url, canonical, final_url, status, etag, ended_at_ms) VALUES "
        "(2, 'HTTPS://me:secret@A.example/1#x', 'https://a.example/1', 'https://b.example/1', 200, '\"v1\"', 1000)",
    )
    change(
        settings, "INSERT INTO downloads (job_id, url, canonical) VALUES (6, 'http://a.example/', 'http://a.example/')"
    )
    change(settings, "UPDATE jobs SET phase = 'fetch', size_bytes = 0 WHERE id = 6")
    rows = of_jsonl(settings)
    assert rows[1]["source"] == "https://a.example/1"
    assert rows[1]["url"] == "HTTPS://***@A.example/1#x"
    assert (rows[1]["final_url"], rows[1]["status"], rows[1]["etag"]) == ("https://b.example/1", 200, '"v1"')
    assert rows[1]["fetched_at"] == "1970-01-01T00:00:01.000Z"
    assert rows[0]["url"] is None
    waiting = rows[5]
    assert waiting["source"] == "http://a.example/"
    assert waiting["size_bytes"] is waiting["original"] is waiting["status"] is waiting["fetched_at"] is None
    assert b"secret" not in written(settings, Wish("csv")) + written(settings, Wish("jsonl"))


def test_a_cell_is_never_a_formula_and_never_breaks_its_row(settings: Settings) -> None:
    label = '=HYPERLINK("http://evil.example"),\n"x"'
    change(settings, "UPDATE jobs SET label = ? WHERE id = 1", label)
    change(settings, "UPDATE jobs SET label = '-1' WHERE id = 2")
    rows = of_csv(settings)
    assert rows[0]["label"] == "'" + label
    assert rows[1]["label"] == "-1"
    assert of_jsonl(settings)[0]["label"] == label


@pytest.mark.parametrize("text", ["=1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\tx", "\r=x"])
def test_formulas_get_an_apostrophe(text: str) -> None:
    assert harmless(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a", "-1", "+1.5e-3", "a=b", "1-2", "'x"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_w18_a_name_that_is_no_text_is_shown_escaped(settings: Settings, tmp_path: Path) -> None:
    change(settings, "UPDATE jobs SET rel = ? WHERE id = 1", b"a\xff\n=b.jpg")
    for rows in (of_csv(settings), of_jsonl(settings)):
        assert rows[0]["source"] == "/in/a\\xff\\n=b.jpg"
    export_to(settings, Wish("parquet"), os.fsencode(tmp_path / "j.parquet"), replace=False)


def test_all_pages_are_told_and_a_csv_tells_of_the_first(settings: Settings) -> None:
    change(
        settings,
        "INSERT INTO publications (job_id, image_id, output_id, recipe, rendition, page, staged_name, ino, sha256, "
        "size_bytes, width, height, format, final_name, final_key, state) SELECT job_id, image_id, output_id, recipe, "
        "rendition, 1, staged_name, ino, sha256, 7, width, height, format, CAST('p1.jpg' AS BLOB), 'p1.jpg', state "
        "FROM publications WHERE job_id = 2",
    )
    assert [one["page"] for one in of_jsonl(settings)[1]["renditions"]] == [0, 1]
    assert of_csv(settings)[1]["t_path"] == "/out/2.jpg"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_catalog_that_is_not_there_yet_is_an_empty_table(tmp_path: Path, kind: Format) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "state").mkdir()
    assert export_to(settings, Wish(kind), os.fsencode(tmp_path / "t"), replace=False) == 0
    if kind == "csv":
        assert (tmp_path / "t").read_text() == ",".join(NAMES) + "\n"
    if kind == "parquet":
        from pyarrow import parquet

        assert parquet.read_table(tmp_path / "t").num_rows == 0


def test_a_file_is_whole_or_not_there(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "jobs.csv"
    export_to(settings, Wish("csv"), os.fsencode(target), replace=False)
    before = target.read_bytes()
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    with pytest.raises(Conflict, match="exists"):
        export_to(settings, Wish("jsonl"), os.fsencode(target), replace=False)

    def no_row(_exported: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "row", no_row)
        with pytest.raises(ConfigurationError, match="No space left"):
            export_to(settings, Wish("parquet"), os.fsencode(target), replace=True)
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "jobs.csv", "out", "state"]
    export_to(settings, Wish("jsonl"), os.fsencode(target), replace=True)
    assert target.read_bytes() == written(settings, Wish("jsonl"))


def test_an_export_may_lie_beside_the_renditions_and_not_in_an_inbox(settings: Settings, tmp_path: Path) -> None:
    assert export_to(settings, Wish("csv"), os.fsencode(tmp_path / "out/index.csv"), replace=False) == 12
    with pytest.raises(Conflict, match="inside the inbox"):
        export_to(settings, Wish("csv"), os.fsencode(tmp_path / "in/index.csv"), replace=False)
    with pytest.raises(ConfigurationError, match="no such folder"):
        export_to(settings, Wish("csv"), os.fsencode(tmp_path / "nowhere/index.csv"), replace=False)
    with pytest.raises(Conflict, match="the catalog itself"):
        export_to(settings, Wish("csv"), os.fsencode(tmp_path / "state/catalog.db"), replace=True)


def test_parquet_without_pyarrow_is_one_line_with_the_remedy(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(settings_text(settings))
    hide = "import sys; sys.modules['pyarrow'] = None; from dropmill.cli import main; main()"
    target = str(tmp_path / "t.parquet")
    arguments = ["export", "--format", "parquet", "--output", target, "--config", str(tmp_path / "c.toml")]
    done = subprocess.run(
        [sys.executable, "-c", hide, *arguments], capture_output=True, text=True, check=False, env={"PATH": "/bin"}
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: Parquet needs pyarrow, which is not installed",
        "hint: pip install 'dropmill[parquet]', or use csv or jsonl",
    ]
    assert not Path(target).exists()


def settings_text(settings: Settings) -> str:
    (inbox,) = settings.inboxes
    return (
        f"state_dir = {json.dumps(settings.state_dir)}\n[[inboxes]]\nname = 'camera'\n"
        f"path = {json.dumps(inbox.path)}\noutput = {json.dumps(inbox.output)}\n"
    )


def test_jobs_that_come_while_it_is_written_are_left_for_the_next_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "LOT", 5)
    asked: list[int] = []
    real = exporting.exports.page

    def page(*arguments: Any) -> Any:
        asked.append(arguments[3])
        if len(asked) == 2:
            change(settings, "UPDATE jobs SET label = 'late' WHERE id = 12")
            change(
                settings,
                "INSERT INTO jobs (root_id, inbox, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, state, priority, "
                "rank_ms, found_by, found_at_ms, settled_at_ms, enqueued_at_ms) VALUES "
                "(1, 'camera', x'61', 1, 1, 1, 1, 1, 'available', 3, 0, 'event', 0, 0, 0)",
            )
        return real(*arguments)

    monkeypatch.setattr(exporting.exports, "page", page)
    rows = of_jsonl(settings)
    assert [row["id"] for row in rows] == list(range(1, 13))
    assert rows[-1]["label"] == "late"
    assert asked == [0, 5, 10, 12]
