"""Bugs to plant: each takes out one rule of the protocol, by changing the text of one product function or statement.

The text that is changed must occur exactly once, so a bug cannot go unplanted when the code around it changes.
"""

from __future__ import annotations
import __future__

import inspect
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import pytest

from dropmill.fetch import line, partial, results, taking
from dropmill.files import dispose, dropfile, moving, publish, rename
from dropmill.files.naming import name_for
from dropmill.imaging import stage
from dropmill.pipeline import commit
from dropmill.store import connection, decisions
from dropmill.store import dropfiles as store_dropfiles


@dataclass(frozen=True, slots=True)
class Edit:
    """``where`` is a function, or the name of an SQL statement."""

    where: Callable[..., Any] | str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    breaks: str
    edits: tuple[Edit, ...]
    begin: int = 0
    """A seed at which it is worth beginning to look, for one that few histories show; any is right."""


def _publish_early(job: Any, inbox: Any, result: Any) -> None:
    for rendered in getattr(result, "renditions", ()):
        final = inbox.output.path + b"/" + name_for(job, inbox, result)(rendered, "")
        if os.path.isdir(os.path.dirname(final)) and not os.path.lexists(final):
            os.rename(inbox.output.path + b"/.dropmill/" + os.fsencode(rendered.staged_name), final)


_CONCLUDE = "decided = await self._decisions.conclude(job, inbox, result, presences, neighbours, links)"
BUGS: Mapping[str, Bug] = {
    "no fsync": Bug(
        "PROTOCOL 4: a staged file is not fsynced before the commit",
        (Edit(stage._written, "os.fsync(descriptor)", "pass"),),
    ),
    "no fsync of the output": Bug(
        "PROTOCOL 8: a rendition is called visible before the names in its directory are durable",
        (Edit(publish.publish_all, "sync(final_fd)", "pass"), Edit(publish.publish_all, "sync(staging_fd)", "pass")),
    ),
    "no fsync of the archive": Bug(
        "PROTOCOL 12: an original is called moved before its new name is durable",
        (
            Edit(moving.move, "    sync(goal.dir_fd)\n    sync(dir_fd)\n", "    pass\n"),
            Edit(moving._copy_over, "sync(dir_fd)", "pass"),
        ),
    ),
    "no epoch check": Bug(
        "PROTOCOL 5: whoever has claimed the job since, a late attempt ends it",
        (
            Edit(decisions.conclude, ' or row["epoch"] != job.epoch', ""),
            Edit("job_complete", " AND epoch = :epoch", ""),
        ),
        begin=225,
    ),
    "publish before commit": Bug(
        "PROTOCOL 5: renditions get their final names before the transaction that decides it",
        (Edit(commit.Committer._decide, _CONCLUDE, f"_publish_early(job, inbox, result); {_CONCLUDE}"),),
    ),
    "dispose before publish": Bug(
        "PROTOCOL 10: the original is taken away while its renditions are owed",
        (
            Edit("disposals_due", "FROM disposals_free AS d", "FROM disposals AS d"),
            Edit("disposals_due", "WHERE ", "WHERE d.state = 'owed' AND "),
        ),
    ),
    "acknowledge before commit": Bug(
        "PROTOCOL 6: callers hear of success before COMMIT",
        (
            Edit(
                connection.Writer._commit,
                'connection.execute("COMMIT")',
                "[deliver(write.loop, write.future, result, problem) for write, result, problem in answers]; "
                'connection.execute("COMMIT")',
            ),
        ),
    ),
    "rename that overwrites": Bug(
        "PROTOCOL 7: what has the name already is replaced",
        (Edit(rename.rename_noreplace, "_renameat2(src_dir_fd, src, dst_dir_fd, dst, _RENAME_NOREPLACE)",
              "_renameat2(src_dir_fd, src, dst_dir_fd, dst, 0)"),),
    ),
    "no comparison of the version": Bug(
        "PROTOCOL 11: what came under the public name meanwhile is taken for the version that was processed",
        (Edit(dispose._Original.is_expected, "self.expected.same_bytes_expected(Signature.of(seen))", "True"),),
    ),
    "offset before jobs": Bug(
        "U16: how far a drop-file was read is committed before the jobs of its lines",
        (
            Edit(
                taking.Taker.take,
                "answers = await self._catalog.write(",
                "await self._catalog.write(\n"
                "        lambda session: dropfiles.put_mark(session, self._dropfile, lot.mark, now_ms)\n"
                "    )\n"
                "    answers = await self._catalog.write(",
            ),
        ),
        begin=390,
    ),
    "told before the append": Bug(
        "U16: what came of lines counts as told before it is in the results file",
        (
            Edit(
                results.Results._tell,
                "size_bytes = await self._reach.ask(append_results",
                "await self._commit([result.id for result in results], self._bytes or 0)\n"
                "    size_bytes = await self._reach.ask(append_results",
            ),
        ),
    ),
    "results are not taken up": Bug(
        "U16: what a run wrote before it could commit that is told again",
        (Edit(results.Results._take_up, "while True:", "while False:"),),
    ),
    "no fsync of results": Bug(
        "U16: what came of lines counts as told before a power cut leaves it",
        (Edit(dropfile.append_results, "sync_file(fd)", "pass"),),
    ),
    "fetched without fence": Bug(
        "U20: whoever has claimed the download since, a late end of it counts",
        (Edit("job_fetched", " AND epoch = :epoch", ""),),
        begin=77,
    ),
    "no fsync of a download": Bug(
        "U20: a download counts as fetched before its bytes are safe",
        (Edit(partial.Part.finish, "sync_file(self._fd)", "pass"),),
    ),
    "rest forgotten": Bug(
        "U10: a host that asked for rest is asked as soon as the daemon has started again",
        (
            Edit("hosts_ready", "h.served_at_ms <= :now_ms AND h.ready_at_ms <= :now_ms AND ", ""),
            Edit(line.Line._may_begin, " and queued.host.ready_at_ms <= now_ms", ""),
        ),
    ),
    "told before visible": Bug(
        "U17: what came of a line is told while its renditions are owed",
        (Edit(store_dropfiles.to_tell, 'if not row["owing"]', "if True"),),
    ),
}  # fmt: skip


@contextmanager
def planted(name: str) -> Iterator[Bug]:
    """The product has this bug within the block."""
    bug = BUGS[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commit, "_publish_early", _publish_early, raising=False)
        for edit in bug.edits:
            if isinstance(edit.where, str):
                before = connection.sql
                wrong = _edited(before(edit.where), edit)
                patch.setattr(
                    connection,
                    "sql",
                    lambda name, at=edit.where, wrong=wrong, before=before: wrong if name == at else before(name),
                )
            else:
                patch.setattr(edit.where, "__code__", _wrong_code(edit.where, edit))
        yield bug


def _edited(text: str, edit: Edit) -> str:
    assert text.count(edit.old) == 1, f"{edit.old!r} occurs {text.count(edit.old)} times in {edit.where}"
    return text.replace(edit.old, edit.new)


def _wrong_code(function: Callable[..., Any], edit: Edit) -> Any:
    """The function's code compiled anew from its changed text; whoever has imported it runs that from then on."""
    assert isinstance(function, FunctionType)
    text = _edited(_source(function), edit)
    names: dict[str, Any] = {}
    flags = __future__.annotations.compiler_flag
    exec(compile(text, inspect.getfile(function), "exec", flags=flags), dict(function.__globals__), names)
    code = names[function.__name__].__code__
    _texts[code] = text
    return code


_texts: dict[Any, str] = {}
"""Of code that was changed already: its source is not in any file."""


def _source(function: FunctionType) -> str:
    return _texts.get(function.__code__) or textwrap.dedent(inspect.getsource(function))
