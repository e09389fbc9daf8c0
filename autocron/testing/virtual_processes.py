"""The processes of a virtual machine: what the simulator keeps of each beside its engine."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Callable, Optional, Tuple

from autocron.core.outcome import Outcome
from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task
from autocron.engine import Engine, Tick
from autocron.ports import Hand
from autocron.testing.recorder import Recorder

PURGE_WITHIN_SECONDS = 600.0


class House(Engine):
    """The supervisor's engine; it tells what has become of each occurrence."""

    recorder: Recorder
    step: Callable[..., Tick]

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        if self.house is not None:
            self.house.purge_every = timedelta(seconds=PURGE_WITHIN_SECONDS)

    def store_occurrence(
        self, schedule: Schedule, moved: Schedule, message: Message, unless_active: bool
    ) -> Optional[Task]:
        task = Engine.store_occurrence(self, schedule, moved, message, unless_active)
        self.recorder.occurrence(schedule, moved.watermark_at, task)
        return task

    def needed_at(self, now: datetime, last_end_at: Optional[datetime]) -> Optional[datetime]:
        """Tell when there is something to do: an occurrence, or results that have expired.

        A real supervisor looks every half minute whether there are any, a million times a year.
        Here they go with the next occurrence, or, if none is near, a while after they expired.

        Arguments:
            now: The present instant.
            last_end_at: When the latest task has ended; None if none has.

        Returns:
            The instant; None if nothing is to come.
        """
        house = self.house
        if house is None:
            return None
        next_at = house.next_occurrence_at
        if next_at is not None and next_at - now < house.purge_every:
            return next_at
        if last_end_at is None or house.purge_at is None:
            return next_at
        keep = timedelta(seconds=house.settings.result_ttl)
        if last_end_at + keep < house.purge_at - house.purge_every:
            return next_at
        purge_at = house.purge_at + keep
        return purge_at if next_at is None or purge_at < next_at else next_at


class Worker:
    """A worker process.

    Attributes:
        queues: The queues of which it takes tasks; None is any.
        task: What it holds; None while it is idle.
        is_leaving: Whether it takes nothing more.
        is_stalled: Whether it was taken for dead.
        is_adopted: Whether it is the child of an earlier supervisor.
        due_at: When it steps next; a step that was planned for another instant is off.
    """

    def __init__(self, name: str, slot: int, queues: Optional[Tuple[str, ...]] = None) -> None:
        self.name = name
        self.slot = slot
        self.queues = queues
        self.engine: Any = None
        self.step: Callable[..., Tick]
        self.task: Optional[Task] = None
        self.is_leaving = False
        self.is_stalled = False
        self.is_adopted = False
        self.due_at: Optional[datetime] = None

    def invoke(self, task: Task, hand: Hand) -> Outcome:
        """Run a task; set by the machine."""
        raise NotImplementedError
