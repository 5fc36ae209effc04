"""What the daemon and its workers do, up to the commit. One step is one system call that matters, or one transaction.

Each function names the code that it stands for. A step yields ("kind: words", the world after it).
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.model_owed import Step, at_home, dispose, publish, put_back, retire
from simulation.model_state import STANDING, Config, Job, State, World, free_name


def daemon(s: State, c: Config) -> Iterator[Step]:
    """``maintenance/recover.py``: what is owed, the sweep of staging, and only then claims and scans."""
    for j, job in enumerate(s.jobs):
        for actor in (publish, retire, dispose):
            yield from actor(s, c, j, job)
    if s.booting:  # At any time: what is owed may have been tried in vain.
        w = World(s)
        sweep(w, c)
        yield "sweep: the daemon removes staged files that nobody owes", w
    if not s.booting or not c.holds("sweep-before-claim"):
        for j, job in enumerate(s.jobs):
            yield from work(s, c, j, job)
    if not s.booting:
        yield from scan(s, c)


def sweep(w: World, c: Config) -> None:
    """``files/roots.py: sweep_staging``. A missing output is left for the next start."""
    w.booting = False
    if not w.mounted or not c.holds("sweep"):
        return
    kept = {job.staged for job in w.jobs if job.pub == "owed"} if c.holds("owed-is-kept") else set()
    for place in [place for place in w.live if place.startswith("st/") and place not in kept]:
        w.remove(place)
    w.sync("st")


def scan(s: State, c: Config) -> Iterator[Step]:
    """``pipeline/watch.py``, ``settle.py``, ``enqueue.py``; leftovers as in ``maintenance/recover.py: put_back_strays``."""
    seen = dict(s.seen)
    contents = {ino: content for ino, content, _ in s.inodes}
    for place, ino in s.live:
        path = place[3:]
        if place.startswith("in/."):
            j = int(path[1:]) - 1
            job = s.jobs[j]
            stuck = job.pub == "missing" and not job.target and not job.dstep
            if (job.disp != "owed" or stuck) and c.holds("stray-private"):
                w = World(s)
                put_back(w, c, j)
                yield f"put back: {path}, which no disposal owes", w
        elif place.startswith("in/") and ino != s.writer:
            known = seen.get(path)
            if known == (ino, contents[ino]) or (known and known[0] == ino and not c.holds("signature")):
                continue
            w = World(s)
            w.seen[path] = (ino, contents[ino])
            w.jobs.append(Job(path, ino, contents[ino]))
            yield f"enqueue: {path} with {contents[ino]!r} becomes job {len(w.jobs)}", w
            return


def work(s: State, c: Config, j: int, job: Job) -> Iterator[Step]:
    """``store/queue.py: claim``, ``imaging/source.py``, ``imaging/stage.py``, then ``store/decisions.py: conclude``."""
    w, name = World(s), f"job {j + 1}"
    if job.state == "available":
        w.job(j, state="executing", epoch=job.epoch + 1, hand="claimed")
        yield f"claim: {name}", w
    if job.state != "executing" or (job.hand == "written" and not s.mounted and not c.holds("recorded-mount")):
        return
    if job.hand in ("claimed", "reading") and not at_home(job, s) and (c.holds("superseded") or job.hand == "claimed"):
        finish(w, j, "superseded")
        if w.seen.get(job.path) == (job.ino, job.bytes):
            del w.seen[job.path]
        yield f"supersede: {name} finds another version", w
    elif job.hand == "claimed":
        w.job(j, hand="reading", early="" if c.holds("decide-inside") else decide(w, c, j, job.bytes)[0])
        yield f"read: the worker of {name} opens {job.path}", w
    elif job.hand == "reading" and job.bytes == "p":
        lose_worker(w, c, j)
        yield f"worker lost: {name} takes its worker down", w
    elif job.hand == "reading" and s.mounted:
        staged = f"st/{j + 1}-{job.epoch}" if c.holds("epoch-names") else f"st/{j + 1}"
        w.job(
            j, hand="writing", image=job.bytes if at_home(job, s) else "~", staged=staged, pino=open_staged(w, staged)
        )
        yield f"stage: the worker of {name} creates {staged}", w
    elif job.hand == "writing" and s.mounted:
        write_staged(w, c, job.pino, job.image)
        w.job(j, hand="written")
        yield f"stage: the worker of {name} has written {job.staged}", w
    elif job.hand == "written":
        verdict = commit(w, c, j, job.staged, job.pino)
        yield f"commit: {name} is {verdict}", w


def open_staged(w: World, staged: str) -> int:
    if staged not in w.live:
        return w.create(staged, "~", synced=False)
    w.inodes[w.live[staged]] = ("~", False)  # Without O_EXCL: truncated.
    return w.live[staged]


def write_staged(w: World, c: Config, ino: int, image: str) -> None:
    w.inodes[ino] = (image.upper(), c.holds("fsync-before-commit"))
    if c.holds("fsync-before-commit"):
        w.sync("st")


def decide(w: World, c: Config, j: int, image: str) -> tuple[str, int]:
    """``model/verdict.py: decide`` with the evidence of ``store/weighing.py: weigh``; the other job that it is about."""
    job = w.jobs[j]
    known = [(k, other) for k, other in enumerate(w.jobs) if k != j and other.image == image and other.home]
    standing = [k for k, other in enumerate(w.jobs) if k != j and other.image == image and other.pub in STANDING]
    if not standing:
        return "published", -1
    for k, other in known:
        if other.path == job.path:
            return "unchanged", k
    homes = [(k, other) for k, other in known if other.home == "kept"]
    if c.holds("moved"):
        for k, other in homes:
            if job.ino in (w.live.get("in/" + other.path), other.ino if not holds(w, other, image) else 0):
                return "moved", k
        if homes and not any(holds(w, other, image) for _, other in homes):
            return "moved", homes[0][0]
    return "duplicate", standing[0]


def holds(w: World, job: Job, image: str) -> bool:
    """``files/presence.py``."""
    return w.bytes_at("in/" + job.path) == image


def commit(w: World, c: Config, j: int, staged: str, pino: int) -> str:
    """One transaction; what was staged for nothing is forgotten after it (``pipeline/commit.py``)."""
    job = w.jobs[j]
    verdict, k = (job.early, job.anchor) if job.early == "published" else decide(w, c, j, job.image)
    keep = {"published": c.keep, "duplicate": c.keep_duplicates}.get(verdict, True)
    if c.keep and c.replace and verdict != "unchanged":
        end_earlier(w, j)
    changes: dict[str, object] = {"home": "kept" if keep else "left", "disp": "" if keep else "owed"}
    if verdict == "published":
        final = free_name(w, "out/" + job.path.upper())
        changes |= {"pub": "owed", "staged": staged, "pino": pino, "final": final}
    elif staged in w.live and w.mounted:
        w.remove(staged)
    if verdict == "duplicate":
        changes["anchor"] = k
        first = w.jobs[k]
        if first.ino == job.ino and first.home == "kept" and not at_home(first, w) and at_home(job, w):
            w.wrong = f"twice: {job.path} is {first.path} under a new name, and counts as its duplicate"
    elif verdict == "moved" and not holds(w, w.jobs[k], job.image):
        w.job(k, home="")
    finish(w, j, verdict, **changes)
    return verdict


def finish(w: World, j: int, outcome: str, **changes: object) -> None:
    w.job(j, state="completed", hand="", early="", outcome=outcome, outcomes=w.jobs[j].outcomes + 1, **changes)


def end_earlier(w: World, j: int) -> None:
    """``store/earlier.py: retire_earlier``: renditions of earlier versions of the path that nothing else leans on."""
    job = w.jobs[j]
    for k, other in enumerate(w.jobs):
        if k == j or other.path != job.path or other.image == job.image:
            continue
        if other.pub in STANDING and not any(
            one.home and one.image == other.image and one.path != job.path for one in w.jobs
        ):
            w.job(k, pub="retiring", anchor=j)
        w.job(k, home="")


def lose_worker(w: World, c: Config, j: int) -> None:
    """``model/attempt.py: judge`` on a ``WorkerLost``; ``files/roots.py: forget_attempt``."""
    job = w.job(j, hand="", early="", crashes=w.jobs[j].crashes + 1)
    if job.staged in w.live:
        w.remove(job.staged)
    if job.crashes >= 2 and c.holds("crash-cap"):
        w.job(j, state="discarded", outcomes=job.outcomes + 1, disp="owed", image="")
    else:
        w.job(j, state="available")
