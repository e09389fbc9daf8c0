"""One field of a cron expression: text to a frozen :class:`Field`.

Source of the rules: Debian's crontab(5) (Vixie cron), with the extensions ``L``, ``LW``, ``15W``,
``mon#2`` and ``5L`` that Quartz made known. The spec, ``spec/cron_expressions_spec.py``, says each
rule in words.
"""

from __future__ import annotations

from typing import Callable, FrozenSet, List, NoReturn, Optional, Tuple

from autocron.core.values import frozen

#: How a piece is refused: (offending text, what is wrong with it, its offset in the field).
Refuse = Callable[[str, str, int], NoReturn]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@frozen
class Kind:
    """What may stand in one of the six fields.

    Attributes:
        name: As messages call it, ``"day-of-month"``.
        keyword: As the keyword form calls it, ``"days"``.
        low: The smallest number.
        high: The largest number; 7 for the day of the week, where it is Sunday once more.
        names: Names of the numbers from ``low`` on; empty if the field knows none.
    """

    name: str
    keyword: str
    low: int
    high: int
    names: Tuple[str, ...] = ()

    @property
    def bounds(self) -> str:
        return f"{self.low}-{self.high}"

    @property
    def expected(self) -> str:
        if not self.names:
            return self.bounds
        return f"{self.bounds} or {self.names[0]}-{self.names[-1]}"


SECOND = Kind("second", "seconds", 0, 59)
MINUTE = Kind("minute", "minutes", 0, 59)
HOUR = Kind("hour", "hours", 0, 23)
DAY_OF_MONTH = Kind("day-of-month", "days", 1, 31)
MONTH = Kind("month", "months", 1, 12, MONTHS)
DAY_OF_WEEK = Kind("day-of-week", "days_of_week", 0, 7, WEEKDAYS)


@frozen
class Part:
    """One member of a field's list that stands for plain numbers.

    Attributes:
        text: As it was written.
        first: Its first number.
        last: The number it may not pass.
        step: The distance of its numbers; 1 without a step. A step beyond the field is cut to 100.
    """

    text: str
    first: int
    last: int
    step: int

    @property
    def numbers(self) -> range:
        return range(self.first, self.last + 1, self.step)


@frozen
class Field:
    """One field of an expression, frozen.

    Attributes:
        kind: Which of the six fields it is.
        text: As it was written.
        starred: Whether the text starts with ``*``; the rules for days and for clock changes ask.
        parts: The members of the list that are plain numbers, in order.
        values: All plain numbers, ascending; Sunday is 0.
        mask: The same as bits.
        last_day: ``L``, the last day of the month.
        last_working_day: ``LW``, its last day from Monday to Friday.
        nearest: The ``n`` of each ``nW``: the day from Monday to Friday that is nearest to ``n``.
        nth: ``(weekday, n)`` of each ``weekday#n``.
        last_weekdays: The weekday of each ``5L``.
    """

    kind: Kind
    text: str
    starred: bool
    parts: Tuple[Part, ...]
    values: Tuple[int, ...]
    mask: int
    last_day: bool = False
    last_working_day: bool = False
    nearest: FrozenSet[int] = frozenset()
    nth: FrozenSet[Tuple[int, int]] = frozenset()
    last_weekdays: FrozenSet[int] = frozenset()

    @property
    def is_full(self) -> bool:
        """Whether its plain numbers alone are all there are."""
        high = 6 if self.kind == DAY_OF_WEEK else self.kind.high
        return len(self.values) == high - self.kind.low + 1


class _Collector:
    """What the members of a list add up to, while one field is read."""

    def __init__(self) -> None:
        self.parts: List[Part] = []
        self.last_day = False
        self.last_working_day = False
        self.nearest: List[int] = []
        self.nth: List[Tuple[int, int]] = []
        self.last_weekdays: List[int] = []


def parse_field(kind: Kind, text: str, refuse: Refuse) -> Field:
    """Read the text of one field.

    Args:
        kind: Which field it is.
        text: Its text; no blanks, and no characters but ASCII's visible ones.
        refuse: Called with the offending piece, the problem and the offset of the piece in
            ``text``; it must raise.

    Returns:
        The field.

    Raises:
        Whatever ``refuse`` raises, if the text is no valid field.
    """
    found = _Collector()
    offset = 0
    for item in text.split(","):
        if not item:
            refuse(text, f"has an empty place in its list; expected {kind.expected}", 0)
        if not _special(kind, item, offset, refuse, found):
            found.parts.append(_plain(kind, item, offset, refuse))
        offset += len(item) + 1
    mask = 0
    for part in found.parts:
        for number in part.numbers:
            mask |= 1 << number
    if kind is DAY_OF_WEEK and mask & 1 << 7:
        mask = mask & 0b1111111 | 1
    return Field(
        kind=kind,
        text=text,
        starred=text.startswith("*"),
        parts=tuple(found.parts),
        values=tuple(number for number in range(mask.bit_length()) if mask & 1 << number),
        mask=mask,
        last_day=found.last_day,
        last_working_day=found.last_working_day,
        nearest=frozenset(found.nearest),
        nth=frozenset(found.nth),
        last_weekdays=frozenset(found.last_weekdays),
    )


def _small(text: str) -> int:
    """Return the number, or 100 for all that no field can hold: int() refuses very long ones."""
    digits = text.lstrip("0")
    return int(digits or "0") if len(digits) < 3 else 100


def _plain(kind: Kind, item: str, offset: int, refuse: Refuse) -> Part:
    base, slash, step_text = item.partition("/")
    step = 1
    if slash:
        at = offset + len(base) + 1
        if not step_text.isdigit():
            refuse(step_text or item, "is no step; expected a whole number from 1, as in */5", at)
        step = _small(step_text)
        if not step:
            refuse(step_text, "is no step; expected a whole number from 1", at)
    if base == "*":
        return Part(item, kind.low, kind.high, step)
    first_text, dash, last_text = base.partition("-")
    if not dash:
        first = _value(kind, base, offset, refuse, item)
        return Part(item, first, kind.high if slash else first, step)
    if not first_text or not last_text or "-" in last_text:
        refuse(item, f"is no range; expected first-last within {kind.expected}", offset)
    first = _value(kind, first_text, offset, refuse, item)
    last = _value(kind, last_text, offset + len(first_text) + 1, refuse, item)
    if first > last:
        hint = _forwards(kind, first_text, first, last_text, last, step)
        refuse(item, f"runs backwards; write {hint}", offset)
    return Part(item, first, last, step)


def _forwards(kind: Kind, first_text: str, first: int, last_text: str, last: int, step: int) -> str:
    """Return the valid spelling of a range that was written backwards."""
    if step > 1:
        size = 7 if kind is DAY_OF_WEEK else kind.high - kind.low + 1
        numbers = range(first, last + size + 1, step)
        return ",".join(str((number - kind.low) % size + kind.low) for number in numbers)
    if kind is DAY_OF_WEEK:
        if first == 7:
            return f"0-{last_text}"
        if last == 0:
            return f"{first_text}-7"
        low_text, low, high_text = ("mon" if last_text.isalpha() else "1"), 1, "7"
    else:
        low, low_text, high_text = kind.low, str(kind.low), str(kind.high)
        if kind.names and last_text.isalpha():
            low_text = kind.names[0]
        if kind.names and first_text.isalpha():
            high_text = kind.names[-1]
    upper = first_text if first == kind.high else f"{first_text}-{high_text}"
    lower = last_text if last == low else f"{low_text}-{last_text}"
    return f"{upper},{lower}"


def _value(kind: Kind, token: str, offset: int, refuse: Refuse, item: str) -> int:
    if token.isdigit():
        number = _small(token)
        if not kind.low <= number <= kind.high:
            refuse(token, f"is outside {kind.bounds}", offset)
        return number
    if token.lower() in kind.names:
        return kind.names.index(token.lower()) + kind.low
    refuse(token or item, _why_not(kind, token), offset)


def _why_not(kind: Kind, token: str) -> str:
    """Return what is wrong with a value that is neither number nor name, and what to write."""
    lowered = token.lower()
    if lowered == "?":
        return "is not known to cron; write *"
    if lowered == "h" or lowered.startswith("h("):
        return f"is not known to cron; write a number of your choice in {kind.bounds}"
    if lowered.isalpha() and lowered[:3] in kind.names:
        return f"is no name of cron; write {lowered[:3]}"
    if lowered.isalpha() and lowered[:3] in MONTHS + WEEKDAYS:
        other = MONTH if lowered[:3] in MONTHS else DAY_OF_WEEK
        return f"belongs in the field {other.name}; expected {kind.expected}"
    if kind is DAY_OF_WEEK and lowered == "l":
        return "needs a weekday; write 5L for the last Friday of the month"
    return f"is no value of this field; expected {kind.expected}"


def _special(kind: Kind, item: str, offset: int, refuse: Refuse, found: _Collector) -> bool:
    """Read ``L``, ``LW``, ``15W``, ``mon#2`` or ``5L``; return whether the item is one."""
    upper = item.upper()
    if kind is DAY_OF_MONTH:
        if upper == "L":
            found.last_day = True
        elif upper == "LW":
            found.last_working_day = True
        elif upper.endswith("W") and upper[:-1].isdigit():
            found.nearest.append(_value(kind, item[:-1], offset, refuse, item))
        else:
            return False
        return True
    if kind is not DAY_OF_WEEK:
        return False
    day_text, sharp, nth_text = item.partition("#")
    if sharp:
        weekday = _value(kind, day_text, offset, refuse, item)
        nth = _small(nth_text) if nth_text.isdigit() else 0
        if not 1 <= nth <= 5:
            at = offset + len(day_text) + 1
            refuse(nth_text or item, "is no place in a month; expected 1-5, as in mon#2", at)
        found.nth.append((weekday % 7, nth))
        return True
    day_text = item[:-1]
    if upper.endswith("L") and (day_text.isdigit() or day_text.lower() in kind.names):
        found.last_weekdays.append(_value(kind, day_text, offset, refuse, item) % 7)
        return True
    return False


#: Every seventh bit: one weekday of a month.
_WEEKLY = 1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28


def day_bits(days: Field, weekdays: Field, length: int, first_weekday: int) -> int:
    """Return the days of a month on which both day fields let a schedule run, as bits 1 to 31.

    Vixie's rule: if either field *starts* with ``*`` both must match, else one is enough.

    Args:
        days: The day-of-month field.
        weekdays: The day-of-week field.
        length: How many days the month has, 28 to 31.
        first_weekday: The weekday of its first day; Monday is 0.
    """

    def weekday_of(day: int) -> int:
        return (first_weekday + day) % 7  # as cron counts: Sunday is 0

    by_date = days.mask
    if days.last_day:
        by_date |= 1 << length
    if days.last_working_day:
        by_date |= 1 << length - {6: 1, 0: 2}.get(weekday_of(length), 0)
    for day in days.nearest:
        if day > length:
            continue
        if weekday_of(day) == 6:
            day += -1 if day > 1 else 2
        elif weekday_of(day) == 0:
            day += 1 if day < length else -2
        by_date |= 1 << day
    by_weekday = 0
    for weekday in range(7):
        first = (weekday - first_weekday - 1) % 7 + 1
        if weekdays.mask & 1 << weekday:
            by_weekday |= _WEEKLY << first
        if weekday in weekdays.last_weekdays:
            by_weekday |= 1 << first + (28 if first + 28 <= length else 21)
    for weekday, nth in weekdays.nth:
        day = (weekday - first_weekday - 1) % 7 + 1 + 7 * (nth - 1)
        by_weekday |= 1 << day
    both = days.starred or weekdays.starred
    joined = by_date & by_weekday if both else by_date | by_weekday
    return joined & (1 << length + 1) - 2


def is_blank(char: str) -> bool:
    """Whether the character separates fields: a blank or a tab, nothing else."""
    return char in " \t"


def odd_character(text: str) -> Optional[int]:
    """Return the offset of the first character that no expression can hold, or None."""
    for offset, char in enumerate(text):
        if not (is_blank(char) or "!" <= char <= "~"):
            return offset
    return None
