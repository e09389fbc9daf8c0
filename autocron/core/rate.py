"""Rates: at most so many starts in any period, as ``"10/minute"`` says it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Mapping, Optional, Sequence

from autocron.core.errors import InvalidTask
from autocron.core.values import frozen

MOST_STARTS = 10_000
_LONGEST_SECONDS = 366 * 86400.0
_UNIT_SECONDS: Mapping[str, float] = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
}
_SHORT: Mapping[str, str] = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day"}
_TEXT = r"([0-9]{1,9}) ?(?:/|per) ?(?:([0-9]{1,9}) ?)?([a-z]+)"


@frozen
class Rate:
    """At most ``count`` starts in any ``seconds``.

    Attributes:
        count: How many.
        seconds: The length of the period; wherever it begins, there are no more in it.
    """

    count: int
    seconds: float

    def free_at(self, starts: Sequence[datetime]) -> Optional[datetime]:
        """Tell when the next start is allowed.

        Arguments:
            starts: The latest starts, the last one first; ``count`` of them are enough.

        Returns:
            The instant; None if there were too few starts to be limited.
        """
        if len(starts) < self.count:
            return None
        return starts[self.count - 1] + timedelta(seconds=self.seconds)


def parse_rate(text: object) -> Rate:
    """Read a rate.

    Arguments:
        text: ``"10/minute"``, ``"1/s"``, ``"100 per 2 hours"``: a count and a period of seconds,
            minutes, hours or days.

    Returns:
        The rate.

    Raises:
        InvalidTask: The text is no rate; the message says what is.
    """
    found = None
    if isinstance(text, str):
        found = re.fullmatch(_TEXT, text.strip().lower())
    if found is not None:
        count, times, word = int(found[1]), int(found[2] or 1), found[3]
        unit = _SHORT.get(word, word[:-1] if word.endswith("s") else word)
        seconds = times * _UNIT_SECONDS.get(unit, 0.0)
        if 1 <= count <= MOST_STARTS and 0 < seconds <= _LONGEST_SECONDS:
            return Rate(count, seconds)
    raise InvalidTask(
        f'rate: {text!r} is not a rate such as "10/minute" or "100/2 hours": a count from 1 to '
        f"{MOST_STARTS:,} and a period of seconds, minutes, hours or days up to a year"
    )
