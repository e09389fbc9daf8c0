"""What may be done to the tasks and schedules of a store, one atomic change each.

These are the operations of a :class:`autocron.ports.Backend`. A process that only stores calls
needs no more; the engine, which runs tasks, is built on them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
)

from autocron.calls import NewId, NewIds, store_call, store_calls
from autocron.core.errors import InvalidSchedule
from autocron.core.events import (
    AttemptFailed,
    CancelAsked,
    Cancelled,
    Event,
    Failed,
    HandedBack,
    Retried,
    Succeeded,
    WorkerLost,
)
from autocron.core.machine import TRANSITIONS, apply
from autocron.core.outcome import (
    Returned,
    after_attempt,
    after_hand_back,
    after_loss,
    after_timeout,
)
from autocron.core.schedule import Schedule
from autocron.core.settings import Settings
from autocron.core.task import (
    Failure,
    Message,
    Task,
    TaskState,
    has_no_time,
    new_task,
    one_more,
)
from autocron.core.values import changed
from autocron.followers import can_run, follow, revive
from autocron.ports import Clock, Logbooks, Logged, Observer, Stats, Store, Waker

PURGE_BATCH = 500
# Under this name the store tells that schedules were declared.
SCHEDULES_VERSION = "schedules_version"

# What an observer hears of an event; of the others, nothing.
Change = Tuple[str, Task]
_KINDS: Mapping[Type[Event], str] = {
    Succeeded: "succeeded",
    Failed: "failed",
    AttemptFailed: "retried",
    WorkerLost: "lost",
    HandedBack: "",
    Cancelled: "cancelled",
    CancelAsked: "",
    Retried: "enqueued",
}


class Operations:
    """Sequences what one atomic change of a store takes.

    Arguments:
        store: Where tasks, schedules and settings are kept.
        clock: The source of time.
        new_id: Draws the id of a new task.
        new_ids: Draws many at once, if that costs less.
        waker: Tells a sleeping worker that something may be due.
        draw: Draws a number evenly from 0 to 1, for the jitter of retries.
        observer: Is told what happened to tasks, once it is stored.
        logbooks: What workers have noted of their tasks, for when these are taken back.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        new_id: NewId,
        new_ids: Optional[NewIds] = None,
        waker: Optional[Waker] = None,
        draw: Callable[[], float] = lambda: 0.5,
        observer: Optional[Observer] = None,
        logbooks: Optional[Logbooks] = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self._new_id = new_id
        self._new_ids = new_ids or (lambda count: [new_id() for _ in range(count)])
        self._waker = waker
        self._draw = draw
        self._observer = observer
        self._logbooks = logbooks
        # Who may say that nobody listens has none of ten thousand tasks made only to be told.
        self._listens_to: Callable[[str], bool] = getattr(observer, "listens_to", lambda kind: True)
        # What each schedule's occurrences ask for, and the first task that was made of it.
        self._fired: Dict[str, Tuple[Message, Task]] = {}

    def wake(self) -> None:
        """Let a sleeping worker look whether something is due."""
        if self._waker is not None:
            self._waker.wake()

    def _wake_supervisor(self) -> None:
        if self._waker is not None:
            self._waker.wake_supervisor()

    # -- calls --------------------------------------------------------------------------------

    def enqueue(self, message: Message) -> Task:
        """Store the task of one call; see :meth:`autocron.ports.Backend.enqueue`."""
        task, is_new = store_call(self.store, message, self._new_id, self.clock.now())
        if is_new:
            self.wake()
            self._tell("enqueued", task)
        return task

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[Sequence[Task], List[Task]]:
        """Store several tasks at once; see :meth:`autocron.ports.Backend.enqueue_all`."""
        now = self.clock.now()
        tasks, chain, added = store_calls(
            self.store, messages, then, group, self._new_id, self._new_ids, now
        )
        if added or chain:
            self.wake()
        self.tell_enqueued(added, chain)
        return tasks, chain

    def fire(
        self, schedule: Schedule, at: datetime, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of one occurrence; see :meth:`autocron.ports.Backend.fire`."""
        stored = self.store.schedules(schedule.key)
        if not stored or stored[0].watermark_at >= at:
            return None
        moved = changed(stored[0], watermark_at=at)
        return self.store_occurrence(stored[0], moved, message, unless_active)

    def store_occurrence(
        self, schedule: Schedule, moved: Schedule, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of one occurrence, once; see :class:`autocron.firing.Firing`."""
        at = moved.watermark_at
        if moved.jitter_seconds:
            message = changed(message, run_at=at + timedelta(seconds=moved.delay_seconds))
        with self.store.transaction():
            if not self.store.swap_schedule(schedule, moved):
                # It is not stored as it was known: another engine was here, or it has changed.
                stored = self.store.schedules(schedule.key)
                if not stored or stored[0].watermark_at >= at:
                    return None
                self.store.swap_schedule(stored[0], changed(stored[0], watermark_at=at))
            task = self._add_unless(unless_active, schedule.key, message, at)
        if task is not None:
            self.wake()
        return task

    def fire_at_start(
        self, schedule: Schedule, service: str, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of a run at the start, once in each period of service, however many ask.

        Arguments:
            schedule: The schedule; what counts is what is stored under its key.
            service: The period of service.
            message: What is to run.
            unless_active: Store nothing while a task of the schedule waits or runs.

        Returns:
            The task, or None.
        """
        with self.store.transaction():
            stored = self.store.schedules(schedule.key)
            if not stored or stored[0].service == service:
                return None
            self.store.swap_schedule(stored[0], changed(stored[0], service=service))
            task = self._add_unless(unless_active, schedule.key, message, None)
        if task is not None:
            self.wake()
        return task

    def declare(self, schedules: Sequence[Schedule], complete_for: Iterable[str] = ()) -> None:
        """Make schedules known; see :meth:`autocron.ports.Backend.declare`."""
        given = {schedule.key: schedule for schedule in schedules}
        modules = set(complete_for)
        with self.store.transaction():
            stored = {schedule.key: schedule for schedule in self.store.schedules()}
            changes = [
                self.store.swap_schedule(stored.get(key), _as_declared(stored.get(key), schedule))
                for key, schedule in given.items()
                if _as_declared(stored.get(key), schedule) != stored.get(key)
            ]
            changes += [
                self.store.swap_schedule(schedule, None)
                for key, schedule in stored.items()
                if key not in given
                and not schedule.is_dynamic
                and schedule.name.partition(":")[0] in modules
            ]
            if changes:
                self._count_schedules_version()

    def put_schedule(self, schedule: Schedule, *, keeps_state: bool = False) -> None:
        """Keep a schedule made at run time; see :meth:`autocron.ports.Backend.put_schedule`."""
        with self.store.transaction():
            stored = self._dynamic(schedule.key)
            if keeps_state and stored is not None:
                schedule = changed(schedule, is_enabled=stored.is_enabled)
            after = _as_declared(stored, schedule)
            if after != stored:
                self.store.swap_schedule(stored, after)
                self._count_schedules_version()
        self._wake_supervisor()

    def remove_schedule(self, key: str) -> bool:
        """Take such a schedule out; see :meth:`autocron.ports.Backend.remove_schedule`."""
        with self.store.transaction():
            stored = self._dynamic(key)
            if stored is None:
                return False
            self.store.swap_schedule(stored, None)
            self._count_schedules_version()
        self._wake_supervisor()
        return True

    def _dynamic(self, key: str) -> Optional[Schedule]:
        """Return the stored schedule of a key, which must not be one in the code."""
        for stored in self.store.schedules(key):
            if not stored.is_dynamic:
                raise InvalidSchedule(
                    f"the schedule {key!r} stands in the code, at {stored.name}; change it there, "
                    "or give this one another name"
                )
            return stored
        return None

    def _count_schedules_version(self) -> None:
        self.store.put_settings({SCHEDULES_VERSION: next_version(self.store.settings())})

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Cancel a task, or ask for it; see :meth:`autocron.ports.Backend.cancel`."""
        now = self.clock.now()

        def decide(task: Task) -> Event:
            is_running = task.state is TaskState.RUNNING
            return CancelAsked(now, kill) if is_running else Cancelled(now)

        after = self._change(task_id, decide)
        if after is not None and after.is_cut_short:
            self._wake_supervisor()
        return after is not None

    def retry(self, task_id: str) -> bool:
        """Make an ended task wait again; see :meth:`autocron.ports.Backend.retry`."""
        after = self._change(task_id, lambda task: Retried(self.clock.now()))
        if after is not None:
            self.wake()
        return after is not None

    def reclaim(
        self, worker: str, charged: bool, timed_out: bool = False, how: str = ""
    ) -> List[Task]:
        """Take back the tasks of a lost worker; see :meth:`autocron.ports.Backend.reclaim`."""
        now = self.clock.now()
        if timed_out:
            return self._end_holding(worker, lambda task: after_timeout(task, now, self._draw()))
        return self._end_holding(worker, lambda task: after_loss(task, charged, now, how))

    def hand_back(self, worker: str) -> List[Task]:
        """Give back what a worker holds, charged nothing: it has to leave."""
        return self._end_holding(worker, lambda task: after_hand_back(task, self.clock.now()))

    def expire(self, now: datetime) -> Optional[datetime]:
        """Cancel what has expired; return when the next one does."""
        for _ in range(PURGE_BATCH):
            # One by one: most looks find that nothing has, and must not read all that will.
            first = self.store.expiring(1)
            if not first:
                return None
            expires_at = first[0].expires_at
            if expires_at is not None and expires_at > now:
                return expires_at
            self._change(first[0].id, lambda task: Cancelled(now, _expired(task)))
        return now

    def purge(self) -> int:
        """Remove what was kept long enough; see :meth:`autocron.ports.Backend.purge`."""
        return self.purge_by(Settings.read(self.store.settings()), self.clock.now())

    def purge_by(self, settings: Settings, now: datetime) -> int:
        """Do the same by settings, and at an instant, that are known."""
        before = now - timedelta(seconds=settings.result_ttl)
        removed = self.store.purge(TaskState.SUCCEEDED, before, PURGE_BATCH)
        removed += self.store.purge(TaskState.CANCELLED, before, PURGE_BATCH - removed)
        before = now - timedelta(seconds=settings.failure_ttl)
        self.store.purge_starts(now)
        return removed + self.store.purge(TaskState.FAILED, before, PURGE_BATCH - removed)

    def stats(self) -> Stats:
        """Return counts over all tasks."""
        return self.store.stats(self.clock.now())

    # -- pieces -----------------------------------------------------------------------------

    def _change(self, task_id: str, decide: Callable[[Task], Event]) -> Optional[Task]:
        """Let something happen to a task, if it can; return the task as it is then, or None."""
        with self.store.transaction():
            task = self.store.get(task_id)
            if task is None:
                return None
            event = decide(task)
            if type(event) not in TRANSITIONS[task.state]:
                return None
            if isinstance(event, Retried) and not can_run(self.store, task):
                return None
            after = apply(task, event)
            self.store.swap(task, after)
            changes = [(_KINDS[type(event)], after), *self._follow(after)]
            if isinstance(event, Retried):
                revive(self.store, after, event.at)
        if releases(changes[1:]):
            self.wake()
        self._tell_all(changes)
        return after

    def _end(
        self,
        task: Task,
        decide: Callable[..., Event],
        known: Tuple[Any, ...] = (),
        progress: Optional[str] = None,
        began_at: Optional[datetime] = None,
    ) -> List[Change]:
        """Let a running task end, unless it is another's by now; inside a transaction.

        Arguments:
            task: The task, as it was read.
            decide: Tells what happens to it: is given the task, as it is then, and ``known``.
            known: What else is known.
            progress: What it has told since.
            began_at: When it has begun, if it was claimed before that.

        Returns:
            What has changed, the task itself first.
        """
        kind, after = _ended(task, decide, known, progress, began_at)
        if not self.store.swap(task, after):
            # Somebody may have asked for it to be cancelled.
            again = self.look_again(task)
            if again is None:
                return []
            kind, after = _ended(again, decide, known, progress, began_at)
            self.store.swap(again, after)
        changes = [(kind, after)]
        if after.feeds:
            changes += self._follow(after)
        return changes

    def look_again(self, task: Task) -> Optional[Task]:
        """Return the task in hand as it is stored, unless it is in hand no more."""
        stored = self.store.get(task.id)
        if stored is None or (stored.worker, stored.attempt) != (task.worker, task.attempt):
            return None
        return stored

    def _end_holding(self, worker: str, decide: Callable[[Task], Event]) -> List[Task]:
        changes: List[Change] = []
        ended = []
        with self.store.transaction():
            running = self.store.find(state=TaskState.RUNNING, worker=worker)
            logged = self._logbooks(worker) if running and self._logbooks is not None else None
            for task in running:
                found = self._end_as_logged(task, decide, logged)
                ended.append(found[0][1])
                changes += found
        for _ in ended:
            self.wake()
        self._tell_all(changes)
        return ended

    def _end_as_logged(
        self, task: Task, decide: Callable[[Task], Event], logged: Optional[Logged]
    ) -> List[Change]:
        """Let a task end whose worker is gone: of a stint only one can have been under way."""
        if logged is None:
            return self._end(task, decide)
        attempt = (task.id, task.attempt)
        ended = logged.ended.get(attempt)
        if ended is not None:
            began_at, at, result = ended
            return self._end(task, after_attempt, (Returned(result), at), None, began_at)
        if attempt not in logged.begun:
            now = self.clock.now()
            return self._end(task, lambda task: after_hand_back(task, now))
        return self._end(task, decide)

    def _follow(self, after: Task) -> List[Change]:
        """Release or cancel what waits for a task that may have ended."""
        if not after.feeds or not after.state.is_final:
            return []
        followers = follow(self.store, after, self.clock.now())
        return [("cancelled" if task.state.is_final else "", task) for task in followers]

    def tell_enqueued(self, *added: Sequence[Task]) -> None:
        """Tell the observer of tasks that were stored, if it listens."""
        if self._listens_to("enqueued"):
            self._tell_all(("enqueued", task) for tasks in added for task in tasks)

    def _tell(self, kind: str, task: Task) -> None:
        if self._observer is not None and kind:
            self._observer(kind, task)

    def _tell_all(self, changes: Iterable[Change]) -> None:
        if self._observer is not None:
            for kind, task in changes:
                self._tell(kind, task)

    def _add_unless(
        self, unless_active: bool, key: str, message: Message, at: Optional[datetime]
    ) -> Optional[Task]:
        if unless_active and self.store.has_in_hand(key):
            return None
        # Most are one more task of a schedule that has fired before.
        known = self._fired.get(key)
        if known is not None and known[0] is message:
            task = one_more(known[1], self._new_id(), self.clock.now(), at)
        else:
            task = new_task(message, self._new_id(), self.clock.now(), at)
            if has_no_time(message):
                self._fired[key] = (message, task)
        self.store.add(task)
        return task


def _ended(
    task: Task,
    decide: Callable[..., Event],
    known: Tuple[Any, ...],
    progress: Optional[str],
    began_at: Optional[datetime],
) -> Change:
    event = decide(task, *known)
    if began_at is not None and began_at != task.started_at:
        task = changed(task, started_at=began_at)
    after = apply(task, event)
    if progress is not None:
        after = changed(after, progress=progress)
    return _KINDS[type(event)], after


def next_version(settings: Mapping[str, str]) -> str:
    """Return how often schedules were declared, with this time; any other text would do."""
    version = settings.get(SCHEDULES_VERSION, "")
    return str(int(version) + 1) if version.isdecimal() and len(version) < 18 else "1"


def releases(changes: Sequence[Change], taken: Optional[Task] = None) -> bool:
    """Tell whether others were released by the end of tasks, but for one that is taken already."""
    return any(
        task.state is TaskState.WAITING and (taken is None or task.id != taken.id)
        for _, task in changes
    )


def _as_declared(stored: Optional[Schedule], given: Schedule) -> Schedule:
    """Tell what a declared schedule becomes.

    A known one goes on, unless its text or zone has changed, or it was not enabled: it begins now.
    """
    if stored is None:
        return given
    goes_on = (stored.text, stored.zone) == (given.text, given.zone) and stored.is_enabled
    watermark_at = stored.watermark_at if goes_on else given.watermark_at
    return changed(given, watermark_at=watermark_at, service=stored.service)


def _expired(task: Task) -> Failure:
    return Failure("TaskExpired", f"it had not begun at {task.expires_at}, when it expired")
