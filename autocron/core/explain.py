"""A cron expression in plain English, and the slips that it looks like.

Both work from the meaning of the fields, not from their spelling, so that ``0-59`` reads like
``*``; two schedules that are described alike run alike, but for the rule about clock changes.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from autocron.core.cron import CronExpression
from autocron.core.cron_fields import Field

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_NTH = ("", "first", "second", "third", "fourth", "fifth")

#: As many times of a day are named one by one.
_MOST_TIMES = 6


def describe(expression: CronExpression) -> str:
    """Return what a schedule means, in English.

    Args:
        expression: The schedule.

    Returns:
        Words without a full stop, such as ``"every 15 minutes from 09:00 to 17:45, Monday to
        Friday"``. Times are the wall clock's, and ``from ... to`` includes both ends.
    """
    times = _times(expression)
    days = _days(expression)
    if not days:
        # What fills the whole day needs no word for it.
        whole = times.startswith("every") or len(expression.hour.values) == 24
        return times if whole else f"{times} every day"
    comma = "," if times.startswith("every") or days[0].isupper() else ""
    return f"{times}{comma} {days}"


# Times of the day


def _times(expression: CronExpression) -> str:
    seconds, minutes, hours = (
        expression.second.values,
        expression.minute.values,
        expression.hour.values,
    )
    if seconds == (0,):
        return _minutes_and_hours(minutes, hours)
    count = len(seconds) * len(minutes) * len(hours)
    if count <= _MOST_TIMES:
        return "at " + _and(
            [
                f"{hour:02}:{minute:02}:{second:02}"
                for hour in hours
                for minute in minutes
                for second in seconds
            ]
        )
    step = _even_step(seconds, 60) if seconds[0] == 0 else 0
    if step == 1:
        words = "every second"
    elif step:
        words = f"every {step} seconds"
    else:
        words = f"at {_counted('second', seconds)}"
    if len(minutes) == 60 and len(hours) == 24:
        return words if step else f"{words} of every minute"
    if len(minutes) == 60:
        return f"{words} of every minute of {_counted('hour', hours)}"
    return f"{words} of {_counted('minute', minutes)} of {_hours(hours)}"


def _minutes_and_hours(minutes: Tuple[int, ...], hours: Tuple[int, ...]) -> str:
    if len(minutes) * len(hours) <= 2:
        return _clock_times(minutes, hours)
    all_day = len(hours) == 24
    step = _even_step(minutes, 60)
    if step and _is_run(hours):
        every = "every minute" if step == 1 else f"every {step} minutes"
        if all_day and minutes[0] == 0:
            return every
        return f"{every} {_from_to(hours[0], minutes[0], hours[-1], minutes[-1])}"
    gap = _even_gap(minutes)
    if gap and len(hours) == 1:
        every = "every minute" if gap == 1 else f"every {gap} minutes"
        return f"{every} {_from_to(hours[0], minutes[0], hours[0], minutes[-1])}"
    gap = _even_gap(hours)
    if len(minutes) == 1 and gap:
        if all_day:
            minute = minutes[0]
            past = "on the hour" if minute == 0 else f"at {_plural(minute, 'minute')} past"
            return f"every hour {past}"
        every = "every hour" if gap == 1 else f"every {gap} hours"
        if _even_step(hours, 24) and minutes == (0,) and hours[0] == 0:
            return every
        return f"{every} {_from_to(hours[0], minutes[0], hours[-1], minutes[0])}"
    if len(minutes) * len(hours) <= _MOST_TIMES:
        return _clock_times(minutes, hours)
    if len(minutes) == 60:
        return f"every minute of {_counted('hour', hours)}"
    return f"at {_counted('minute', minutes)} of {_hours(hours)}"


def _clock_times(minutes: Sequence[int], hours: Sequence[int]) -> str:
    return "at " + _and([f"{hour:02}:{minute:02}" for hour in hours for minute in minutes])


def _from_to(hour: int, minute: int, last_hour: int, last_minute: int) -> str:
    return f"from {hour:02}:{minute:02} to {last_hour:02}:{last_minute:02}"


def _hours(hours: Tuple[int, ...]) -> str:
    return "every hour" if len(hours) == 24 else _counted("hour", hours)


def _even_step(values: Tuple[int, ...], size: int) -> int:
    """Return the distance of values that go on evenly past the end of the field, or 0."""
    step = size // len(values)
    even = len(values) > 1 and size % len(values) == 0
    return step if even and values == tuple(range(values[0], size, step)) else 0


def _even_gap(values: Tuple[int, ...]) -> int:
    """Return the distance of three or more values that are evenly apart, or 0."""
    if len(values) < 3:
        return 0
    gap = values[1] - values[0]
    return gap if values == tuple(range(values[0], values[-1] + 1, gap)) else 0


def _is_run(values: Tuple[int, ...]) -> bool:
    return values[-1] - values[0] == len(values) - 1


# Days


def _days(expression: CronExpression) -> str:
    """Return the words for the days and months; nothing for every day."""
    days, weekdays = expression.day_of_month, expression.day_of_week
    both = days.starred or weekdays.starred
    months = expression.month.values
    if len(months) == 12:
        in_months, of_months = "", "of every month"
    elif len(months) > 3 and _is_run(months):
        span = f"from {_MONTHS[months[0]]} to {_MONTHS[months[-1]]}"
        in_months, of_months = span, f"of every month {span}"
    else:
        names = _month_names(months)
        in_months, of_months = f"in {names}", f"of {names}"
    full = (days.is_full, weekdays.is_full)
    if all(full) or (any(full) and not both):
        return f"every day {in_months}" if in_months else ""
    if days.is_full:
        return _weekday_words(weekdays, in_months, of_months)
    by_date = f"on {_dates(days)} {of_months}"
    if weekdays.is_full:
        return by_date
    if both:
        return f"{by_date}, but only if that is {_and(_weekday_kinds(weekdays), 'or')}"
    also = f"{by_date} and also on {_and(_every_weekday(weekdays))}"
    return f"{also} {of_months}" if in_months or _specials(weekdays) else also


def _weekday_words(weekdays: Field, in_months: str, of_months: str) -> str:
    if weekdays.nth or weekdays.last_weekdays:
        return f"on {_and(_every_weekday(weekdays))} {of_months}"
    values = weekdays.values
    if values == (0, 6):
        words = "on Saturdays and Sundays"
    elif len(values) > 2 and _is_run(values):
        words = f"{_WEEKDAYS[values[0]]} to {_WEEKDAYS[values[-1]]}"
    elif len(values) > 2 and _is_run(tuple(value or 7 for value in values[1:] + values[:1])):
        words = f"{_WEEKDAYS[values[1]]} to Sunday"
    else:
        words = "on " + _and([f"{_WEEKDAYS[value]}s" for value in values])
    return f"{words}, {in_months}" if in_months else words


def _specials(weekdays: Field) -> List[str]:
    by_place = sorted((nth, weekday) for weekday, nth in weekdays.nth)
    return [f"the {_NTH[nth]} {_WEEKDAYS[weekday]}" for nth, weekday in by_place] + [
        f"the last {_WEEKDAYS[weekday]}" for weekday in sorted(weekdays.last_weekdays)
    ]


def _every_weekday(weekdays: Field) -> List[str]:
    return [f"every {_WEEKDAYS[value]}" for value in weekdays.values] + _specials(weekdays)


def _weekday_kinds(weekdays: Field) -> List[str]:
    return [f"a {_WEEKDAYS[value]}" for value in weekdays.values] + [
        f"{words} of the month" for words in _specials(weekdays)
    ]


def _dates(days: Field) -> str:
    words: List[str] = []
    gap = _even_gap(days.values)
    if gap > 1 and len(days.values) > 3:
        first, last = _ordinal(days.values[0]), _ordinal(days.values[-1])
        words.append(f"every {_ordinal(gap)} day from the {first} to the {last}")
    else:
        for first_day, last_day in _runs(days.values):
            through = f" to the {_ordinal(last_day)}" if last_day > first_day else ""
            words.append(f"the {_ordinal(first_day)}{through}")
    if days.last_day:
        words.append("the last day")
    if days.last_working_day:
        words.append("the last working day (Monday to Friday)")
    words += [
        f"the working day (Monday to Friday) nearest to the {_ordinal(day)}"
        for day in sorted(days.nearest)
    ]
    return _and(words)


def _month_names(months: Tuple[int, ...]) -> str:
    return _and([_MONTHS[month] for month in months])


# Words


def _runs(values: Sequence[int]) -> List[Tuple[int, int]]:
    """Return the values with three or more neighbours drawn together, as (first, last)."""
    runs: List[Tuple[int, int]] = []
    for value in values:
        if runs and runs[-1][1] == value - 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    return [
        pair
        for first, last in runs
        for pair in ([(first, last)] if last != first + 1 else [(first, first), (last, last)])
    ]


def _counted(noun: str, values: Sequence[int]) -> str:
    numbers = [
        str(first) if first == last else f"{first} to {last}" for first, last in _runs(values)
    ]
    return f"{noun}{'s' if len(values) > 1 else ''} {_and(numbers)}"


def _and(words: Sequence[str], joint: str = "and") -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _ordinal(number: int) -> str:
    suffix = "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


# Slips


def warnings_for(expression: CronExpression) -> Tuple[str, ...]:
    """Return what in a valid schedule looks like a slip.

    Args:
        expression: The schedule.

    Returns:
        One sentence for each slip, naming what was probably meant; usually none.
    """
    found: List[str] = []
    for check in (_every_minute_slip, _step_slips, _day_slip, _short_month_slip):
        found += check(expression)
    return tuple(found)


def _rewritten(expression: CronExpression, **texts: str) -> str:
    """Return the text of an expression with some fields replaced."""
    names = ["minute", "hour", "day_of_month", "month", "day_of_week"]
    if expression.has_seconds:
        names.insert(0, "second")
    return " ".join(texts.get(name, getattr(expression, name).text) for name in names)


def _every_minute_slip(expression: CronExpression) -> List[str]:
    """``* 2 * * *`` for "every day at 2", and its kin with seconds."""
    hour, minute, second = expression.hour, expression.minute, expression.second
    if minute.is_full and _is_picked(hour):
        unit, picked = "hour", hour
        meant = _rewritten(expression, minute="0", **({"second": "0"} if second.is_full else {}))
    elif second.is_full and _is_picked(minute):
        unit, picked = "minute", minute
        meant = _rewritten(expression, second="0")
    else:
        return []
    once = "once" if len(picked.values) == 1 else f"once in each {unit}"
    return [f"'{expression}' runs {_times(expression)}; to run {once} write '{meant}'"]


def _is_picked(field: Field) -> bool:
    """Whether single values are picked, as in ``2``, ``2,14`` or ``*/6``; a range is meant."""
    singles = all(part.step > 1 or part.first == part.last for part in field.parts)
    return singles and not field.is_full


def _step_slips(expression: CronExpression) -> List[str]:
    """``*/60``, which is 0, and ``*/45``, whose last gap is 15."""
    found: List[str] = []
    for field, size in (
        (expression.second, 60),
        (expression.minute, 60),
        (expression.hour, 24),
        (expression.day_of_month, 0),
        (expression.month, 12),
        (expression.day_of_week, 0),
    ):
        for part in field.parts:
            if part.step == 1:
                continue
            where = f"'{part.text}' in the {field.kind.name} field"
            numbers = part.numbers
            if len(numbers) == 1:
                found.append(
                    f"{where} of '{expression}' is {numbers[0]} alone, since the step leaves the"
                    f" field; write {numbers[0]}"
                )
            elif size and size % part.step and part.text.startswith("*"):
                rest = size - numbers[-1] + numbers[0]
                found.append(
                    f"{where} of '{expression}' is not even: it starts anew at"
                    f" {numbers[0]}, and the last step is {rest} instead of {part.step}"
                )
    return found


def _day_slip(expression: CronExpression) -> List[str]:
    """Two day fields that are joined in a way that surprises."""
    days, weekdays = expression.day_of_month, expression.day_of_week
    if days.starred or weekdays.starred:
        if days.is_full or weekdays.is_full:
            return []
        return [
            f"'{expression}' runs only when both day fields match, since one of them starts with *:"
            f" {describe(expression)}"
        ]
    if days.is_full or weekdays.is_full:
        name, text = ("day_of_month", days.text) if days.is_full else ("day_of_week", weekdays.text)
        return [
            f"'{expression}' runs every day, since one matching day field is enough and '{text}'"
            f" always matches; for the other alone write '{_rewritten(expression, **{name: '*'})}'"
        ]
    only_date = _rewritten(expression, day_of_week="*")
    only_weekday = _rewritten(expression, day_of_month="*")
    return [
        f"'{expression}' runs when either day field matches: {describe(expression)};"
        f" for one of them alone write '{only_date}' or '{only_weekday}'"
    ]


def _short_month_slip(expression: CronExpression) -> List[str]:
    """Only 29, 30 or 31, so that some months, or most years, have no run."""
    days, weekdays, months = (
        expression.day_of_month,
        expression.day_of_week,
        expression.month.values,
    )
    first: Optional[int] = min([*days.values, *days.nearest], default=None)
    if first is None or days.last_day or days.last_working_day or not weekdays.is_full:
        return []
    if months == (2,) and first == 29:
        return [f"'{expression}' runs in leap years alone; for the last day write L"]
    missed = tuple(month for month in months if first > _SHORTEST[month])
    if not missed:
        return []
    return [
        f"'{expression}' has no run in {_month_names(missed)}, where there is no"
        f" {_ordinal(first)}; for the last day of the month write L"
    ]


_SHORTEST = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
