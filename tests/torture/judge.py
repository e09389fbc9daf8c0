"""Holds what has happened against what is promised."""

from __future__ import annotations

from datetime import timedelta
from typing import Dict, List, NamedTuple, Optional

from autocron.core.task import Task, TaskState
from tests.torture.chaos import Chaos, Kill
from tests.torture.ledger import Attempt, Ledger

TICK = "chores:tick"


class Verdict(NamedTuple):
    """What came out.

    Attributes:
        lost: What was accepted and did not run to an end that is promised.
        repeated: How many tasks were begun again after a death, or a hand-back.
        handed_back: How many of these had been handed back by a worker that had to leave.
        died: How many tasks failed, as promised, after three deaths.
        occurrences: How many occurrences of the schedule there were.
        broken: Which promises are broken, in words.
    """

    lost: List[str]
    repeated: int
    handed_back: int
    died: int
    occurrences: int
    broken: List[str]


def judge(ledger: Ledger, chaos: Chaos, tasks: Dict[str, Task], output: str) -> Verdict:
    """Hold a run that has ended against the promises.

    Arguments:
        ledger: What the application has noted.
        chaos: What was done to it.
        tasks: All tasks that are stored, by their ids.
        output: What all processes have written.
    """
    return _Judge(ledger, chaos, tasks, output).verdict()


class _Judge:
    def __init__(self, ledger: Ledger, chaos: Chaos, tasks: Dict[str, Task], output: str) -> None:
        self._ledger = ledger
        self._chaos = chaos
        self._tasks = tasks
        self._output = output
        self._broken: List[str] = []
        self._handed_back = 0

    def verdict(self) -> Verdict:
        lost = [why for why in map(self._why_lost, self._ledger.calls) if why is not None]
        repeated = sum(self._look_at_repeats(task_id) for task_id in self._ledger.attempts)
        died = 0
        for task in self._tasks.values():
            if not task.state.is_final and task.schedule is None:
                self._broken.append(f"stuck: {_of(task)}")
            died += _has_died(task)
            self._look_at_deaths(task)
        occurrences = self._look_at_occurrences()
        self._broken += [f"a call was refused: {why}" for why in self._ledger.refused]
        self._broken += self._chaos.unrecovered
        return Verdict(lost, repeated, self._handed_back, died, occurrences, lost + self._broken)

    # -- nothing is lost --------------------------------------------------------------------------

    def _why_lost(self, task_id: str) -> Optional[str]:
        kind, task = self._ledger.calls[task_id].kind, self._tasks.get(task_id)
        if task is None:
            return f"lost: {kind} {task_id} was accepted, and is not stored"
        attempts = self._ledger.attempts.get(task_id, [])
        if task.state is TaskState.SUCCEEDED:
            if any(a.ended is not None and not a.raised for a in attempts):
                return None
            return f"lost: {kind} {_of(task)}, but it never came to its end"
        if _has_died(task):
            deaths = [a for a in attempts if self._death(a) is not None]
            # An attempt may have been cut off before its function had begun to say so.
            is_fair = len(deaths) >= 3 or task.attempt > len(attempts) >= 2
            return None if is_fair else f"lost: {kind} {_of(task)} after {len(deaths)} deaths"
        return f"lost: {kind} {_of(task)}"

    # -- only what was killed runs again ----------------------------------------------------------

    def _look_at_repeats(self, task_id: str) -> bool:
        attempts = self._ledger.attempts[task_id]
        if task_id not in self._tasks:
            self._broken.append(f"{task_id} was run, and is not stored")
        repeats = False
        for before, after in zip(attempts, attempts[1:]):
            if before.raised:
                continue
            repeats = True
            what = f"repeated: {task_id} by {after.process} after {before.process}"
            death = self._death(before)
            if death is not None:
                if not before.is_last_of_its_process:
                    self._broken.append(f"{what}, which had gone on to another task")
                elif after.began < death:
                    self._broken.append(f"{what}, which still lived")
            elif before.ended is None and self._was_dismissed(before, after):
                self._handed_back += 1
            else:
                self._broken.append(f"{what}, which nobody had killed")
        return repeats

    def _death(self, attempt: Attempt) -> Optional[float]:
        """Return when the worker of an attempt was killed, or killed itself; None if it was not."""
        # One that has killed itself may have been picked out just then, and killed once more.
        if attempt.process in self._ledger.crashed and attempt.ended is None:
            return attempt.began
        kill = self._kill_of(attempt)
        return None if kill is None else kill.at

    def _kill_of(self, attempt: Attempt) -> Optional[Kill]:
        kills = self._chaos.killed.get(attempt.pid, [])
        return next((kill for kill in kills if kill.until >= attempt.began), None)

    def _was_dismissed(self, before: Attempt, after: Attempt) -> bool:
        """Tell whether a worker had to leave in the midst of an attempt, and has said so."""
        told_at = self._chaos.dismissed.get(before.pid)
        return (
            told_at is not None
            and told_at <= after.began
            and f"task {before.task_id} (" in self._output
        )

    # -- deaths are charged when they are to be ---------------------------------------------------

    def _look_at_deaths(self, task: Task) -> None:
        attempts = [a for a in self._ledger.attempts.get(task.id, []) if a.is_last_of_its_process]
        # What had ended in a process that was killed then may have been stored, or not.
        kills = [kill for kill in map(self._kill_of, attempts) if kill is not None]
        sure = [
            kill
            for kill in (self._kill_of(a) for a in attempts if a.ended is None)
            if kill is not None
        ]
        crashes = sum(attempt.process in self._ledger.crashed for attempt in attempts)
        charged = task.deaths
        if _has_died(task) and charged != 3:
            self._broken.append(f"{_of(task)} with {charged} deaths in its record, not 3")
        # A task may also have been claimed by a worker that was killed before it had begun it.
        unseen = max(0, task.attempt - len(self._ledger.attempts.get(task.id, [])))
        clean = sum(kill.is_clean for kill in sure)
        if charged < min(3, clean):
            self._broken.append(f"{_of(task)}: {clean} deaths seen, {charged} charged")
        seen = sum(kill.kind not in ("everything", "background") for kill in kills)
        if charged > seen + crashes + unseen:
            self._broken.append(f"{_of(task)}: {seen + crashes} deaths seen, {charged} charged")

    # -- cron -------------------------------------------------------------------------------------

    def _look_at_occurrences(self) -> int:
        seen: Dict[object, str] = {}
        for task in self._tasks.values():
            if task.name == TICK:
                at = task.occurrence_at
                if at in seen:
                    self._broken.append(f"occurrence {at} is there twice: {task.id}, {seen[at]}")
                seen[at] = task.id
        times = sorted(task.occurrence_at for task in self._tasks.values() if task.occurrence_at)
        for before, after in zip(times, times[1:]):
            if after - before > timedelta(seconds=1):
                self._broken.append(f"there is no occurrence between {before} and {after}")
        return len(seen)


def _has_died(task: Task) -> bool:
    return (
        task.state is TaskState.FAILED
        and task.failure is not None
        and task.failure.type == "WorkerDied"
    )


def _of(task: Task) -> str:
    why = f" ({task.failure.error_message})" if task.failure is not None else ""
    return f"{task.name} {task.id} is {task.state.value} in attempt {task.attempt}{why}"
