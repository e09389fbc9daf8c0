"""What the function of one attempt does to its own task: tells its progress, hears of its cancel.

Each attempt has one of its own. A function may leave threads behind that still use it; then it is
about an attempt that has ended, and changes nothing of what is in hand by then.
"""

from __future__ import annotations

import math
from typing import Callable, Optional

from autocron.core.events import Progressed
from autocron.core.machine import apply
from autocron.core.task import Task
from autocron.operations import Operations

# What a task tells of its progress more often than this is stored together.
PROGRESS_PAUSE_SECONDS = 0.1


class AttemptHand:
    """Implements :class:`autocron.ports.Hand`.

    Arguments:
        operations: How the task is looked at, and changed.
        task: The task, as it is stored.

    Attributes:
        task: The same, as it was when it was last looked at.
        untold: The progress that it has told and that is not stored; None if there is none.
    """

    def __init__(self, operations: Operations, task: Task) -> None:
        self.task = task
        self.untold: Optional[str] = None
        self._operations = operations
        self._told_at = -math.inf

    def tell_progress(self, progress: str) -> Optional[float]:
        """Note how far the task is; see :class:`autocron.ports.Hand`."""
        now = self._operations.clock.monotonic()
        seconds = self._told_at + PROGRESS_PAUSE_SECONDS - now
        if seconds > 0:
            self.untold = progress
            return seconds
        self.untold = None
        after = self._store(self.task, lambda: progress)
        if after is not None:
            self.task, self._told_at = after, now
        return None

    def keep_progress(self, task: Task, told: Callable[[], Optional[str]]) -> None:
        """Store what a task has told; see :class:`autocron.ports.Hand`."""
        # What is known of the task is another thread's to say: it looks again.
        self._store(task, told)

    def _store(self, task: Task, told: Callable[[], Optional[str]]) -> Optional[Task]:
        store = self._operations.store
        with store.transaction():
            # Somebody may have asked for it to be cancelled, or it is another's by now.
            stored, progress = self._operations.look_again(task), told()
            if stored is None or progress is None:
                return None
            after = apply(stored, Progressed(progress))
            store.swap(stored, after)
        return after

    def is_cancel_asked(self) -> bool:
        """Look whether somebody has asked for the task to be cancelled."""
        if self.task.cancel_asked_at is None:
            self.task = self._operations.look_again(self.task) or self.task
        return self.task.cancel_asked_at is not None
