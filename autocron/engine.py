"""The engine: one bounded step over the ports.

A worker process, ``run_pending()`` and the simulator all drive :meth:`Engine.tick`; only the ports
differ. The engine decides nothing that :mod:`autocron.core` decides, and touches nothing but its
ports.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Callable, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from autocron.core.errors import StoreError
from autocron.core.events import Cancelled, Claimed, Event, HandedBack, Retried
from autocron.core.machine import TRANSITIONS, apply
from autocron.core.outcome import after_attempt, after_loss
from autocron.core.schedule import Schedule
from autocron.core.settings import Settings
from autocron.core.task import Message, Task, TaskState, new_task
from autocron.core.values import changed
from autocron.firing import SCHEDULES_VERSION, CronTicker
from autocron.ports import Clock, Invoker, Stats, Store, Waker, Zones

PURGE_EVERY_SECONDS = 30.0
PURGE_BATCH = 500
# Below this a difference between the two clocks is measurement and slewing, not a step.
CLOCK_STEP_SECONDS = 1.0


class Tick(NamedTuple):
    """What one step did.

    Attributes:
        fired: Tasks of cron occurrences that were stored.
        claimed: The task that will be run by the next step.
        finished: The task that was run by this step, as it is now.
        next_at: When there is something to do again, as far as is known; None for "when woken".
            An instant that is not in the future means "at once".
        trouble: The error that kept an outcome from being stored; it is tried again next step.
    """

    fired: Tuple[Task, ...] = ()
    claimed: Optional[Task] = None
    finished: Optional[Task] = None
    next_at: Optional[datetime] = None
    trouble: Optional[StoreError] = None


class Engine:
    """Sequences the store, the clock and the running of functions.

    Arguments:
        store: Where tasks, schedules and settings are kept.
        clock: The source of time.
        zones: Finds time zones by name.
        new_id: Draws the id of a new task.
        waker: Tells a sleeping worker that something may be due.
        invoker: Runs functions; None for an engine that runs none, as the supervisor's.
        worker: The name under which tasks are claimed.
        draw: Draws a number evenly from 0 to 1, for the jitter of retries.
        keeps_house: Whether a step also fires cron occurrences, follows the clock and purges.
    """

    #: How often who keeps house looks for what was kept long enough.
    purge_every = timedelta(seconds=PURGE_EVERY_SECONDS)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        zones: Zones,
        new_id: Callable[[], str],
        waker: Optional[Waker] = None,
        invoker: Optional[Invoker] = None,
        worker: str = "",
        draw: Callable[[], float] = lambda: 0.5,
        keeps_house: bool = False,
    ) -> None:
        self.store = store
        self.clock = clock
        self._new_id = new_id
        self._waker = waker
        self._invoker = invoker
        self._worker = worker
        self._draw = draw
        self._in_hand: Optional[Task] = None
        self._unstored: Optional[Event] = None
        self._ticker = CronTicker(store, zones, self) if keeps_house else None
        self._purge_at: Optional[datetime] = None
        self._clock_offset: Optional[float] = None
        self._stored_settings: Mapping[str, str] = {}
        self._settings = Settings()

    # -- the step ---------------------------------------------------------------------------

    def tick(self, claim: bool = True) -> Tick:
        """Do one bounded step.

        Keep house if this engine does; run the task in hand, and in the same transaction that
        stores its outcome claim the next; or, with empty hands, claim one.

        Arguments:
            claim: False to take no further task: the engine is on its way out.

        Returns:
            What was done, and when there is something to do again.
        """
        fired: Tuple[Task, ...] = ()
        next_at: Optional[datetime] = None
        if self._ticker is not None:
            fired, next_at = self._keep_house(self._ticker)
        if self._invoker is None:
            return Tick(fired, None, None, next_at)
        claimed = finished = trouble = None
        if self._in_hand is not None:
            claimed, finished, trouble = self._work(self._invoker, self._in_hand, claim)
        elif claim:
            claimed = self._claim()
        now = self.clock.now()
        if claimed is not None or trouble is not None:
            next_at = now
        elif claim:
            next_at = _earlier(next_at, self.store.next_due_at(now))
        return Tick(fired, claimed, finished, next_at, trouble)

    def wake(self) -> None:
        """Let a sleeping worker look whether something is due."""
        if self._waker is not None:
            self._waker.wake()

    @property
    def in_hand(self) -> Optional[Task]:
        """The task that was claimed and has not ended."""
        return self._in_hand

    def let_go(self) -> None:
        """Give back the task in hand, charged nothing, unless it has been run already."""
        if self._in_hand is not None and self._unstored is None:
            self.store.swap(self._in_hand, apply(self._in_hand, HandedBack()))
            self._in_hand = None

    # -- working ----------------------------------------------------------------------------

    def _work(
        self, invoker: Invoker, task: Task, claim: bool
    ) -> Tuple[Optional[Task], Optional[Task], Optional[StoreError]]:
        """Run a task and end it; return the next one, the ended one, and why it could not."""
        if self._unstored is None:
            outcome = invoker.invoke(task)
            self._unstored = after_attempt(task, outcome, self.clock.now(), self._draw())
        after = apply(task, self._unstored)
        try:
            with self.store.transaction():
                kept = self.store.swap(task, after)
                claimed = self._claim_inside() if claim else None
        except StoreError:
            # The two failed together. A finish is never undone by a claim, so it goes alone.
            claimed = None
            try:
                kept = self.store.swap(task, after)
            except StoreError as error:
                return None, None, error
        self._in_hand, self._unstored = claimed, None
        if kept and after.lock is not None:
            # What waited for this lock may be another worker's to run.
            self.wake()
        return claimed, after if kept else None, None

    def _claim(self) -> Optional[Task]:
        # An idle worker looks without the write lock first: most looks find nothing.
        task = self.store.claimable(self.clock.now())
        if task is None:
            return None
        with self.store.transaction():
            # If another worker was quicker, there may be more. Whether a lock is free can only be
            # known in here.
            claimed = self._take(task, self.clock.now()) if task.lock is None else None
            if claimed is None:
                claimed = self._claim_inside()
        # Only now: what could not be stored is not held.
        self._in_hand = claimed
        return claimed

    def _claim_inside(self) -> Optional[Task]:
        now = self.clock.now()
        task = self.store.claimable(now)
        return None if task is None else self._take(task, now)

    def _take(self, task: Task, now: datetime) -> Optional[Task]:
        running = apply(task, Claimed(self._worker, now))
        return running if self.store.swap(task, running) else None

    # -- keeping house ----------------------------------------------------------------------

    def _keep_house(self, ticker: CronTicker) -> Tuple[Tuple[Task, ...], Optional[datetime]]:
        now = self.clock.now()
        stepped_seconds = self._follow_clock(now)
        settings = self.store.settings()
        if settings is not self._stored_settings and settings != self._stored_settings:
            self._stored_settings, self._settings = settings, Settings.read(settings)
        fired = ticker.tick(now, self._stored_settings, stepped_seconds)
        if self._purge_at is None or now >= self._purge_at or stepped_seconds:
            # A full batch means that there is more, so the next step goes on with it.
            full = self._purge(self._settings, now) >= PURGE_BATCH
            self._purge_at = now if full else now + self.purge_every
        return fired, _earlier(self._purge_at, ticker.next_at)

    def _follow_clock(self, now: datetime) -> float:
        """Move elapsed delays along with a stepped wall clock; return the step in seconds."""
        offset = now.timestamp() - self.clock.monotonic()
        if self._clock_offset is None:
            self._clock_offset = offset
            return 0.0
        stepped_seconds = offset - self._clock_offset
        if abs(stepped_seconds) < CLOCK_STEP_SECONDS:
            return 0.0
        self.store.shift(stepped_seconds)
        self._clock_offset = offset
        return stepped_seconds

    # -- what a backend offers, in terms of the store -----------------------------------------

    def enqueue(self, message: Message) -> Task:
        """Store the task of one call; see :meth:`autocron.ports.Backend.enqueue`."""
        task = new_task(message, self._new_id(), self.clock.now())
        if message.unique is None:
            self.store.add(task)
        else:
            with self.store.transaction():
                same = self.store.find(state=TaskState.WAITING, unique=message.unique, limit=1)
                if same:
                    return same[0]
                self.store.add(task)
        self.wake()
        return task

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
            self.store.swap_schedule(stored[0], replace(stored[0], service=service))
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
                if key not in given and schedule.name.partition(":")[0] in modules
            ]
            if changes:
                version = int(self.store.settings().get(SCHEDULES_VERSION, "0"))
                self.store.put_settings({SCHEDULES_VERSION: str(version + 1)})

    def cancel(self, task_id: str) -> bool:
        """Cancel a waiting task; see :meth:`autocron.ports.Backend.cancel`."""
        return self._change(task_id, Cancelled(self.clock.now()))

    def retry(self, task_id: str) -> bool:
        """Make an ended task wait again; see :meth:`autocron.ports.Backend.retry`."""
        done = self._change(task_id, Retried(self.clock.now()))
        if done:
            self.wake()
        return done

    def reclaim(self, worker: str, charged: bool) -> List[Task]:
        """Take back the tasks of a lost worker; see :meth:`autocron.ports.Backend.reclaim`."""
        now = self.clock.now()
        return self._end_holding(worker, lambda task: after_loss(task, charged, now))

    def hand_back(self, worker: str) -> List[Task]:
        """Give back what a worker holds, charged nothing: it has to leave."""
        return self._end_holding(worker, lambda task: HandedBack())

    def purge(self) -> int:
        """Remove what was kept long enough; see :meth:`autocron.ports.Backend.purge`."""
        return self._purge(Settings.read(self.store.settings()), self.clock.now())

    def _purge(self, settings: Settings, now: datetime) -> int:
        before = now - timedelta(seconds=settings.result_ttl)
        removed = self.store.purge(TaskState.SUCCEEDED, before, PURGE_BATCH)
        removed += self.store.purge(TaskState.CANCELLED, before, PURGE_BATCH - removed)
        before = now - timedelta(seconds=settings.failure_ttl)
        return removed + self.store.purge(TaskState.FAILED, before, PURGE_BATCH - removed)

    def stats(self) -> Stats:
        """Return counts over all tasks."""
        return self.store.stats(self.clock.now())

    # -- pieces -----------------------------------------------------------------------------

    def _change(self, task_id: str, event: Event) -> bool:
        with self.store.transaction():
            task = self.store.get(task_id)
            if task is None or type(event) not in TRANSITIONS[task.state]:
                return False
            return self.store.swap(task, apply(task, event))

    def _end_holding(self, worker: str, decide: Callable[[Task], Event]) -> List[Task]:
        ended = []
        with self.store.transaction():
            for task in self.store.find(state=TaskState.RUNNING, worker=worker):
                ended.append(apply(task, decide(task)))
                self.store.swap(task, ended[-1])
        for _ in ended:
            self.wake()
        return ended

    def _add_unless(
        self, unless_active: bool, key: str, message: Message, at: Optional[datetime]
    ) -> Optional[Task]:
        if unless_active and self.store.has_in_hand(key):
            return None
        task = new_task(message, self._new_id(), self.clock.now(), at)
        self.store.add(task)
        return task


def _earlier(first: Optional[datetime], second: Optional[datetime]) -> Optional[datetime]:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


def _as_declared(stored: Optional[Schedule], given: Schedule) -> Schedule:
    """Tell what a declared schedule becomes: a known one goes on, unless its zone has changed."""
    if stored is None:
        return given
    watermark_at = stored.watermark_at if stored.zone == given.zone else given.watermark_at
    return replace(given, watermark_at=watermark_at, service=stored.service)
