"""The processes of a virtual machine: what the simulator keeps of each beside its engine."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Optional

from autocron.core.outcome import Outcome
from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task
from autocron.engine import Engine
from autocron.testing.recorder import Recorder


class House(Engine):
    """The supervisor's engine; it tells what has become of each occurrence."""

    recorder: Recorder

    def fire(
        self, schedule: Schedule, at: datetime, message: Message, unless_active: bool
    ) -> Optional[Task]:
        task = super().fire(schedule, at, message, unless_active)
        self.recorder.occurrence(schedule, at, task)
        return task


class Worker:
    """A worker process.

    Attributes:
        task: What it holds; None while it is idle.
        is_leaving: Whether it takes nothing more.
        is_stalled: Whether it was taken for dead.
        due_at: When it steps next; a step that was planned for another instant is off.
    """

    def __init__(self, name: str, slot: int) -> None:
        self.name = name
        self.slot = slot
        self.engine: Any = None
        self.task: Optional[Task] = None
        self.is_leaving = False
        self.is_stalled = False
        self.due_at: Optional[datetime] = None

    def invoke(self, task: Task) -> Outcome:
        """Run a task; set by the machine."""
        raise NotImplementedError
