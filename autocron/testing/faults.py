"""What can go wrong in a simulation, beyond worker crashes and a machine that is off.

A store that fails is a wrapper around one that does not: it raises the error of a full disk, undoes
a transaction at its end, or lets the process that is in it die before or after its commit.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple, Union

from autocron.core.errors import StoreError
from autocron.core.task import Task
from autocron.ports import Store

Period = Tuple[datetime, datetime]

_WRITES = (
    "add",
    "swap",
    "purge",
    "shift",
    "put_start",
    "purge_starts",
    "put_paused",
    "swap_schedule",
    "put_settings",
)


class ProcessDeath(BaseException):
    """The process that was just stepped dies, in the middle of it."""


@dataclass(frozen=True)
class Faults:
    """Faults of :func:`autocron.testing.simulate`.

    Attributes:
        stalls: How many times an hour a worker stalls in the middle of a task, so long that it is
            taken for dead; it wakes up later, when its task may be another one's.
        supervisor_crashes: How many times an hour the supervisor is killed.
        lost_commits: The share (0 to 1) of transactions that go wrong at their end: a third each
            is undone with an error, or kills its process before, or after it was stored.
        full_disk: Periods, as pairs of instants, in which nothing can be written.
        power_cuts: How many times an hour the power fails, or a list of instants at which it does.
            The machine is up again a minute later. What workers had noted for themselves, that they
            have claimed tasks and ended them, is lost as far as it was not synced yet, so that such
            tasks run again. An outage, in contrast, loses nothing.
        second_supervisors: How many times an hour a second supervisor takes over while the first
            one does not know, and goes on for up to three minutes. The lock of the kernel keeps
            that from happening; if it did not, an occurrence would run once nevertheless.
        hangs: The share (0 to 1) of attempts longer than their ``timeout`` that do not end when
            they are told to; their worker is ended, and replaced.
        restarts: How many times an hour the application is stopped in order and started again, as
            for a new version. What workers have in hand after their grace of five seconds they hand
            back, charged nothing.
        races: The share (0 to 1) of looks of an idle worker at which another idle one is quicker.
        until: No fault by rate or share happens from this instant on; None is to the end.
    """

    stalls: float = 0.0
    supervisor_crashes: float = 0.0
    lost_commits: float = 0.0
    full_disk: Sequence[Tuple[Any, Any]] = ()
    power_cuts: Union[float, Sequence[Any]] = 0.0
    second_supervisors: float = 0.0
    hangs: float = 0.0
    restarts: float = 0.0
    races: float = 0.0
    until: Any = None


class FaultyStore:
    """A store that fails as it is told; all else is the store's that it wraps.

    Arguments:
        store: The store.
        now: Tells the true time.
        full_disk: When the disk is full.
        lost_commits: The share of transactions that go wrong.
        races: The share of looks for a due task at which another worker is quicker.
        until: Until when they do.
        chance: Draws which.

    Attributes:
        is_stepped: Whether a process is being stepped, which could die of it.
        overtake: Lets another worker be quicker than the one that is being stepped.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime],
        full_disk: Sequence[Period],
        lost_commits: float,
        races: float,
        until: datetime,
        chance: random.Random,
    ) -> None:
        self._store = store
        self._now = now
        self._full_disk = full_disk
        self._lost_commits = lost_commits
        self._races = races
        self._until = until
        self._chance = chance
        self._depth = 0
        self._is_overtaking = False
        self.is_stepped = False
        self.overtake: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)
        return self._write(operation) if name in _WRITES else operation

    def _write(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def write(*values: Any, **options: Any) -> Any:
            with self.transaction():
                if any(begin <= self._now() < end for begin, end in self._full_disk):
                    raise StoreError("can not write: the simulated disk is full")
                return operation(*values, **options)

        return write

    def claimable(self, now: datetime, queues: Optional[Sequence[str]] = None) -> Optional[Task]:
        """Return the task to run next; outside of a transaction it may be gone by then."""
        task = self._store.claimable(now, queues)
        is_raced = task is not None and self._depth == 0 and not self._is_overtaking
        if is_raced and self._happens(self._races):
            self._is_overtaking = True
            try:
                self.overtake()
            finally:
                self._is_overtaking = False
        return task

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside one atomic write, unless it goes wrong."""
        fault = self._draw() if self._depth == 0 else ""
        self._depth += 1
        try:
            with self._store.transaction():
                yield
                if fault == "error":
                    raise StoreError("can not commit: a simulated error has undone it")
                if fault == "dies before":
                    raise ProcessDeath
        finally:
            self._depth -= 1
        if fault == "dies after":
            raise ProcessDeath

    def _draw(self) -> str:
        if not self._happens(self._lost_commits):
            return ""
        return self._chance.choice(("error", "dies before", "dies after"))

    def _happens(self, share: float) -> bool:
        if not (self.is_stepped and share) or self._now() >= self._until:
            return False
        return self._chance.random() < share
