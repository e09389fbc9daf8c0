"""What the engine and the front end need from the world, as protocols.

There are two seams. A :class:`Backend` is all that decorators, results and the admin tool see: an
engine made by others is a Backend that hands over. A :class:`Store` is private to our own
single-machine engine, which drives it; it keeps values and never judges them.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import (
    Any,
    Callable,
    ContextManager,
    FrozenSet,
    Iterable,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Union,
)

from autocron.core.outcome import Outcome
from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task, TaskState
from autocron.core.values import frozen


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

    def wake_supervisor(self) -> None:
        """Let the supervisor look around; as ``wake``."""
        ...


class Hand(Protocol):
    """What a running function may do to its own task."""

    def tell_progress(self, progress: str) -> Optional[float]:
        """Note how far the task is; raises StoreError if that can not be stored.

        Returns:
            None if it is stored. Else it is stored with what is told later, or with the end of the
            attempt; unless somebody calls :meth:`keep_progress` after so many seconds.
        """
        ...

    def keep_progress(self, task: Task, told: Callable[[], Optional[str]]) -> None:
        """Store what a task in hand has told, if it still is in hand; for any thread.

        Arguments:
            task: The task.
            told: Returns it, or None if there is nothing to store by now; called when nobody else
                can store anything.

        Raises:
            StoreError: It can not be stored.
        """
        ...

    def is_cancel_asked(self) -> bool:
        """Look whether somebody has asked for the task to be cancelled."""
        ...


class Observer(Protocol):
    """Is told what happened to tasks, once it is stored; raises nothing.

    If it has a method ``listens_to``, that tells of a kind whether it is to be told at all.
    """

    def __call__(self, kind: str, task: Task) -> None:
        """Hear that a task was enqueued, started, succeeded, failed, retried, lost, cancelled."""
        ...


class Logbook(Protocol):
    """Notes what a worker does with tasks that it has claimed at once, before that is stored.

    A note survives the death of the process. It need not survive a power cut, and whoever writes it
    does not wait for the disk: then a task runs again, as it would whose end was stored just before
    (see ``durability``).
    """

    def note(self, begun: Task, ended: Optional[Task] = None) -> bool:
        """Note that an attempt begins, and how the one before it has ended; raises nothing.

        Arguments:
            begun: The task, as it runs.
            ended: One that has succeeded, as it is to be stored.

        Returns:
            Whether it is noted. If it is not, ``ended`` must be stored at once.
        """
        ...

    def clear(self) -> None:
        """Take note that all that has ended is stored."""
        ...


# A task's id and the number of its attempt.
Attempt = Tuple[str, int]


@frozen
class Logged:
    """What the logbook of a worker tells of its tasks.

    Attributes:
        begun: The attempts that have begun.
        ended: Of those that have succeeded: since when, until when, and the result as text.
    """

    begun: FrozenSet[Attempt]
    ended: Mapping[Attempt, Tuple[datetime, datetime, str]]

    @property
    def under_way(self) -> FrozenSet[Attempt]:
        """The attempts that have begun, and have not succeeded."""
        return self.begun.difference(self.ended)


class Logbooks(Protocol):
    """The logbooks of workers, for who takes back what they held."""

    def __call__(self, worker: str) -> Optional[Logged]:
        """Return what a worker has noted; None if it keeps no logbook."""
        ...


class Invoker(Protocol):
    """Runs the function of a task."""

    def invoke(self, task: Task, hand: Hand) -> Outcome:
        """Run the task's function with its arguments and tell how it went; raises nothing.

        Arguments:
            task: The task, which runs.
            hand: What the function may do to it meanwhile.
        """
        ...


@frozen
class Stats:
    """Counts over the stored tasks.

    Attributes:
        counts: The number of tasks in each state.
        oldest_due_at: When the longest-waiting due task became due; None if nothing is due.
    """

    counts: Mapping[TaskState, int]
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

    def add_all(self, tasks: Sequence[Task]) -> None:
        """Store several new tasks, in their order, all or none.

        Mostly they are :class:`autocron.core.values.Alike`, and a store may be quick about it.
        """
        ...

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task if it still is at ``before.revision``; tell whether it was."""
        ...

    def get(self, task_id: str) -> Optional[Task]:
        """Return one task, or None."""
        ...

    def claimable(self, now: datetime, queues: Optional[Sequence[str]] = None) -> Optional[Task]:
        """Return the waiting task to run next: by priority, due time, age.

        It is due, not held, and not expired; in one of the queues, if they are given, which is not
        paused; fewer than its ``limit`` of tasks with its lock run; its rate key is free.
        """
        ...

    def claimable_next(
        self, claimed: Task, now: datetime, limit: int, queues: Optional[Sequence[str]] = None
    ) -> List[Task]:
        """Return the waiting tasks to run after one that was claimed just now, in order.

        They have its priority, and are of the queues of which it was claimed. It ends before the
        first one that is not plain (:func:`autocron.core.task.is_plain`). Fewer may be returned.
        """
        ...

    def next_due_at(
        self, after: datetime, queues: Optional[Sequence[str]] = None
    ) -> Optional[datetime]:
        """Return the next instant at which something may become claimable by time alone.

        That is the earliest due time after an instant among the waiting tasks of the queues, or
        the instant at which a rate key becomes free.
        """
        ...

    def expiring(self, limit: int) -> List[Task]:
        """Return waiting tasks that expire, the first one to expire first."""
        ...

    def find(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        worker: Optional[str] = None,
        schedule: Optional[str] = None,
        group: Optional[str] = None,
        after: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, oldest first."""
        ...

    def taken_by(self, unique: str, running: bool, now: datetime) -> Optional[Task]:
        """Return the oldest task that takes a unique key.

        That is one which waits, or, with ``running``, runs, or whose ``unique_until_at`` is later
        than now.
        """
        ...

    def has_in_hand(self, schedule: str) -> bool:
        """Tell whether a task of the schedule with this key waits or runs."""
        ...

    def stats(self, now: datetime) -> Stats:
        """Return counts over all tasks."""
        ...

    def purge(self, state: TaskState, finished_before: datetime, limit: int) -> int:
        """Remove at most ``limit`` tasks in a final state that ended earlier; return how many.

        What is still needed stays: the members of a group of which one waits or runs, what waited
        for a task that is stored, and tasks whose ``unique_until_at`` is not earlier, too.
        """
        ...

    def shift(self, seconds: float) -> int:
        """Move the due times of the waiting tasks with an elapsed delay; return how many.

        So are, if they move back, those of the tasks that were due at their call. The starts of
        rate keys, and the instants at which they become free, move along.
        """
        ...

    def starts(self, rate_key: str, limit: int) -> List[datetime]:
        """Return the latest starts of the tasks with a rate key, the last one first."""
        ...

    def put_start(
        self, rate_key: str, at: datetime, until_at: datetime, free_at: Optional[datetime]
    ) -> None:
        """Add a start of a task with a rate key.

        Arguments:
            rate_key: The key.
            at: When it began.
            until_at: From when on it does not matter any more.
            free_at: Until when no other one is claimable; None if the key is free.
        """
        ...

    def busy_rates(self) -> Mapping[str, datetime]:
        """Return until when rate keys are not free, as far as they are not, or were not lately."""
        ...

    def purge_starts(self, now: datetime) -> None:
        """Remove the starts that do not matter any more."""
        ...

    def paused(self) -> FrozenSet[str]:
        """Return the queues that are paused; :data:`autocron.core.task.ALL_QUEUES` is all."""
        ...

    def put_paused(self, queue: str, is_paused: bool) -> None:
        """Pause a queue, or resume it."""
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

        If ``message.unique`` is taken, the task that takes it is returned instead.
        """
        ...

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[Sequence[Task], List[Task]]:
        """Store several tasks in one transaction: all of them, or none.

        Arguments:
            messages: The calls.
            then: Calls that are held, each until the one before has succeeded; the first one until
                all of the group have ended, or the one before has succeeded.
            group: Whether the tasks are a group; else there is one. A text is the group's id.

        Returns:
            The tasks of ``messages`` and of ``then``, in order.
        """
        ...

    def within(self, connection: object, is_asked: bool = True) -> Any:
        """Return what takes calls as part of a transaction of the application.

        Arguments:
            connection: The connection of that transaction.
            is_asked: Whether the application has asked for it.

        Returns:
            A :class:`autocron.serving.Route`; None if calls just go on as they would, or if nobody
            has asked, and there can be no such transaction.

        Raises:
            InvalidTask: There can be no such transaction here.
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

        A new one, one whose zone has changed, and one that was not enabled, begins at its
        ``watermark_at``; a known one keeps its own. Stored schedules of the modules in
        ``complete_for`` that are not among the given ones are forgotten, unless they were made at
        run time.
        """
        ...

    def put_schedule(self, schedule: Schedule, *, keeps_state: bool = False) -> None:
        """Keep a schedule that was made at run time, in the place of one with its key.

        A known one goes on if neither its text nor its zone has changed; with ``keeps_state`` it
        stays disabled if it is. Raises InvalidSchedule if a schedule in the code has the key.
        """
        ...

    def remove_schedule(self, key: str) -> bool:
        """Take such a schedule out again; tell whether it was there."""
        ...

    def schedules(self) -> List[Schedule]:
        """Return all schedules, ordered by key."""
        ...

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task; a final state implies that its result is there."""
        ...

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        group: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return tasks, oldest first."""
        ...

    def stats(self) -> Stats:
        """Return counts over all tasks."""
        ...

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Cancel a waiting task, or ask for a running one to end; tell whether that could be done.

        With ``kill`` a running one is ended if it does not end by itself.
        """
        ...

    def retry(self, task_id: str) -> bool:
        """Make a failed or cancelled task wait again; tell whether it does."""
        ...

    def reclaim(self, worker: str, charged: bool, timed_out: bool = False) -> List[Task]:
        """Take back the tasks of a worker that is gone; return what became of them.

        Arguments:
            worker: Its name.
            charged: Whether a living supervisor saw it die and had not ended it.
            timed_out: Whether it was ended since its task took too long.
        """
        ...

    def purge(self) -> int:
        """Remove what has been kept long enough, in a bounded batch; return how many."""
        ...
