"""A view of a store in which only the tasks of some functions can be claimed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, FrozenSet, Optional, cast

from autocron.core.task import Task, TaskState

if TYPE_CHECKING:
    from autocron.ports import Store


class OnlyStore:
    """Passes everything on, but for the question which task is to run next.

    Held against the contract of stores in the specification, with all functions let through.

    Arguments:
        store: The store.
        names: The names of the task functions that are let through; None is all of them.
    """

    def __init__(self, store: Store, names: Optional[FrozenSet[str]]) -> None:
        self._store = store
        self._names = names

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._store, operation)

    def claimable(self, now: datetime) -> Optional[Task]:
        """Return the waiting task to run next; see :meth:`autocron.ports.Store.claimable`."""
        locked = {task.lock for task in self._store.find(state=TaskState.RUNNING)} - {None}
        ready = [
            task
            for task in self._store.find(state=TaskState.WAITING)
            if task.run_at <= now
            and task.lock not in locked
            and (self._names is None or task.name in self._names)
        ]
        # They come oldest first, and min() returns the first of equals.
        return min(ready, key=lambda task: (-task.priority, task.run_at), default=None)


def only(store: Store, names: FrozenSet[str]) -> Store:
    """Return a view of a store in which only tasks of these functions can be claimed."""
    return cast("Store", OnlyStore(store, names))
