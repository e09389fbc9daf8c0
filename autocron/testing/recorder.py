"""Takes down what happens in a simulation, for the timeline."""

from __future__ import annotations

from datetime import datetime
from typing import Dict, List, Optional, Tuple

from autocron.core.schedule import Schedule
from autocron.core.task import Task
from autocron.core.values import row_of
from autocron.testing.timeline import Entry, Occurrence

# What two supervisors tell of one occurrence, they tell within so many.
_FEW = 8

_entry = row_of(Entry)


class Recorder:
    """Takes down what happens in a simulation.

    Attributes:
        entries: The attempts, in the order of their ends.
        skipped: Occurrences that were used up while an earlier run was in hand.
        fired: The occurrences of each schedule for which a task was stored.
        marks: What else happened: when, what, and a number; as a Timeline has them.
        outages: When the machine was off by chance.
        taken_back: Tasks that were taken back from a worker that was gone, as they are then, and
            whether its death was charged.
    """

    def __init__(self) -> None:
        self.entries: List[Entry] = []
        self.skipped: List[Occurrence] = []
        self.fired: Dict[str, List[datetime]] = {}
        self.marks: List[Tuple[datetime, str, float]] = []
        self.outages: List[Tuple[datetime, datetime]] = []
        self.taken_back: List[Tuple[Task, bool]] = []

    def occurrence(self, schedule: Schedule, at: datetime, task: Optional[Task]) -> None:
        """Take down what became of one occurrence of a schedule."""
        fired = self.fired.get(schedule.key)
        if fired is None:
            fired = self.fired[schedule.key] = []
        if task is not None:
            fired.append(at)
        elif at not in fired[-_FEW:]:
            # Else it was stored already, by a supervisor that did not live to tell, or by another.
            skipped = Occurrence(schedule.key, schedule.name, at)
            if skipped not in self.skipped[-_FEW:]:
                self.skipped.append(skipped)

    def ended(self, task: Task, worker: str, finished_at: Optional[datetime], outcome: str) -> None:
        """Take down the end of an attempt, given as it was when it began."""
        scheduled_at = task.occurrence_at
        if scheduled_at is None or task.failures:
            scheduled_at = task.run_at
        assert task.started_at is not None
        self.entries.append(
            _entry(
                (
                    task.id,
                    task.name,
                    task.schedule,
                    scheduled_at,
                    task.started_at,
                    finished_at,
                    worker,
                    task.attempt,
                    outcome,
                )
            )
        )
