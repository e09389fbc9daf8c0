"""How values are written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from autocron.cli.formatting import cut, duration, instant, moment
from autocron.shell.printable import one_line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.000304, "0.304 ms"),
        (0.25, "250 ms"),
        (0.9996, "1.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.9, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (3600 + 300, "1 h 5 min"),
        (86400 * 3 + 3600, "3 d 1 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert duration(seconds) == text


def test_a_moment_shows_weekday_wall_time_and_offset():
    at = datetime(2026, 3, 29, 1, 0, 5, 123, timezone.utc)
    zone = timezone(timedelta(hours=2))
    assert moment(at, zone) == "Sun 2026-03-29 03:00:05 +02:00"
    assert moment(at, zone, seconds=False) == "Sun 2026-03-29 03:00 +02:00"
    assert instant(at.astimezone(zone)) == "2026-03-29T01:00:05.000123+00:00"
    assert instant(None) is None


def test_texts_stay_on_their_line():
    assert one_line("käse\n\x1b[31m\u202e") == r"käse\n\x1b[31m\u202e"
    assert cut("abcdefgh", 6) == "abc..."
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 2) == ".."
