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
from autocron.testing.recorder import Recorder
from autocron.testing.scenario import Scenario
from autocron.testing.virtual_clock import VirtualClock
from autocron.testing.virtual_processes import House, Worker

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
# How long processes wait for what: those of the shell.
TROUBLE_PAUSE = timedelta(seconds=0.5)
IDLE = timedelta(seconds=30)
TAKE_OVER = timedelta(seconds=0.1)
LONGEST_STALL_SECONDS = 600.0


Action = Callable[..., None]


class Machine:
    """Plays a scenario, step by step.

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
        self._faulty: Optional[FaultyStore] = None
        if scenario.full_disk or scenario.faults.lost_commits:
            self._faulty = FaultyStore(
                store,
                lambda: self.clock.true_at,
                scenario.full_disk,
                scenario.faults.lost_commits,
                scenario.faults_until,
                self.chance,
            )
        self.used_store = store if self._faulty is None else cast(Store, self._faulty)
        self.accepted: List[str] = []
        self.keeper: Optional[House] = None
        self.workers: List[Worker] = []
        self.is_off = False
        self._keeper_due_at: Optional[datetime] = None
        self._lost: List[str] = []
        self._last_end_at: Optional[datetime] = None
        self._plan: List[Tuple[datetime, int, Action, Tuple[Any, ...]]] = []
        self._order = itertools.count()
        self.drawn_ids = 0
        self._boots = itertools.count(1)
        self._names: Dict[int, int] = {}
        self._wakes = 0
        self._crash_attempts = dict(scenario.crash_attempts)
        self._deciding = Decisions(scenario, self.chance)
        self._at(scenario.start_at, self._switch_on)
        self._plan_scenario()

    def _plan_scenario(self) -> None:
        scenario = self.scenario
        for begin_at, end_at in scenario.outages:
            self._at(begin_at, self._switch_off)
            self._at(end_at, self._switch_on)
        for at, seconds in scenario.clock_jumps:
            self._at(at, self._set_clock, seconds)
        for at, call in scenario.calls:
            self._at(at, self._call, call)
        for at, whom in scenario.crashes:
            self._at(at, self._kill, whom)
        for rate, action in (
            (scenario.crash_rate, lambda: self._kill("worker")),
            (scenario.faults.supervisor_crashes, lambda: self._kill("supervisor")),
            (scenario.faults.stalls, self._stall),
        ):
            if rate:
                self._repeat(rate, action)

    def _repeat(self, rate: float, action: Action) -> None:
        """Plan an action for a random instant, again and again."""
        pause = timedelta(seconds=round(self.chance.expovariate(rate / 3600.0), 6))
        at = self.clock.true_at + pause
        if at < min(self.scenario.faults_until, self.scenario.end_at):
            self._at(at, self._act_and_repeat, rate, action)

    def _act_and_repeat(self, rate: float, action: Action) -> None:
        action()
        self._repeat(rate, action)

    # -- time ---------------------------------------------------------------------------------

    def _at(self, at: datetime, action: Action, *values: Any) -> None:
        heapq.heappush(self._plan, (at, next(self._order), action, values))

    def step(self) -> bool:
        """Play what happens next; tell whether anything did."""
        plan = self._plan
        if not plan or plan[0][0] >= self.scenario.end_at:
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
                self._reclaim(keeper, self._lost[0], charged=True)
                self._lost.pop(0)
            tick = keeper.step()
        except StoreError:
            self._plan_supervisor(self.clock.true_at + TROUBLE_PAUSE)
            return
        except ProcessDeath:
            self._kill("supervisor")
            return
        for task in tick.fired:
            self.accepted.append(task.id)
        next_at, now = tick.next_at, self.clock.now()
        if next_at is None or next_at > now:
            next_at = keeper.needed_at(now, self._last_end_at)
        if next_at is not None:
            self._plan_supervisor(self.clock.true(next_at))

    def _plan_supervisor(self, at: datetime) -> None:
        due_at = self._keeper_due_at = max(at, self.clock.true_at)
        self._at(due_at, self._step_due_supervisor, self.keeper, due_at)

    def _step_due_supervisor(self, keeper: Engine, due_at: datetime) -> None:
        if self.keeper is keeper and self._keeper_due_at == due_at:
            self._step_supervisor()

    def _steps(self, engine: Engine) -> Callable[..., Tick]:
        """Return how the process of an engine is stepped."""
        return engine.tick if self._faulty is None else partial(self._stepping, engine.tick)

    def _stepping(self, step: Callable[..., Any], *values: Any) -> Any:
        """Step a process; only then can a commit be lost."""
        if self._faulty is None:
            return step(*values)
        self._faulty.is_stepped = True
        try:
            return step(*values)
        finally:
            self._faulty.is_stepped = False

    # -- workers ------------------------------------------------------------------------------

    def _start_worker(self, slot: int) -> None:
        number = self._names[slot] = self._names.get(slot, 0) + 1
        worker = Worker(f"worker-{slot}" + (f".{number}" if number > 1 else ""), slot)
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
        )
        worker.step = self._steps(worker.engine)
        self.workers.append(worker)
        self.workers.sort(key=lambda one: one.slot)
        self._plan_worker(worker, self.clock.true_at)

    def _plan_worker(self, worker: Worker, at: datetime) -> None:
        true_at = self.clock.true_at
        due_at = worker.due_at = at if at > true_at else true_at
        self._at(due_at, self._step_due_worker, worker, due_at)

    def _step_due_worker(self, worker: Worker, due_at: datetime) -> None:
        if worker.due_at == due_at:
            self._step_worker(worker)

    def _step_worker(self, worker: Worker) -> None:
        worker.due_at = None
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

    def _begin(self, worker: Worker, task: Task) -> None:
        ends_at = self.clock.true_at + self._deciding.duration(task)
        left = self._crash_attempts.get(task.name, 0)
        if left:
            self._crash_attempts[task.name] = left - 1
            half = (ends_at - self.clock.true_at) / 2
            self._at(self.clock.true_at + half, self._kill_while, worker, task)
        self._plan_worker(worker, ends_at)

    def _dismiss(self, worker: Worker) -> None:
        """Let a worker of an earlier supervisor end its task, and leave."""
        worker.is_leaving = True
        if worker.task is None:
            self.workers.remove(worker)
            worker.due_at = None

    def _bury(self, worker: Worker, why: str) -> None:
        """Let a worker be dead."""
        held = worker.engine.in_hand or worker.task
        if held is not None and not worker.is_stalled:
            self.recorder.ended(held, worker.name, self.clock.now(), why)
        self.workers.remove(worker)
        worker.due_at = worker.task = None
        if self.keeper is not None:
            self._lost.append(worker.name)
            self._step_supervisor()
            if not worker.is_leaving and self.keeper is not None:
                self._start_worker(worker.slot)

    def wake(self) -> None:
        """Take a datagram of an engine: it is what wakes a worker."""
        self._wakes += 1

    def _wake_one(self) -> None:
        for worker in self.workers:
            if worker.task is None:
                self._wakes -= 1
                self._step_worker(worker)
                return
        self._wakes = 0  # All are busy, and look for the next task when they end theirs.

    # -- what happens to the machine ----------------------------------------------------------

    def _call(self, call: Callable[[], Any]) -> None:
        """Let the application call a function; one that is told of an error calls again."""
        if self.is_off:
            return  # There is no application that could.
        try:
            self._stepping(call)
        except StoreError:
            self._at(self.clock.true_at + _SECOND, self._call, call)
        except ProcessDeath:
            pass

    def _set_clock(self, seconds: float) -> None:
        self.clock.step(seconds)
        self.recorder.marks.append((self.clock.true_at, "clock", seconds))
        # Nobody is told. Idle processes look around unasked, after a while.
        self._at(self.clock.true_at + IDLE, self._look_around)

    def _look_around(self) -> None:
        self._step_supervisor()
        self._wakes += len(self.workers)

    def _switch_off(self) -> None:
        self.is_off = True
        for worker in self.workers:
            if worker.task is not None and not worker.is_stalled:
                self.recorder.ended(worker.task, worker.name, self.clock.now(), "machine off")
            worker.due_at = None
        self.workers, self.keeper, self._lost, self._wakes = [], None, [], 0

    def _switch_on(self) -> None:
        self.is_off = False
        self._start_supervisor(f"service-{next(self._boots)}")

    def _kill(self, whom: str) -> None:
        if whom == "supervisor":
            if self.keeper is not None:
                self.recorder.marks.append((self.clock.true_at, "supervisor", 0.0))
                self.keeper = None
                self._at(self.clock.true_at + TAKE_OVER, self._start_supervisor)
            return
        named = [one for one in self.workers if whom in ("worker", one.name.partition(".")[0])]
        busy = [worker for worker in named if worker.task is not None]
        if busy or named:
            self._bury(self.chance.choice(busy or named), "worker died")

    def _kill_while(self, worker: Worker, task: Task) -> None:
        if worker.task is task and worker in self.workers:
            self._bury(worker, "worker died")

    def _stall(self) -> None:
        busy = [one for one in self.workers if one.task is not None and not one.is_stalled]
        if not busy or self.keeper is None:
            return
        worker = self.chance.choice(busy)
        is_replaced = not worker.is_leaving
        worker.is_stalled = worker.is_leaving = True
        assert worker.due_at is not None
        stall = timedelta(seconds=round(self.chance.uniform(1.0, LONGEST_STALL_SECONDS), 6))
        self._plan_worker(worker, worker.due_at + stall)
        self._lost.append(worker.name)
        self._step_supervisor()
        if self.keeper is not None and is_replaced:
            self._start_worker(worker.slot)

    # -- pieces -------------------------------------------------------------------------------

    @property
    def has_trouble(self) -> bool:
        """Whether the supervisor has not yet taken back what lost workers held."""
        return bool(self._lost)

    def new_id(self) -> str:
        """Return the id of the next task: a number."""
        self.drawn_ids += 1
        return f"task-{self.drawn_ids}"

    def _reclaim(self, keeper: Engine, worker: str, charged: bool) -> None:
        taken_back = keeper.reclaim(worker, charged)
        self.recorder.taken_back += [(task, charged) for task in taken_back]
