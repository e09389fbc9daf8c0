"""The options of the decorators, checked where they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

from autocron.core.errors import InvalidSchedule, InvalidTask
from autocron.core.schedule import (
    DEFAULT_GRACE_SECONDS,
    MISSED_POLICIES,
    OVERLAP_POLICIES,
    Schedule,
)

Moment = Union[datetime, Callable[[], datetime]]
Backoff = Union[float, timedelta, str]

_UNIT_SECONDS: Mapping[str, float] = {
    "weeks": 7 * 86400.0,
    "days": 86400.0,
    "hours": 3600.0,
    "minutes": 60.0,
    "seconds": 1.0,
}
_OTHERS = ("schedule", "retries", "backoff")
_MOST_RETRIES = 1_000_000
_LONGEST_SECONDS = 100 * 366 * 86400.0


@dataclass(frozen=True)
class DelayOptions:
    """The options of a delayed function.

    Attributes:
        delay_seconds: Not to be run before this many seconds have elapsed.
        schedule: Not before this instant, or the one that this callable gives at each call.
        retries: How many attempts are made again after a failure.
        backoff_seconds: The delay before each of them; None is exponential backoff.
    """

    delay_seconds: float = 0.0
    schedule: Optional[Moment] = None
    retries: int = 0
    backoff_seconds: Optional[float] = None

    def changed(self, **given: Any) -> DelayOptions:
        """Return options with what is given changed; a time given replaces the time before.

        Arguments:
            given: ``weeks``, ``days``, ``hours``, ``minutes``, ``seconds`` (numbers, added up) or
                ``schedule`` (a datetime, or a callable giving one); ``retries`` (a whole number),
                ``backoff`` (seconds, or ``"exponential"``). None is "not given".

        Raises:
            InvalidTask: An option is not known, or can not be used.
        """
        given = {name: value for name, value in given.items() if value is not None}
        for name in given:
            if name not in _UNIT_SECONDS and name not in _OTHERS:
                known = ", ".join((*_UNIT_SECONDS, *_OTHERS))
                raise InvalidTask(f"{name!r} is no option of delay; expected one of {known}")
        delay = {name: given[name] for name in given if name in _UNIT_SECONDS}
        schedule = given.get("schedule")
        changes: Dict[str, Any] = {}
        if schedule is not None and delay:
            raise InvalidTask(
                f"schedule= and {', '.join(f'{name}=' for name in delay)} both say when the task "
                "is to run; give one of them"
            )
        if schedule is not None:
            if not callable(schedule):
                _check_moment(schedule, "schedule")
            changes.update(delay_seconds=0.0, schedule=schedule)
        if delay:
            seconds = sum(
                _number(name, value) * _UNIT_SECONDS[name] for name, value in delay.items()
            )
            if seconds > _LONGEST_SECONDS:
                raise InvalidTask(f"{', '.join(delay)}: the delay is more than 100 years")
            changes.update(delay_seconds=seconds, schedule=None)
        if "retries" in given:
            changes["retries"] = _retries(given["retries"])
        if "backoff" in given:
            changes["backoff_seconds"] = _backoff(given["backoff"])
        return replace(self, **changes)

    def moment(self, zone: tzinfo) -> Optional[datetime]:
        """Return the instant, in UTC, before which the task is not to run; None is now.

        Arguments:
            zone: In which a datetime without a zone is meant.

        Raises:
            InvalidTask: The callable gave no datetime.
        """
        if self.schedule is None:
            return None
        given = self.schedule() if callable(self.schedule) else self.schedule
        moment = _check_moment(given, "schedule")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        try:
            return moment.astimezone(timezone.utc)
        except (OverflowError, ValueError, OSError):  # the last two from the system's zone
            raise InvalidTask(f"schedule: {moment!r} is out of the range of times") from None


def _check_moment(given: object, name: str) -> datetime:
    if not isinstance(given, datetime):
        raise InvalidTask(
            f"{name}: {given!r} is no datetime; expected an aware datetime, one in the "
            "application's zone, or a callable that returns one (for a delay: seconds=…)"
        )
    return given


def _retries(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_RETRIES:
        raise InvalidTask(f"retries: {value!r} is not a whole number from 0 to {_MOST_RETRIES}")
    return value


def _backoff(value: object) -> Optional[float]:
    if value == "exponential":
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    seconds = math.inf if isinstance(value, str) else _number("backoff", value)
    if seconds > _LONGEST_SECONDS:
        raise InvalidTask(
            f"backoff: {value!r} is neither a number of seconds up to 100 years nor 'exponential'"
        )
    return seconds


def _number(name: str, value: object) -> float:
    number = not isinstance(value, bool) and isinstance(value, (int, float))
    if not number or not 0 <= value < math.inf:  # type: ignore[operator]
        raise InvalidTask(f"{name}: {value!r} is not a number from 0 upwards")
    # An int may be larger than any float; all of these are too long anyway.
    return float(min(value, 2 * _LONGEST_SECONDS))  # type: ignore[call-overload]


@dataclass(frozen=True)
class CronOptions:
    """One ``@cron``, before it is known where it will run.

    Attributes:
        name: The name of the task function.
        text: The canonical cron expression; None for "at the start only".
        zone: The name of the time zone; None is the application's.
        missed: The policy for missed occurrences.
        overlap: The policy while an earlier run is in hand.
        grace_seconds: How late an occurrence may be noticed and still be on time.
        at_start: Whether to run once when the application starts.
    """

    name: str
    text: Optional[str]
    zone: Optional[str]
    missed: str
    overlap: str
    grace_seconds: float
    at_start: bool

    @property
    def key(self) -> str:
        """The identity of the schedule: stacked ones differ in their text."""
        return f"{self.name} {self.text or '@start'}"

    def schedule(self, default_zone: str, now: datetime) -> Schedule:
        """Return the schedule to declare, beginning now."""
        return Schedule(
            key=self.key,
            name=self.name,
            text=self.text,
            zone=self.zone or default_zone,
            missed=self.missed,
            overlap=self.overlap,
            grace_seconds=self.grace_seconds,
            at_start=self.at_start,
            watermark_at=now,
        )


def check_policies(
    missed: Optional[str],
    overlap: str,
    grace: Union[float, timedelta],
    at_start: bool,
    is_fixed_time: bool,
) -> Tuple[str, str, float]:
    """Check the options of a cron schedule.

    Arguments:
        missed: ``"once"``, ``"skip"``, ``"all"``, or None for the default of the schedule's kind.
        overlap: ``"skip"``, ``"wait"`` or ``"allow"``.
        grace: Seconds, or a timedelta.
        at_start: True or False.
        is_fixed_time: Whether neither minute nor hour starts with ``*``.

    Returns:
        missed, overlap, and the grace in seconds.

    Raises:
        InvalidSchedule: One of them can not be used.
    """
    if missed is None:
        missed = "once" if is_fixed_time else "skip"
    for name, given, policies in (
        ("missed", missed, MISSED_POLICIES),
        ("overlap", overlap, OVERLAP_POLICIES),
    ):
        if given not in policies:
            raise InvalidSchedule(f"{name}: {given!r} is not one of {', '.join(policies)}")
    if isinstance(grace, timedelta):
        grace = grace.total_seconds()
    usable = not isinstance(grace, bool) and isinstance(grace, (int, float))
    if not usable or not 0 <= grace <= _LONGEST_SECONDS:
        raise InvalidSchedule(
            f"grace: {grace!r} is not a number of seconds from 0 upwards "
            f"(default {DEFAULT_GRACE_SECONDS:g})"
        )
    if not isinstance(at_start, bool):
        raise InvalidSchedule(f"at_start: {at_start!r} is not True or False")
    return missed, overlap, float(grace)
