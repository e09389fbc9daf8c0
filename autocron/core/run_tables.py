"""The next run, read from tables: of an expression's days and minutes, and of a zone's years.

Most questions are about now and the next days, and the same few are asked again and again. So all
that does not depend on the instant is worked out once, when it is first asked for again: the days
of a year as bits, the next minute for each minute of a day, and when the wall clock of a zone would
have begun the year. Between an instant and its answer there remain a few sums of datetimes, of 30
ns each, and of bits; to make one ``timedelta`` of numbers takes 260, a datetime of year, month and
day 130 (Python 3.12, not optimised).

Days are counted from 1 January, which is 0. It is the year of UTC, so that on the wall it may be
the last day of the year before, -1, or the first of the year after.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Callable, Dict, List, NamedTuple, Optional, Set, Tuple, TypeVar

from autocron.core.cron import CronExpression, parse
from autocron.core.cron_times import MINUTE, length_of_month
from autocron.core.walltime import REACH, ZoneClock, to_datetime, to_instant

#: From this year on another search answers. No expression pauses for more than 40 years, so what is
#: found in tables lies within datetime's range.
_END_YEAR = 9900

Key = TypeVar("Key")
Value = TypeVar("Value")


class _Kept(Dict[Key, Value]):
    """The answers of a function, by its argument; whoever asks for too many has all made again.

    To look here takes 30 ns, a function under ``lru_cache`` 80, or 180 if it is asked for a zone.
    """

    cache_clear = dict.clear  # as lru_cache calls it

    def __init__(self, function: Callable[[Key], Value], most: int = 512) -> None:
        super().__init__()
        self._function = function
        self._most = most

    def __missing__(self, key: Key) -> Value:
        if len(self) >= self._most:
            self.clear()
        value = self[key] = self._function(key)
        return value


class _KeptIfAskedAgain(Dict[Key, Optional[Value]]):
    """The same, but who asks for the first time is given None.

    To search for one run takes 10 to 25 µs, to make the tables 100 of the expression and, of a zone
    that is written in Python, 1,500: too much for a question that nobody asks again.
    """

    cache_clear = dict.clear

    def __init__(self, function: Callable[[Key], Value]) -> None:
        super().__init__()
        self._function = function
        self._asked: Set[Key] = set()

    def __missing__(self, key: Key) -> Optional[Value]:
        if key not in self._asked:
            if len(self._asked) >= 1000:
                self._asked.clear()
            self._asked.add(key)
            return None
        if len(self) >= 256:
            self.clear()
        value = self[key] = self._function(key)
        return value


_DAYS = _Kept(timedelta)


def _twin(year: int) -> int:
    """Return a year from 2000 to 2027 with the same calendar; there are all that exist."""
    return next(twin for twin in range(2000, 2028) if _calendar(twin) == _calendar(year))


def _calendar(year: int) -> Tuple[int, int]:
    return date(year, 1, 1).weekday(), length_of_month(year, 2)


_TWINS = _Kept(_twin, most=9999)


class _Runs:
    """When an expression runs on the wall.

    Args:
        expression: The expression.

    Attributes:
        days: The days on which it runs, by the twin of a year, as bits: the first one for the day
            before 1 January, the last one for 31 January of the next year.
        minutes: For each minute of a day the first run in a later one, counted from midnight on.
        first: The first run of a day.
        seconds: The seconds at which it runs; empty for 0 alone, which needs no look at them.
    """

    def __init__(self, expression: CronExpression) -> None:
        seconds = expression.second.values
        minutes: List[Optional[timedelta]] = []
        for time in expression.minutes:
            minutes += [timedelta(0, seconds[0], time)] * (time // MINUTE - len(minutes))
        self.days = _Kept(partial(_days, expression))
        self.minutes = (*minutes, *[None] * (24 * 60 - len(minutes)))
        self.first = timedelta(0, seconds[0], expression.minutes[0])
        self.seconds = () if seconds == (0,) else seconds
        self._times = frozenset(expression.minutes)

    def day_after(self, year: int) -> int:
        """Return the first day after the next January, counted from 1 January of the year."""
        before = 0
        while True:
            before += 337 + length_of_month(year, 2)
            year += 1
            rest = self.days[_TWINS[year]] >> 32  # from 1 February on
            if rest:
                return before + 30 + (rest & -rest).bit_length()

    def within_minute(self, time: int) -> Optional[timedelta]:
        """Return the next run in the minute of a time, both counted from midnight on."""
        minute, second = divmod(time, 60)
        place = bisect_right(self.seconds, second)
        if place == len(self.seconds) or minute * MINUTE not in self._times:
            return None
        return timedelta(0, minute * 60 + self.seconds[place])


def _days(expression: CronExpression, twin: int) -> int:
    weekday = date(twin - 1, 12, 1).weekday()
    found = first = 0
    for place in range(-1, 13):
        month = place % 12 + 1
        length = length_of_month(twin, month)
        if expression.month.mask >> month & 1:
            found |= expression.month_days[length - 28][(weekday + first) % 7] << first
        first += length
    return found >> 31


# By text: where it is the same, the expressions are.
_RUNS: _KeptIfAskedAgain[str, _Runs] = _KeptIfAskedAgain(lambda text: _Runs(parse(text)))


class Stretch(NamedTuple):
    """A stretch of time with one offset from UTC, within a year of UTC.

    Attributes:
        start: Its first instant.
        end: The instant after its last: that of a change of the clock, or the end of the year.
        near: From when on a change that ends it, or follows soon after the year, is so near that
            the clock may show once more what it has shown.
        offset: The offset.
        new_year: When the wall clock would have begun the year with this offset; None right after a
            fold, as long as the clock shows what it has shown before.
    """

    start: datetime
    end: datetime
    near: datetime
    offset: timedelta
    new_year: Optional[datetime]


ZoneYear = Tuple[List[datetime], List[Stretch]]


def _zone_year(zone: tzinfo, year: int) -> ZoneYear:
    """Return the stretches of a year of UTC, and the ends of each of them."""
    clock = ZoneClock(zone)
    new_year = datetime(year, 1, 1, tzinfo=timezone.utc)
    start, last = to_instant(new_year), to_instant(new_year.replace(year=year + 1))
    found: List[Stretch] = []
    while start < last:
        offset = clock.offset(start)
        steady = clock.steady_until(start, offset, last)
        change = clock.next_change(steady, offset, last + REACH)
        changed = last + REACH if change is None else change.at
        end, near = min(changed, last), to_datetime(changed - REACH)
        fresh = min(clock.furthest_wall(start) - offset, end)
        east = timedelta(microseconds=offset)
        for begin, until, begun in (start, fresh, None), (fresh, end, new_year - east):
            if begin < until:
                found.append(Stretch(to_datetime(begin), to_datetime(until), near, east, begun))
        start = end
    return [stretch.end for stretch in found], found


def _zone_years(zone: tzinfo) -> _Kept[int, ZoneYear]:
    return _Kept(partial(_zone_year, zone))


_ZONES = _KeptIfAskedAgain(_zone_years)


def next_in_tables(expression: CronExpression, after: datetime, zone: tzinfo) -> Optional[datetime]:
    """Return the first occurrence after an instant where no change of the clock is near.

    It is the same for fixed-time and wildcard schedules: what matches first on the wall comes
    first, and comes once.

    Args:
        expression: The schedule.
        after: An aware datetime in ``timezone.utc``.
        zone: The time zone.

    Returns:
        An aware datetime in UTC; None is no answer.
    """
    year = after.year
    if not 1 < year < _END_YEAR:
        return None
    runs = _RUNS[expression.text]
    try:
        years = _ZONES[zone]
    except TypeError:  # The zone can be no key of a dictionary: some of dateutil's.
        return None
    if runs is None or years is None:
        return None
    ends, stretches = years[year]
    _, end, near, offset, new_year = stretches[bisect_right(ends, after)]
    if new_year is None:
        return None
    shown = after - new_year
    day, time = shown.days, shown.seconds
    rest = runs.days[_TWINS[year]] >> day + 1  # from today on
    step = runs.minutes[time // 60] if rest & 1 else None
    if runs.seconds and rest & 1:
        step = runs.within_minute(time) or step
    if step is None:
        step = runs.first
        rest >>= 1
        day = day + (rest & -rest).bit_length() if rest else runs.day_after(year)
    found = new_year + _DAYS[day] + step
    if found < end:
        return found
    if after >= near:
        return None
    ends, stretches = years[found.year]
    start, end, _, there, new_year = stretches[bisect_right(ends, found)]
    found += offset - there
    return found if new_year is not None and start <= found < end else None
