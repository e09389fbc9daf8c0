"""The wall times that an expression matches, walked by its fields; no zone is involved.

Wall times are microseconds since 0001-01-01 00:00, as in :mod:`autocron.core.walltime`. The walk
goes from month to month and takes the days of each from a table, so that the next 29 February is
a few steps away. It ends at the ends of datetime's range.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date
from typing import Iterator, Optional

from autocron.core.cron import CronExpression
from autocron.core.walltime import DAY, SECOND

MINUTE = 60 * SECOND
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def length_of_month(year: int, month: int) -> int:
    """Return how many days a month has."""
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _LENGTHS[month]


def _days_from(expression: CronExpression, day: int) -> Iterator[int]:
    """Yield the matching days from ``day`` on, counted from 0001-01-01 as 0."""
    start = date.fromordinal(day + 1)
    year, month, skip = start.year, start.month, start.day
    first = day - skip + 1
    months, table = expression.month.mask, expression.month_days
    while year < 10_000:
        length = length_of_month(year, month)
        if months >> month & 1:
            bits = table[length - 28][first % 7] >> skip << skip
            while bits:
                lowest = bits & -bits
                yield first + lowest.bit_length() - 2
                bits ^= lowest
        skip = 0
        first += length
        month += 1
        if month == 13:
            year, month = year + 1, 1


def _days_until(expression: CronExpression, day: int) -> Iterator[int]:
    """Yield the matching days from ``day`` backwards."""
    start = date.fromordinal(day + 1)
    year, month = start.year, start.month
    first = day - start.day + 1
    months, table = expression.month.mask, expression.month_days
    until = (1 << start.day + 1) - 1
    while year > 0:
        if months >> month & 1:
            bits = table[length_of_month(year, month) - 28][first % 7] & until
            while bits:
                highest = bits.bit_length() - 1
                yield first + highest - 1
                bits ^= 1 << highest
        until = -1
        month -= 1
        if month == 0:
            year, month = year - 1, 12
        first -= length_of_month(year, month)


def walls_from(expression: CronExpression, wall: int) -> Iterator[int]:
    """Yield the wall times that match, ascending, from ``wall`` on, in microseconds."""
    day, time = divmod(max(wall, 0), DAY)
    if day >= date.max.toordinal():
        return
    times = expression.minutes
    if expression.second.values == (0,):
        skip = bisect_left(times, time)
        for matching in _days_from(expression, day):
            base = matching * DAY
            for offset in times[skip:] if matching == day else times:
                yield base + offset
    else:
        seconds = tuple(second * SECOND for second in expression.second.values)
        skip = bisect_right(times, time - MINUTE)
        for matching in _days_from(expression, day):
            for offset in times[skip:] if matching == day else times:
                base = matching * DAY + offset
                for second in seconds:
                    if base + second >= wall:
                        yield base + second


def last_wall(expression: CronExpression, wall: int) -> Optional[int]:
    """Return the last wall time that matches and is not after ``wall``, or None."""
    if wall < 0:
        return None
    day, time = divmod(min(wall, date.max.toordinal() * DAY - 1), DAY)
    times = expression.minutes
    seconds = expression.second.values
    for matching in _days_until(expression, day):
        if matching < day:
            return matching * DAY + times[-1] + seconds[-1] * SECOND
        minute = bisect_right(times, time) - 1
        if minute < 0:
            continue
        within = bisect_right(seconds, (time - times[minute]) // SECOND) - 1
        if within >= 0:
            return matching * DAY + times[minute] + seconds[within] * SECOND
        if minute > 0:
            return matching * DAY + times[minute - 1] + seconds[-1] * SECOND
    return None
