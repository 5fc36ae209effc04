"""What the catalog knows of a URL's job: what was asked for, and where it came from."""

from __future__ import annotations

from dropmill.model.download import Asked, file_name
from dropmill.store.connection import Row, Session


def asked(session: Session, job_id: int) -> Asked | None:
    """None for a job that is not of a URL."""
    row = session.one("download_asked", job_id=job_id)
    if row is None:
        return None
    name = file_name(row["canonical"], row["hint"]).encode()
    return Asked(row["canonical"], name, row["directory"].encode(), row["line"] or 0)


def of_job(session: Session, job_id: int) -> Row | None:
    """The row of ``downloads``, which holds the URL as it was given: what is shown of it is ``canonical``."""
    return session.one("download_get", job_id=job_id)


def jobs_of_url(session: Session, canonical: str) -> list[int]:
    """Ids of the jobs of a URL, oldest first."""
    return [row["job_id"] for row in session.all("downloads_of_url", canonical=canonical)]
