"""Two oracles that know nothing of the code under test.

1. :func:`scan` looks at every minute (every second, for six fields) of a stretch of time and asks
   whether the schedule runs then. It reads the text with a matcher of its own, field by field.
   It is too simple to be wrong, and slow.
2. croniter, an established library, with :data:`KNOWN_DIFFERENCES`: what the two are known to
   answer differently, and why. The spec proves that each difference still exists.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta, timezone
from functools import lru_cache

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
