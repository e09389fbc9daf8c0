"""Cron expressions: text or keywords to a frozen :class:`CronExpression`, and back by ``str()``.

The standard is Debian's cron, crontab(5), with six fields, ``L``, ``LW``, ``15W``, ``mon#2`` and
``5L`` as extensions. What is refused is refused here, where it is written, and so is what can
never fire. ``spec/cron_expressions_spec.py`` gives each rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import cached_property, lru_cache
from itertools import islice
from typing import List, NoReturn, Tuple, Union

from autocron.core.cron_fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    Field,
    Kind,
    Refuse,
    day_bits,
    is_blank,
    odd_character,
    parse_field,
)
from autocron.core.errors import InvalidSchedule
from autocron.core.values import changed, frozen

#: One keyword of the keyword form: a number, the text of a field, or several of them.
FieldValue = Union[int, str, "Iterable[Union[int, str]]", None]

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_FIVE = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
_SIX = (SECOND, *_FIVE)
_ORDER = "minute hour day-of-month month day-of-week"
_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

#: More members than this in a keyword are refused, so that an endless iterable ends.
_MOST_MEMBERS = 1000


@frozen
class CronExpression:
    """A valid cron schedule, frozen and hashable; made by :func:`parse` and :func:`from_fields`.

    Two expressions are equal if their texts are, blanks aside: ``MON`` and ``1`` fire alike, yet
    are two texts.

    Attributes:
        text: The whole text with single blanks; ``str()`` gives the same.
        has_seconds: Whether it was written with six fields.
        second: The field of seconds; the number 0 where only five fields were written.
        minute: The field of minutes.
        hour: The field of hours.
        day_of_month: The first day field.
        month: The field of months.
        day_of_week: The second day field; Sunday is 0 in its values.
    """

    text: str
    has_seconds: bool
    second: Field
    minute: Field
    hour: Field
    day_of_month: Field
    month: Field
    day_of_week: Field

    @property
    def is_fixed_time(self) -> bool:
        """Whether neither the minute nor the hour field starts with ``*`` (``0-23`` does not).

        Debian's cron(8): such a schedule is made up for after a gap of the clock and is not
        repeated in a fold. A field of seconds has no say.
        """
        return not (self.minute.starred or self.hour.starred)

    @cached_property
    def minutes(self) -> Tuple[int, ...]:
        """The minutes of a day at which it runs, ascending, as microseconds since midnight."""
        minutes = self.minute.values
        return tuple(
            (hour * 60 + minute) * 60_000_000 for hour in self.hour.values for minute in minutes
        )

    @cached_property
    def month_days(self) -> Tuple[Tuple[int, ...], ...]:
        """The days on which it runs, both day fields taken together, as bits 1 to 31.

        They are ``month_days[length - 28][first_weekday]`` for a month of that length whose first
        day is that weekday (Monday is 0).
        """
        return _month_days(self.day_of_month, self.day_of_week)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CronExpression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"CronExpression({self.text!r})"


def parse(text: str) -> CronExpression:
    """Read a cron expression.

    Args:
        text: Five fields (minute, hour, day of the month, month, day of the week), six with the
            seconds first, or an alias such as ``@daily``; separated by blanks and tabs.

    Returns:
        The expression; ``str()`` of it is the text with single blanks.

    Raises:
        InvalidSchedule: The text is malformed or can never fire. The message names the field, the
            offending piece, its column from 1, what was expected and the whole text.
    """
    if not isinstance(text, str):
        raise InvalidSchedule(
            f"expression: expected text such as '0 2 * * *', got {_shown(text)}",
            field="expression",
        )
    return _parse(str(text))


# The same few texts are read again and again, and what comes of them never changes.
@lru_cache(maxsize=256)
def _parse(text: str) -> CronExpression:
    pieces = _split(text)
    odd = odd_character(text)
    if odd is not None:
        number = sum(1 for column, _ in pieces if column <= odd + 1) - 1
        kinds = _SIX if len(pieces) == 6 else _FIVE
        name = kinds[number].name if number < len(kinds) else "expression"
        _refuse(
            text,
            name,
            text[odd],
            "separates nothing; expected blanks or tabs only"
            if text[odd].isspace()
            else "is no character of cron",
            odd + 1,
        )
    if pieces and pieces[0][1].startswith("@"):
        return _alias(text, pieces)
    if len(pieces) not in (5, 6):
        _refuse_count(text, pieces)
    kinds = _SIX if len(pieces) == 6 else _FIVE
    fields = [
        parse_field(kind, piece, _refuser(text, kind, column))
        for kind, (column, piece) in zip(kinds, pieces)
    ]
    columns = {kind: column for kind, (column, _) in zip(kinds, pieces)}
    expression = _assemble(" ".join(piece for _, piece in pieces), fields)
    if not _ever_fires(expression):
        kind, problem = _never(expression)
        value = (expression.day_of_month if kind is DAY_OF_MONTH else expression.day_of_week).text
        _refuse(text, kind.name, value, problem, columns[kind])
    return expression


def from_fields(
    *,
    seconds: FieldValue = None,
    minutes: FieldValue = None,
    hours: FieldValue = None,
    days: FieldValue = None,
    months: FieldValue = None,
    days_of_week: FieldValue = None,
) -> CronExpression:
    """Make an expression from keywords, with the numbers, names and syntax of the text.

    Args:
        seconds: 0-59; given, the expression has six fields.
        minutes: 0-59.
        hours: 0-23.
        days: Days of the month, 1-31, or text such as ``"L"``.
        months: 1-12, or names.
        days_of_week: 0-7, 0 and 7 being Sunday, or names.

    Each is a number, the text of one field, or an iterable of both. What is left out is ``*``.

    Returns:
        The expression, equal to ``parse()`` of its text.

    Raises:
        InvalidSchedule: A keyword has a wrong type or a number out of range, or the whole can
            never fire; the message names the keyword and what was expected.
    """
    given = (seconds, minutes, hours, days, months, days_of_week)
    pairs = list(zip(_SIX, given))[0 if seconds is not None else 1 :]
    texts = [_keyword_text(kind, value) for kind, value in pairs]
    whole = " ".join(texts)
    fields = [
        parse_field(kind, text, _keyword_refuser(kind, whole))
        for (kind, _), text in zip(pairs, texts)
    ]
    expression = _assemble(whole, fields)
    if not _ever_fires(expression):
        kind, problem = _never(expression)
        value = (expression.day_of_month if kind is DAY_OF_MONTH else expression.day_of_week).text
        _keyword_refuser(kind, whole)(value, problem, 0)
    return expression


def _split(text: str) -> List[Tuple[int, str]]:
    """Return the fields with their columns, counted from 1."""
    pieces: List[Tuple[int, str]] = []
    start = 0
    for offset in range(len(text) + 1):
        if offset == len(text) or is_blank(text[offset]):
            if offset > start:
                pieces.append((start + 1, text[start:offset]))
            start = offset + 1
    return pieces


def _assemble(text: str, fields: List[Field]) -> CronExpression:
    second, minute, hour, day_of_month, month, day_of_week = (
        fields if len(fields) == 6 else [_AT_SECOND_0, *fields]
    )
    return CronExpression(
        text=text,
        has_seconds=len(fields) == 6,
        second=second,
        minute=minute,
        hour=hour,
        day_of_month=day_of_month,
        month=month,
        day_of_week=day_of_week,
    )


# Most expressions have the days of others.
@lru_cache(maxsize=64)
def _month_days(day_of_month: Field, day_of_week: Field) -> Tuple[Tuple[int, ...], ...]:
    return tuple(
        tuple(day_bits(day_of_month, day_of_week, length, first) for first in range(7))
        for length in range(28, 32)
    )


def _ever_fires(expression: CronExpression) -> bool:
    lengths = {_MONTH_LENGTHS[month - 1] for month in expression.month.values}
    if 2 in expression.month.values:
        lengths.add(29)
    # Every month begins, in its turn of the 400 years, on each day of the week. The first look
    # mostly finds a day, while to fill the table of all would be half of what a parse costs.
    days, weekdays = expression.day_of_month, expression.day_of_week
    return any(day_bits(days, weekdays, length, first) for length in lengths for first in range(7))


def _never(expression: CronExpression) -> Tuple[Kind, str]:
    """Return the field to blame for an expression that can not fire, and the reason."""
    days, weekdays = expression.day_of_month, expression.day_of_week
    if weekdays.is_full or not (days.starred or weekdays.starred):
        months = "month" if len(expression.month.values) == 1 else "months"
        return DAY_OF_MONTH, (
            f"never comes in {months} {expression.month.text}, so it would never run;"
            " the last day of a month is L"
        )
    return DAY_OF_WEEK, f"never falls on day-of-month {days.text}, so it would never run"


def _alias(text: str, pieces: List[Tuple[int, str]]) -> CronExpression:
    column, name = pieces[0]
    meaning = ALIASES.get(name.lower())
    if meaning is None:
        problem = f"is no alias of cron; expected one of {' '.join(ALIASES)}"
        if name.lower() == "@reboot":
            problem = "has no next run; at_start=True is the way"
        elif name.lower() == "@every":
            problem = (
                "is no alias of cron; every 5 minutes is '*/5 * * * *', every 2 hours "
                "'0 */2 * * *', and every 10 seconds '*/10 * * * * *'"
            )
        _refuse(text, "expression", name, problem, column)
    if len(pieces) > 1:
        _refuse(
            text,
            "expression",
            pieces[1][1],
            f"is too much; {_short(name)} stands alone",
            pieces[1][0],
        )
    return changed(parse(meaning), text=name)


def _refuse_count(text: str, pieces: List[Tuple[int, str]]) -> NoReturn:
    expected = f"expected 5 fields ({_ORDER}), or 6 with seconds first"
    if not pieces:
        _refuse(text, "expression", "", f"is empty; {expected}", 1)
    if len(pieces) < 5:
        missing, column = _FIVE[len(pieces)].name, len(text) + 1
        _refuse(text, missing, "", f"is missing; {expected}", column)
    column, piece = pieces[6]
    problem = f"is field 7 of {len(pieces)}; {expected}"
    if len(pieces) == 7:
        problem += f"; leave a year out: {_short(' '.join(piece for _, piece in pieces[:6]))!r}"
    _refuse(text, "expression", piece, problem, column)


def _refuser(text: str, kind: Kind, start: int) -> Refuse:
    def refuse(value: str, problem: str, offset: int) -> NoReturn:
        _refuse(text, kind.name, value, problem, start + offset)

    return refuse


def _refuse(text: str, name: str, value: str, problem: str, column: int) -> NoReturn:
    raise InvalidSchedule(
        f"{name}: {_short(value)!r} {problem} (column {column}) in {_short(text, 200)!r}",
        text=text,
        field=name,
        column=column,
    )


def _keyword_refuser(kind: Kind, whole: str) -> Refuse:
    def refuse(value: str, problem: str, offset: int) -> NoReturn:
        raise InvalidSchedule(
            f"{kind.keyword}: {_short(value)!r} {problem}", text=whole, field=kind.keyword
        )

    return refuse


def _keyword_text(kind: Kind, value: FieldValue) -> str:
    """Return the text of one field for the value of one keyword."""
    if value is None:
        return "*"
    if isinstance(value, (int, str)) or not _is_listing(value):
        return _member_text(kind, value)
    members = list(islice(value, _MOST_MEMBERS + 1))
    if not members:
        _refuse_keyword(kind, "is an empty list")
    if len(members) > _MOST_MEMBERS:
        _refuse_keyword(kind, f"has more than {_MOST_MEMBERS} members")
    texts = [_member_text(kind, member) for member in members]
    if isinstance(value, Set) or all(not isinstance(member, str) for member in members):
        # A set has no order of its own, and a text that changes is another schedule.
        texts = sorted(set(texts), key=lambda text: (len(text), text))
    return ",".join(texts)


def _is_listing(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray, Mapping))


def _member_text(kind: Kind, member: object) -> str:
    if isinstance(member, str):
        if (
            not member
            or any(is_blank(char) for char in member)
            or odd_character(member) is not None
        ):
            _refuse_keyword(kind, f"{_shown(member)} is no text of one field")
        return str(member)
    if isinstance(member, bool) or not isinstance(member, int):
        _refuse_keyword(kind, f"{_shown(member)} is neither a number nor text")
    if not kind.low <= member <= kind.high:
        _refuse_keyword(kind, f"{_shown(member)} is outside {kind.bounds}")
    return str(int(member))


def _refuse_keyword(kind: Kind, problem: str) -> NoReturn:
    raise InvalidSchedule(
        f"{kind.keyword}: {problem}; expected {kind.expected}: a number, the text of a field,"
        " or a list of them",
        field=kind.keyword,
    )


def _shown(value: object) -> str:
    """Return the value for a message; repr() of just anything may be long, or fail."""
    if isinstance(value, str):
        return repr(_short(value))
    if isinstance(value, (bool, float)):
        return f"{value!r} ({type(value).__name__})"
    if isinstance(value, int):
        return str(int(value)) if abs(value) < 10**20 else "a very long number"
    return f"a value of type {type(value).__name__}"


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


_AT_SECOND_0 = parse_field(SECOND, "0", _refuser("0", SECOND, 1))
