"""The engine: one bounded step over the ports.

A worker process, ``run_pending()`` and the simulator all drive :meth:`Engine.tick`; only the ports
differ. The engine decides nothing that :mod:`autocron.core` decides, and touches nothing but its
ports.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from autocron.core.errors import StoreError
from autocron.core.events import Claimed
from autocron.core.machine import apply
from autocron.core.outcome import Outcome, Returned, after_attempt, after_hand_back
from autocron.core.task import Task, TaskState, is_plain
from autocron.core.values import changed, row_of
from autocron.hand import AttemptHand
from autocron.housekeeping import House, earlier
from autocron.operations import Change, Operations, releases
from autocron.ports import Clock, Invoker, Logbook, Logbooks, Observer, Store, Waker, Zones
from autocron.stint import Stint

# How an attempt went, when it ended, and a number that was drawn, until it is stored.
_Ended = Tuple[Outcome, datetime, float]
# What was claimed, what has ended, and why that could not be stored.
_Worked = Tuple[Optional[Task], Optional[Task], Optional[StoreError]]


class Tick(NamedTuple):
    """What one step did.

    Attributes:
        fired: Tasks of cron occurrences that were stored.
        claimed: The task that will be run by the next step.
        finished: The task that was run by this step, as it is now, or will be when the stint that
            it belongs to is stored.
        next_at: When there is something to do again, as far as is known; None for "when woken".
            An instant that is not in the future means "at once".
        trouble: The error that kept an outcome from being stored; it is tried again next step.
    """

    fired: Tuple[Task, ...] = ()
    claimed: Optional[Task] = None
    finished: Optional[Task] = None
    next_at: Optional[datetime] = None
    trouble: Optional[StoreError] = None


_row = row_of(Tick)


class Engine(Operations):
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
        keeps_house: Whether a step also fires cron occurrences, follows the clock, ends what has
            expired and purges.
        queues: The queues of which tasks are claimed; None is all.
        observer: Is told what happened to tasks, once it is stored.
        logbook: Where it notes what it does with tasks; without one it claims one at a time.
        logbooks: Those of all workers; see :class:`autocron.operations.Operations`.

    Attributes:
        house: What is done on time, if it keeps house.
        steps: How many attempts it has ended.
    """

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
        queues: Optional[Sequence[str]] = None,
        observer: Optional[Observer] = None,
        logbook: Optional[Logbook] = None,
        logbooks: Optional[Logbooks] = None,
    ) -> None:
        super().__init__(
            store,
            clock,
            new_id=new_id,
            waker=waker,
            draw=draw,
            observer=observer,
            logbooks=logbooks,
        )
        self._invoker = invoker
        self._worker = worker
        self._queues = queues
        # As it is stored; and as it runs, which of a stint is later than it was claimed.
        self._in_hand: Optional[Task] = None
        self._begun: Optional[Task] = None
        self._hand: Optional[AttemptHand] = None
        self._ended: Optional[_Ended] = None
        self._logbook = logbook
        self._stint = Stint()
        # Held by who changes the stint, and stores what has ended.
        self._turn = threading.Lock()
        # What has changed, and the hooks are to hear of where tasks run.
        self._untold: List[Change] = []
        self.steps = 0
        self.house = House(self, zones) if keeps_house else None

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
        if self.house is not None:
            fired, next_at = self.house.keep()
        if self._invoker is None:
            return _row((fired, None, None, next_at, None))
        claimed = finished = trouble = None
        if self._in_hand is not None:
            claimed, finished, trouble = self._work(self._invoker, self._in_hand, claim)
        elif claim:
            claimed = self._claim()
        if claimed is not None:
            next_at = claimed.started_at
        elif trouble is not None:
            next_at = self.clock.now()
        elif claim:
            next_at = earlier(next_at, self._due_at(finished))
        return _row((fired, claimed, finished, next_at, trouble))

    def _due_at(self, finished: Optional[Task]) -> Optional[datetime]:
        now = self.clock.now()
        try:
            return self.store.next_due_at(now, self._queues)
        except StoreError:
            if finished is None:
                raise
            # What has ended is stored, and has to be told; the next step tells of this.
            return now

    @property
    def in_hand(self) -> Optional[Task]:
        """The task that was claimed and has not ended."""
        return self._in_hand

    @property
    def hand(self) -> Optional[AttemptHand]:
        """What the function of the task in hand may do to it, until that is stored."""
        if self._hand is None and self._in_hand is not None:
            self._hand = AttemptHand(self, self._in_hand)
        return self._hand

    @property
    def is_amid_stint(self) -> bool:
        """Whether tasks are claimed behind the one in hand, or have ended and are not stored."""
        return bool(self._stint)

    @property
    def has_kept(self) -> bool:
        """Whether something has ended and is not stored."""
        return bool(self._stint.kept)

    def settle(self, waits: bool = True) -> None:
        """Store what has ended, and give back what has not begun; for any thread.

        For who sees that the task in hand takes longer than was to be expected, or wants what is
        claimed behind it to be as stored.

        Arguments:
            waits: False to leave it if the stint is being stored in this moment.

        Raises:
            StoreError: It can not be stored; then all is as it was.
        """
        stint = self._stint
        if not self._turn.acquire(blocking=waits):
            return
        try:
            if not stint:
                return
            with self.store.transaction():
                changes = self._store_kept()
                given_back = self._give_back_ahead()
            stint.kept.clear()
            stint.ahead.clear()
            if self._observer is not None:
                self._untold += changes
        finally:
            self._turn.release()
        for _ in range(given_back + releases(changes)):
            self.wake()

    def share(self) -> None:
        """Wake another worker, if there is more to run than what is in hand, or will be soon."""
        # When the next one of a rate may begin, this worker is busy, perhaps. Else, to look takes
        # less than a worker that comes in vain, perhaps on this very processor.
        has_rate = self._in_hand is not None and self._in_hand.rate_key is not None
        if has_rate or self.store.claimable(self.clock.now()) is not None:
            self.wake()

    def let_go(self) -> None:
        """Give back the task in hand, charged nothing, unless it has been run already."""
        self.settle()
        task = self._in_hand
        if task is not None and self._ended is None:
            self._end(task, lambda task: after_hand_back(task, self.clock.now()))
            self._in_hand = self._begun = self._hand = None

    # -- working ----------------------------------------------------------------------------

    def _work(self, invoker: Invoker, task: Task, claim: bool) -> _Worked:
        """Run a task and end it; return the next one, the ended one, and why it could not."""
        begun = self._begun
        if begun is None:
            begun = self._begun = task
            if self._logbook is not None:
                self._logbook.note(task)
        hand = self._hand = self._hand or AttemptHand(self, task)
        ended = self._ended
        if ended is None:
            self._tell("started", begun)
            outcome = invoker.invoke(begun, hand)
            ended = self._ended = (outcome, self.clock.now(), self._draw())
        self.steps += 1
        with self._turn:
            worked = None
            if self._logbook is not None:
                worked = self._keep(hand.task, begun, ended, claim)
            if worked is None:
                worked = self._store_end(hand, begun, ended, claim)
            told, self._untold = self._untold, []
        # A hook is user code, and others have to wait for their turn for as long.
        self._tell_all(told)
        return worked

    def _keep(self, task: Task, begun: Task, ended: _Ended, claim: bool) -> Optional[_Worked]:
        """Only note the end of a task, and begin the next one of its stint, if that is enough."""
        (outcome, now, _), stint = ended, self._stint
        stint.learn(begun, now)
        if (
            not (stint.ahead and claim)
            or not isinstance(outcome, Returned)
            # It has told its progress, or somebody has changed it meanwhile.
            or task.revision != begun.revision
            or stint.is_over(now)
        ):
            return None
        after = apply(begun, after_attempt(begun, *ended))
        following = self._begin_next(now, after)
        if following is None:
            return None
        stint.kept.append((task, after))
        self._ended = self._hand = None
        return following, after, None

    def _begin_next(self, now: datetime, ended: Optional[Task] = None) -> Optional[Task]:
        """Take the next task of the stint in hand, unless the end of another can not be noted."""
        following = self._stint.ahead[0]
        begun = changed(following, started_at=now)
        if self._logbook is None or not (self._logbook.note(begun, ended) or ended is None):
            return None
        self._in_hand, self._begun = self._stint.ahead.popleft(), begun
        return following

    def _store_end(self, hand: AttemptHand, begun: Task, ended: _Ended, claim: bool) -> _Worked:
        """Store what has ended, and in the same transaction claim what is next."""
        stint = self._stint
        following: List[Task] = []
        given_back = 0
        try:
            with self.store.transaction():
                kept, changes = self._store_kept(), self._end_in_hand(hand, ended, begun)
                # It took longer than was to be expected, so others come before what is ahead, or
                # somebody has cancelled it.
                if stint.ahead and (not claim or stint.is_over(ended[1])):
                    given_back = self._give_back_ahead()
                if claim and (given_back or not stint.ahead):
                    following = self._claim_inside()
        except StoreError:
            # The two failed together. A finish is never undone by a claim, so it goes alone.
            following, given_back = [], 0
            try:
                with self.store.transaction():
                    kept, changes = self._store_kept(), self._end_in_hand(hand, ended, begun)
            except StoreError as error:
                self._note_end(begun, ended)
                return None, None, error
        self._in_hand = self._begun = self._ended = self._hand = None
        if self._logbook is not None:
            self._logbook.clear()
            stint.kept.clear()
        if given_back:
            stint.ahead.clear()
        if following:
            self._in_hand = stint.begin(following)
        elif stint.ahead and claim:
            self._begin_next(self.clock.now())
        for _ in range(given_back - len(following)):
            self.wake()
        if self._concerns_others(hand.task, kept, changes):
            self.wake()
        if self._observer is not None:
            self._untold += [*kept, *changes]
        return self._in_hand, changes[0][1] if changes else None, None

    def _concerns_others(self, ended: Task, kept: List[Change], changes: List[Change]) -> bool:
        """Tell whether another worker, which sleeps, may have to know of an end."""
        if releases([*kept, *changes[1:]], self._in_hand) or (changes and ended.lock is not None):
            # What waited for this lock, or this task, may be another one's to run.
            return True
        following = self._in_hand
        if following is None:
            return False
        # And this one has something else to do when it is to run again, or the next of a rate.
        runs_again = bool(changes) and changes[0][1].state is TaskState.WAITING
        return runs_again or following.rate_key is not None

    def _note_end(self, begun: Task, ended: _Ended) -> None:
        """Note what has returned and can not be stored now: if this worker dies, it is known."""
        if self._logbook is not None and isinstance(ended[0], Returned):
            self._logbook.note(begun, apply(begun, after_attempt(begun, *ended)))

    def _end_in_hand(self, hand: AttemptHand, ended: _Ended, begun: Task) -> List[Change]:
        return self._end(hand.task, after_attempt, ended, hand.untold, begun.started_at)

    def _store_kept(self) -> List[Change]:
        changes: List[Change] = []
        for task, after in self._stint.kept:
            if self.store.swap(task, after):
                changes += [("succeeded", after), *self._follow(after)]
            else:
                # Somebody may have asked for it to be cancelled; it has succeeded before.
                outcome = Returned(after.result or "")
                ended = (outcome, after.finished_at)
                changes += self._end(task, after_attempt, ended, None, after.started_at)
        return changes

    def _give_back_ahead(self) -> int:
        """Give back what is claimed and has not begun; return how many."""
        now = self.clock.now()
        for task in self._stint.ahead:
            self._end(task, lambda task: after_hand_back(task, now))
        return len(self._stint.ahead)

    def _claim(self) -> Optional[Task]:
        # An idle worker looks without the write lock first: most looks find nothing.
        now = self.clock.now()
        task = self.store.claimable(now, self._queues)
        if task is None:
            return None
        claimed = None
        if task.lock is None and task.rate_key is None:
            # One swap, which tells whether another worker was quicker: no transaction is needed.
            claimed = self._take(task, now)
        following = [claimed] if claimed is not None else []
        if not following:
            # There may be more. Whether a lock, or a rate key, is free can only be known in here.
            with self.store.transaction():
                # However many wait: others are idle, too, perhaps.
                following = self._claim_inside(alone=True)
        if following:
            # Only now: what could not be stored is not held.
            self._in_hand = self._stint.begin(following)
        return self._in_hand

    def _claim_inside(self, alone: bool = False) -> List[Task]:
        """Claim the next task, and unless it is to be alone those that make a stint with it."""
        now = self.clock.now()
        task = self.store.claimable(now, self._queues)
        claimed = None if task is None else self._take(task, now)
        if claimed is None:
            return []
        if alone or self._logbook is None or not is_plain(claimed):
            return [claimed]
        room = self._stint.room(claimed)
        if not room:
            return [claimed]
        following = self.store.claimable_next(claimed, now, room, self._queues)
        more = self._stint.fitting(claimed, following)
        found = [self._take(task, now) for task in more]
        return [claimed, *(task for task in found if task is not None)]

    def _take(self, task: Task, now: datetime) -> Optional[Task]:
        running = apply(task, Claimed(self._worker, now))
        if not self.store.swap(task, running):
            return None
        rate_key = task.rate_key
        if rate_key is not None:
            self._note_start(rate_key, task, now)
        return running

    def _note_start(self, rate_key: str, task: Task, now: datetime) -> None:
        rate = task.policy.rate
        if rate is not None:
            starts = [now, *self.store.starts(rate_key, rate.count - 1)]
            until_at = now + timedelta(seconds=rate.seconds)
            self.store.put_start(rate_key, now, until_at, rate.free_at(starts))
