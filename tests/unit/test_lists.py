"""Lists of URLs as dataset tools keep them: every good row is read, every bad one is told with its number."""

from __future__ import annotations

import csv
import io
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.control.lists import MOST_LINE_BYTES, Columns, Listed, Unusable, lots, read
from dropmill.errors import ConfigurationError, NotFound
from dropmill.model.outcome import Reason

# What may stand in a label, and all that CSV has to quote.
TEXTS = st.text(st.sampled_from("ab,;\"'\t\n\r |=ä") | st.characters(categories=("L", "N", "P")), max_size=30)


def rows(path: Path, data: bytes | str, **columns: Any) -> list[Listed | Unusable]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(read(os.fsencode(path), Columns(**columns)))


def test_a_csv_names_its_columns_in_any_order(tmp_path: Path) -> None:
    text = "caption,license,url\r\na cat,cc0,https://a.example/1.jpg\r\n,cc0,https://a.example/2.jpg\r\n"
    assert rows(tmp_path / "l.csv", text, label="caption") == [
        Listed(2, "https://a.example/1.jpg", {"label": "a cat"}),
        Listed(3, "https://a.example/2.jpg"),
    ]


@pytest.mark.parametrize(("name", "between"), [("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t"), ("A.CSV", ",")])
def test_what_separates_the_cells_is_told_by_the_first_line(tmp_path: Path, name: str, between: str) -> None:
    lines = [["id", "url"], ["1", "https://a.example/?a=1;b=2"]]
    text = "".join(between.join(f'"{cell}"' for cell in line) + "\n" for line in lines)
    assert rows(tmp_path / name, text) == [Listed(2, "https://a.example/?a=1;b=2")]


def test_u17_bad_rows_of_a_csv_are_told_by_line_and_the_others_are_read(tmp_path: Path) -> None:
    data = b"".join(
        [
            b"\xef\xbb\xbfurl,label\r\n",
            b"https://a.example/1,one\r\n",
            b"\r\n",
            b"https://a.example/2,M\xfcller\r\n",  # Latin-1.
            b",no url\r\n",
            b"https://a.example/3\r\n",
            b'https://a.example/4,"of\r\ntwo lines"\r\n',
            b"https://a.example/" + b"x" * (3 * MOST_LINE_BYTES) + b",long\r\n",
            b"https://a.example/5,last",
        ]
    )
    assert rows(tmp_path / "l.csv", data, label="label") == [
        Listed(2, "https://a.example/1", {"label": "one"}),
        Unusable(4, "label is not UTF-8"),
        Unusable(5, "url is empty"),
        Unusable(6, "it has 1 of the 2 columns that the first line names"),
        Listed(7, "https://a.example/4", {"label": "of two lines"}),
        Unusable(9, "the line is longer than 1 MiB"),
        Listed(10, "https://a.example/5", {"label": "last"}),
    ]


def test_a_quotation_mark_that_is_never_closed_costs_no_memory_and_not_the_rows_far_behind(tmp_path: Path) -> None:
    data = 'url,label\nhttps://a.example/1,"open\n' + "https://a.example/2,two\n" * 20_000
    found = rows(tmp_path / "l.csv", data, label="label")
    (bad,) = [row for row in found if isinstance(row, Unusable)]
    assert bad.line == 2
    assert "field limit" in bad.detail
    assert found[-1] == Listed(20_002, "https://a.example/2", {"label": "two"})


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        json.dumps({"url": "https://a.example/1", "label": "eins", "sha256": "AB" * 32}),
        "",
        json.dumps({"url": "https://a.example/2", "label": 7}),
        "{not json",
        "[1]",
        json.dumps({"url": ["https://a.example/3"], "label": None}),
        json.dumps({"label": "no url"}),
        json.dumps({"url": "https://a.example/\ud800"}),
        "[" * 100_000,
        json.dumps({"url": "https://a.example/4", "label": None}),
    ]
    assert rows(tmp_path / "l.jsonl", "\n".join(lines), label="label", sha256="sha256")[0] == Listed(
        1, "https://a.example/1", {"label": "eins", "sha256": "AB" * 32}
    )
    assert rows(tmp_path / "l.ndjson", "\n".join(lines), label="label")[1:] == [
        Listed(3, "https://a.example/2", {"label": "7"}),
        Unusable(4, "it is no JSON"),
        Unusable(5, "it is no JSON object"),
        Unusable(6, "url is neither text nor a number"),
        Unusable(7, "url is empty"),
        Unusable(8, "url is not UTF-8"),
        Unusable(9, "it is no JSON"),
        Listed(10, "https://a.example/4"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [("l.csv", "uri,caption\nhttps://a.example/1,x\n"), ("l.jsonl", '{"uri": "https://a.example/1", "caption": "x"}')],
)
def test_a_missing_column_is_an_error_that_names_those_that_are_there(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(NotFound, match="there is no column 'url'") as caught:
        rows(tmp_path / name, text)
    assert caught.value.hint.endswith("there are: uri, caption")
    with pytest.raises(NotFound, match="there is no column 'text'"):
        rows(tmp_path / name, text, url="uri", label="text")


def test_an_empty_list_has_no_columns(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no column 'url'"):
        rows(tmp_path / "l.csv", "")
    assert rows(tmp_path / "l.jsonl", "") == []
    assert rows(tmp_path / "l.txt", "") == []


def test_plain_lines_are_those_of_a_drop_file(tmp_path: Path) -> None:
    digest = "ab" * 32
    fields = {
        "label": "x",
        "priority": "5",
        "name": "n.jpg",
        "dir": "a/b",
        "size": "7",
        "type": "jpeg",
        "sha256": digest,
    }
    line = "https://a.example/1\t" + "\t".join(f"{key}={value}" for key, value in fields.items())
    data = f"\ufeff# mine\n\n{line}\r\n  # too\n".encode() + b"\xff\n" + b"y" * (MOST_LINE_BYTES + 1)
    data += b"\nhttp://u:secret@/\nhttps://a.example/2"
    first, *bad, last = rows(tmp_path / "l.txt", data)
    assert first == Listed(3, "https://a.example/1", fields)
    assert last == Listed(8, "https://a.example/2")
    told = [(row.line, row.reason) for row in bad if isinstance(row, Unusable)]
    assert told == [(5, Reason.BAD_LINE), (6, Reason.BAD_LINE), (7, Reason.BAD_URL)]
    assert "secret" not in str(bad)


def test_u17_what_is_no_url_or_no_digest_is_told(tmp_path: Path) -> None:
    text = "url,d\nftp://a.example/1,\nhttps://me:secret@a b/,\nhttps://a.example/2,12\nhttps://a.example/3,{}\n"
    found = rows(tmp_path / "l.csv", text.format("0" * 64), sha256="d")
    assert [(row.line, row.reason) for row in found if isinstance(row, Unusable)] == [
        (2, Reason.BLOCKED_SCHEME),
        (3, Reason.BAD_URL),
        (4, Reason.BAD_LINE),
    ]
    assert found[-1] == Listed(5, "https://a.example/3", {"sha256": "0" * 64})
    assert "secret" not in str(found)


def test_another_extension_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rows(tmp_path / "l.xlsx", "PK")
    assert ".parquet" in caught.value.hint


def test_a_parquet_file_is_read_by_columns(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "big": pyarrow.array([b"x"] * 3, pyarrow.binary()),
            "url": pyarrow.array(["https://a.example/1", None, "https://a.example/3"]).dictionary_encode(),
            "label": pyarrow.array([1.5, float("nan"), None]),
        }
    )
    parquet.write_table(table, tmp_path / "l.parquet")
    path = os.fsencode(tmp_path / "l.parquet")
    assert list(read(path, Columns(label="label"))) == [
        Listed(1, "https://a.example/1", {"label": "1.5"}),
        Unusable(2, "url is empty"),
        Listed(3, "https://a.example/3"),
    ]
    with pytest.raises(NotFound) as caught:
        list(read(path, Columns("URL")))
    assert caught.value.hint.endswith("there are: big, url, label")


def test_a_damaged_parquet_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read as Parquet"):
        rows(tmp_path / "l.parquet", b"PAR1 nothing behind it")
    with pytest.raises(ConfigurationError, match="cannot be read as Parquet"):
        rows(tmp_path / "l.parquet", b"")


def test_lots_are_bounded_in_rows_and_in_text() -> None:
    listed = [Listed(n, "u" * 10) for n in range(1, 11)]
    assert [len(lot) for lot in lots(iter(listed), 4, 1 << 20)] == [4, 4, 2]
    assert [len(lot) for lot in lots(iter(listed), 100, 35)] == [3, 3, 3, 1]
    # One that is too long alone goes alone.
    assert [len(lot) for lot in lots(iter([Listed(1, "u" * 99), *listed[:2]]), 100, 35)] == [1, 2]
    assert list(lots(iter([]), 4, 10)) == []


@given(st.lists(TEXTS, max_size=8))
def test_whatever_python_writes_as_csv_is_read_back(tmp_path_factory: Any, labels: list[str]) -> None:
    text = io.StringIO()
    urls = [f"https://a.example/{number}" for number, _ in enumerate(labels)]
    csv.writer(text).writerows([("label", "url"), *zip(labels, urls, strict=True)])
    found = rows(tmp_path_factory.getbasetemp() / "any.csv", text.getvalue(), label="label")
    assert found == [
        Listed(row.line, url, {"label": " ".join(label.split())} if label.strip() else {})
        for row, url, label in zip(found, urls, labels, strict=True)
    ]


def test_a_long_list_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    peaks = []
    for count in (2_000, 20_000):
        path = tmp_path / f"{count}.csv"
        path.write_text("url\n" + "".join(f"https://a.example/{n}\n" for n in range(count)))
        tracemalloc.start()
        assert sum(len(lot) for lot in lots(read(os.fsencode(path), Columns()), 1000, 1 << 20)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5 + 100_000
