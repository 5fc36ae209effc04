"""What daemon, workers, users and the machine can do in a state. One step is one system call that matters, or one commit.

Each function names the code that it stands for. A step yields ("kind: words", the world after it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from simulation.model_state import DAEMON, POWER, USER, WORKER, Config, Job, State, World

Step = tuple[str, World]
STANDING = ("owed", "visible")


def at_home(job: Job, world: World | State) -> bool:
    """Whether the version that settled is what the public name holds."""
    live = world.live if isinstance(world, World) else dict(world.live)
    ino = live.get("in/" + job.path)
    if ino != job.ino:
        return False
    if isinstance(world, World):
        return world.inodes[job.ino][0] == job.bytes
    return any(number == ino and content == job.bytes for number, content, _ in world.inodes)


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
        w.job(j, hand="writing", image=job.bytes if at_home(job, s) else "~", staged=staged, pino=open_staged(w, staged))
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
    """``model/verdict.py: decide`` with the evidence of ``store/decisions.py: weigh``; the other job that it is about."""
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
    """``store/decisions.py: _retire_earlier``: renditions of earlier versions of the path that nothing else leans on."""
    job = w.jobs[j]
    for k, other in enumerate(w.jobs):
        if k == j or other.path != job.path or other.image == job.image:
            continue
        if other.pub in STANDING and not any(
            one.home and one.image == other.image and one.path != job.path for one in w.jobs
        ):
            w.job(k, pub="retiring", anchor=j)
        w.job(k, home="")


def free_name(w: World, name: str) -> str:
    """``store/decisions.py: choose_names``: names are unique in the catalog, which knows nothing of foreign files."""
    while any(job.final == name and job.pub in (*STANDING, "retiring") for job in w.jobs):
        name += "~"
    return name


def publish(s: State, c: Config, j: int, job: Job) -> Iterator[Step]:
    """``pipeline/publish.py`` and ``files/publish.py: _settle``."""
    w, name = World(s), f"job {j + 1}"
    final, moved_to = job.final, job.pstep.partition(":")[2] or job.final
    if job.pub != "owed" and not job.pstep:
        return
    if not s.mounted:
        if not c.holds("recorded-mount") and not job.pstep:
            fail(w, c, j)
            yield f"publish: {name} failed, neither staged nor visible", w
        return
    target, staged = w.live.get(final), job.staged in w.live
    if job.pstep == "":
        ours = target == job.pino or w.bytes_at(final) == job.image.upper()
        if target and ours and c.holds("look-at-target"):
            if target != job.pino and c.holds("adopted-synced"):
                w.inodes[w.live[final]] = (w.bytes_at(final), True)
            if staged and target != job.pino:
                w.remove(job.staged)
            w.job(j, pstep="moved", adopted=target != job.pino)
            yield f"publish: {name} finds {final} to be its own bytes", w
        elif not staged:
            fail(w, c, j)
            yield f"publish: {name} failed, neither staged nor visible", w
        elif target and c.holds("never-overwrite"):
            taken = free_name(w, final + "~")
            if c.holds("name-committed-first"):
                w.job(j, final=taken)
            else:
                w.move(job.staged, taken)
                w.job(j, pstep="moved:" + taken)
            yield f"publish: {name} finds {final} taken and goes on as {taken}", w
        else:
            w.job(j, pstep="looked")
            yield f"publish: {name} looks at {final}", w
    elif job.pstep == "looked":
        if not staged or (target and c.holds("never-overwrite")):
            w.job(j, pstep="")
            yield f"publish: {name} has to look again", w
        else:
            w.move(job.staged, final)
            w.job(j, pstep="moved")
            yield f"publish: {name} renames {job.staged} to {final}", w
    elif job.pstep.startswith("moved"):
        if c.holds("sync-then-visible"):
            w.sync("out")
            w.sync("st")
        w.job(j, pstep="synced:" + moved_to)
        yield f"publish: {name} syncs", w
    else:
        if job.pub == "owed":
            w.job(j, pub="visible", final=moved_to, pino=w.live.get(moved_to, job.pino))
        w.job(j, pstep="")
        yield f"publish: {name} is recorded as visible", w


def fail(w: World, c: Config, j: int) -> None:
    """``store/owed.py: failed``."""
    image = w.job(j, pub="failed", pstep="").image
    if c.holds("reopen-duplicate") and not any(job.image == image and job.pub in STANDING for job in w.jobs):
        for k, job in enumerate(w.jobs):
            if job.outcome == "duplicate" and job.image == image and job.disp != "done":
                reopen(w, k)


def reopen(w: World, k: int) -> None:
    w.job(k, state="available", outcome="", outcomes=0, home="", anchor=-1, disp="", target="", dstep="")


def retire(s: State, c: Config, j: int, job: Job) -> Iterator[Step]:
    """``files/publish.py: retire``, once the successor is visible. The exchange of equal names is not modelled."""
    if job.pub != "retiring" or job.pstep or not s.mounted or s.jobs[job.anchor].pub in ("owed", "failed"):
        return
    w = World(s)
    ours = w.live.get(job.final) == job.pino and w.bytes_at(job.final) == job.image.upper()
    if job.final in w.live and (ours or not c.holds("inode-matches")) and not (job.adopted and c.holds("owned-only")):
        w.remove(job.final, excuse=lambda content: not job.adopted and content == job.image.upper())
        w.sync("out")
    w.job(j, pub="retired")
    yield f"retire: {job.final} of job {j + 1}", w


def dispose(s: State, c: Config, j: int, job: Job) -> Iterator[Step]:
    """``pipeline/dispose.py``, ``files/dispose.py``, ``files/moving.py``, by how far an uninterrupted call has come."""
    if job.disp != "owed":
        return
    stage = DISPOSING[job.dstep.partition(":")[0]]
    w = World(s)
    words = stage(w, c, j, job)
    if words:
        yield f"dispose: job {j + 1} {words}", w


def due(w: World, c: Config, j: int, job: Job) -> str:
    deleted = c.delete and job.state == "completed"
    if c.holds("dispose-after-visible") and job.pub in ("owed", "failed"):
        return ""
    if job.pub == "missing" and (deleted or not c.holds("finish-what-began")):
        return ""  # What was visible once does not hold back a move; to delete now would be for good.
    if job.anchor >= 0 and job.outcome == "duplicate":
        rows = [one for one in w.jobs if one.image == job.image]
        if c.holds("dispose-after-visible") and any(one.pub == "owed" for one in rows):
            return ""
        if c.holds("verify-anchor"):
            if not w.mounted:
                return ""
            if c.holds("finish-before-verify") and "in/" + job.path not in w.live and at_goal(w, job):
                if private(j) not in w.live:
                    return done(w, j, "moved")
            shown = [one for one in rows if one.pub == "visible"]
            if not any(w.bytes_at(one.final) == one.image.upper() for one in shown):
                for k, one in enumerate(w.jobs):
                    if one in shown:
                        w.job(k, pub="missing")
                reopen(w, j)
                return "finds its anchor gone and is available again"
    w.job(j, dstep="taking", target="" if deleted else job.target or "ar/" + job.path)
    return "is due; its target is recorded"


def taking(w: World, c: Config, j: int, job: Job) -> str:
    if private(j) in w.live:
        w.live.pop(f"ar/.{j + 1}", None)
        w.job(j, dstep="judging")
        return "goes on from its private name"
    if "in/" + job.path not in w.live:
        return vanished(w, j, job)
    if not at_home(job, w) and c.holds("compare"):
        if at_goal(w, job):
            return done(w, j, "moved")
        return done(w, j, "not ours")
    if job.target in w.live and w.bytes_at(job.target) != job.bytes:
        return other_target(w, j, job)
    w.job(j, dstep="renaming")
    return "looks at its original"


def renaming(w: World, c: Config, j: int, job: Job) -> str:
    public = "in/" + job.path
    if public not in w.live:
        return vanished(w, j, job)
    if c.holds("private-name"):
        w.move(public, private(j))
        w.job(j, dstep="judging")
        return f"renames {public} to {private(j)}"
    if not at_home(job, w):
        w.wrong = f"wrong version: {public} is another one than what was processed"
    w.live[private(j)] = w.live.pop(public)
    return "takes the public name: " + let_go(w, c, j, job)


def judging(w: World, c: Config, j: int, job: Job) -> str:
    ino = w.live[private(j)]
    if (w.writer == ino and c.holds("lease")) or ((ino, w.bytes_at(private(j))) != (job.ino, job.bytes) and c.holds("compare")):
        busy = w.writer == ino and c.holds("lease")
        if put_back(w, c, j) and busy:
            w.job(j, dstep="")
            return "puts it back and tries later"
        done(w, j, "moved" if at_goal(w, job) else "not ours")
        return "finds another version and puts it back"
    if (ino, w.bytes_at(private(j))) != (job.ino, job.bytes):
        w.wrong = f"wrong version: job {j + 1} disposes of another one than what was processed"
    return let_go(w, c, j, job)


def let_go(w: World, c: Config, j: int, job: Job) -> str:
    if not job.target:
        w.remove(private(j), "deleted", excused(w, job))
        w.sync("in")
        w.job(j, dstep="done:deleted")
        return "deletes it"
    if job.target in w.live:
        if w.bytes_at(job.target) != job.bytes or not c.holds("identical-unlinked"):
            return other_target(w, j, job)
        return unlink_identical(w, j, job)
    if c.cross_device:
        w.create(f"ar/.{j + 1}", "~", synced=False)
        w.job(j, dstep="copying")
        return "begins a copy"
    w.move(private(j), job.target)
    w.job(j, dstep="syncing")
    return f"renames it to {job.target}"


def unlink_identical(w: World, j: int, job: Job) -> str:
    w.inodes[w.live[job.target]] = (job.bytes, True)
    w.sync("ar")
    w.remove(private(j))
    w.sync("in")
    w.job(j, dstep="done:moved")
    return f"finds its bytes at {job.target} and unlinks the private name"


def copying(w: World, c: Config, j: int, job: Job) -> str:
    w.inodes[w.live[f"ar/.{j + 1}"]] = (job.bytes, c.holds("copy-synced"))
    w.job(j, dstep="copied")
    return "has written and compared the copy"


def copied(w: World, c: Config, j: int, job: Job) -> str:
    if job.target in w.live:
        w.live.pop(f"ar/.{j + 1}")
        return unlink_identical(w, j, job) if w.bytes_at(job.target) == job.bytes else other_target(w, j, job)
    w.move(f"ar/.{j + 1}", job.target)
    if c.holds("copy-synced"):
        w.sync("ar")
    w.job(j, dstep="unlinking")
    return f"renames the copy to {job.target}"


def unlinking(w: World, c: Config, j: int, job: Job) -> str:
    w.remove(private(j))
    w.sync("in")
    w.job(j, dstep="done:moved")
    return "unlinks the private name"


def syncing(w: World, c: Config, j: int, job: Job) -> str:
    w.sync("ar")
    w.sync("in")
    w.job(j, dstep="done:moved")
    return "syncs"


def recording(w: World, c: Config, j: int, job: Job) -> str:
    return done(w, j, job.dstep.partition(":")[2])


DISPOSING: dict[str, Callable[[World, Config, int, Job], str]] = {
    "": due,
    "taking": taking,
    "renaming": renaming,
    "judging": judging,
    "copying": copying,
    "copied": copied,
    "unlinking": unlinking,
    "syncing": syncing,
    "done": recording,
}


def private(j: int) -> str:
    return f"in/.{j + 1}"


def at_goal(w: World, job: Job) -> bool:
    return bool(job.target) and w.bytes_at(job.target) == job.bytes


def vanished(w: World, j: int, job: Job) -> str:
    return done(w, j, "moved" if at_goal(w, job) else "gone")


def done(w: World, j: int, result: str) -> str:
    w.job(j, disp="done", result=result, dstep="")
    return f"is recorded as {result}"


def other_target(w: World, j: int, job: Job) -> str:
    w.job(j, target=job.target + "~", dstep="taking")
    return f"finds {job.target} taken and records {job.target}~"


def put_back(w: World, c: Config, j: int) -> bool:
    """``files/private.py: put_back_at``; False where the name was taken by now."""
    public = "in/" + w.jobs[j].path
    free = public not in w.live
    w.move(private(j), public if free or not c.holds("put-back-without-overwriting") else public + "_")
    w.sync("in")
    return free


def excused(w: World, job: Job) -> Callable[[str], bool]:
    """Deleting is what the policy asks for once a rendition is there; that its user takes that away later is his to do."""
    rendition = job.bytes.upper()
    raced = f"{rendition} after it was verified" if job.outcome == "duplicate" else rendition
    return lambda content: content == job.bytes and (w.shown(rendition) or raced in w.gone)


def lose_worker(w: World, c: Config, j: int) -> None:
    """``model/attempt.py: judge`` on a ``WorkerLost``; ``files/roots.py: forget_attempt``."""
    job = w.job(j, hand="", early="", crashes=w.jobs[j].crashes + 1)
    if job.staged in w.live:
        w.remove(job.staged)
    if job.crashes >= 2 and c.holds("crash-cap"):
        w.job(j, state="discarded", outcomes=job.outcomes + 1, disp="owed", image="")
    else:
        w.job(j, state="available")


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
    """Each user action is atomic and durable at once; it makes durable what happened before it, as a journal does."""
    if not s.budgets[USER]:
        return
    live = dict(s.live)
    for act in c.acts:
        for place in ("in/a", "in/b") if len(c.files) > 1 else ("in/a",):
            w = World(s)
            w.budgets[USER] -= 1
            w.sync_all()
            words = USES[act](w, s, place, live)
            if words:
                w.sync_all()
                yield f"{act}: the user {words}" if act not in ("lose", "unmount") else f"{act}: {words}", w


def _took(w: World, *what: str) -> None:
    w.gone = w.gone | set(what)


def user_replace(w: World, s: State, place: str, live: dict[str, int]) -> str:
    w.live.pop(place, None)
    w.create(place, new_bytes(s), synced=True)
    _took(w, place)
    return f"replaces {place} with {w.bytes_at(place)!r}"


def user_rewrite(w: World, s: State, place: str, live: dict[str, int]) -> str:
    if place not in live or live[place] == w.writer:
        return ""
    w.inodes[live[place]] = (new_bytes(s), True)
    _took(w, place)
    return f"overwrites {place} in place with {w.bytes_at(place)!r}"


def user_open(w: World, s: State, place: str, live: dict[str, int]) -> str:
    if place not in live or s.writer:
        return ""
    w.writer = live[place]
    _took(w, place)
    return f"opens {place} for writing"


def user_rename(w: World, s: State, place: str, live: dict[str, int]) -> str:
    if place not in live or "in/c" in live:
        return ""
    w.live["in/c"] = w.live.pop(place)
    _took(w, place)
    return f"renames {place} to in/c"


def user_copy(w: World, s: State, place: str, live: dict[str, int]) -> str:
    if place not in live or "in/c" in live:
        return ""
    w.create("in/c", w.bytes_at(place), synced=True)
    return f"copies {place} to in/c"


def user_delete(w: World, s: State, place: str, live: dict[str, int]) -> str:
    if w.live.pop(place, None) is None:
        return ""
    _took(w, place)
    return f"deletes {place}"


def user_foreign(w: World, s: State, place: str, live: dict[str, int]) -> str:
    target = "out/" + place[3:].upper()
    if target in live or not s.mounted:
        return ""
    w.create(target, "f", synced=True)
    return f"puts a file of his own at {target}"


def user_foreign_archive(w: World, s: State, place: str, live: dict[str, int]) -> str:
    target = "ar/" + place[3:]
    if target in live:
        return ""
    w.create(target, "f", synced=True)
    return f"puts a file of his own at {target}"


def user_same_bytes(w: World, s: State, place: str, live: dict[str, int]) -> str:
    target = "out/" + place[3:].upper()
    if target in live or not s.mounted:
        return ""
    w.create(target, "X", synced=False)
    _took(w, f"put {target}")
    return f"puts the very bytes of the rendition at {target}, not synced"


def user_spoil(w: World, s: State, place: str, live: dict[str, int]) -> str:
    target = "out/" + place[3:].upper()
    if target not in live or not s.mounted:
        return ""
    rendition = w.bytes_at(target)
    past = any(job.outcome == "duplicate" and job.dstep and job.bytes.upper() == rendition for job in s.jobs)
    _took(w, target, rendition, *([f"{rendition} after it was verified"] if past else []))
    w.live.pop(target)
    return f"deletes {target}"


def user_own_rendition(w: World, s: State, place: str, live: dict[str, int]) -> str:
    target = "out/" + place[3:].upper()
    if target not in live or not s.mounted:
        return ""
    _took(w, target, w.bytes_at(target))
    w.live.pop(target)
    w.create(target, "f", synced=True)
    return f"replaces {target} with a file of his own"


def user_unmount(w: World, s: State, place: str, live: dict[str, int]) -> str:
    w.mounted = False
    return "the output goes away, its empty mount point stays" if s.mounted and place == "in/a" else ""


def user_lose(w: World, s: State, place: str, live: dict[str, int]) -> str:
    for job in s.jobs:
        if "in/" + job.path == place and job.pub == "owed" and job.staged in live and s.mounted:
            w.live.pop(job.staged)
            _took(w, job.staged)
            return f"a broken disk eats {job.staged}"
    return ""


USES: dict[str, Callable[[World, State, str, dict[str, int]], str]] = {
    "replace": user_replace,
    "rewrite": user_rewrite,
    "open": user_open,
    "rename": user_rename,
    "copy": user_copy,
    "delete": user_delete,
    "foreign": user_foreign,
    "foreign-archive": user_foreign_archive,
    "same-bytes": user_same_bytes,
    "spoil": user_spoil,
    "own-rendition": user_own_rendition,
    "unmount": user_unmount,
    "lose": user_lose,
}
