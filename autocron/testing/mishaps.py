"""What happens to a virtual machine: calls, and all that goes wrong."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Callable, List, Optional

from autocron.core.errors import StoreError
from autocron.core.task import Task
from autocron.ports import Store
from autocron.testing.faults import ProcessDeath
from autocron.testing.machine import TROUBLE_PAUSE, Action, Machine
from autocron.testing.recorder import Recorder
from autocron.testing.scenario import Scenario
from autocron.testing.virtual_processes import House, Worker

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
# Idle processes look around after so long, as those of the shell.
IDLE = timedelta(seconds=30)
# The machine is up again so long after the power failed.
BOOT = timedelta(seconds=60)
# So long dismissed workers have for the task in hand, as in the shell.
GRACE = timedelta(seconds=5)
LONGEST_STALL_SECONDS = 600.0
LONGEST_OVERLAP_SECONDS = 180.0


class MachineInTrouble(Machine):
    """A machine to which all of a scenario happens.

    Arguments:
        scenario: What to play.
        store: The store, new and empty.
        recorder: Takes down what happens.
    """

    def __init__(self, scenario: Scenario, store: Store, recorder: Recorder) -> None:
        super().__init__(scenario, store, recorder)
        self._boots = itertools.count(1)
        self._off_until = scenario.start_at
        self._deposed: List[House] = []
        self._at(scenario.start_at, self._switch_on)
        self._plan_scenario()

    def _plan_scenario(self) -> None:
        scenario = self.scenario
        for begin_at, end_at in scenario.outages:
            self._at(begin_at, self._switch_off, end_at)
            self._at(end_at, self._switch_on)
        for at in scenario.power_cuts:
            self._at(at, self._cut_power)
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
            (scenario.power_cut_rate, self._cut_power),
            (scenario.faults.second_supervisors, self._depose),
            (scenario.faults.restarts, self._restart),
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

    def _switch_off(self, until: datetime) -> None:
        self._off_until = max(until, self._off_until)
        self.is_off = True
        for worker in self.workers:
            if worker.task is not None and not worker.is_stalled:
                self.recorder.ended(worker.task, worker.name, self.clock.now(), "machine off")
            worker.due_at = None
        self.workers, self.keeper, self._lost, self._wakes = [], None, [], 0
        self._deposed.clear()

    def _switch_on(self) -> None:
        if self.clock.true_at >= self._off_until:
            self.is_off = False
            self._start_supervisor(f"service-{next(self._boots)}")

    def _cut_power(self) -> None:
        if self.is_off:
            return
        assert self._unsynced is not None
        lost = self._unsynced.cut_power()
        begin_at, end_at = self.clock.true_at, self.clock.true_at + BOOT
        self.recorder.marks.append((begin_at, "power cut", float(lost)))
        self.recorder.outages.append((begin_at, min(end_at, self.scenario.end_at)))
        self._switch_off(end_at)
        self._at(end_at, self._switch_on)

    def _kill(self, whom: str) -> None:
        if whom == "supervisor":
            self._lose_supervisor()
            return
        named = [one for one in self.workers if whom in ("worker", one.name.partition(".")[0])]
        busy = [worker for worker in named if worker.task is not None]
        if busy or named:
            self._bury(self.chance.choice(busy or named), "worker died")

    def _stall(self) -> None:
        # One that hangs goes on for ever as it is, and has no end to be put off.
        busy = [
            (worker, worker.due_at)
            for worker in self.workers
            if worker.task is not None and worker.due_at is not None and not worker.is_stalled
        ]
        if not busy or self.keeper is None:
            return
        worker, due_at = self.chance.choice(busy)
        is_replaced = not worker.is_leaving
        worker.is_stalled = worker.is_leaving = True
        stall = timedelta(seconds=round(self.chance.uniform(1.0, LONGEST_STALL_SECONDS), 6))
        self._plan_worker(worker, due_at + stall)
        self._lost.append((worker.name, not worker.is_adopted, False))
        self._step_supervisor()
        if self.keeper is not None and is_replaced:
            self._start_worker(worker.slot)

    def _restart(self) -> None:
        """Stop the application in order; when the workers have had their grace, start it again."""
        if self.keeper is None:
            return
        self.recorder.marks.append((self.clock.true_at, "restart", 0.0))
        self.keeper, self._lost = None, []
        for worker in list(self.workers):
            self._dismiss(worker)
        self._at(self.clock.true_at + GRACE, self._end_grace, list(self.workers))

    def _end_grace(self, dismissed: List[Worker]) -> None:
        for worker in dismissed:
            if worker in self.workers and worker.task is not None and not worker.is_stalled:
                self._hand_back(worker, worker.task)
        if not self.is_off and self.keeper is None:
            self._start_supervisor(f"service-{next(self._boots)}")

    def _hand_back(self, worker: Worker, task: Task) -> None:
        self.recorder.ended(task, worker.name, self.clock.now(), "handed back")
        self.workers.remove(worker)
        worker.due_at = worker.task = None
        hand_back: Callable[..., Any] = worker.engine.hand_back
        if self._unsynced is not None:
            hand_back = partial(self._unsynced.as_worker, hand_back)
        try:
            self._stepping(hand_back, worker.name)
        except (StoreError, ProcessDeath):
            # Whoever comes next finds that this worker is gone, and takes it back.
            self._lost.append((worker.name, False, False))

    def _depose(self) -> None:
        """Let a second supervisor take over from one that does not know, and goes on."""
        deposed = self.keeper
        if deposed is None:
            return
        seconds = round(self.chance.uniform(1.0, LONGEST_OVERLAP_SECONDS), 6)
        self.recorder.marks.append((self.clock.true_at, "second supervisor", seconds))
        self.keeper = None
        self._deposed.append(deposed)
        until = self.clock.true_at + timedelta(seconds=seconds)
        # Which of them is first where both have something to do is a matter of chance.
        later = self.clock.true_at + self.chance.choice((timedelta(0), _MICROSECOND))
        self._at(later, self._step_deposed, deposed, until)
        self._start_supervisor()

    def _step_deposed(self, deposed: House, until: datetime) -> None:
        if deposed not in self._deposed:
            return
        if self.clock.true_at >= until:
            self._deposed.remove(deposed)
            return
        try:
            tick = deposed.step()
        except StoreError:
            next_at: Optional[datetime] = self.clock.true_at + TROUBLE_PAUSE
        except ProcessDeath:
            self._deposed.remove(deposed)
            return
        else:
            self._note_fired(tick)
            next_at = self._next_step_of(deposed, tick)
        next_at = until if next_at is None else min(until, max(next_at, self.clock.true_at))
        self._at(next_at, self._step_deposed, deposed, until)
