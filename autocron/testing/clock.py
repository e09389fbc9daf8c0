"""The clocks of tests: one that the test moves, and one that follows the system's.

Beside the shell's ``clock.py`` this is the only module that produces time.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Mapping, Optional, Union

from autocron import zones
from autocron.core.errors import AutocronError
from autocron.shell.clock import SystemClock

# What can stand for an instant: an aware datetime, a naive one, or either as ISO 8601 text.
Instant = Union[datetime, str]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_BEGINNING = datetime(2024, 1, 1, tzinfo=timezone.utc)
_UNITS = ("weeks", "days", "hours", "minutes", "seconds")
# Below this a difference between two clocks is measurement and slewing.
_STEP_SECONDS = 1.0


class ManualClock:
    """A clock that stands still until the test moves it.

    Two things can happen to a clock, and they are not the same: time passes (:meth:`advance`), or
    somebody sets it (:meth:`set`). Elapsed time, :meth:`monotonic`, follows only the first.

    Arguments:
        now: The wall-clock time at which it begins; the start of 2024 by default. An aware
            datetime, or a naive one that is meant in ``tz``, or either as ISO 8601 text.
        tz: The zone in which times without one are meant, by name or as tzinfo; UTC by default.

    Raises:
        AutocronError: ``now`` is no such instant.
        InvalidSchedule: The zone is not known here.
    """

    def __init__(
        self, now: Optional[Instant] = None, tz: Union[str, tzinfo] = timezone.utc
    ) -> None:
        self._zone = tz if isinstance(tz, tzinfo) else zones.load_zone(zones.zone_name(tz))
        self._now = _BEGINNING if now is None else self.instant("now", now)
        self._elapsed = timedelta(0)

    def now(self) -> datetime:
        """Return the wall-clock time as an aware UTC datetime."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that have passed since the clock was made."""
        return self._elapsed / timedelta(seconds=1)

    def advance(
        self,
        by: Optional[timedelta] = None,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> datetime:
        """Let time pass: the wall clock and elapsed time go on alike.

        What is given is added up. A day is 24 hours, whatever the clocks of a zone do; to go to a
        time of the next day there, give the instant to :meth:`advance_to`.

        Arguments:
            by: How long.
            weeks: How long, in weeks; the others likewise.
            days: In days.
            hours: In hours.
            minutes: In minutes.
            seconds: In seconds; a microsecond is the least.

        Returns:
            The wall-clock time it is now.

        Raises:
            AutocronError: The sum is negative: time does not go back. (Clocks do: ``set()``.) Or
                what is given is no time.
        """
        given = (weeks, days, hours, minutes, seconds)
        step = step_of("advance()", by, dict(zip(_UNITS, given)))
        if step < timedelta(0):
            raise AutocronError(
                f"time can not pass by {step.total_seconds():g} seconds; expected 0 or more. To "
                "set the wall clock back, as an administrator does, call set(instant)"
            )
        try:
            self._now += step
        except OverflowError:
            raise AutocronError(f"advance(): {step} later the range of times is over") from None
        self._elapsed += step
        return self._now

    def advance_to(self, instant: Instant) -> datetime:
        """Let time pass until an instant.

        Arguments:
            instant: As for the clock's beginning; not before :meth:`now`.

        Returns:
            The wall-clock time it is now.

        Raises:
            AutocronError: It is in the past, or no instant.
        """
        return self.advance(self.instant("instant", instant) - self._now)

    def set(self, instant: Instant) -> datetime:
        """Set the wall clock, forwards or back, while no time passes.

        That is what an administrator does, or NTP after a wrong start. To let time pass call
        :meth:`advance`.

        Arguments:
            instant: As for the clock's beginning.

        Returns:
            The wall-clock time it is now.

        Raises:
            AutocronError: It is no instant.
        """
        self._now = self.instant("instant", instant)
        return self._now

    def instant(self, name: str, given: Instant) -> datetime:
        """Return the instant that is meant by a time.

        Arguments:
            name: The name of the argument, for the error message.
            given: An aware datetime, a naive one that is meant in this clock's zone, or either as
                ISO 8601 text.

        Returns:
            An aware UTC datetime.

        Raises:
            AutocronError: It is no instant.
        """
        return instant_of(name, given, self._zone)

    def __repr__(self) -> str:
        return f"<ManualClock {self._now.isoformat(' ')}>"


def instant_of(name: str, given: Instant, zone: tzinfo) -> datetime:
    """Return the instant that is meant by a time; see :meth:`ManualClock.instant`."""
    moment: object = given
    if isinstance(given, str):
        try:
            # Python 3.8 does not know the Z of ISO 8601.
            moment = datetime.fromisoformat(given[:-1] + "+00:00" if given[-1:] == "Z" else given)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise AutocronError(
            f"{name}: {given!r} is no instant; expected a datetime, or its ISO 8601 text such "
            "as '2026-03-29 02:30' or '2026-03-29T02:30:00+01:00'"
        )
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(timezone.utc)


def step_of(what: str, by: Optional[timedelta], units: Mapping[str, float]) -> timedelta:
    """Return for how long a test lets time pass: the sum of what it gives.

    Arguments:
        what: What was called, for messages.
        by: How long; None is nothing.
        units: Numbers of weeks, days, hours, minutes and seconds.

    Raises:
        AutocronError: It is no time.
    """
    if by is not None and not isinstance(by, timedelta):
        raise AutocronError(
            f"{what}: {by!r} is no timedelta; expected one, or a number with its unit, such as "
            "hours=1"
        )
    for name, number in units.items():
        if name not in _UNITS:
            raise AutocronError(
                f"{what}: {name!r} is no unit of time; expected one of {', '.join(_UNITS)}"
            )
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise AutocronError(f"{what}: {name}={number!r} is no number of {name}")
    try:
        return (by or timedelta(0)) + timedelta(**units)
    except (OverflowError, ValueError):  # The latter of what is not a number.
        given = ", ".join(f"{name}={number!r}" for name, number in units.items())
        raise AutocronError(f"{what}: {given} is more than any time, or not a number") from None


class FollowingClock:
    """The system's wall clock, read at each use, so that freezegun and time-machine just work.

    They move the wall clock alone. Taken for what it is, a clock that was set, that would move the
    delays of waiting tasks along with it; so here elapsed time follows the wall clock.
    """

    def __init__(self) -> None:
        self._system = SystemClock()
        self._seen_at = self._began_at = self._system.now()
        self._true_offset = self._offset(self._seen_at)
        self._is_moved = False

    def now(self) -> datetime:
        """Return the wall-clock time as an aware UTC datetime."""
        now = self._system.now()
        is_moved = abs(self._offset(now) - self._true_offset) > _STEP_SECONDS
        went_back = (self._seen_at - now).total_seconds() > _STEP_SECONDS
        if went_back or is_moved != self._is_moved:
            self._began_at = now
        self._seen_at, self._is_moved = now, is_moved
        return now

    def monotonic(self) -> float:
        """Return seconds that pass as on the wall clock."""
        return time.time()

    @property
    def began_at(self) -> datetime:
        """The first instant seen since a test took the clock, let it go, or moved it back.

        While it goes forward in the hands of a test, that is time passing.
        """
        return self._began_at

    def _offset(self, now: datetime) -> float:
        """Return by how much the wall clock is ahead of the one that tests do not move."""
        return (now - _EPOCH).total_seconds() - self._system.monotonic()
