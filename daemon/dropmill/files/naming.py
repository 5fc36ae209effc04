"""Final names of a job's renditions, from its inbox's template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dropmill.files.templates import NameFields, render_name, stem_of
from dropmill.model.download import Asked
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.work import Processed, Rendered

EXTENSIONS: Final = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif"}


def name_for(job: Job, inbox: Inbox, result: Processed, asked: Asked | None = None) -> Callable[[Rendered, str], bytes]:
    """Returns ``(rendition, collision suffix) → name below the output``; pages after the first get ``-p2`` and so on.

    ``asked``: of a URL's job, whose path says nothing.
    """
    directory = asked.directory if asked else job.rel.rpartition(b"/")[0]
    stem = asked.stem if asked else stem_of(job.rel)

    def name(rendered: Rendered, suffix: str) -> bytes:
        page = f"-p{rendered.page}" if rendered.page > 1 else ""
        fields = NameFields(
            dir=directory,
            stem=stem,
            rendition=rendered.name + page,
            ext=EXTENSIONS[rendered.format],
            sha256=result.content.sha256,
            inbox=job.inbox,
            label=job.label,
            line=asked.line if asked else 0,
            date=result.picture.captured_at,
        )
        return render_name(inbox.names, fields, suffix)

    return name
