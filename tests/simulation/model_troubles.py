"""What happens to daemon and files from outside: dying workers, crashes, power cuts, users and their disks."""

from __future__ import annotations

from collections.abc import Iterator

from simulation.model_owed import Step, at_home
from simulation.model_state import DAEMON, POWER, USER, WORKER, Config, State, World
from simulation.model_steps import commit, lose_worker, open_staged, write_staged


def workers(s: State, c: Config) -> Iterator[Step]:
    """A worker dies or is given up under a living daemon; one that was given up goes on, and its reply comes late."""
    for j, job in enumerate(s.jobs):
        if job.hand in ("reading", "writing", "written") and s.budgets[WORKER]:
            w = World(s)
            w.budgets[WORKER] -= 1
            w.orphans.append((j, job.epoch, job.hand + "!", job.pino))
            lose_worker(w, c, j)
            yield f"worker lost: that of job {j + 1}, which may yet go on", w
    for orphan in s.orphans:
        j, epoch, hand, ino = orphan
        w = World(s)
        w.orphans.remove(orphan)
        heard = "!" if hand.endswith("!") else ""
        staged = f"st/{j + 1}-{epoch}" if c.holds("epoch-names") else f"st/{j + 1}"
        if hand.startswith("reading") and s.mounted and at_home(s.jobs[j], s):
            w.orphans.append((j, epoch, "writing" + heard, open_staged(w, staged)))
            yield f"orphan: that of job {j + 1} creates {staged}", w
        elif hand.startswith("writing") and s.mounted:
            write_staged(w, c, ino, s.jobs[j].bytes)
            if heard:
                w.orphans.append((j, epoch, "written" + heard, ino))
            yield f"orphan: that of job {j + 1} has written {staged}", w
        elif hand == "written!" and not c.holds("fence"):
            w.job(j, image=s.jobs[j].bytes)
            commit(w, c, j, staged, ino)
            yield f"late reply: for epoch {epoch} of job {j + 1}", w
        elif hand == "written!":
            if staged in w.live:
                w.remove(staged)
            yield f"late reply: for epoch {epoch} of job {j + 1} changes nothing", w


def crashes(s: State, c: Config) -> Iterator[Step]:
    """SIGKILL of the daemon, whose workers may live on, and power cuts with and without what nobody fsynced."""
    if s.budgets[DAEMON]:
        at_work = [(j, x.epoch, x.hand, x.pino) for j, x in enumerate(s.jobs) if x.hand in ("reading", "writing")]
        for orphan in (None, *at_work, *s.orphans):
            w = World(s)
            w.budgets[DAEMON] -= 1
            # One that lives on at a time: two would differ in nothing but their number.
            w.orphans = [(*orphan[:2], orphan[2].rstrip("!"), orphan[3])] if orphan and orphan[2] != "written!" else []
            forget(w, c)
            living = f", the worker of job {orphan[0] + 1} lives on" if orphan else ""
            yield f"crash: the daemon is killed{living}", w
    if s.budgets[POWER]:
        for kept in (True, False):
            w = World(s)
            w.budgets[POWER] -= 1
            if not kept:
                w.live = dict(w.disk)
            w.inodes = {ino: (content if synced else "~", True) for ino, (content, synced) in w.inodes.items()}
            w.sync_all()
            w.orphans, w.writer = [], 0
            forget(w, c)
            yield f"power cut: names that nobody fsynced are {'kept' if kept else 'lost'}", w


def forget(w: World, c: Config) -> None:
    """What was in memory is gone; ``store/queue.py: rescue`` gives back what was in hand."""
    w.booting = True
    for j, job in enumerate(w.jobs):
        target = job.target if c.holds("target-recorded") or job.disp != "owed" else ""
        w.job(j, hand="", early="", pstep="", dstep="", target=target)
        if job.state == "executing" and c.holds("counted-apart"):
            w.job(j, state="available", stops=job.stops + 1)
        elif job.state == "executing":
            lose_worker(w, c, j)


def idle(s: State, c: Config) -> Iterator[Step]:
    """What comes of itself when all is quiet: the mount returns, a writer finishes, some day there is another start."""
    if not s.mounted:
        w = World(s)
        w.mounted = True
        yield "mount: the output is back", w
    if s.writer:
        w = World(s)
        letter = new_bytes(s)
        if not any(ino == s.writer and place.startswith("in/") for place, ino in s.live):
            w.wrong = f"lost: what its user was writing when the file was taken away ({letter})"
        w.inodes[s.writer] = (letter, True)
        w.writer = 0
        yield f"write: the user has written {letter!r} through an open descriptor", w


def new_bytes(s: State) -> str:
    used = {content for _, content, _ in s.inodes} | {job.bytes for job in s.jobs}
    return "y" if "y" not in used else "z"


def users(s: State, c: Config) -> Iterator[Step]:
    """Each action is atomic and durable at once; it makes durable what happened before it, as a journal does."""
    if not s.budgets[USER]:
        return
    for act in sorted(c.acts):
        for name in "ab"[: len(c.files)]:
            w = World(s)
            w.budgets[USER] -= 1
            w.sync_all()
            words = on_an_original(w, s, act, "in/" + name) or on_an_output(w, s, act, name)
            if words:
                w.sync_all()
                yield f"{act}: {words}", w


def on_an_original(w: World, s: State, act: str, place: str) -> str:
    there, free = place in w.live, "in/c" not in w.live
    if act in ("replace", "delete", "rename", "rewrite", "open") and (there or act == "replace"):
        if (act == "rename" and not free) or (act in ("rewrite", "open") and s.writer):
            return ""
        w.gone |= {place}
        if w.live.get(place) == w.writer and act in ("replace", "delete"):
            w.writer = 0  # What he was writing goes with it, by his own hand.
    if act == "replace":
        w.live.pop(place, None)
        w.create(place, new_bytes(s), synced=True)
        return f"the user replaces {place} with {w.bytes_at(place)!r}"
    if act == "rewrite" and there:
        w.inodes[w.live[place]] = (new_bytes(s), True)
        return f"the user overwrites {place} in place with {w.bytes_at(place)!r}"
    if act == "open" and there:
        w.writer = w.live[place]
        return f"the user opens {place} for writing"
    if act == "rename" and there:
        w.live["in/c"] = w.live.pop(place)
        return f"the user renames {place} to in/c"
    if act == "delete" and there:
        del w.live[place]
        return f"the user deletes {place}"
    if act == "copy" and there and free:
        w.create("in/c", w.bytes_at(place), synced=True)
        return f"the user copies {place} to in/c"
    return ""


def on_an_output(w: World, s: State, act: str, name: str) -> str:
    target = f"ar/{name}" if act == "foreign-archive" else f"out/{name.upper()}"
    there, rendition = target in w.live, w.bytes_at(target)
    if act == "unmount" and s.mounted:
        w.mounted = False
        return "the output goes away and leaves an empty mount point"
    if not s.mounted and act != "foreign-archive":
        return ""
    if act in ("foreign", "foreign-archive") and not there:
        w.create(target, "f", synced=True)
        return f"the user puts a file of his own at {target}"
    if act == "same-bytes" and not there:
        w.create(target, "X", synced=False)
        w.gone |= {f"put {target}"}
        return f"the user puts the very bytes of the rendition at {target}, not synced"
    if act in ("spoil", "own-rendition") and there:
        late = any(job.outcome == "duplicate" and job.dstep and job.bytes.upper() == rendition for job in s.jobs)
        w.gone |= {target, rendition} | ({f"{rendition} after it was verified"} if late else set())
        del w.live[target]
        if act == "own-rendition":
            w.create(target, "f", synced=True)
        return f"the user {'deletes' if act == 'spoil' else 'puts a file of his own in the place of'} {target}"
    for job in s.jobs:
        if act == "lose" and job.path == name and job.pub == "owed" and job.staged in w.live:
            del w.live[job.staged]
            w.gone |= {job.staged}
            return f"a broken disk eats {job.staged}"
    return ""
