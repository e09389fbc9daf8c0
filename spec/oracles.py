"""Two oracles that know nothing of the code under test.

1. :func:`scan` looks at every minute (every second, for six fields) of a stretch of time and asks
   whether the schedule runs then. It reads the text with a matcher of its own, field by field.
   It is too simple to be wrong, and slow.
2. croniter, an established library, with :data:`KNOWN_DIFFERENCES`: what the two are known to
   answer differently, and why. The spec proves that each difference still exists.
"""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Callable, List, NamedTuple

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def six_fields(text):
    """Return second, minute, hour, day of month, month and day of week as text."""
    text = ALIASES.get(text.strip().lower(), text)
    fields = text.lower().split()
    return fields if len(fields) == 6 else ["0", *fields]


def number(token):
    if token in MONTHS:
        return MONTHS.index(token) + 1
    return WEEKDAYS.index(token) if token in WEEKDAYS else int(token)


@lru_cache(maxsize=None)
def numbers(field, low, high):
    """Return the plain numbers of a field."""
    found = set()
    for item in field.split(","):
        if item in ("l", "lw") or "#" in item or is_nearest(item) or is_last(item):
            continue
        base, _, step = item.partition("/")
        first, _, last = base.partition("-")
        if base == "*":
            first, last = low, high
        elif last == "" and step:
            last = high
        first = number(str(first))
        last = number(str(last)) if last != "" else first
        found |= set(range(first, last + 1)[:: int(step or 1)])
    return found


def is_nearest(item):
    return item.endswith("w") and item[:-1].isdigit()


def is_last(item):
    return item.endswith("l") and (item[:-1].isdigit() or item[:-1] in WEEKDAYS)


@lru_cache(maxsize=None)
def day_runs(days, months, weekdays, date):
    """Whether a schedule runs on a date; the rule for the two day fields is here."""
    if date.month not in numbers(months, 1, 12):
        return False
    length = calendar.monthrange(date.year, date.month)[1]
    working = [
        day for day in range(1, length + 1) if calendar.weekday(date.year, date.month, day) < 5
    ]
    by_date = date.day in numbers(days, 1, 31)
    for item in days.split(","):
        if item == "l":
            by_date |= date.day == length
        elif item == "lw":
            by_date |= date.day == working[-1]
        elif is_nearest(item) and int(item[:-1]) <= length:
            by_date |= date.day == min(working, key=lambda day: abs(day - int(item[:-1])))
    weekday = date.isoweekday() % 7
    by_weekday = weekday in {day % 7 for day in numbers(weekdays, 0, 7)}
    for item in weekdays.split(","):
        if "#" in item:
            name, nth = item.split("#")
            by_weekday |= number(name) % 7 == weekday and (date.day + 6) // 7 == int(nth)
        elif is_last(item):
            by_weekday |= number(item[:-1]) % 7 == weekday and date.day > length - 7
    if days.startswith("*") or weekdays.startswith("*"):
        return by_date and by_weekday
    return by_date or by_weekday


def matches(text, wall):
    """Whether a wall time, a naive datetime, is one of the schedule's."""
    second, minute, hour, days, months, weekdays = six_fields(text)
    return (
        wall.second in numbers(second, 0, 59)
        and wall.microsecond == 0
        and wall.minute in numbers(minute, 0, 59)
        and wall.hour in numbers(hour, 0, 23)
        and day_runs(days, months, weekdays, wall.date())
    )


def is_fixed(text):
    _, minute, hour, *_ = six_fields(text)
    return minute[0] != "*" and hour[0] != "*"


def scan(text, after, until, zone):
    """Return the instants in ``(after, until]`` at which a schedule runs, each step looked at.

    Everything before ``shown`` has been on the wall clock. What a step adds to that is what a
    fixed-time schedule looks at: one minute as a rule, more at a gap, nothing in a second pass.
    The zone's offsets must be whole minutes, as all have been since 1972.
    """
    step = timedelta(seconds=1) if len(text.split()) == 6 else timedelta(minutes=1)
    fixed = is_fixed(text)
    found = []
    shown = datetime.min
    now = after.astimezone(timezone.utc).replace(second=0, microsecond=0) - timedelta(days=2)
    while now <= until:
        stride = step if now >= after - timedelta(minutes=1) else timedelta(minutes=1)
        wall = now.astimezone(zone).replace(tzinfo=None)
        if now > after:
            if fixed:
                new = wall if shown == datetime.min else shown
                runs = False
                while new <= wall:
                    runs |= matches(text, new)
                    new += step
            else:
                runs = matches(text, wall)
            if runs:
                found.append(now)
        shown = max(shown, wall + stride)
        now += stride
    return found


# croniter


class Difference(NamedTuple):
    """Where croniter and autocron differ on purpose.

    ``ours`` and ``theirs`` are the next runs in wall time of the zone, or the word "refused".
    ``applies`` tells, from the five fields, which other texts fall under it.
    """

    what: str
    reason: str
    text: str
    after: str
    zone: str
    ours: str
    theirs: str
    applies: Callable[[List[str]], bool]


KNOWN_DIFFERENCES = (
    Difference(
        "a range of one",
        "croniter takes 6-6 as a full turn; crontab(5) has a range include its ends: 6",
        "0 0 * * 6-6",
        "2024-03-01 00:00",
        "UTC",
        "2024-03-02 00:00, 2024-03-09 00:00",
        "2024-03-02 00:00, 2024-03-03 00:00",
        lambda fields: any(re.search(r"(?<!\w)(\w+)-\1(?!\w)", field) for field in fields),
    ),
    Difference(
        "a reversed range",
        "croniter turns it around the end of the field; crontab(5) has first <= last",
        "0 22-1 * * *",
        "2024-03-01 00:00",
        "UTC",
        "refused",
        "2024-03-01 01:00, 2024-03-01 22:00",
        lambda fields: False,  # our texts have none
    ),
    Difference(
        "a step from a weekday",
        "the field goes to 7, which is Sunday, as in cronie; croniter ends at 6",
        "0 0 * * 1/2",
        "2024-03-01 00:00",
        "UTC",
        "2024-03-03 00:00, 2024-03-04 00:00",
        "2024-03-04 00:00, 2024-03-06 00:00",
        lambda fields: re.search(r"(^|,)\w+/", fields[4]) is not None,
    ),
    Difference(
        "an nth weekday beside a date",
        "neither field starts with *, so one is enough; croniter forgets the date here",
        "0 0 10 * mon#2",
        "2024-03-01 00:00",
        "UTC",
        "2024-03-10 00:00, 2024-03-11 00:00",
        "2024-03-11 00:00, 2024-04-08 00:00",
        lambda fields: "#" in fields[4],
    ),
    Difference(
        "a star that is not the first character",
        "crontab(5) asks how the field starts; croniter takes 1,* for *",
        "0 0 1,* * 1",
        "2024-03-01 00:00",
        "UTC",
        "2024-03-02 00:00, 2024-03-03 00:00",
        "2024-03-04 00:00, 2024-03-11 00:00",
        lambda fields: "*" in fields[2][1:] or "*" in fields[4][1:],
    ),
    Difference(
        "an nth weekday in a list",
        "croniter knows no list of both kinds",
        "0 0 * * 5,mon#2",
        "2024-03-01 00:00",
        "UTC",
        "2024-03-08 00:00, 2024-03-11 00:00",
        "refused",
        lambda fields: "#" in fields[4],
    ),
    Difference(
        "the last weekday",
        "croniter writes L5 for 5L",
        "0 0 * * 5L",
        "2024-03-01 00:00",
        "UTC",
        "2024-03-29 00:00, 2024-04-26 00:00",
        "refused",
        lambda fields: any(is_last(item) for item in fields[4].lower().split(",")),
    ),
    Difference(
        "the last working day",
        "croniter does not know LW, and nW not in every release",
        "0 0 LW * *",
        "2024-03-01 00:00",
        "UTC",
        "2024-03-29 00:00, 2024-04-30 00:00",
        "refused",
        lambda fields: "w" in fields[2].lower(),
    ),
    Difference(
        "what never fires",
        "refused where it is written; croniter fails when it is asked for a run",
        "0 0 30 2 *",
        "2024-03-01 00:00",
        "UTC",
        "refused",
        "refused",
        lambda fields: False,
    ),
    Difference(
        "a fixed time in a fold",
        "cron(8): run once, on the first pass; croniter runs on both",
        "30 1 * * *",
        "2024-11-03 00:00",
        "America/New_York",
        "2024-11-03 01:30, 2024-11-04 01:30",
        "2024-11-03 01:30, 2024-11-03 01:30",
        lambda fields: False,  # the free comparison is in UTC
    ),
)


def differs(text):
    """Whether a text of five fields falls under a known difference."""
    return any(known.applies(text.split()) for known in KNOWN_DIFFERENCES)


def croniter_runs(text, after, count):
    """Return the next runs after an aware datetime as croniter has them, or "refused"."""
    from croniter import croniter

    try:
        # Its "cron bug" is Vixie's rule for day fields that start with a star.
        found = croniter(text, after, implement_cron_bug=True)
        return [found.get_next(datetime) for _ in range(count)]
    except ValueError:
        return "refused"
