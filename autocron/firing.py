"""The cron part of a step: looks at the schedules and fires what is owed.

It computes nothing itself (:mod:`autocron.core.schedule` does) and stores nothing itself (the
engine does, once per occurrence); it remembers when each schedule is next due, so that a step costs
nothing while none is.
"""

from __future__ import annotations

import heapq
import logging
from datetime import datetime, timedelta, tzinfo
from typing import Dict, Iterator, List, Mapping, Optional, Protocol, Tuple

from autocron.core.cron import CronExpression, parse
from autocron.core.errors import AutocronError
from autocron.core.next_run import occurrences
from autocron.core.schedule import Owed, Schedule, corrected_watermark, owed
from autocron.core.task import Message, Task
from autocron.core.values import changed, made
from autocron.ports import Store, Zones

logger = logging.getLogger("autocron")

# Under these names the store tells that schedules were declared, and which period of service it is.
SCHEDULES_VERSION = "schedules_version"
SERVICE = "service"

# The arguments of a cron function: none. The payload is the codec's text for them.
NO_ARGUMENTS = "[[],{}]"


class Firing(Protocol):
    """Stores the tasks of schedules: the engine."""

    def fire(
        self, schedule: Schedule, at: datetime, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of one occurrence, once; see :meth:`autocron.ports.Backend.fire`."""
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
        expression: Its expression.
        zone: Its zone.
        due_at: Its next occurrence; None if there is none.
        following_at: The one after that.
    """

    __slots__ = ("_coming", "due_at", "expression", "following_at", "grace", "schedule", "zone")

    def __init__(
        self, schedule: Schedule, expression: CronExpression, zone: tzinfo, after: datetime
    ) -> None:
        self.schedule = schedule
        self.expression = expression
        self.zone = zone
        self.grace = timedelta(seconds=schedule.grace_seconds)
        self._begin(after)

    def _begin(self, after: datetime) -> None:
        self._coming: Iterator[datetime] = occurrences(self.expression, after, self.zone)
        self.due_at = next(self._coming, None)
        self.following_at = next(self._coming, None)

    def owed(self, now: datetime) -> Owed:
        """Tell which occurrences are to be run at an instant at which it is due."""
        due_at, following_at = self.due_at, self.following_at
        assert due_at is not None
        if (following_at is None or following_at > now) and now - due_at <= self.grace:
            # Almost always: one is due, and on time. Nothing has to be searched.
            return Owed(on_time=(due_at,))
        return owed(self.schedule, self.expression, self.zone, now)

    def move_on(self, watermark_at: datetime, now: datetime) -> None:
        """Plan what comes after that which was owed, and is stored now."""
        self.schedule = changed(self.schedule, watermark_at=watermark_at)
        if self.following_at is not None and self.following_at <= now:
            self._begin(max(now, watermark_at))
        else:
            self.due_at, self.following_at = self.following_at, next(self._coming, None)


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
        self._known_as: Optional[Tuple[str, str]] = None
        self._plans: Dict[str, _Plan] = {}
        self._due: List[Tuple[datetime, str]] = []

    @property
    def next_at(self) -> Optional[datetime]:
        """The next occurrence of any schedule."""
        return self._due[0][0] if self._due else None

    def tick(
        self, now: datetime, settings: Mapping[str, str], stepped_seconds: float = 0.0
    ) -> Tuple[Task, ...]:
        """Fire what is owed at this instant.

        Arguments:
            now: The present instant.
            settings: The settings of the store; they tell when schedules were declared.
            stepped_seconds: By how many seconds the wall clock was just seen to step.

        Returns:
            The tasks that were stored.
        """
        service = settings.get(SERVICE, "")
        known_as = (settings.get(SCHEDULES_VERSION, ""), service)
        fired: List[Task] = []
        if known_as != self._known_as or stepped_seconds:
            self._read(now, stepped_seconds)
            fired += self._fire_at_start(service)
            self._known_as = known_as
        while self._due and self._due[0][0] <= now:
            key = self._due[0][1]
            plan = self._plans[key]
            # Taken off only when all is stored: a full disk must not make us forget the schedule.
            fired += self._fire_owed(plan, now)
            if plan.due_at is None:
                heapq.heappop(self._due)
            else:
                heapq.heapreplace(self._due, (plan.due_at, key))
        return tuple(fired)

    def _read(self, now: datetime, stepped_seconds: float) -> None:
        self._plans, self._due = {}, []
        for schedule in self._store.schedules():
            watermark_at = corrected_watermark(schedule.watermark_at, now, stepped_seconds)
            if watermark_at != schedule.watermark_at:
                corrected = changed(schedule, watermark_at=watermark_at)
                if self._store.swap_schedule(schedule, corrected):
                    schedule = corrected
            if schedule.text is None:
                continue
            try:
                expression, zone = parse(schedule.text), self._zones(schedule.zone)
            except AutocronError as error:
                logger.error("schedule %s can not run here: %s", schedule.key, error)
                continue
            plan = self._plans[schedule.key] = _Plan(
                schedule, expression, zone, schedule.watermark_at
            )
            if plan.due_at is not None:
                heapq.heappush(self._due, (plan.due_at, schedule.key))

    def _fire_owed(self, plan: _Plan, now: datetime) -> List[Task]:
        found = plan.owed(now)
        schedule, watermark_at = plan.schedule, plan.schedule.watermark_at
        fired = []
        for at in (*found.made_up, *found.on_time):
            # "all" means every one of them, so they queue up instead of skipping each other.
            in_turn = schedule.missed == "all" and at in found.made_up
            task = self._fire_one(schedule, at, in_turn)
            watermark_at = at
            if task is not None:
                fired.append(task)
        plan.move_on(watermark_at, now)
        return fired

    def _fire_one(self, schedule: Schedule, at: datetime, in_turn: bool) -> Optional[Task]:
        waits = schedule.overlap == "wait" or (in_turn and schedule.overlap == "skip")
        message = _message(schedule, at, waits)
        return self._firing.fire(schedule, at, message, schedule.overlap == "skip" and not in_turn)

    def _fire_at_start(self, service: str) -> List[Task]:
        """Run what is to run once at the start of each period of service."""
        fired = []
        for schedule in self._store.schedules():
            if schedule.at_start and service and schedule.service != service:
                # No occurrence of the schedule: it uses up none, and none keeps it from running.
                message = _message(schedule, None, schedule.overlap == "wait")
                task = self._firing.fire_at_start(
                    schedule, service, message, schedule.overlap == "skip"
                )
                fired += [task] if task is not None else []
        return fired


def _message(schedule: Schedule, at: Optional[datetime], waits: bool) -> Message:
    return made(
        Message,
        name=schedule.name,
        payload=NO_ARGUMENTS,
        lock=schedule.key if waits else None,
        schedule=schedule.key,
        occurrence_at=at,
    )
