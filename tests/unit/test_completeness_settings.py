"""What may be written for the settings that say when a file is complete."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dropmill.settings import Inbox


def inbox(**more: object) -> Inbox:
    return Inbox.model_validate({"name": "camera", "path": "/in", "output": "/out", **more})


@pytest.mark.parametrize("suffix", ["done", ".", ".a/b", "..done", ".jpg", ".HEIC", ".tmp", ".part", "." + "x" * 30])
def test_a_done_suffix_that_could_not_work_is_refused(suffix: str) -> None:
    with pytest.raises(ValidationError):
        inbox(done_suffix=suffix)


@pytest.mark.parametrize(("suffix", "extension"), [(".done", "done"), (".READY", "ready")])
def test_a_done_file_travels_with_its_picture(suffix: str, extension: str) -> None:
    assert inbox(done_suffix=suffix).travelling[-1] == extension
    assert extension not in inbox().travelling


def test_the_settle_time_is_bounded_by_five_times_itself_or_by_what_is_set() -> None:
    assert inbox(settle_seconds=2.0).longest_settle_seconds == 10.0
    assert inbox(settle_seconds=2.0, settle_max_seconds=3.0).longest_settle_seconds == 3.0
