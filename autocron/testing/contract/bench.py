"""A backend under check, and the hands that move its clock and its workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Callable, List, Protocol

from autocron.core.outcome import Outcome, Raised, Returned
from autocron.core.task import Failure, Message, Task
from autocron.ports import Backend, Hand

Invoke = Callable[[Task, Hand], Outcome]


class Bench(Protocol):
    """A backend under check."""

    @property
    def backend(self) -> Backend:
        """The backend; it is open."""
        ...

    def now(self) -> datetime:
        """Return the backend's time."""
        ...

    def advance(self, seconds: float) -> None:
        """Move the backend's time."""
        ...

    def work(self, invoke: Invoke, worker: str = "worker-1") -> None:
        """Run what is due, one after the other in one worker, until nothing is due.

        May be called inside ``invoke``, for another worker. If ``invoke`` raises, the worker has
        died: the exception passes, and the task stays as it is.
        """
        ...


BackendCheck = Callable[[Callable[[], Bench]], None]


class WorkerDeath(BaseException):
    """Ends a worker in the middle of a task."""


def a_message(payload: str = "[[],{}]", **options: Any) -> Message:
    """Make a message whose payload tells it from others."""
    return Message("shop.mail:send", payload, **options)


def returns_null(task: Task, hand: Hand) -> Outcome:
    """Run a task that returns nothing."""
    return Returned("null")


def raises(task: Task, hand: Hand) -> Outcome:
    """Run a task that fails."""
    return Raised(Failure("ValueError", "no 'ü'\nhere", "Traceback…\n  line"))


def dies(task: Task, hand: Hand) -> Outcome:
    """Run a task that kills its worker."""
    raise WorkerDeath


def payloads_run(bench: Bench, worker: str = "worker-1") -> List[str]:
    """Run what is due; return the payloads in the order in which they were run."""
    order: List[str] = []

    def note(task: Task, hand: Hand) -> Outcome:
        order.append(task.payload)
        return Returned("null")

    bench.work(note, worker)
    return order


def stored_task(bench: Bench, task: Task) -> Task:
    """Return the task as it is now."""
    stored = bench.backend.get(task.id)
    if stored is None:
        raise AssertionError(f"task {task.id} is gone")
    return stored


def death(bench: Bench) -> None:
    """Let a worker die of what is due."""
    try:
        bench.work(dies)
    except WorkerDeath:
        return
    raise AssertionError("the worker did not die: there was nothing to run")
