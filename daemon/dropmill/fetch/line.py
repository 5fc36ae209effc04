"""The line of hosts: what was claimed of each, and whose turn it is. Nothing here waits or writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from dropmill.model.download import Fetch, Host
from dropmill.model.politeness import Rules, most_at_once


@dataclass(slots=True, eq=False)
class Queued:
    """A host of which something was claimed. ``host`` is what is known of it now, ``saved`` what the catalog knows."""

    host: Host
    saved: Host
    ahead: deque[Fetch] = field(default_factory=deque)
    running: int = 0
    ending: int = 0
    """Attempts whose end is being written down."""
    proven: bool = False
    """It has answered since it came into the line."""
    next_at: float = 0.0
    """When the next request may begin, on the monotonic clock, where there is a rate."""
    claimed: int = 0
    """Grows with each lot that is claimed of any host."""

    @property
    def well(self) -> bool:
        return self.proven and not self.host.failures

    def idle(self, now: float) -> bool:
        return not (self.ahead or self.running or self.ending) and self.host == self.saved and self.next_at <= now

    def move(self, by_ms: int) -> None:
        """The clock was set, and what the catalog knows was moved along."""
        self.host, self.saved = _moved(self.host, by_ms), _moved(self.saved, by_ms)


class Line:
    """Hosts in turn, one request each. A host that fails, or has not answered yet, gets one at a time (U14).

    Three bounds keep slots free for hosts that answer: ``per_host`` each, a quarter of the slots for all hosts that fail,
    and three quarters for these and the ones that have not answered yet, while others have something to be asked for.
    """

    def __init__(self, slots: int, rules: Rules) -> None:
        self._slots = slots
        self._rules = rules
        self._hosts: dict[int, Queued] = {}
        self._turns: deque[Queued] = deque()
        self._lots = 0

    def __iter__(self) -> Iterator[Queued]:
        return iter(self._hosts.values())

    @property
    def ahead(self) -> list[Fetch]:
        """What was claimed and has not begun."""
        return [fetch for queued in self._turns for fetch in queued.ahead]

    @property
    def running(self) -> int:
        return sum(queued.running for queued in self._hosts.values())

    def add(self, fetches: Iterable[Fetch]) -> None:
        self._lots += 1
        for fetch in fetches:
            queued = self._hosts.get(fetch.host.id)
            if queued is None:
                queued = self._hosts[fetch.host.id] = Queued(fetch.host, fetch.host)
            if not queued.ahead:
                self._turns.append(queued)
            queued.ahead.append(fetch)
            queued.claimed = self._lots

    def take_out(self, fetches: Iterable[Fetch]) -> None:
        """These do not begin."""
        gone = {fetch.job.id for fetch in fetches}
        for queued in self._turns:
            queued.ahead = deque(fetch for fetch in queued.ahead if fetch.job.id not in gone)
        self._turns = deque(queued for queued in self._turns if queued.ahead)

    def tidy(self, now: float, *, all_idle: bool) -> None:
        """Forget hosts of which nothing is in hand: the catalog knows what there is to know.

        Those that are well stay until it is known that there is nothing more to be asked of them (``all_idle``).
        """
        self._hosts = {
            host_id: queued
            for host_id, queued in self._hosts.items()
            if not queued.idle(now) or (queued.well and not all_idle)
        }

    def wanted(self, now: float, now_ms: int) -> tuple[list[tuple[Host, int]], int, int]:
        """What to claim: how much more of the hosts here, of how many others, and of how many others that fail.

        Of a host that is well, lots are claimed ahead; of others only what can begin soon. Hosts that are not here yet
        have to be given a turn too, however busy those are that answer.
        """
        here = sorted(self._hosts.values(), key=lambda queued: queued.claimed)
        rooms = [(queued.host, self._room(queued, now, now_ms)) for queued in here]
        waiting = [queued for queued in self._turns if not queued.well and not queued.running]
        failing = sum(1 for queued in waiting if queued.host.failures)
        newcomers = max(1, self._slots // 2) - (len(waiting) - failing)
        return rooms, max(0, newcomers), max(0, self._most_doubtful() - self._doubtful() - failing)

    def _room(self, queued: Queued, now: float, now_ms: int) -> int:
        most, rate = most_at_once(queued.host, queued.proven, self._rules), self._rules.requests_per_second
        if not queued.well or queued.host.ready_at_ms > now_ms or queued.next_at > now:
            return 0
        lot = max(1, min(2 * most, int(rate / 2))) if rate else 2 * most
        return lot if len(queued.ahead) <= lot // 4 else 0

    def next(self, now: float, now_ms: int) -> tuple[Fetch, Queued] | None:
        """What is to begin now, taken from the host whose turn it is; None where nothing may."""
        others = sum(queued.running for queued in self._hosts.values() if not queued.proven)
        doubtful, running = self._doubtful(), self.running
        if running >= self._slots:
            return None
        kept_free = self._slots // 4 if any(queued.proven and queued.ahead for queued in self._turns) else 0
        for number, queued in enumerate(self._turns):
            if queued.host.failures and doubtful >= self._most_doubtful():
                continue
            if not queued.proven and others >= self._slots - kept_free:
                continue
            if self._may_begin(queued, now, now_ms):
                self._turns.rotate(-number - 1)
                fetch = queued.ahead.popleft()
                if not queued.ahead:
                    self._turns.pop()
                queued.running += 1
                if self._rules.requests_per_second:
                    queued.next_at = max(queued.next_at, now) + 1 / self._rules.requests_per_second
                return fetch, queued
        return None

    def next_at(self, now: float) -> float | None:
        """When the rate of a host lets the next request begin, on the monotonic clock."""
        return min((queued.next_at for queued in self._hosts.values() if queued.next_at > now), default=None)

    def _may_begin(self, queued: Queued, now: float, now_ms: int) -> bool:
        most = most_at_once(queued.host, queued.proven, self._rules)
        return queued.running < most and queued.next_at <= now and queued.host.ready_at_ms <= now_ms

    def _doubtful(self) -> int:
        return sum(queued.running for queued in self._hosts.values() if queued.host.failures)

    def _most_doubtful(self) -> int:
        return max(1, self._slots // 4)


def _moved(host: Host, by_ms: int) -> Host:
    opened_at_ms = None if host.opened_at_ms is None else host.opened_at_ms + by_ms
    return replace(host, ready_at_ms=host.ready_at_ms + by_ms, opened_at_ms=opened_at_ms)
