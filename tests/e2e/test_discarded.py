"""What cannot become renditions: kept, told with its reason and remedy everywhere, and replayed when somebody asks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dropmill
import pictures
from dropmill.model.outcome import EXPLANATIONS, Reason
from harness import Mill

PACKAGE = Path(dropmill.__file__).parent


def test_every_reason_has_a_cause_and_a_remedy_and_is_given_somewhere() -> None:
    texts = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "outcome.py")
    given = set(re.findall(r"\bReason\.([A-Z_]+)\b", texts))
    for reason in Reason:
        assert EXPLANATIONS[reason].cause and EXPLANATIONS[reason].remedy, reason
        by_status = re.fullmatch(r"http-[0-9]{3}", reason) is not None and 'f"http-{' in texts
        assert by_status or reason.name in given, f"nothing in the program says {reason}"


@pytest.mark.long
def test_discarded_files_are_kept_shown_with_their_reasons_and_replayed(tmp_path: Path) -> None:
    photo = pictures.jpeg(pictures.photo(200, 150, 1))
    dropped = {
        "cut.jpg": (photo[: len(photo) // 2], Reason.TRUNCATED),
        "words.png": (b"these are words", Reason.NOT_AN_IMAGE),
        "vast.jpg": (pictures.jpeg(pictures.photo(400, 300, 2)), Reason.TOO_LARGE),
    }
    mill = Mill(
        tmp_path,
        quarantine="quarantine",
        incomplete_timeout_seconds=0.5,
        workers={"max_pixels": 100_000},
    )
    mill.start()
    for name, (data, _) in dropped.items():
        mill.drop(name, data)
    mill.wait_for(lambda: len(mill.jobs("discarded")) == len(dropped))
    mill.wait_for(lambda: len(list((tmp_path / "quarantine").iterdir())) == 2 * len(dropped))
    listed = mill.run("jobs", "--state", "discarded").stdout
    page = mill.get("/").text
    for name, (data, reason) in dropped.items():
        assert (tmp_path / "quarantine" / name).read_bytes() == data
        assert name in listed and reason in listed
        assert name in page and f"<strong>{reason}</strong>" in page
        assert EXPLANATIONS[reason].remedy in mill.run("why", name).stdout.replace("\n", " ")

    vast = next(job for job in mill.jobs() if job["source"].endswith("vast.jpg"))
    mill.configure(workers={"max_pixels": 1_000_000})
    assert mill.run("reload").returncode == 0
    assert mill.run("retry", str(vast["id"])).returncode == 0
    mill.wait_for(lambda: mill.outputs() == ["vast-t.jpg"])

    (mill.root / "quarantine" / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    result = mill.run("retry", "--all")
    assert result.returncode == 0, result.stderr
    assert "2 jobs are available again" in result.stdout
    mill.wait_for(lambda: mill.done(len(dropped)))
    assert mill.run("retry", "--all").returncode == 0
    assert mill.stop() == 0
