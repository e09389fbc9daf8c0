"""The cron part of a step: looks at the schedules and fires what is owed.

It computes nothing itself (:mod:`autocron.core.schedule` does) and stores nothing itself (the
engine does, once per occurrence); it remembers when each schedule is next due, so that a step costs
nothing while none is.
"""

from __future__ import annotations

import heapq
import logging
from datetime import datetime, timedelta, tzinfo
from typing import Iterator, List, Mapping, Optional, Protocol, Tuple

from autocron.core.cron import CronExpression, parse
from autocron.core.errors import AutocronError
from autocron.core.next_run import occurrences
from autocron.core.schedule import Owed, Schedule, corrected_watermark, owed
from autocron.core.task import Message, Task
from autocron.core.values import changed, made
from autocron.operations import SCHEDULES_VERSION
from autocron.ports import Store, Zones

logger = logging.getLogger("autocron")

# Under this name the store tells which period of service it is.
SERVICE = "service"


class Firing(Protocol):
    """Stores the tasks of schedules: the engine."""

    def store_occurrence(
        self, schedule: Schedule, moved: Schedule, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of one occurrence, once; see :meth:`autocron.ports.Backend.fire`.

        Arguments:
            schedule: The schedule as it is known; most often that is how it is stored.
            moved: The same with the occurrence as its watermark.
            message: What is to run.
            unless_active: Store nothing while a task of the schedule waits or runs.
        """
        ...

    def fire_at_start(
        self, schedule: Schedule, service: str, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of a run at the start, once in each period of service."""
        ...


class _Plan:
    """When a schedule is next due, and what comes after that.

    Attributes:
        schedule: The schedule, its watermark as far as we have moved it.
        message: What each of its occurrences asks for.
        skips: Whether an occurrence is left out while an earlier run is in hand.
        due_at: Its next occurrence; None if there is none.
    """

    __slots__ = (
        "_coming",
        "_expression",
        "_following_at",
        "_grace",
        "_zone",
        "due_at",
        "message",
        "schedule",
        "skips",
    )

    def __init__(
        self, schedule: Schedule, expression: CronExpression, zone: tzinfo, after: datetime
    ) -> None:
        self.schedule = schedule
        self.message = _message(schedule, waits=schedule.overlap == "wait")
        self.skips = schedule.overlap == "skip"
        self._expression = expression
        self._zone = zone
        self._grace = timedelta(seconds=schedule.grace_seconds)
        self._begin(after)

    def _begin(self, after: datetime) -> None:
        self._coming: Iterator[datetime] = occurrences(self._expression, after, self._zone)
        self.due_at = next(self._coming, None)
        self._following_at = next(self._coming, None)

    def is_on_time(self, now: datetime) -> bool:
        """Tell whether one occurrence is owed, :attr:`due_at`, and on time; almost always so."""
        due_at, following_at = self.due_at, self._following_at
        assert due_at is not None
        return (following_at is None or following_at > now) and now - due_at <= self._grace

    def owed(self, now: datetime) -> Owed:
        """Search for the occurrences that are to be run at an instant at which it is due."""
        return owed(self.schedule, self._expression, self._zone, now)

    def move_on(self, now: datetime) -> None:
        """Plan what comes after that which was owed, and is stored now."""
        if self._following_at is not None and self._following_at <= now:
            self._begin(max(now, self.schedule.watermark_at))
        else:
            self.due_at, self._following_at = self._following_at, next(self._coming, None)


class CronTicker:
    """Fires the occurrences that are owed.

    Arguments:
        store: Where the schedules are read.
        zones: Finds time zones by name.
        firing: Stores their tasks.
    """

    def __init__(self, store: Store, zones: Zones, firing: Firing) -> None:
        self._store = store
        self._zones = zones
        self._firing = firing
        self._seen: Optional[Mapping[str, str]] = None
        self._known_as: Optional[Tuple[str, str]] = None
        # By due time. No two have one key, so plans are never compared.
        self._due: List[Tuple[datetime, str, _Plan]] = []

    @property
    def next_at(self) -> Optional[datetime]:
        """The next occurrence of any schedule."""
        return self._due[0][0] if self._due else None

    def tick(
        self, now: datetime, settings: Mapping[str, str], stepped_seconds: float
    ) -> Tuple[Task, ...]:
        """Fire what is owed at this instant.

        Arguments:
            now: The present instant.
            settings: The settings of the store; they tell when schedules were declared. The same
                object is given as long as none has changed.
            stepped_seconds: By how many seconds the wall clock was just seen to step.

        Returns:
            The tasks that were stored.
        """
        fired: List[Task] = []
        if settings is not self._seen or stepped_seconds:
            service = settings.get(SERVICE, "")
            known_as = (settings.get(SCHEDULES_VERSION, ""), service)
            if known_as != self._known_as or stepped_seconds:
                self._read(now, stepped_seconds)
                fired = self._fire_at_start(service)
                self._known_as = known_as
            self._seen = settings
        due = self._due
        while due and due[0][0] <= now:
            at, key, plan = due[0]
            # Taken off only when all is stored: a full disk must not make us forget the schedule.
            if plan.is_on_time(now):
                self._fire_one(plan, at, plan.message, plan.skips, fired)
            else:
                self._fire_owed(plan, now, fired)
            plan.move_on(now)
            if plan.due_at is None:
                heapq.heappop(due)
            else:
                heapq.heapreplace(due, (plan.due_at, key, plan))
        return tuple(fired)

    def _read(self, now: datetime, stepped_seconds: float) -> None:
        self._due = []
        for schedule in self._store.schedules():
            watermark_at = corrected_watermark(schedule.watermark_at, now, stepped_seconds)
            if watermark_at != schedule.watermark_at:
                corrected = changed(schedule, watermark_at=watermark_at)
                if self._store.swap_schedule(schedule, corrected):
                    schedule = corrected
            if schedule.text is None or not schedule.is_enabled:
                continue
            try:
                expression, zone = parse(schedule.text), self._zones(schedule.zone)
            except AutocronError as error:
                logger.error("schedule %s can not run here: %s", schedule.key, error)
                continue
            plan = _Plan(schedule, expression, zone, schedule.watermark_at)
            if plan.due_at is not None:
                heapq.heappush(self._due, (plan.due_at, schedule.key, plan))

    def _fire_owed(self, plan: _Plan, now: datetime, fired: List[Task]) -> None:
        found = plan.owed(now)
        message, skips = plan.message, plan.skips
        if plan.schedule.missed == "all" and skips:
            # Every one of them is to run, so they queue up instead of skipping each other.
            message, skips = _message(plan.schedule, waits=True), False
        for at in found.made_up:
            self._fire_one(plan, at, message, skips, fired)
        for at in found.on_time:
            self._fire_one(plan, at, plan.message, plan.skips, fired)

    def _fire_one(
        self, plan: _Plan, at: datetime, message: Message, skips: bool, fired: List[Task]
    ) -> None:
        fields = plan.schedule.__dict__.copy()
        fields["watermark_at"] = at
        moved = made(Schedule, fields)
        task = self._firing.store_occurrence(plan.schedule, moved, message, skips)
        plan.schedule = moved
        if task is not None:
            fired.append(task)

    def _fire_at_start(self, service: str) -> List[Task]:
        """Run what is to run once at the start of each period of service."""
        fired = []
        for schedule in self._store.schedules():
            is_wanted = schedule.at_start and schedule.is_enabled
            if is_wanted and service and schedule.service != service:
                # No occurrence of the schedule: it uses up none, and none keeps it from running.
                message = _message(schedule, waits=schedule.overlap == "wait")
                task = self._firing.fire_at_start(
                    schedule, service, message, schedule.overlap == "skip"
                )
                fired += [task] if task is not None else []
        return fired


def _message(schedule: Schedule, waits: bool) -> Message:
    return Message(
        name=schedule.name,
        payload=schedule.payload,
        lock=schedule.key if waits else None,
        queue=schedule.queue,
        priority=schedule.priority,
        policy=schedule.policy,
        schedule=schedule.key,
    )
