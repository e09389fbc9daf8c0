"""How changes of a plain store are undone: each notes how, until its transaction is over."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, List, Optional, Tuple, Type

from autocron.core.errors import StoreError


class Journal:
    """What ``with store.transaction():`` enters; knows how to undo what is done inside.

    A transaction inside another one joins it: an exception in the inner one undoes both.

    Attributes:
        depth: How many transactions are open, one inside the other.
        is_undone: Whether an error of an inner one has undone the outer one, which goes on.
        changes: Functions, and what each is to be called with, in the order of what they undo.
    """

    __slots__ = ("changes", "depth", "is_undone")

    def __init__(self) -> None:
        self.depth = 0
        self.is_undone = False
        self.changes: List[Tuple[Any, ...]] = []

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.depth -= 1
        if kind is None and not (self.depth or self.is_undone):
            self.changes.clear()
        elif self.depth:
            self.is_undone = self.is_undone or kind is not None
        else:
            changes, self.changes, self.is_undone = self.changes, [], False
            for change, *values in reversed(changes):
                change(*values)
            if kind is None:
                raise undone("commit a transaction")


class SharedJournal(Journal):
    """A journal for several threads: whoever is in a transaction has the store alone.

    Arguments:
        lock: What each of the store's operations takes, too.
    """

    __slots__ = ("_lock",)

    def __init__(self, lock: threading.RLock) -> None:
        super().__init__()
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.acquire()
        super().__enter__()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            self._lock.release()


def undone(doing: str) -> StoreError:
    """Return the error of an operation in a transaction that is undone already.

    Arguments:
        doing: What was asked for.
    """
    return StoreError(
        f"can not {doing} in a plain store: an error has undone this transaction; let the error "
        f"pass and begin again"
    )
