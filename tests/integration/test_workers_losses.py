"""The pool on its bad days: crashes, signals, floods of output, forged answers, and its own end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from workers_handlers import content_of
from workers_support import FOLDER, a_pool, eventually, gone, run, said

from dropmill.model.outcome import Reason
from dropmill.model.work import Preview, Recognised, WorkerLost
from dropmill.workers.keeper import Patience
from dropmill.workers.output import MAX_LINES_PER_JOB, WorkerOutput

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _handlers_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", FOLDER)


def a_moment(preview: Preview) -> float:
    """Of the 20 seconds that ``run`` gives, this leaves next to nothing once a worker has begun, and not before."""
    return 0.1 - 20.0


@pytest.mark.parametrize(
    ("behaviour", "reason", "told"),
    [
        ("segfault", Reason.WORKER_CRASHED, "killed by SIGSEGV"),
        ("kill_itself", Reason.WORKER_CRASHED, "killed by SIGKILL"),
        ("leave", Reason.WORKER_CRASHED, "ended with exit code 3"),
        ("spin:told", Reason.TIMEOUT, "deadline"),
        ("spin_in_native_code:told", Reason.TIMEOUT, "deadline"),
        ("eat", Reason.MEMORY_LIMIT, "128 MiB"),
        ("eat_in_native_code", Reason.MEMORY_LIMIT, "128 MiB"),
        ("corrupt_near_the_limit", Reason.MEMORY_LIMIT, "128 MiB"),
    ],
)
async def test_q02_a_job_that_kills_its_worker_each_time_costs_nobody_else_anything(
    tmp_path: Path, behaviour: str, reason: Reason, told: str
) -> None:
    async with a_pool(2, memory_budget_mb=128) as pool, anyio.create_task_group() as tasks:
        neighbour: list[object] = []

        async def job() -> None:
            neighbour.append(await run(pool, "wait", tmp_path, job_id=7))

        tasks.start_soon(job)
        await eventually(lambda: (tmp_path / "started-7").exists())
        for epoch in (1, 2, 3):
            lost = await run(pool, behaviour, tmp_path, epoch=epoch, allowance_seconds=a_moment)
            assert isinstance(lost, WorkerLost)
            assert (lost.reason, told in lost.detail) == (reason, True), lost
            assert await run(pool, "answer", job_id=2, epoch=epoch) == Recognised(content_of(2, epoch))
        (tmp_path / "go").touch()
        await eventually(lambda: neighbour)
        assert neighbour == [Recognised(content_of(7, 1))]
        assert pool.stats().lost_total == 3


async def test_q15_signals_to_the_zygote_and_to_busy_and_idle_workers_change_nothing(tmp_path: Path) -> None:
    async with a_pool(2) as pool, anyio.create_task_group() as tasks:
        results: list[object] = []

        async def job() -> None:
            results.append(await run(pool, "wait", tmp_path, job_id=1))

        tasks.start_soon(job)
        await eventually(lambda: (tmp_path / "started-1").exists())
        await run(pool, "answer", job_id=2)  # The second worker, idle from here on.
        targets = (pool.zygote_pid, *pool.stats().pids)
        assert len(targets) == 3
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for pid in targets:
                os.kill(pid, number)
                os.killpg(pid, number)
        for job_id in range(3, 20):
            assert await run(pool, "answer", job_id=job_id) == Recognised(content_of(job_id, 1))
        (tmp_path / "go").touch()
        await eventually(lambda: results)
        assert results == [Recognised(content_of(1, 1))]
        assert (pool.zygote_pid, *pool.stats().pids) == targets
        assert pool.stats().lost_total == 0


_LITTLE_DAEMON = """
import asyncio, signal, sys
from workers_support import a_pool, eventually, run
from dropmill.model.work import Recognised
from workers_handlers import content_of

async def main(folder):
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with a_pool(2) as pool:
        first = asyncio.create_task(run(pool, sys.argv[2], folder, job_id=1))
        await run(pool, "answer", job_id=2)
        await eventually(lambda: len(pool.stats().pids) == 2)
        with open(folder + "/pids.part", "w") as file:
            print(pool.zygote_pid, *pool.stats().pids, file=file)
        import os
        os.rename(folder + "/pids.part", folder + "/pids")
        await stop.wait()
        assert [await run(pool, "answer", job_id=n) for n in (3, 4)] == [Recognised(content_of(n, 1)) for n in (3, 4)]
        open(folder + "/go", "w").close()
        assert await first == Recognised(content_of(1, 1))
        assert pool.stats().lost_total == 0

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def little_daemon(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process with a pool, a job of the given behaviour in one worker and another worker idle.

    Whatever becomes of the test, none of them is left.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(behaviour: str, wrapper: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        command = [*wrapper, sys.executable, "-c", _LITTLE_DAEMON, str(tmp_path), behaviour]
        started.append(subprocess.Popen(command, start_new_session=True))
        return started[-1]

    yield start
    ours = [pid for daemon in started if daemon.poll() is None for pid in _descendants(daemon.pid)]
    for daemon in started:
        daemon.kill()
        daemon.wait()
    # Of a daemon that the test itself has killed, the file tells. Inside a namespace numbers mean something else.
    for pid in {*ours, *(_pids(tmp_path) if (tmp_path / "pids").exists() else ())}:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"dropmill.workers.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return [one for child in children for one in (child, *_descendants(child))]


def _pids(folder: Path) -> list[int]:
    return [int(word) for word in (folder / "pids").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_q15_a_signal_to_the_daemons_whole_group_lets_running_jobs_finish(
    tmp_path: Path, little_daemon: Callable[[str], subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    daemon = little_daemon("wait")
    await eventually(lambda: (tmp_path / "pids").exists() and (tmp_path / "started-1").exists())
    os.killpg(daemon.pid, number)
    await eventually(lambda: daemon.poll() is not None)
    assert daemon.returncode == 0
    assert all(gone(pid) for pid in _pids(tmp_path))


async def test_q17_nothing_outlives_a_killed_daemon_by_a_second(
    tmp_path: Path, little_daemon: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    seconds = []
    while not seconds or (seconds[-1] >= 1.0 and len(seconds) < 5):  # A machine in a jam gets another chance.
        for word in ("pids", "started-1"):
            (tmp_path / word).unlink(missing_ok=True)
        daemon = little_daemon("spin")
        await eventually(lambda: (tmp_path / "pids").exists() and (tmp_path / "started-1").exists())
        pids = _pids(tmp_path)
        assert len(pids) == 3 and not any(gone(pid) for pid in pids)
        daemon.kill()
        killed = time.monotonic()
        daemon.wait()
        await eventually(lambda pids=pids: all(gone(pid) for pid in pids))
        seconds.append(time.monotonic() - killed)
    assert seconds[-1] < 1.0, seconds


async def test_the_pool_works_with_no_standard_descriptors_at_all(
    tmp_path: Path, little_daemon: Callable[..., subprocess.Popen[bytes]]
) -> None:
    daemon = little_daemon("wait", wrapper=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"))
    await eventually(lambda: (tmp_path / "pids").exists() and (tmp_path / "started-1").exists())
    daemon.terminate()
    await eventually(lambda: daemon.poll() is not None)
    assert daemon.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a namespace or change its user")
@pytest.mark.parametrize(
    "wrapper",
    [
        ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"),
        ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    ],
    ids=["as process 1", "as an ordinary user"],
)
async def test_the_pool_works(
    tmp_path: Path, little_daemon: Callable[..., subprocess.Popen[bytes]], wrapper: tuple[str, ...]
) -> None:
    again = "import dropmill, subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    if (await anyio.run_process([*wrapper, sys.executable, "-c", again], check=False)).returncode:
        pytest.skip("namespaces, or this interpreter for other users, are not allowed here")
    folder = tmp_path
    for part in (folder, *folder.parents[:2]):
        part.chmod(0o777)
    daemon = little_daemon("wait", wrapper)
    await eventually(lambda: (folder / "pids").exists() and (folder / "started-1").exists())
    os.killpg(daemon.pid, signal.SIGTERM)
    await eventually(lambda: daemon.poll() is not None)
    assert daemon.returncode == 0


async def test_q16_megabytes_of_output_are_drained_and_kept_in_bounds() -> None:
    output: list[WorkerOutput] = []
    async with a_pool(2, output=output) as pool:
        shouting = [run(pool, "shout:4", job_id=n) for n in (1, 2)]
        assert await asyncio.gather(*shouting) == [Recognised(content_of(n, 1)) for n in (1, 2)]
        assert await run(pool, "answer", job_id=3) == Recognised(content_of(3, 1))
        pids = set(pool.stats().pids)
    for job_id in (1, 2):
        lines = [line for line in output if line.job_id == job_id]
        assert len(lines) == MAX_LINES_PER_JOB + 1
        assert all(f"job {job_id} " in line.text for line in lines[:-1])
        assert lines[-1].dropped_bytes > 7 << 20
        assert len({line.pid for line in lines}) == 1 and lines[0].pid in pids
    assert not [line for line in output if line.job_id not in (1, 2)]


async def test_q16_output_is_told_with_its_job_as_printable_lines() -> None:
    output: list[WorkerOutput] = []
    async with a_pool(1, output=output) as pool:
        for job_id, word in ((1, "one"), (2, "two")):
            await run(pool, f"say_a_line:{word}", job_id=job_id, epoch=5)
        (pid,) = pool.stats().pids
    assert output == [
        WorkerOutput(pid, job_id, 5, text)
        for job_id, word in ((1, "one"), (2, "two"))
        for text in (rf"native {word}\xff\x1b[2J", f"python {word}", f"buffered {word}")
    ]


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ("garbage:ffffffff00", "a frame of 4294967295 bytes"),
        ("garbage:00000002ff22", "not JSON"),
        ("garbage:000000027b7d", "not a frame"),
        ("garbage:" + (b"\0\0\x9c\x40" + b"[" * 40_000).hex()[:4000] + "5b" * 38_004, "not JSON"),
        ("impersonate:1,2", "an answer for job 1, epoch 2, where job 1, epoch 1 was asked"),
        ("impersonate:2,1", "an answer for job 2, epoch 1"),
        ("two_previews", "a question out of turn"),
        (f"boast:{1 << 62},1", "a preview of more than the limits allow"),
        (f"boast:1,{1 << 62}", "a preview of more than the limits allow"),
    ],
    ids=["size", "text", "shape", "nesting", "epoch", "job", "previews", "pixels", "pages"],
)
async def test_a_worker_that_breaks_the_protocol_is_killed(behaviour: str, told: str) -> None:
    async with a_pool(1) as pool:
        await run(pool, "answer", job_id=9)
        (pid,) = pool.stats().pids
        lost = await run(pool, behaviour)
        assert isinstance(lost, WorkerLost)
        assert lost.reason is Reason.WORKER_CRASHED
        assert told in lost.detail
        assert gone(pid)
        assert await run(pool, "answer", job_id=2) == Recognised(content_of(2, 1))


async def test_a_flood_of_forged_answers_never_reaches_another_job() -> None:
    async with a_pool(1) as pool:
        for job_id in (1, 2):
            # Whether its first forged answer is taken for its own depends on the moment. The rest can only kill it.
            await run(pool, "flood", job_id=job_id)
            next_one = await run(pool, "answer", job_id=job_id + 10)
            assert next_one == Recognised(content_of(job_id + 10, 1)) or isinstance(next_one, WorkerLost)
            assert await run(pool, "answer", job_id=job_id + 20) == Recognised(content_of(job_id + 20, 1))
        assert pool.stats().lost_total == 2


async def test_an_answer_forged_ahead_never_reaches_the_next_job(tmp_path: Path) -> None:
    async with a_pool(1) as pool:
        await run(pool, "answer_the_next_job_too:2,1", tmp_path)
        (pid,) = pool.stats().pids
        (tmp_path / "go").touch()
        await eventually(lambda: (tmp_path / "forged-1").exists())
        assert await run(pool, "answer", tmp_path, job_id=2) == Recognised(content_of(2, 1))
        await eventually(lambda: gone(pid))


async def test_a_worker_that_hangs_up_is_killed() -> None:
    async with a_pool(1) as pool:
        lost = await run(pool, "hang_up")
        assert isinstance(lost, WorkerLost)
        assert lost.reason is Reason.WORKER_CRASHED
        assert await run(pool, "answer", job_id=2) == Recognised(content_of(2, 1))


async def test_what_a_decoder_started_ends_with_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNGUARDED", "all")  # Else it could start nothing.
    async with a_pool(1) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(run, pool, "fork_and_spin", tmp_path)
        await eventually(lambda: said(tmp_path, "started-1"))
        tasks.cancel_scope.cancel()
    child = int(said(tmp_path, "started-1"))
    await eventually(lambda: gone(child))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_the_zygotes_death_is_told_and_mended(tmp_path: Path, number: signal.Signals) -> None:
    async with a_pool(2) as pool, anyio.create_task_group() as tasks:
        results: list[object] = []

        async def job(job_id: int) -> None:
            results.append(await run(pool, "wait", tmp_path, job_id=job_id))

        for job_id in (1, 2, 3):  # The third waits for a worker, and is not to notice.
            tasks.start_soon(job, job_id)
        await eventually(lambda: len(list(tmp_path.glob("started-*"))) == 2)
        before = (pool.zygote_pid, *pool.stats().pids)
        os.kill(pool.zygote_pid, number)
        await eventually(lambda: len(results) == 2)
        for lost in results:
            assert isinstance(lost, WorkerLost)
            assert lost.reason is Reason.INTERRUPTED
            assert "interrupted" in lost.detail
        # The kernel kills them with the zygote, and may take a moment for it.
        await eventually(lambda: all(gone(pid) for pid in before))
        (tmp_path / "go").touch()
        await eventually(lambda: len(results) == 3)
        assert isinstance(results[2], Recognised)
        assert pool.zygote_pid not in before
        assert pool.stats().trouble == ""


async def test_a_zygote_that_no_longer_answers_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropmill.workers.nursery.ANSWER_SECONDS", 0.3)
    async with a_pool(1) as pool:
        await run(pool, "answer")
        stopped = pool.zygote_pid
        os.kill(stopped, signal.SIGSTOP)
        lost = await run(pool, "spin:told", allowance_seconds=a_moment)
        assert isinstance(lost, WorkerLost)
        assert await run(pool, "answer", job_id=2) == Recognised(content_of(2, 1))
        assert gone(stopped)


async def test_a_zygote_that_cannot_be_started_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[object] = []
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    async with a_pool(1) as pool, anyio.create_task_group() as tasks:

        async def job() -> None:
            results.append(await run(pool, "answer"))

        tasks.start_soon(job)
        await eventually(lambda: "/no/such/python" in pool.stats().trouble)
        monkeypatch.undo()
        monkeypatch.setenv("PYTHONPATH", FOLDER)
        await eventually(lambda: results)
        assert results == [Recognised(content_of(1, 1))]
        assert pool.stats().trouble == ""


async def test_q18_a_zygote_that_is_killed_again_and_again_costs_ever_fewer_interruptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(patience: Patience) -> None:
        pauses.append(patience.seconds)
        await sound(patience)

    sound = Patience.pause
    monkeypatch.setattr(Patience, "pause", pause)
    async with a_pool(1) as pool, anyio.create_task_group() as tasks:
        lost: list[object] = []

        async def job(job_id: int) -> None:
            lost.append(await run(pool, "wait", tmp_path, job_id=job_id))

        for job_id in range(1, 5):
            tasks.start_soon(job, job_id)
            await eventually(lambda name=f"started-{job_id}": said(tmp_path, name))  # type: ignore[misc]  # Bound early.
            os.kill(pool.zygote_pid, signal.SIGKILL)  # Ready, with a job in hand, and yet nothing comes of it.
            await eventually(lambda count=job_id: len(lost) == count)  # type: ignore[misc]  # Bound early.
        assert all(isinstance(each, WorkerLost) and each.reason is Reason.INTERRUPTED for each in lost)
        assert await run(pool, "answer", tmp_path, job_id=9) == Recognised(content_of(9, 1))
        assert pauses == [0.1, 0.2, 0.4, 0.8]
        os.kill(pool.zygote_pid, signal.SIGKILL)
        await eventually(lambda: len(pauses) == 5)
        assert pauses[-1] == 0.1
