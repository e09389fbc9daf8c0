"""A view of a store in which only the tasks of some functions can be claimed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, FrozenSet, Optional, Sequence, cast

from autocron.core.task import Task, TaskState
from autocron.testing.plain_store import PlainStore

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

    def claimable(self, now: datetime, queues: Optional[Sequence[str]] = None) -> Optional[Task]:
        """Return the waiting task to run next; see :meth:`autocron.ports.Store.claimable`.

        It is looked for in a copy that has no others, so that it is found by the same rules.
        """
        copy = PlainStore()
        for task in self._store.find(state=TaskState.RUNNING):
            copy.add(task)
        for task in self._store.find(state=TaskState.WAITING):
            if self._names is None or task.name in self._names:
                copy.add(task)
        for queue in self._store.paused():
            copy.put_paused(queue, True)
        for rate_key, free_at in self._store.busy_rates().items():
            copy.put_start(rate_key, now, now, free_at)
        return copy.claimable(now, queues)


def only(store: Store, names: FrozenSet[str]) -> Store:
    """Return a view of a store in which only tasks of these functions can be claimed."""
    return cast("Store", OnlyStore(store, names))
