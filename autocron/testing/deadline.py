"""The time limit of a task that a test runs: its ``timeout=``, on the clock of the session."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Optional

from autocron.core.errors import TaskTimeout
from autocron.core.outcome import in_words
from autocron.core.task import Task
from autocron.ports import Clock

_deadline: ContextVar[Optional[Deadline]] = ContextVar("autocron_deadline", default=None)


class Deadline:
    """Limits the time of a task inside a ``with`` block, as far as one thread can.

    A worker interrupts a task that takes too long. A test has no second thread that could, so it is
    told when it lets the time of the session pass, or else when it has returned.

    Arguments:
        task: The task that runs.
        clock: The clock of the session.
    """

    def __init__(self, task: Task, clock: Clock) -> None:
        self._clock = clock
        self._seconds = task.policy.timeout_seconds
        self._began = clock.monotonic()

    def __enter__(self) -> Deadline:
        """Let :func:`check_deadline` find it."""
        self._token = _deadline.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Let it find what was there before."""
        _deadline.reset(self._token)

    def check(self) -> None:
        """See that there is time left.

        Raises:
            TaskTimeout: There is none.
        """
        seconds = self._seconds
        if seconds is not None and self._clock.monotonic() - self._began > seconds:
            raise TaskTimeout(f"it did not end within {in_words(seconds)}")


def check_deadline() -> None:
    """Raise TaskTimeout if this is inside a task whose time is over."""
    deadline = _deadline.get()
    if deadline is not None:
        deadline.check()
