"""What a change of the clock has to do with an occurrence, told in words.

Where the clock is put back, a wall time is shown twice: a fixed-time schedule runs once there, a
wildcard one in both passes. Where it is put forward, a fixed-time schedule whose time is skipped
runs right after the gap. An occurrence just after a change, and untouched by it, is marked as such.
"""

from __future__ import annotations

from datetime import datetime

import pytest

from autocron.core.clock_change import clock_change, clock_changes
from autocron.core.cron import parse
from spec.zones import at, zone


@pytest.mark.parametrize(
    ("text", "local", "fold", "before", "words"),
    [
        ("30 2 * * *", "2024-10-27 02:30", 0, "2024-10-26", "clock change: shown twice, runs once"),
        ("*/30 * * * *", "2024-10-27 02:30", 0, "2024-10-27", "clock change: first pass"),
        ("*/30 * * * *", "2024-10-27 02:30", 1, "2024-10-27", "clock change: second pass"),
        ("30 2 * * *", "2024-03-31 03:00", 0, "2024-03-30", "clock change: its time is skipped"),
        ("0 2 * * *", "2024-03-31 03:00", 0, "2024-03-30", "clock change: its time is skipped"),
        ("30 2,3 * * *", "2024-03-31 03:00", 0, "2024-03-30", "clock change: its time is skipped"),
        ("0 3 * * *", "2024-03-31 03:00", 0, "2024-03-30", "clock change"),
        ("0 * * * *", "2024-03-31 03:00", 0, "2024-03-31", "clock change"),
        ("0 3 * * *", "2024-04-02 03:00", 0, "2024-04-01", ""),
        ("0 * * * *", "2024-04-02 03:00", 0, "2024-04-02", ""),
    ],
)
def it_tells_what_a_change_has_to_do_with_an_occurrence(text, local, fold, before, words):
    berlin = zone("Europe/Berlin")
    occurrence = datetime.fromisoformat(local).replace(tzinfo=berlin, fold=fold)
    earlier = datetime.fromisoformat(before).replace(tzinfo=berlin)
    assert clock_change(parse(text), occurrence, earlier) == words


def it_finds_the_changes_within_a_span_and_their_size():
    found = clock_changes(zone("Europe/Berlin"), at("2024-01-01 00:00"), at("2025-01-01 00:00"))
    assert found == [(at("2024-03-31 01:00"), 3600), (at("2024-10-27 01:00"), -3600)]
    assert all(type(seconds) is int for _, seconds in found)


def it_leaves_out_a_change_at_the_start_and_includes_one_at_the_end():
    berlin, change = zone("Europe/Berlin"), at("2024-03-31 01:00")
    assert clock_changes(berlin, change, at("2024-06-01 00:00")) == []
    assert clock_changes(berlin, at("2024-01-01 00:00"), change) == [(change, 3600)]
