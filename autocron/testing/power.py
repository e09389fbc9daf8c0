"""A power cut: what was not yet synced is gone from the disk."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Tuple

from autocron.core.task import Task
from autocron.ports import Store

# The store's promises are synced; these always are, whoever makes them.
_SYNCED_WRITES = ("add", "purge", "shift", "swap_schedule", "put_settings", "put_paused")


class UnsyncedStore:
    """A store on a disk that may lose what was not synced; all else is the store's that it wraps.

    It is as with SQLite's log: transactions come to the disk in their order, and one that is synced
    takes all before it along. What a worker notes for itself, that it has claimed a task or ended
    one, is not synced; everything else is.

    Arguments:
        store: The store.
        chance: Draws how much of it a power cut takes back.
    """

    def __init__(self, store: Store, chance: random.Random) -> None:
        self._store = store
        self._chance = chance
        self._depth = 0
        self._must_sync = False
        self._swaps: List[Tuple[Task, Task]] = []
        self._unsynced: List[List[Tuple[Task, Task]]] = []
        self._is_worker = False

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)
        return self._synced(operation) if name in _SYNCED_WRITES else operation

    def _synced(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def write(*values: Any, **options: Any) -> Any:
            with self.transaction():
                result = operation(*values, **options)
                # Who found nothing to purge, to move or to swap has written nothing.
                self._must_sync = self._must_sync or result is None or bool(result)
                return result

        return write

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task; see :meth:`autocron.ports.Store.swap`."""
        with self.transaction():
            is_swapped = self._store.swap(before, after)
            if is_swapped:
                self._swaps.append((before, after))
                self._must_sync = self._must_sync or not self._is_worker
            return is_swapped

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside one atomic write, and remember it until it is synced."""
        if self._depth == 0:
            self._swaps, self._must_sync = [], False
        self._depth += 1
        try:
            with self._store.transaction():
                yield
        finally:
            self._depth -= 1
        if self._depth == 0:
            if self._must_sync:
                self._unsynced.clear()
            elif self._swaps:
                self._unsynced.append(self._swaps)

    def as_worker(self, step: Callable[..., Any], *values: Any) -> Any:
        """Step a worker; what it notes for itself is not synced."""
        before, self._is_worker = self._is_worker, True
        try:
            return step(*values)
        finally:
            self._is_worker = before

    def cut_power(self) -> int:
        """Take back what was not synced: the last transactions, as many as chance has it.

        Returns:
            How many were lost.
        """
        kept = self._chance.randint(0, len(self._unsynced))
        lost = self._unsynced[kept:]
        self._unsynced.clear()
        with self._store.transaction():
            for swaps in reversed(lost):
                for before, after in reversed(swaps):
                    self._store.swap(after, before)
        return len(lost)
