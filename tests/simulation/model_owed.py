"""What the daemon still owes after the commit: publishing and disposing, step by step as the real code does them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from simulation.model_state import STANDING, Config, Job, State, World, free_name

Step = tuple[str, World]


def at_home(job: Job, world: World | State) -> bool:
    """Whether the version that settled is what the public name holds."""
    live = world.live if isinstance(world, World) else dict(world.live)
    ino = live.get("in/" + job.path)
    if ino != job.ino:
        return False
    if isinstance(world, World):
        return world.inodes[job.ino][0] == job.bytes
    return any(number == ino and content == job.bytes for number, content, _ in world.inodes)


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
        ours = w.bytes_at(final) == job.image.upper()
        ours = ours or (target == job.pino and not c.holds("more-than-an-inode"))
        if target and ours and c.holds("look-at-target"):
            if c.holds("adopted-synced"):
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
            absent = "in/" + job.path not in w.live and private(j) not in w.live
            if c.holds("finish-before-verify") and absent and at_goal(w, job):
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
    if (w.writer == ino and c.holds("lease")) or (
        (ino, w.bytes_at(private(j))) != (job.ino, job.bytes) and c.holds("compare")
    ):
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
