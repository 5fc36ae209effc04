"""The zygote: loads the imaging modules once, then forks workers that have them already.

Started by the pool as ``python -m dropmill.workers.zygote``. It talks with the daemon over a SOCK_SEQPACKET socket, one
JSON object a packet: ``fork`` (with a worker's socket and output pipe attached) and ``kill`` come in; ``ready``,
``failed``, ``forked``, ``refused``, ``killed`` and ``ended`` go out. It alone waits for and kills workers, so a process
id can never have been given to somebody else in between.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import traceback
from typing import Any

from dropmill.workers import hardening
from dropmill.workers.ending import EXIT_NOT_STARTED, out_of_memory_kills
from dropmill.workers.worker import Birth, Handler, live

MAX_PACKET_BYTES = 16 << 10
_FDS_OF_A_WORKER = 2


class Zygote:
    def __init__(self, control: socket.socket, handler: Handler, budget_bytes: int) -> None:
        self._control = control
        self._handler = handler
        self._budget_bytes = budget_bytes
        self._children: set[int] = set()
        self._asked: set[int] = set()
        self._base_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        self._kills_seen = out_of_memory_kills()
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)

    def serve(self) -> None:
        """Until the daemon closes the socket; then every worker is killed and waited for."""
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # Python writes to the wake-up socket only if it has a handler.
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        self._tell({"ready": os.getpid()})
        while True:
            events = dict(poll.poll())
            if self._wake_read.fileno() in events:
                with contextlib.suppress(BlockingIOError):
                    self._wake_read.recv(4096)
                self._reap()
            if self._control.fileno() in events and not self._obey():
                break
        for pid in self._children:
            _kill(pid)
        while self._children:  # The daemon waits a moment only and then kills us, so this may take what it takes.
            self._reap()
            poll.poll(100)

    def _obey(self) -> bool:
        packet, fds, flags, _ = socket.recv_fds(
            self._control, MAX_PACKET_BYTES, _FDS_OF_A_WORKER, socket.MSG_CMSG_CLOEXEC
        )
        if not packet:
            return False
        order = json.loads(packet)
        if "kill" in order:
            pid = order["kill"]
            if pid in self._children:
                self._asked.add(pid)
                _kill(pid)
            self._tell({"killed": pid})
        elif len(fds) != _FDS_OF_A_WORKER or flags & socket.MSG_CTRUNC:
            for fd in fds:
                os.close(fd)
            self._tell({"refused": order["fork"], "why": "too many open files"})
        else:
            self._fork(order["fork"], *fds)
        return True

    def _fork(self, ticket: int, sock_fd: int, output_fd: int) -> None:
        zygote_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # EAGAIN at a limit of processes, ENOMEM.
            self._tell({"refused": ticket, "why": error.strerror or str(error)})
        else:
            if pid == 0:
                self._become_worker(sock_fd, output_fd, zygote_pid)
            self._children.add(pid)
            self._tell({"forked": ticket, "pid": pid})
        os.close(sock_fd)
        os.close(output_fd)

    def _become_worker(self, sock_fd: int, output_fd: int, zygote_pid: int) -> None:
        try:
            signal.set_wakeup_fd(-1)
            # A worker that held the control socket could give orders to the daemon in the zygote's name.
            for inherited in (self._control, self._wake_read, self._wake_write):
                inherited.close()
            gc.enable()
            live(Birth(socket.socket(fileno=sock_fd), output_fd, zygote_pid, self._handler, self._budget_bytes))
        finally:
            os._exit(EXIT_NOT_STARTED)

    def _reap(self) -> None:
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if seen is None:
                return
            pid = seen.si_pid
            if pid in self._children:
                _kill(pid)  # Its process group: while it is not waited for, the number is still its own.
            _, status, usage = os.wait4(pid, 0)
            if pid in self._children:
                self._children.discard(pid)
                self._told_end(pid, status, usage.ru_maxrss << 10)

    def _told_end(self, pid: int, status: int, peak_rss_bytes: int) -> None:
        kernel_did = False
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and pid not in self._asked:
            kills = out_of_memory_kills()
            kernel_did, self._kills_seen = kills > self._kills_seen, kills
        self._asked.discard(pid)
        grown_bytes = max(0, peak_rss_bytes - self._base_rss_bytes)
        self._tell({"ended": pid, "status": status, "grown_bytes": grown_bytes, "out_of_memory_killer": kernel_did})

    def _tell(self, message: dict[str, Any]) -> None:
        tell(self._control, message)


def tell(control: socket.socket, message: dict[str, Any]) -> None:
    try:
        control.send(json.dumps(message).encode())
    except OSError:
        pass  # The daemon has gone or closed; the next read says so.


def _kill(pid: int) -> None:
    """The worker and whatever its decoder started; only for children not yet waited for."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # Not yet a session leader, or dead and not yet waited for.


def _loaded(name: str) -> Handler:
    module = importlib.import_module(name)
    if hasattr(module, "preload"):
        module.preload()
    handler: Handler = module.process
    return handler


def main() -> int:
    gc.disable()
    parser = argparse.ArgumentParser(prog="dropmill-zygote")
    parser.add_argument("--load", required=True, metavar="MODULE")
    parser.add_argument("--control-fd", required=True, type=int)
    parser.add_argument("--parent-pid", required=True, type=int)
    parser.add_argument("--budget-bytes", required=True, type=int)
    args = parser.parse_args()

    hardening.ignore_signals()
    hardening.die_with_parent(args.parent_pid)
    hardening.own_session()
    hardening.gain_no_privileges()
    faulthandler.enable()  # Native crashes print where Python was; forked workers inherit the handlers.
    control = socket.socket(fileno=args.control_fd)
    control.set_inheritable(False)
    try:
        handler = _loaded(args.load)
    except BaseException as error:  # noqa: BLE001  # The daemon is told why, in one line; the log has the rest.
        traceback.print_exc()
        why = "".join(traceback.format_exception_only(error)).strip()
        tell(control, {"failed": f"cannot load {args.load}: {why}"[:2000]})
        return 1
    gc.collect()
    gc.freeze()  # Collections in workers then leave the shared pages alone.
    Zygote(control, handler, args.budget_bytes).serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
