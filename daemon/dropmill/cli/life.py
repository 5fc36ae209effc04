"""The life of a daemon process: signals, the configuration in force, and one set of parts after another until the end.

A new configuration is loaded and checked first, whole. Then the parts finish what they have in hand, as at a stop, and
new ones are put together. The process, the lock of the state directory, the socket that HTTP listens on and the counters
live on. Where the new parts cannot be put together, the earlier ones are, and status says why (S10).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

import anyio

from dropmill import __version__
from dropmill.assembly import Bus, Daemon, assemble, read_logins
from dropmill.cli.common import first_known
from dropmill.cli.reach import Beacon, heif_installed, remove_beacon, write_beacon
from dropmill.control.describe import iso
from dropmill.control.events import Hub
from dropmill.control.history import History
from dropmill.errors import Conflict, DropmillError, Refused, StateError
from dropmill.files.lane import Lane
from dropmill.maintenance.state import take_state
from dropmill.observe import log
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Fact, Ready, Reloaded, Reloading, ReloadRefused
from dropmill.observe.notify_service import ServiceManager, sender
from dropmill.settings import Loaded, Settings, differences, read_all_secrets
from dropmill.web.listen import Listener, Listeners

if TYPE_CHECKING:
    from dropmill.cli.progress import Tally
    from dropmill.control.desk import Desk
    from dropmill.control.watchful import Chronicle
    from dropmill.files.roots import DirectoryLock
    from dropmill.observe.metrics import Metrics

# A file of configuration on a share that hangs must not hold the daemon.
CHECK_SECONDS: Final = 30.0

Subscriber = Callable[[Fact], None]


class Life:
    """One process. ``load`` reads the configuration anew, with the options and the environment of the start."""

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Loaded],
        *,
        once: bool,
        tally: Tally,
        watching: list[Subscriber],
        greet: Callable[[Settings], Subscriber] | None,
        has_log: bool,
    ) -> None:
        """``watching``: subscribers that stay throughout. ``greet`` makes one for each configuration. ``has_log`` is
        False where a display has the terminal; then only a log file is written."""
        self.clock = SystemClock()
        self.loaded = loaded
        self.loaded_ms = self.clock.now_ms()
        self.number = 0
        self.under_way = False
        self.findings: tuple[str, ...] = ()
        self._load = load
        self._once = once
        self._tally = tally
        self._greet = greet
        self._has_log = has_log
        self._next: Loaded | None = None
        self._ending = ""
        self._daemon: Daemon | None = None
        self._bus = Bus()
        self._log: log.Log | None = None
        self._lost_total = 0
        self._started_at = self.clock.monotonic()
        self._watching = [*watching]
        self._metrics = None if once else self._counted()
        self._hub = Hub(os.urandom(4).hex())
        self._history = History(self.clock)
        if not once:
            self._watching += [self._hub, self._history]
        send = sender(os.environ)
        if send is not None:
            self._watching.append(ServiceManager(send, self.clock))
        self._of_these_parts: list[Subscriber] = []
        self._changed: tuple[str, ...] = ()
        self._listeners = Listeners(passed=None if once else Listener.passed(os.environ, os.getpid()))
        self._asked = anyio.Event()
        self._idle = anyio.Event()
        self._on_a_terminal = _terminal_is_there()

    def _counted(self) -> Metrics:
        """For those who ask over HTTP, which nobody can with ``once``."""
        from dropmill.observe.metrics import Metrics

        metrics = Metrics(__version__, self.loaded_ms / 1000, self._lost_lines, _version_of_pillow())
        self._watching.append(metrics)
        return metrics

    async def run(self) -> None:
        """Until a signal or, with ``once``, until nothing is left to do. Raises what keeps it from starting."""
        settings = self.loaded.settings
        self._use_log(self._new_log(settings))
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._hear_signals)
                group.start_soon(self._reload_when_asked)
                lock = take_state(settings.state_dir)
                try:
                    await self._live(lock)
                finally:
                    if not self._once:
                        remove_beacon(settings.state_dir)
                    lock.release()
                group.cancel_scope.cancel()
        finally:
            self._listeners.close()
            if self._log is not None:
                self._log.close()

    async def _live(self, lock: DirectoryLock) -> None:
        earlier: Loaded | None = None
        while True:
            try:
                await self._one_set_of_parts(lock)
            except Exception as error:
                if earlier is None or self._has_been_ready:
                    raise
                self.loaded, earlier = earlier, None
                self._go_back(_told(error))
                continue
            if self._next is None or self._ending:
                return
            earlier, self.loaded, self._next = self.loaded, self._next, None

    def _go_back(self, findings: tuple[str, ...]) -> None:
        try:
            self._use_log(self._new_log(self.loaded.settings))
        except DropmillError as error:
            findings += (str(error),)  # The log of the refused configuration has to do.
        self._refuse(findings)

    @property
    def _has_been_ready(self) -> bool:
        return self._daemon is not None and self._daemon.supervisor.ready

    async def _one_set_of_parts(self, lock: DirectoryLock) -> None:
        self._daemon = None
        settings = self.loaded.settings
        async with self._answered(settings):
            daemon = await assemble(
                settings, self._bus, once=self._once, heif=heif_installed(), serve=self._serve, state_lock=lock
            )
        self._daemon = daemon
        if self._ending:
            daemon.supervisor.stop(self._ending)
        await daemon.run()

    # Signals.

    async def _hear_signals(self) -> None:
        wanted = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # As nohup sets it.
            wanted.append(signal.SIGHUP)
        with anyio.open_signal_receiver(*wanted) as signals:
            async for received in signals:
                if received is not signal.SIGHUP or self._once:
                    self._end(received.name)
                elif self._on_a_terminal and not _terminal_is_there():
                    self._end("the terminal was closed")
                else:
                    self._asked.set()

    def _end(self, cause: str) -> None:
        if self._ending:
            return
        self._ending = cause
        if self._daemon is not None:
            self._daemon.supervisor.stop(cause)

    async def _reload_when_asked(self) -> None:
        """Signals that come while one is obeyed count as one; the last configuration wins."""
        while True:
            await self._asked.wait()
            while self.under_way or not self._has_been_ready:
                self._idle = anyio.Event()
                await self._idle.wait()
            self._asked = anyio.Event()
            try:
                await self.reload("SIGHUP")
            except DropmillError:
                continue  # Log, health and status tell of it.

    # Another configuration.

    async def reload(self, cause: str) -> int:
        """Load and check the configuration; on return the parts are on their way to be replaced.

        Returns the number of this reload, counted from 1. Raises ``Refused`` with every finding, and then nothing has
        changed; ``Conflict`` where one is under way, or the daemon is starting or ending.
        """
        if self._ending or self.under_way or not self._has_been_ready:
            raise Conflict(
                "the daemon is starting, stopping or reloading", hint="ask again in a moment", retryable=True
            )
        self.under_way = True
        self.number += 1
        self._bus.emit(Reloading(cause))
        try:
            loaded, new_log = await self._checked()
        except Exception as error:
            # Whatever is wrong with the new one, the old one works.
            findings = _told(error)
            self._refuse(findings)
            raise Refused("the configuration cannot be applied", findings) from error
        self._next = loaded
        self._changed = tuple(differences(self.loaded.settings, loaded.settings))
        self._use_log(new_log)
        if self._daemon is not None:
            self._daemon.supervisor.stop(None)
        return self.number

    async def _checked(self) -> tuple[Loaded, log.Log | None]:
        """Everything that can be found out without touching what runs. Raises what is wrong."""
        lane = Lane("configuration")
        try:
            loaded = await lane.call_within(CHECK_SECONDS, self._load)
            await lane.call_within(CHECK_SECONDS, loaded.settings.http.read_token)
            await lane.call_within(CHECK_SECONDS, read_logins, loaded.settings.downloads)
            await lane.call_within(CHECK_SECONDS, read_all_secrets, loaded.settings.webhooks)
        finally:
            lane.close()
        if loaded.settings.state_dir != self.loaded.settings.state_dir:
            raise StateError(
                f"state_dir: {loaded.settings.state_dir} is another one than {self.loaded.settings.state_dir}",
                hint="stop the daemon, move the folder, and start it again",
            )
        self._listeners.of(loaded.settings.http)
        return loaded, self._new_log(loaded.settings)

    def _refuse(self, findings: tuple[str, ...]) -> None:
        self.findings = findings
        self.under_way = False
        self._listeners.keep(self.loaded.settings.http.address)
        self._bus.emit(ReloadRefused(findings))
        self._idle.set()

    def _heard(self, fact: Fact) -> None:
        """The last of the subscribers: what it tells comes after all else has been heard."""
        if not isinstance(fact, Ready):
            return
        self._listeners.keep(self.loaded.settings.http.address)
        if self.under_way:
            self.under_way = False
            self.findings = ()
            self.loaded_ms = self.clock.now_ms()
            self._bus.emit(Reloaded(self._changed, tuple(map(str, self.loaded.warnings))))
        self._idle.set()

    # The log.

    def _new_log(self, settings: Settings) -> log.Log | None:
        if not self._has_log and not settings.log.file:
            return None
        roots = {inbox.name: os.fsencode(inbox.path) for inbox in settings.inboxes}
        before = {inbox.name: os.fsencode(inbox.path) for inbox in self.loaded.settings.inboxes}
        return log.configure(settings.log, self.clock, before | roots)

    def _use_log(self, new: log.Log | None) -> None:
        old, self._log = self._log, new
        if old is not None:
            self._lost_total += old.lost_total
            old.close()
        self._subscribe()

    def _subscribe(self) -> None:
        """In this order: ourselves last."""
        first: list[Subscriber] = [] if self._log is None else [self._log]
        self._bus.subscribers[:] = [*first, *self._watching, *self._of_these_parts, self._heard]

    def _lost_lines(self) -> int:
        return self._lost_total + (self._log.lost_total if self._log is not None else 0)

    # What answers questions.

    def _answered(self, settings: Settings) -> contextlib.AbstractAsyncContextManager[None]:
        """Probes are, while the block takes long; at a reload, who asks waits in the queue of the socket."""
        if self._metrics is None or self.number:
            return contextlib.nullcontext()
        from dropmill.web.starting import answering_meanwhile

        return answering_meanwhile(
            self._bus.subscribers, lambda: self._listeners.of(settings.http), settings.http, self._metrics
        )

    @contextlib.asynccontextmanager
    async def _serve(self, daemon: Daemon) -> AsyncIterator[str]:
        """The part of the supervisor's nest that answers: desk, HTTP, and the beacon by which commands find it."""
        if self._metrics is None:
            yield "none"
            await self._tally.settle_up(daemon.catalog)
            return
        from dropmill.control.watchful import Chronicle

        chronicle = Chronicle(daemon.clock)
        self._of_these_parts = [chronicle] if self._greet is None else [chronicle, self._greet(daemon.settings)]
        self._subscribe()
        desk = self._desk_of(daemon, chronicle)
        try:
            async with self._http(daemon, desk, self._metrics) as address:
                yield address
        finally:
            desk.close()

    @contextlib.asynccontextmanager
    async def _http(self, daemon: Daemon, desk: Desk, metrics: Metrics) -> AsyncIterator[str]:
        from dropmill.web.server import serve

        state_dir = daemon.settings.state_dir
        if not self.number:
            remove_beacon(state_dir)  # One that a killed daemon left (W19).
        listener = self._listeners.of(daemon.settings.http)
        async with serve(desk, metrics, listener.settle(daemon.settings.http), listener) as address:
            now = str(iso(self.clock.now_ms()))
            write_beacon(state_dir, Beacon(os.getpid(), daemon.boot, address, now))
            yield address

    def _desk_of(self, daemon: Daemon, chronicle: Chronicle) -> Desk:
        from dropmill.control.desk import Desk
        from dropmill.control.house import House, Live

        live = Live(
            pid=os.getpid(),
            boot=daemon.boot,
            started_at=self._started_at,
            course=daemon.supervisor,
            inboxes=daemon.inboxes,
            watches=daemon.watches,
            settlings=daemon.settlings,
            lanes=daemon.lanes,
            pool=daemon.pool,
            index=daemon.index,
            indexer=daemon.indexer,
            batches=daemon.batches,
            claimer=daemon.claimer,
            fetcher=daemon.fetcher,
            tails=daemon.tails,
            results=daemon.results,
            enqueuer=daemon.enqueuer,
            mail=daemon.mail,
            engine=daemon.engine,
            chronicle=chronicle,
            hub=self._hub,
            history=self._history,
            surroundings=daemon.supervisor.parts.surroundings,
            pulse=daemon.supervisor.parts.pulse,
            configuration=self,
        )
        return Desk(House(daemon.settings, daemon.catalog, daemon.clock, self._bus.emit, heif_installed(), live))


def _told(error: BaseException) -> tuple[str, ...]:
    """Everything that an error has to say, each finding with its place and remedy."""
    known = first_known(error)
    if known is not None:
        return tuple(map(str, getattr(known, "findings", None) or (known,)))
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.strerror:
        return (f"{error.filename}: {error.strerror}" if error.filename else error.strerror,)
    return (f"unexpected {type(error).__name__}: {error}",)


def _terminal_is_there() -> bool:
    """Whether this process has a controlling terminal; one that was closed takes itself away (tty_ioctl(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _version_of_pillow() -> str:
    """From its metadata, because the daemon itself never loads a decoder; empty where it came without any."""
    from importlib import metadata

    try:
        return metadata.version("pillow")
    except metadata.PackageNotFoundError:
        return ""
