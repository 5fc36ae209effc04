"""Small questions to the catalog that the running parts ask."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet

from dropmill.model.attempt import PATIENT
from dropmill.model.job import ACTIVE
from dropmill.store.connection import Session


def root_path(session: Session, root_id: int) -> bytes:
    """Where a root is now. Raises ``LookupError`` for one that was never recorded."""
    row = session.one("root_get", id=root_id)
    if row is None:
        raise LookupError(root_id)
    path: bytes = row["path"]
    return path


def nothing_left(session: Session, inboxes: AbstractSet[str], outputs: AbstractSet[int]) -> bool:
    """Whether nothing is left that could be done now.

    What was tried in vain, and jobs that wait for a disk, a folder or a permission, are left for another run.
    """
    names = json.dumps(sorted(inboxes))
    patient = json.dumps(sorted(PATIENT))
    if session.value("jobs_hopeful", inboxes=names, patient=patient):
        return False
    return not session.value("owed_fresh", inboxes=names, outputs=json.dumps(sorted(outputs)))


def waiting_in_vain(session: Session) -> int:
    """How many jobs have been tried and wait for a disk, a folder or a permission."""
    count: int = session.value("jobs_patient", patient=json.dumps(sorted(PATIENT)))
    return count


def held_back(session: Session, inboxes: AbstractSet[str]) -> int:
    """How many jobs of some inboxes could be claimed but for their surroundings."""
    count: int = session.value("jobs_held_back", inboxes=json.dumps(sorted(inboxes)))
    return count


def is_active(session: Session, job_id: int, phase: str | None = None) -> bool:
    """``phase``: only while the job is in that one."""
    row = session.one("job_get", id=job_id)
    return row is not None and row["state"] in ACTIVE and phase in {None, row["phase"]}


def owes_disposal(session: Session, job_id: int) -> bool:
    return session.one("disposal_owed", job_id=job_id) is not None


def name_of(session: Session, job_id: int, root_id: int, private_rel: bytes) -> bytes | None:
    """The file name of a job's original, if it came from the directory that ``private_rel`` is in."""
    row = session.one("job_get", id=job_id)
    if row is None or row["root_id"] != root_id:
        return None
    directory, _, name = row["rel"].rpartition(b"/")
    private_directory, _, _ = private_rel.rpartition(b"/")
    return name if directory == private_directory else None
