"""Next and previous occurrence of a cron expression in a time zone.

The rules are Debian's, cron(8), for changes of the clock of any size; the spec, in
``spec/daylight_saving_spec.py``, gives them in words:

- A *fixed-time* schedule (neither minute nor hour starts with ``*``) runs when the wall clock
  first reaches its time or passes it. So a time in a gap runs at the end of the gap, several in
  one gap run once, and a time in a fold runs on the first pass only.
- A *wildcard* schedule runs whenever the wall clock shows its time: never for a gap, on both
  passes of a fold.

Every search is bounded: it ends at the ends of datetime's range, with None.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Iterator, Optional

from autocron.core.cron import CronExpression
from autocron.core.cron_times import last_wall, walls_from
from autocron.core.errors import InvalidSchedule
from autocron.core.run_tables import next_in_tables
from autocron.core.walltime import (
    DAY,
    LAST,
    REACH,
    Arrivals,
    Change,
    ZoneClock,
    to_datetime,
    to_instant,
)


def next_run(expression: CronExpression, after: datetime, zone: tzinfo) -> Optional[datetime]:
    """Return the first occurrence strictly after an instant.

    Args:
        expression: The schedule.
        after: An aware datetime, in any zone.
        zone: The time zone whose wall clock the schedule follows.

    Returns:
        An aware datetime in UTC, or None if there is none up to the year 9999.

    Raises:
        InvalidSchedule: ``after`` is no aware datetime.
    """
    moment = after
    if not isinstance(after, datetime) or after.tzinfo is not timezone.utc:
        moment = _in_utc("after", after)
    found = next_in_tables(expression, moment, zone)
    return next(occurrences(expression, after, zone), None) if found is None else found


def previous_run(expression: CronExpression, before: datetime, zone: tzinfo) -> Optional[datetime]:
    """Return the last occurrence strictly before an instant.

    Args:
        expression: The schedule.
        before: An aware datetime, in any zone.
        zone: The time zone whose wall clock the schedule follows.

    Returns:
        An aware datetime in UTC, or None if there is none from the year 1 on.

    Raises:
        InvalidSchedule: ``before`` is no aware datetime.
    """
    last = min(_instant("before", before) - 1, LAST)
    clock = ZoneClock(zone)
    found: Optional[int]
    if expression.is_fixed_time:
        wall = last_wall(expression, clock.furthest_wall(last))
        found = None if wall is None else Arrivals(clock).first(wall)
    else:
        found = _last_shown(expression, clock, last)
    return None if found is None or found < 0 else to_datetime(found)


def occurrences(expression: CronExpression, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Return all occurrences strictly after an instant, ascending, as they are asked for.

    Args:
        expression: The schedule.
        after: An aware datetime, in any zone.
        zone: The time zone whose wall clock the schedule follows.

    Returns:
        An iterator of aware datetimes in UTC, each later than the one before; it ends with the
        year 9999.

    Raises:
        InvalidSchedule: ``after`` is no aware datetime; raised by the call itself.
    """
    # An instant before the year 1 in UTC can not be given back, so it need not be searched.
    start = max(_instant("after", after), -1)
    clock = ZoneClock(zone)
    found = (_reached if expression.is_fixed_time else _shown)(expression, clock, start)
    return _datetimes(found)


def between(
    expression: CronExpression, after: datetime, until: datetime, zone: tzinfo
) -> Iterator[datetime]:
    """Return the occurrences after one instant up to another one, ``(after, until]``.

    Args:
        expression: The schedule.
        after: An aware datetime; an occurrence at it is left out.
        until: An aware datetime; an occurrence at it is included.
        zone: The time zone whose wall clock the schedule follows.

    Returns:
        An iterator of aware datetimes in UTC, ascending; empty if ``until`` is not after ``after``.

    Raises:
        InvalidSchedule: An instant is no aware datetime; raised by the call itself.
    """
    end = _instant("until", until)
    return _until(occurrences(expression, after, zone), end)


def _datetimes(found: Iterator[int]) -> Iterator[datetime]:
    """Yield instants as datetimes."""
    # Most are equally far from each other, and to add a known distance is quick.
    previous, moment = 0, to_datetime(0)
    distance, step = 0, timedelta(0)
    for instant in found:
        if instant - previous != distance:
            distance = instant - previous
            step = timedelta(0, 0, distance)
        moment += step
        previous = instant
        yield moment


def _until(found: Iterator[datetime], end: int) -> Iterator[datetime]:
    last = to_datetime(min(max(end, 0), LAST))
    for occurrence in found:
        if end < 0 or occurrence > last:
            return
        yield occurrence


def _in_utc(name: str, moment: datetime) -> datetime:
    """Return an instant in UTC; if UTC can not express it, the first or the last that it can."""
    if type(moment) is datetime and moment.utcoffset() is not None:
        try:
            return moment.astimezone(timezone.utc)
        except OverflowError:
            pass
    return to_datetime(min(max(_instant(name, moment), 0), LAST))


def _instant(name: str, moment: datetime) -> int:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        shown = moment.isoformat() if isinstance(moment, datetime) else type(moment).__name__
        raise InvalidSchedule(
            f"{name}: expected a datetime with a time zone, got {shown};"
            " for an instant in UTC write datetime(..., tzinfo=timezone.utc)",
            field=name,
        )
    return to_instant(moment)


def _reached(expression: CronExpression, clock: ZoneClock, after: int) -> Iterator[int]:
    """Yield the instants after ``after`` of a fixed-time schedule."""
    arrivals = Arrivals(clock)
    previous = after
    for wall in walls_from(expression, clock.furthest_wall(after)):
        instant = arrivals.first(wall)
        if instant > LAST:
            return
        if instant > previous:  # not the first time itself; and several in a gap come together
            yield instant
            previous = instant


def _shown(expression: CronExpression, clock: ZoneClock, after: int) -> Iterator[int]:
    """Yield the instants after ``after`` of a wildcard schedule."""
    # All is looked at until anchor; the offset holds until known, where change follows, if any.
    anchor = known = after + 1
    offset = clock.offset(known)
    change: Optional[Change] = None
    walls = walls_from(expression, known + offset)
    wall = next(walls, None)
    while wall is not None:
        instant = wall - offset
        if instant <= known:
            if instant > LAST:
                return
            yield instant
            anchor = instant
            wall = next(walls, None)
        elif change is not None:
            anchor = known = change.at
            offset = change.after
            change = None
            walls = walls_from(expression, known + offset)
            wall = next(walls, None)
        elif known < anchor + REACH or instant - known < 2 * DAY:
            near = instant - known < 2 * DAY
            probe = instant + DAY if near else anchor + REACH
            change = clock.next_change(known, offset, probe)
            known = probe if change is None else change.at - 1
        else:
            # A match that a fold could bring back is out of reach, the next one is far off.
            known = wall - DAY
            offset = clock.offset(known)


def _last_shown(expression: CronExpression, clock: ZoneClock, last: int) -> Optional[int]:
    """Return the last instant until ``last`` of a wildcard schedule."""
    end = last
    offset = clock.offset(end)
    while True:
        wall = last_wall(expression, end + offset)
        if wall is None:
            return None
        change = clock.last_change(max(wall - offset, end - REACH), end, offset)
        if change is None:
            if wall - offset < end - REACH:
                # Nothing within reach of a change; between here and there nothing matches.
                end = min(end - REACH, wall + DAY)
                offset = clock.offset(end)
                change = clock.last_change(wall - offset, end, offset)
            if change is None:
                return wall - offset
        end = change.at - 1
        offset = change.before
