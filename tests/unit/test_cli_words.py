"""What the command line says to mistakes in it: each can be followed."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from dropmill.cli.app import app

GROUP = ("resolve", "17", "--action")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("undo", "x"), "'x' is no batch number"),
        (("batches", "x"), "'x' is no batch number"),
        (("resolve", "x", "--action", "keep"), "'x' is no group number"),
        (("index", "--cancel", "x"), "'x' is no scan number"),
        (("cancel", "x"), "'x' is no job number"),
        ((*GROUP, "delet"), "'--action': 'delet' is not one of 'keep',"),
        ((*GROUP, "keep", "--permanent"), "keep deletes nothing: leave out --permanent"),
        ((*GROUP, "link", "--permanent", "--yes"), "link deletes nothing: leave out --permanent"),
        ((*GROUP, "delete", "--folder", "/a"), "--all --below /a"),
        ((*GROUP, "delete", "--permanent", "--tier", "exact"), "files go to the trash: leave out --permanent"),
        ((*GROUP, "delete", "--dry-run", "--member", "3"), "leave out --keeper and --member"),
        ((*GROUP, "delete", "--inbox", "camera"), "leave them out"),
        (("resolve", "--all", "--action", "delete", "--permanent"), "name it instead of --all"),
    ],
)
def test_what_is_wrong_and_what_to_do(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert "Value error" not in done.output
