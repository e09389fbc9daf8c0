"""How long simulated attempts run, and how they go: as told, or as drawn."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, Dict, Optional, Set, Tuple

from autocron.core.outcome import TIMEOUT_KINDS, Outcome, Raised, RetryAsked, Returned
from autocron.core.task import Failure, Task, TaskState
from autocron.ports import Hand
from autocron.shell.invoke import run_function
from autocron.testing.scenario import DEFAULT_SECONDS, Scenario, check_duration

_WORDS = {state: state.value for state in TaskState}
_FAILED = Raised(Failure("SimulatedFailure", "this attempt was told to fail"))


def _timed_out(task: Task) -> Raised:
    text = f"it ran longer than {task.policy.timeout_seconds:g} seconds"
    return Raised(Failure("TaskTimeout", text), TIMEOUT_KINDS)


class Decisions:
    """Decides how long attempts run, and how they go."""

    def __init__(self, scenario: Scenario, chance: random.Random) -> None:
        self._scenario = scenario
        self._chance = chance
        self._durations = scenario.durations
        self._failures = scenario.failures
        self._codec = scenario.app.codec
        self._has_raised = False
        self._fixed: Dict[str, timedelta] = {}
        self._late: Set[Tuple[str, int]] = set()

    def duration(self, task: Task) -> timedelta:
        """Return how long an attempt runs: no longer than its timeout, when it is told to end."""
        duration = self._fixed.get(task.name)
        if duration is None:
            duration = self._duration(task)
        timeout_seconds = task.policy.timeout_seconds
        if timeout_seconds is None or duration.total_seconds() <= timeout_seconds:
            return duration
        self._late.add((task.id, task.attempt))
        return timedelta(seconds=timeout_seconds)

    def hangs(self, task: Task, is_calm: bool) -> bool:
        """Tell whether an attempt does not end when it is told to, its time being over."""
        share = self._scenario.faults.hangs
        is_late = share > 0 and not is_calm and (task.id, task.attempt) in self._late
        return is_late and self._chance.random() < share

    def _duration(self, task: Task) -> timedelta:
        given: Any = self._durations.get(task.name, self._durations.get("", DEFAULT_SECONDS))
        if callable(given):
            given = check_duration(f"the duration of {task.name}", given(self._chance, task))
            return timedelta(seconds=given)
        fixed = self._fixed[task.name] = timedelta(seconds=given)
        return fixed

    def invoke(self, task: Task, hand: Hand) -> Outcome:
        """Run a task, or pretend to."""
        outcome: Outcome
        if self._late and (task.id, task.attempt) in self._late:
            self._late.discard((task.id, task.attempt))
            outcome = _timed_out(task)
        elif self._failures and self._fails(task):
            outcome = _FAILED
        elif not self._scenario.calls_functions or task.name not in self._scenario.functions:
            # Not called, but its arguments must be readable, and what it did not return storable.
            self._codec.load_call(task.payload)
            self._has_raised = False
            return Returned(self._codec.dump_result(None))
        else:
            known = self._scenario.functions[task.name]
            outcome = run_function(known, task, self._codec, hand, passing=(KeyboardInterrupt,))
        self._has_raised = isinstance(outcome, (Raised, RetryAsked))
        return outcome

    def _fails(self, task: Task) -> bool:
        chance = self._failures.get(task.name, self._failures.get("", 0.0))
        if callable(chance):
            return bool(chance(self._chance, task))
        return chance > 0 and self._chance.random() < chance

    def outcome_of(self, task: Task, finished: Optional[Task]) -> str:
        """Say in a word or two how an attempt ended."""
        if finished is None:
            return "lost"
        if finished.state is TaskState.WAITING:
            return "failed, to be retried" if self._has_raised else "handed back"
        return _WORDS[finished.state]
