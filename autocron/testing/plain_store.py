"""A store in plain Python that threads may share."""

from __future__ import annotations

import threading
from functools import wraps
from typing import Any, Callable, TypeVar, cast

from autocron.testing.plain_journal import SharedJournal
from autocron.testing.plain_tables import PlainTables

Operation = TypeVar("Operation", bound=Callable[..., Any])


def _alone(operation: Operation) -> Operation:
    """Let an operation wait until no other thread is in one, or in a transaction."""

    @wraps(operation)
    def alone(self: PlainStore, *values: Any, **options: Any) -> Any:
        with self.lock:
            return operation(self, *values, **options)

    return cast(Operation, alone)


class PlainStore(PlainTables):
    """Plain tables for several threads: whoever is in a transaction has them alone."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        super().__init__(SharedJournal(self.lock))

    close = _alone(PlainTables.close)
    add = _alone(PlainTables.add)
    swap = _alone(PlainTables.swap)
    get = _alone(PlainTables.get)
    claimable = _alone(PlainTables.claimable)
    claimable_next = _alone(PlainTables.claimable_next)
    next_due_at = _alone(PlainTables.next_due_at)
    expiring = _alone(PlainTables.expiring)
    taken_by = _alone(PlainTables.taken_by)
    find = _alone(PlainTables.find)
    has_in_hand = _alone(PlainTables.has_in_hand)
    stats = _alone(PlainTables.stats)
    purge = _alone(PlainTables.purge)
    shift = _alone(PlainTables.shift)
    starts = _alone(PlainTables.starts)
    put_start = _alone(PlainTables.put_start)
    purge_starts = _alone(PlainTables.purge_starts)
    busy_rates = _alone(PlainTables.busy_rates)
    paused = _alone(PlainTables.paused)
    put_paused = _alone(PlainTables.put_paused)
    schedules = _alone(PlainTables.schedules)
    swap_schedule = _alone(PlainTables.swap_schedule)
    settings = _alone(PlainTables.settings)
    put_settings = _alone(PlainTables.put_settings)
