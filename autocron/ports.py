"""What the engine and the front end need from the world, as protocols.

There are two seams. A :class:`Backend` is all that decorators, results and the admin tool see: an
engine made by others is a Backend that hands over. A :class:`Store` is private to our own
single-machine engine, which drives it; it keeps values and never judges them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import ContextManager, Iterable, List, Mapping, Optional, Protocol, Sequence

from autocron.core.outcome import Outcome
from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task, TaskState


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the wall-clock time as an aware UTC datetime."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back and go on while the machine sleeps."""
        ...


class Zones(Protocol):
    """Finds a time zone by the name under which a schedule keeps it."""

    def __call__(self, name: str) -> tzinfo:
        """Return the zone, or raise InvalidSchedule if this machine does not know it."""
        ...


class Waker(Protocol):
    """Tells a sleeping worker that something may be due."""

    def wake(self) -> None:
        """Wake one worker; never blocks, never raises, may be lost."""
        ...


class Invoker(Protocol):
    """Runs the function of a task."""

    def invoke(self, task: Task) -> Outcome:
        """Run the task's function with its arguments and tell how it went; raises nothing."""
        ...


@dataclass(frozen=True)
class Stats:
    """Counts over the stored tasks.

    Attributes:
        counts: The number of tasks in each state.
        oldest_due_at: When the longest-waiting due task became due; None if nothing is due.
    """

    counts: Mapping[TaskState, int] = field(default_factory=dict)
    oldest_due_at: Optional[datetime] = None


class Store(Protocol):
    """Keeps tasks, schedules and settings; compares and sets, and answers a few questions.

    Every method may raise :class:`~autocron.core.errors.StoreError`; then nothing has changed.
    """

    def transaction(self) -> ContextManager[None]:
        """Make what is done inside one atomic write; an exception undoes all of it.

        A transaction inside another one joins it.
        """
        ...

    def add(self, task: Task) -> None:
        """Store a new task."""
        ...

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task if it still is at ``before.revision``; tell whether it was."""
        ...

    def get(self, task_id: str) -> Optional[Task]:
        """Return one task, or None."""
        ...

    def claimable(self, now: datetime) -> Optional[Task]:
        """Return the waiting task to run next: due, its lock free; by priority, due time, age."""
        ...

    def next_due_at(self, after: datetime) -> Optional[datetime]:
        """Return the earliest due time after an instant among the waiting tasks."""
        ...

    def find(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        worker: Optional[str] = None,
        schedule: Optional[str] = None,
        unique: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, oldest first."""
        ...

    def has_in_hand(self, schedule: str) -> bool:
        """Tell whether a task of the schedule with this key waits or runs."""
        ...

    def stats(self, now: datetime) -> Stats:
        """Return counts over all tasks."""
        ...

    def purge(self, state: TaskState, finished_before: datetime, limit: int) -> int:
        """Remove at most ``limit`` tasks in a final state that ended earlier; return how many."""
        ...

    def shift(self, seconds: float) -> int:
        """Move the due times of the waiting tasks with an elapsed delay; return how many."""
        ...

    def schedules(self, key: Optional[str] = None) -> List[Schedule]:
        """Return all schedules, or the one with a key, ordered by key."""
        ...

    def swap_schedule(self, before: Optional[Schedule], after: Optional[Schedule]) -> bool:
        """Replace a schedule if it still equals ``before``; None is one that is not stored."""
        ...

    def settings(self) -> Mapping[str, str]:
        """Return all settings that were ever set."""
        ...

    def put_settings(self, changes: Mapping[str, Optional[str]]) -> None:
        """Set settings; None removes one."""
        ...

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
        ...


class Backend(Protocol):
    """All that the front end knows of an engine."""

    def open(self) -> None:
        """Make the backend usable, creating what is missing; cheap, and may be repeated."""
        ...

    def close(self) -> None:
        """Let go of what is held; the next use takes it again."""
        ...

    def enqueue(self, message: Message) -> Task:
        """Store a task durably; when this returns, it survives a crash.

        If ``message.unique`` is taken by a waiting task, that one is returned instead.
        """
        ...

    def fire(
        self, schedule: Schedule, at: datetime, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of one cron occurrence, once, however many ask.

        In one transaction: the schedule's watermark moves to ``at`` only if it is older, and the
        task is stored. With ``unless_active`` the occurrence is used up, but nothing is stored
        while a task of the schedule waits or runs. Returns the task, or None.
        """
        ...

    def declare(self, schedules: Sequence[Schedule], complete_for: Iterable[str] = ()) -> None:
        """Make schedules known.

        A new one, or one whose zone has changed, begins at its ``watermark_at``; a known one keeps
        its own. Stored schedules of the modules in ``complete_for`` that are not among the given
        ones are forgotten.
        """
        ...

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task; a final state implies that its result is there."""
        ...

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return tasks, oldest first."""
        ...

    def stats(self) -> Stats:
        """Return counts over all tasks."""
        ...

    def cancel(self, task_id: str) -> bool:
        """Cancel a waiting task; tell whether it will not run."""
        ...

    def retry(self, task_id: str) -> bool:
        """Make a failed or cancelled task wait again; tell whether it does."""
        ...

    def reclaim(self, worker: str, charged: bool) -> List[Task]:
        """Take back the tasks of a worker that is gone; return what became of them."""
        ...

    def purge(self) -> int:
        """Remove what has been kept long enough, in a bounded batch; return how many."""
        ...
