"""Gaps and folds of a time zone: how wall time and elapsed time fit together.

A zone is any ``tzinfo`` that keeps PEP 495: ``zoneinfo.ZoneInfo``, ``datetime.timezone`` or one
of your own. Only ``fromutc()`` is asked, since elapsed time determines wall time in every zone,
while the way back has gaps and folds.

Instants and wall times are whole microseconds since 0001-01-01 00:00, in UTC or on the wall:
sums of integers are exact and quick, and wall times that do not exist can still be counted.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Dict, NamedTuple, Optional

SECOND = 1_000_000
DAY = 86_400 * SECOND

_ZERO = datetime.min
_ZERO_UTC = datetime.min.replace(tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

#: The last instant that a datetime can hold.
LAST = (datetime.max - _ZERO) // _MICROSECOND
_LAST_CERTAIN = LAST - DAY

#: Offsets lie strictly within a day of UTC, so no change moves a wall clock by as much as this.
REACH = 2 * DAY


class Change(NamedTuple):
    """A change of the offset from UTC.

    Attributes:
        at: The instant of the change, in microseconds: the first with the new offset.
        before: The offset until then, in microseconds east of UTC.
        after: The offset from then on. More than before is a gap of the wall clock, less a fold.
    """

    at: int
    before: int
    after: int


def to_instant(moment: datetime) -> int:
    """Return the instant of an aware datetime, in microseconds; may pass the ends of datetime."""
    since = moment - _ZERO_UTC
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def to_datetime(instant: int) -> datetime:
    """Return the aware datetime in UTC of an instant in microseconds."""
    return _ZERO_UTC + _MICROSECOND * instant


class ZoneClock:
    """The wall clock of one zone, by instants.

    Args:
        zone: The zone. A pair of changes that undo each other is seen if a day or more lies
            between them; in the tz database the shortest such pair takes four days.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._zero = _ZERO.replace(tzinfo=zone)
        self._offsets: Dict[timedelta, int] = {}

    def offset(self, instant: int) -> int:
        """Return the offset from UTC at an instant, both in microseconds.

        In the first and the last day of datetime's range, where the zone can not answer, it is
        the offset a day further in.
        """
        if not DAY <= instant <= _LAST_CERTAIN:
            instant = min(max(instant, DAY), _LAST_CERTAIN)
        moment = self._zero + _MICROSECOND * instant
        wall = self._zone.fromutc(moment)
        if wall.tzinfo is self._zone:
            delta = wall - moment  # of one zone, so by wall clock
        else:
            delta = wall.replace(tzinfo=None) - moment.replace(tzinfo=None)
        offset = self._offsets.get(delta)
        if offset is None:
            offset = self._offsets[delta] = delta // _MICROSECOND
        return offset

    def next_change(self, start: int, offset: int, end: int) -> Optional[Change]:
        """Return the first change after ``start``, where ``offset`` holds, until ``end``."""
        while start < end:
            probe = min(start + DAY, end)
            if self.offset(probe) != offset:
                return self._bisect(start, offset, probe)
            start = probe
        return None

    def steady_until(self, start: int, offset: int, end: int) -> int:
        """Return how far the offset is seen to stay, from ``start`` on in steps of a day.

        It walks through a year in 50 µs, where :meth:`next_change` takes 250.
        """
        moment, day = self._zero + _MICROSECOND * start, timedelta(1)
        steady = _MICROSECOND * offset
        while start + DAY <= end:
            moment += day
            wall = self._zone.fromutc(moment)
            if wall.tzinfo is not self._zone or wall - moment != steady:
                break
            start += DAY
        return start

    def last_change(self, start: int, end: int, offset: int) -> Optional[Change]:
        """Return the last change after ``start`` until ``end``, where ``offset`` holds."""
        while start < end:
            probe = max(end - DAY, start)
            before = self.offset(probe)
            if before != offset:
                change = self._bisect(probe, before, end)
                # Two changes within a day: the later one is meant.
                return self.last_change(change.at, end, offset) or change
            end = probe
        return None

    def _bisect(self, low: int, offset: int, high: int) -> Change:
        """Return a change between ``low``, with this offset, and ``high``, with another one."""
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset(middle) == offset:
                low = middle
            else:
                high = middle
        return Change(high, offset, self.offset(high))

    def furthest_wall(self, instant: int) -> int:
        """Return the furthest wall time that the clock has shown until ``instant``.

        In the second pass of a fold that is the last microsecond before the clock went back.
        """
        offset = self.offset(instant)
        wall = instant + offset
        change = self.last_change(instant - REACH, instant, offset)
        while change is not None:
            wall = max(wall, change.at - 1 + change.before)
            change = self.last_change(instant - REACH, change.at - 1, change.before)
        return wall


class Arrivals:
    """When the wall clock of a zone first reaches given times: gaps and folds resolved.

    A wall time that exists once is reached then; one in a gap at the end of the gap; one that
    comes twice on the first pass. It must be asked in ascending order, since it remembers the
    stretch of time in which it found the offset constant.
    """

    def __init__(self, clock: ZoneClock) -> None:
        self._clock = clock
        # The offset holds from _from until _until, and _next is the change that follows at once.
        self._from = self._until = -10 * DAY
        self._offset = 0
        self._next: Optional[Change] = None

    def first(self, wall: int) -> int:
        """Return the first instant at which the clock shows ``wall`` or a later time."""
        if wall - DAY > self._until:
            # Far away; a day before, no offset can have brought the clock there yet.
            self._from = self._until = wall - DAY
            self._offset = self._clock.offset(self._from)
            self._next = None
        while wall - self._offset > self._until:
            if self._next is None:
                probe = wall - self._offset + DAY
                self._next = self._clock.next_change(self._until, self._offset, probe)
                self._until = probe if self._next is None else self._next.at - 1
            else:
                self._from = self._until = self._next.at
                self._offset = self._next.after
                self._next = None
        return max(self._from, wall - self._offset)
