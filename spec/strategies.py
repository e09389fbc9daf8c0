"""Hypothesis strategies: cron texts, zones and instants near their changes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import settings
from hypothesis import strategies as st

from autocron.core import cron
from autocron.core.errors import InvalidSchedule
from spec.zones import CHANGE_DAYS, ChangingZone

MONTHS = ("jan", "Feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "Mon", "TUE", "wed", "thu", "fri", "sat")


def examples(count):
    """Draw so many examples; under a profile that draws fewer than usual, fewer in proportion."""
    return settings(max_examples=max(1, count * settings.default.max_examples // 100))


def is_valid(text):
    try:
        cron.parse(text)
    except InvalidSchedule:
        return False
    return True


@st.composite
def items(draw, low, high, names=(), specials=()):
    """One member of a list: a number, a name, a range, a step or an extension."""
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, high + 5))
    kinds = ["{first}", "{first}", "{first}-{last}", "{first}-{last}/{step}", "{first}/{step}"]
    kinds += ["*", "*/{step}", *specials]
    if names:
        kinds += ["{name}", "{name}"]
    name = names[first % len(names) - low] if names else ""
    nth = draw(st.integers(1, 5))
    return draw(st.sampled_from(kinds)).format(
        first=first, last=last, step=step, name=name, nth=nth
    )


def fields(low, high, names=(), specials=(), star=0.5):
    lists = st.lists(items(low, high, names, specials), min_size=1, max_size=3).map(",".join)
    return st.booleans().flatmap(lambda plain: st.just("*") if plain else lists)


def cron_texts(six=None, extensions=True):
    """Return valid texts of five fields; of six too unless ``six`` is False."""
    days = ("L", "LW", "{first}W") if extensions else ()
    weekdays = ("{first}L", "{name}L", "{first}#{nth}", "{name}#{nth}") if extensions else ()
    five = [
        fields(0, 59),
        fields(0, 23),
        fields(1, 31, specials=days),
        fields(1, 12, MONTHS),
        fields(0, 7, WEEKDAYS, weekdays),
    ]
    texts = st.tuples(*five)
    if six:
        texts = st.tuples(fields(0, 59), *five)
    elif six is None:
        texts = st.one_of(texts, texts, st.tuples(fields(0, 59), *five))
    return texts.map(" ".join).filter(is_valid)


@st.composite
def clock_texts(draw):
    """Valid texts that run often and at the hours where clocks change."""
    minutes = st.sampled_from(
        ["0", "30", "15,45", "*/15", "*", "0-59", "59", "1", "10/20", "0-30/10", "*/45"]
    )
    hours = st.sampled_from(
        ["*", "0", "1", "2", "3", "0-3", "1,2", "0,23", "*/2", "23", "*/3", "0-23", "2/7"]
    )
    days = st.sampled_from(["*", "*", "*", "*/2", "28-31", "L", "1-7,30"])
    weekdays = st.sampled_from(["*", "*", "*", "0", "0,6", "sun#1", "fri-7"])
    text = f"{draw(minutes)} {draw(hours)} {draw(days)} * {draw(weekdays)}"
    return text if is_valid(text) else draw(clock_texts())


moments = st.datetimes(
    min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(timezone.utc)
)

#: Names of zones, with an instant within two days of a change of theirs.
near_changes = st.sampled_from(
    [(name, day) for name, days in CHANGE_DAYS.items() for day in days]
).flatmap(
    lambda pair: st.tuples(
        st.just(pair[0]),
        st.integers(-2880, 2880).map(
            lambda minutes: (
                datetime.fromisoformat(pair[1]).replace(tzinfo=timezone.utc)
                + timedelta(minutes=minutes)
            )
        ),
    )
)


@st.composite
def odd_zones(draw):
    """Zones with one to three changes, days apart, of up to a day, at any minute."""
    count = draw(st.integers(1, 3))
    offsets = st.one_of(
        st.integers(-6, 6).map(lambda halves: halves * 30), st.integers(-1439, 1439)
    )
    instant = datetime(2024, 5, 1)
    changes = []
    for _ in range(count):
        instant += timedelta(minutes=draw(st.integers(1441, 5000)))
        changes.append((instant, draw(offsets)))
    return ChangingZone(draw(offsets), *changes)
