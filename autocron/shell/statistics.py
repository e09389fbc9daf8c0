"""What the database knows of the past: how much has ended, how long it waited and ran."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any, Dict, List, Optional, Tuple

from autocron.core.settings import Settings
from autocron.core.task import TaskState
from autocron.core.values import frozen
from autocron.ports import Stats
from autocron.shell.at_once import at_once
from autocron.shell.counting import QueueInfo, counted
from autocron.shell.listing import ENDED, Filter
from autocron.shell.local import AskedStore
from autocron.shell.rows import microseconds

# name -> seconds; in growing order.
WINDOWS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
# So many of what succeeded, failed or was cancelled are looked at, the latest; each takes 2 µs.
MOST_READ = 20_000


@frozen
class Ended:
    """How many tasks have ended within a time, by what became of them."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.succeeded + self.failed + self.cancelled


@frozen
class Spread:
    """How long something took: half of the tasks at most the one, 95 of 100 at most the other."""

    median_seconds: float
    p95_seconds: float


@frozen
class Figures:
    """The figures of one task function, or of all.

    Attributes:
        ended: What has ended within the last minute, hour and day, by the names of
            :data:`WINDOWS`.
        waited: From due to begun, of the latest attempt of what has succeeded or failed within
            the last day; None if nothing has.
        ran: From begun to ended, of the same.
    """

    ended: Dict[str, Ended]
    waited: Optional[Spread]
    ran: Optional[Spread]


@frozen
class Statistics:
    """What ``--stats`` tells.

    Attributes:
        total: The figures of all tasks.
        tasks: Those of each task function, by name.
        queues: The queues.
        stats: Counts over all tasks.
        result_ttl: For how many seconds results are kept, so how far the figures of what has
            succeeded or was cancelled go back.
        failure_ttl: The same for what has failed.
        most_read: Of each kind at most so many are in the figures, the latest, and more have ended;
            None if all are.
    """

    total: Figures
    tasks: Dict[str, Figures]
    queues: Tuple[QueueInfo, ...]
    stats: Stats
    result_ttl: float
    failure_ttl: float
    most_read: Optional[int] = None


def statistics(
    store: AskedStore, now: datetime, only: Filter, is_thorough: bool = False
) -> Statistics:
    """Return the figures of what has ended within a day, as far as it is kept.

    Arguments:
        store: The database.
        now: The present instant.
        only: Which tasks: of which function, or queue.
        is_thorough: Whether to look at all, however long it takes.
    """
    most = None if is_thorough else MOST_READ
    found, *kinds = at_once(
        lambda: counted(store, store.paused(), now),
        *(partial(_read, store, now, only, state, most) for state in ENDED),
    )
    by_name: Dict[str, _Past] = {}
    for state, (rows, _) in zip(ENDED, kinds):
        for name, ended, waited, ran in rows:
            if type(name) is not str or type(ended) is not int:
                continue  # no row of ours
            past = by_name.get(name)
            if past is None:
                past = by_name[name] = _Past()
            past.add(state, ended, waited, ran)
    everything = _Past()
    for past in by_name.values():
        everything.add_all(past)
    settings = Settings.read(store.settings())
    return Statistics(
        total=everything.figures(now),
        tasks={name: past.figures(now) for name, past in sorted(by_name.items())},
        queues=found.queues,
        stats=found.stats,
        result_ttl=settings.result_ttl,
        failure_ttl=settings.failure_ttl,
        most_read=most if any(is_cut for _, is_cut in kinds) else None,
    )


# (name, ended, waited, ran) in microseconds; the latter are None for what never began.
_Row = Tuple[Any, Any, Optional[int], Optional[int]]


def _read(
    store: AskedStore, now: datetime, only: Filter, state: TaskState, most: Optional[int]
) -> Tuple[List[_Row], bool]:
    """Read those of the latest tasks in a state that fit, and tell whether there are older ones."""
    doing = "read what has ended"
    # An age within the filter, and within a day.
    longest = min(only.newer_than_seconds or WINDOWS["day"], WINDOWS["day"])
    within = Filter(only.task, only.queue, only.older_than_seconds, longest)
    found, read, values = within.parts(state, now)
    latest = (
        "SELECT name, queue, finished_at, started_at - run_at AS waited, "
        f"finished_at - started_at AS ran FROM tasks WHERE {' AND '.join(found)}"
    )
    is_cut = False
    if most is not None:
        latest += " ORDER BY finished_at DESC, seq DESC LIMIT :most"
        values["most"] = most
        older = f"SELECT 1 FROM tasks WHERE {' AND '.join(found)} LIMIT 1 OFFSET :most"
        is_cut = bool(store.ask(doing, older, values))
    where = f" WHERE {' AND '.join(read)}" if read else ""
    sql = f"SELECT name, finished_at, waited, ran FROM ({latest}) AS latest{where}"
    return store.ask(doing, sql, values), is_cut


class _Past:
    """What has ended, of one function or of all."""

    def __init__(self) -> None:
        self._ended: Dict[TaskState, List[int]] = {state: [] for state in ENDED}
        self._waited: List[int] = []
        self._ran: List[int] = []

    def add(self, state: TaskState, ended: int, waited: Optional[int], ran: Optional[int]) -> None:
        self._ended[state].append(ended)
        # What was cancelled may have run long before, if at all.
        if state is not TaskState.CANCELLED:
            if waited is not None:
                # Under a clock that was set back it may have begun before it was due.
                self._waited.append(waited if waited > 0 else 0)
            if ran is not None:
                self._ran.append(ran)

    def add_all(self, other: _Past) -> None:
        for state, ended in other._ended.items():
            self._ended[state] += ended
        self._waited += other._waited
        self._ran += other._ran

    def figures(self, now: datetime) -> Figures:
        ended = {}
        for window, seconds in WINDOWS.items():
            since = microseconds(now - timedelta(seconds=seconds))
            counts = (sum(at > since for at in self._ended[state]) for state in ENDED)
            ended[window] = Ended(*counts)
        return Figures(ended=ended, waited=_spread(self._waited), ran=_spread(self._ran))


def _spread(taken: List[int]) -> Optional[Spread]:
    if not taken:
        return None
    taken.sort()
    # The nearest rank: a time that some task really took.
    half, most = (taken[-(-len(taken) * part // 100) - 1] for part in (50, 95))
    return Spread(half / 1e6, most / 1e6)
