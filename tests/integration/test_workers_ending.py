"""Which end of a worker means what."""

from __future__ import annotations

import os
import signal

import pytest

from dropmill.model.outcome import Reason
from dropmill.workers.ending import EXIT_OVER_MEMORY, Ended, cause, how, out_of_memory_kills

_BUDGET = 256 << 20
_EXIT = 256  # A wait status holds the exit code in its second byte, the signal in its first.


@pytest.mark.parametrize(
    ("ended", "words", "reason"),
    [
        (Ended(EXIT_OVER_MEMORY * _EXIT), b"", Reason.MEMORY_LIMIT),
        (Ended(signal.SIGKILL), b"", Reason.WORKER_CRASHED),
        (Ended(signal.SIGKILL, out_of_memory_killer=True), b"", Reason.MEMORY_LIMIT),
        (Ended(signal.SIGSEGV), b"", Reason.WORKER_CRASHED),
        (Ended(signal.SIGSEGV, grown_bytes=250 << 20), b"", Reason.MEMORY_LIMIT),
        (Ended(signal.SIGABRT, grown_bytes=10 << 20), b"free(): invalid pointer", Reason.WORKER_CRASHED),
        (Ended(signal.SIGABRT), b"memory allocation of 1073741824 bytes failed", Reason.MEMORY_LIMIT),
        (Ended(1 * _EXIT, grown_bytes=250 << 20), b"out of memory", Reason.WORKER_CRASHED),
        (Ended(0, zygote_lost=True), b"", Reason.INTERRUPTED),
    ],
)
def test_q02_an_end_over_memory_is_told_from_a_crash(ended: Ended, words: bytes, reason: Reason) -> None:
    assert cause(ended, budget_bytes=_BUDGET, last_words=words)[0] is reason


def test_an_end_is_told_in_words() -> None:
    assert how(3 * _EXIT) == "ended with exit code 3"
    assert how(signal.SIGSEGV) == "killed by SIGSEGV"
    assert how(signal.SIGRTMIN + 3) == f"killed by signal {signal.SIGRTMIN + 3}"


@pytest.mark.skipif(not os.path.exists("/proc/vmstat"), reason="the kernel's counts are hidden here")
def test_the_kernels_count_of_kills_can_be_read() -> None:
    assert out_of_memory_kills() >= 0
