"""Schedules that are made at run time, and the list of all that are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Iterable, List, Optional

from autocron import zones
from autocron.core.cron import parse
from autocron.core.errors import AutocronError, InvalidSchedule
from autocron.core.next_run import next_run
from autocron.core.schedule import NO_ARGUMENTS, Schedule
from autocron.core.values import frozen
from autocron.schedule_options import CronOptions

MAX_NAME_LENGTH = 200


@frozen
class ScheduleInfo:
    """A schedule that is kept.

    Attributes:
        name: Its name; for one in the code that of its function, and its text.
        task: The name of the task function.
        crontab: The cron expression; None for "at the start only".
        tz: The name of its time zone.
        next_at: When it fires next, in that zone; None if it does not.
        is_enabled: Whether it fires.
        is_dynamic: Whether it was made at run time.
        problem: Why it can not fire here; empty if it can.
    """

    name: str
    task: str
    crontab: Optional[str]
    tz: str
    next_at: Optional[datetime]
    is_enabled: bool
    is_dynamic: bool
    problem: str = ""


def dynamic_name(given: Optional[str], options: CronOptions, payload: str) -> str:
    """Return the name under which a schedule is kept.

    Raises:
        InvalidSchedule: The given one can not be used.
    """
    if given is None:
        # Not the key of a schedule in the code, which has no arguments in it.
        given = f"{options.name} {options.text} {'()' if payload == NO_ARGUMENTS else payload}"
        given = given[:MAX_NAME_LENGTH]
    if not isinstance(given, str) or not given.strip() or len(given) > MAX_NAME_LENGTH:
        raise InvalidSchedule(
            f"name: {given!r} is no name for a schedule; expected a text of 1 to "
            f"{MAX_NAME_LENGTH} characters"
        )
    return given


def listed(schedules: Iterable[Schedule], now: datetime) -> List[ScheduleInfo]:
    """Describe schedules, the one that fires next first."""
    found = [_info(schedule, now) for schedule in schedules]
    found.sort(key=lambda one: (one.next_at is None, one.next_at or now, one.name))
    return found


def _info(schedule: Schedule, now: datetime) -> ScheduleInfo:
    next_at, problem = None, ""
    try:
        if schedule.text is not None and schedule.is_enabled:
            zone = zones.load_zone(schedule.zone)
            # After a clock set back, nothing is run up to the watermark.
            found = next_run(parse(schedule.text), max(now, schedule.watermark_at), zone)
            next_at = None if found is None else found.astimezone(zone)
    except AutocronError as error:
        problem = str(error)
    return ScheduleInfo(
        name=schedule.key,
        task=schedule.name,
        crontab=schedule.text,
        tz=schedule.zone,
        next_at=next_at,
        is_enabled=schedule.is_enabled,
        is_dynamic=schedule.is_dynamic,
        problem=problem,
    )
