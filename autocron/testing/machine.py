"""A virtual machine: one supervisor and some workers, on one store and one clock.

Nothing is decided here that the engine decides. What is played is what happens between its steps:
time passes, a process is woken, dies, or is started. A step of a process is ``Engine.tick()``, the
same as in production; a worker claims in one, lets the duration of the task pass, and ends the task
in the next.
"""

from __future__ import annotations

import heapq
import itertools
import random
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple, cast

from autocron import zones
from autocron.core.errors import StoreError
from autocron.core.task import Task, TaskState
from autocron.engine import Engine, Tick
from autocron.firing import SERVICE
from autocron.ports import Store
from autocron.testing.decisions import Decisions
from autocron.testing.faults import FaultyStore, ProcessDeath
from autocron.testing.power import UnsyncedStore
from autocron.testing.recorder import Recorder
from autocron.testing.scenario import Scenario
from autocron.testing.virtual_clock import VirtualClock
from autocron.testing.virtual_processes import House, Worker

_MICROSECOND = timedelta(microseconds=1)
# How long processes wait for what: those of the shell.
TROUBLE_PAUSE = timedelta(seconds=0.5)
TAKE_OVER = timedelta(seconds=0.1)
TIMEOUT_GRACE = timedelta(seconds=5)


Action = Callable[..., None]


class Machine:
    """Plays a scenario, step by step; what happens to the machine is left to others.

    Arguments:
        scenario: What to play.
        store: The store, new and empty.
        recorder: Takes down what happens.
    """

    def __init__(self, scenario: Scenario, store: Store, recorder: Recorder) -> None:
        self.scenario = scenario
        self.clock = VirtualClock(scenario.start_at)
        self.chance = random.Random(scenario.seed)
        self.recorder = recorder
        self.store = store
        self._unsynced: Optional[UnsyncedStore] = None
        if scenario.power_cuts or scenario.power_cut_rate:
            self._unsynced = UnsyncedStore(store, self.chance)
            store = cast(Store, self._unsynced)
        self._faulty: Optional[FaultyStore] = None
        if scenario.full_disk or scenario.faults.lost_commits or scenario.faults.races:
            self._faulty = FaultyStore(
                store,
                lambda: self.clock.true_at,
                scenario.full_disk,
                scenario.faults.lost_commits,
                scenario.faults.races,
                scenario.faults_until,
                self.chance,
            )
            self._faulty.overtake = self._overtake
        self.used_store = store if self._faulty is None else cast(Store, self._faulty)
        self.accepted: List[str] = []
        self.keeper: Optional[House] = None
        self.workers: List[Worker] = []
        self._stepped: Optional[Worker] = None
        self.is_off = False
        self._keeper_due_at: Optional[datetime] = None
        # The name of each, whether its death is charged, and whether it was ended for its task.
        self._lost: List[Tuple[str, bool, bool]] = []
        self._last_end_at: Optional[datetime] = None
        self._plan: List[Tuple[datetime, int, Action, Tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._end_at = scenario.end_at
        self.drawn_ids = 0
        self._names: Dict[int, int] = {}
        self._wakes = 0
        self._crash_attempts = dict(scenario.crash_attempts)
        self._deciding = Decisions(scenario, self.chance)

    # -- time ---------------------------------------------------------------------------------

    def _at(self, at: datetime, action: Action, *values: Any) -> None:
        heapq.heappush(self._plan, (at, next(self._order), action, values))

    def step(self) -> bool:
        """Play what happens next; tell whether anything did."""
        plan = self._plan
        if not plan or plan[0][0] >= self._end_at:
            return False
        at, _, action, values = heapq.heappop(plan)
        if at > self.clock.true_at:
            self.clock.move(at)
        action(*values)
        while self._wakes:
            self._wake_one()
        return True

    def finish(self) -> None:
        """Let the end come, and take down what is still running."""
        self.clock.move(self.scenario.end_at)
        workers, self.workers = self.workers, []
        for worker in workers:
            if worker.task is not None:
                self.recorder.ended(worker.task, worker.name, None, "running")

    # -- the supervisor -----------------------------------------------------------------------

    def _start_supervisor(self, service: str = "") -> None:
        if self.is_off or self.keeper is not None:
            return
        keeper = House(
            self.used_store,
            self.clock,
            zones=zones.load_zone,
            new_id=self.new_id,
            waker=self,
            keeps_house=True,
        )
        keeper.recorder = self.recorder
        keeper.step = self._steps(keeper)
        try:
            if service:
                self.used_store.put_settings({SERVICE: service})
                self._declare(keeper)
            alive = {worker.name for worker in self.workers}
            for task in self.used_store.find(state=TaskState.RUNNING):
                if task.worker is not None and task.worker not in alive:
                    self._reclaim(keeper, task.worker, charged=False)
        except (StoreError, ProcessDeath):
            self._at(self.clock.true_at + TROUBLE_PAUSE, self._start_supervisor, service)
            return
        self.keeper, self._lost = keeper, []
        for worker in list(self.workers):
            self._dismiss(worker)
        for slot in range(1, self.scenario.workers + 1):
            self._start_worker(slot)
        self._step_supervisor()

    def _declare(self, keeper: Engine) -> None:
        scenario = self.scenario
        # What is due at the very first instant is a part of the span.
        now = self.clock.now() - _MICROSECOND
        keeper.declare([one.schedule(scenario.zone_name, now) for one in scenario.schedules])

    def _step_supervisor(self) -> None:
        keeper = self.keeper
        if keeper is None:
            return
        try:
            while self._lost:
                self._reclaim(keeper, *self._lost[0])
                self._lost.pop(0)
            tick = keeper.step()
        except StoreError:
            self._plan_supervisor(self.clock.true_at + TROUBLE_PAUSE)
            return
        except ProcessDeath:
            self._lose_supervisor()
            return
        self._note_fired(tick)
        next_at = self._next_step_of(keeper, tick)
        if next_at is not None:
            self._plan_supervisor(next_at)

    def _note_fired(self, tick: Tick) -> None:
        for task in tick.fired:
            self.accepted.append(task.id)

    def _next_step_of(self, keeper: House, tick: Tick) -> Optional[datetime]:
        """Tell when a supervisor that has done a step is to do the next one."""
        next_at, now = tick.next_at, self.clock.now()
        if next_at is None or next_at > now:
            next_at = keeper.needed_at(now, self._last_end_at)
        return None if next_at is None else self.clock.true(next_at)

    def _lose_supervisor(self) -> None:
        """Let the supervisor be dead; one of its workers sees it, and starts the next."""
        if self.keeper is not None:
            self.recorder.marks.append((self.clock.true_at, "supervisor", 0.0))
            self.keeper = None
            self._at(self.clock.true_at + TAKE_OVER, self._start_supervisor)

    def _plan_supervisor(self, at: datetime) -> None:
        true_at = self.clock.true_at
        due_at = self._keeper_due_at = at if at > true_at else true_at
        planned = (due_at, next(self._order), self._step_due_supervisor, (self.keeper, due_at))
        heapq.heappush(self._plan, planned)

    def _step_due_supervisor(self, keeper: Engine, due_at: datetime) -> None:
        if self.keeper is keeper and self._keeper_due_at == due_at:
            self._step_supervisor()

    def _steps(self, engine: Engine, is_worker: bool = False) -> Callable[..., Tick]:
        """Return how the process of an engine is stepped."""
        step: Callable[..., Tick] = engine.tick
        if is_worker and self._unsynced is not None:
            step = partial(self._unsynced.as_worker, step)
        return step if self._faulty is None else partial(self._stepping, step)

    def _stepping(self, step: Callable[..., Any], *values: Any) -> Any:
        """Step a process; only then can a commit be lost."""
        if self._faulty is None:
            return step(*values)
        before, self._faulty.is_stepped = self._faulty.is_stepped, True
        try:
            return step(*values)
        finally:
            self._faulty.is_stepped = before

    # -- workers ------------------------------------------------------------------------------

    def _start_worker(self, slot: int) -> None:
        number = self._names[slot] = self._names.get(slot, 0) + 1
        name = f"worker-{slot}" + (f".{number}" if number > 1 else "")
        worker = Worker(name, slot, self.scenario.queues_of(slot))
        worker.invoke = self._deciding.invoke  # type: ignore[method-assign]
        worker.engine = Engine(
            self.used_store,
            self.clock,
            zones=zones.load_zone,
            new_id=self.new_id,
            waker=self,
            invoker=worker,
            worker=worker.name,
            draw=self.chance.random,
            queues=worker.queues,
        )
        worker.step = self._steps(worker.engine, is_worker=True)
        self.workers.append(worker)
        self.workers.sort(key=lambda one: one.slot)
        self._plan_worker(worker, self.clock.true_at)

    def _plan_worker(self, worker: Worker, at: datetime) -> None:
        true_at = self.clock.true_at
        due_at = worker.due_at = at if at > true_at else true_at
        heapq.heappush(self._plan, (due_at, next(self._order), self._step_worker, (worker, due_at)))

    def _step_worker(self, worker: Worker, due_at: Optional[datetime] = None) -> None:
        """Step a worker; one that was to be stepped at an instant, only if it still is."""
        if due_at is not None and worker.due_at != due_at:
            return
        worker.due_at = None
        self._stepped = worker
        was_idle = worker.task is None
        try:
            tick = worker.step(not worker.is_leaving)
        except StoreError:
            self._plan_worker(worker, self.clock.true_at + TROUBLE_PAUSE)
            return
        except ProcessDeath:
            self._bury(worker, "worker died")
            return
        if tick.trouble is not None:
            self._plan_worker(worker, self.clock.true_at + TROUBLE_PAUSE)
            return
        if worker.task is not None:
            outcome = self._deciding.outcome_of(worker.task, tick.finished)
            self._last_end_at = self.clock.now()
            self.recorder.ended(worker.task, worker.name, self._last_end_at, outcome)
        worker.task = tick.claimed
        if tick.claimed is not None:
            self._begin(worker, tick.claimed)
            if was_idle:
                # Several may have become due at once.
                self._wakes += 1
        elif worker.is_leaving:
            self.workers.remove(worker)
        elif tick.next_at is not None:
            self._plan_worker(worker, self.clock.true(tick.next_at))

    def _overtake(self) -> None:
        """Step an idle worker in the middle of the step of another one."""
        stepped = self._stepped
        idle = [one for one in self.workers if one.task is None and one is not stepped]
        if stepped is not None and stepped.task is None and idle:
            self._step_worker(self.chance.choice(idle))
            self._stepped = stepped

    def _begin(self, worker: Worker, task: Task) -> None:
        ends_at = self.clock.true_at + self._deciding.duration(task)
        left = self._crash_attempts.get(task.name, 0) if self._crash_attempts else 0
        if left:
            self._crash_attempts[task.name] = left - 1
            half = (ends_at - self.clock.true_at) / 2
            self._at(self.clock.true_at + half, self._kill_while, worker, task)
        timeout_seconds = task.policy.timeout_seconds
        if timeout_seconds is not None and self._deciding.hangs(task, self._is_calm):
            # It would go on for ever.
            overdue = timedelta(seconds=timeout_seconds) + TIMEOUT_GRACE
            self._at(self.clock.true_at + overdue, self._end_overdue, worker, task)
        else:
            self._plan_worker(worker, ends_at)

    @property
    def _is_calm(self) -> bool:
        return self.clock.true_at >= self.scenario.faults_until

    def _end_overdue(self, worker: Worker, task: Task) -> None:
        """Let the supervisor end a worker whose task did not end when its time was over."""
        if worker.task is not task or worker not in self.workers:
            return
        if self.keeper is None:
            # The next one sees it.
            self._at(self.clock.true_at + TAKE_OVER, self._end_overdue, worker, task)
        else:
            self._bury(worker, "timed out", timed_out=True)

    def _dismiss(self, worker: Worker) -> None:
        """Let a worker of an earlier supervisor end its task, and leave."""
        worker.is_leaving = worker.is_adopted = True
        if worker.task is None:
            self.workers.remove(worker)
            worker.due_at = None

    def _bury(self, worker: Worker, why: str, timed_out: bool = False) -> None:
        """Let a worker be dead."""
        held = worker.engine.in_hand or worker.task
        if held is not None and not worker.is_stalled:
            self.recorder.ended(held, worker.name, self.clock.now(), why)
        self.workers.remove(worker)
        worker.due_at = worker.task = None
        if self.keeper is not None:
            # Whose child it was not can not tell why it died, so that is charged to nobody.
            self._lost.append((worker.name, not worker.is_adopted, timed_out))
            self._step_supervisor()
            if not worker.is_leaving and self.keeper is not None:
                self._start_worker(worker.slot)

    def _kill_while(self, worker: Worker, task: Task) -> None:
        if worker.task is task and worker in self.workers:
            self._bury(worker, "worker died")

    def wake(self) -> None:
        """Take a datagram of an engine: it is what wakes a worker."""
        self._wakes += 1

    def wake_supervisor(self) -> None:
        """Take a datagram of an engine to the supervisor, which looks around."""
        self._at(self.clock.true_at, self._step_supervisor)

    def _wake_one(self) -> None:
        for worker in self.workers:
            if worker.task is None:
                self._wakes -= 1
                self._step_worker(worker)
                if worker.queues is not None and worker.task is None:
                    self._pass_on(worker)
                return
        self._wakes = 0  # All are busy, and look for the next task when they end theirs.

    def _pass_on(self, woken: Worker) -> None:
        """Let all others look: what has woken this worker was nothing for its queues."""
        for worker in list(self.workers):
            if worker is not woken and worker.task is None and worker in self.workers:
                self._step_worker(worker)

    # -- pieces -------------------------------------------------------------------------------

    @property
    def has_trouble(self) -> bool:
        """Whether the supervisor has not yet taken back what lost workers held."""
        return bool(self._lost)

    def new_id(self) -> str:
        """Return the id of the next task: a number."""
        self.drawn_ids += 1
        return f"task-{self.drawn_ids}"

    def _reclaim(self, keeper: Engine, worker: str, charged: bool, timed_out: bool = False) -> None:
        taken_back = keeper.reclaim(worker, charged, timed_out)
        if not timed_out:
            self.recorder.taken_back += [(task, charged) for task in taken_back]
