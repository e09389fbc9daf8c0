"""What a change of the clock has to do with an occurrence, in words; and when there are changes."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import List, Tuple

from autocron.core.cron import CronExpression
from autocron.core.walltime import ZoneClock, to_datetime, to_instant


def clock_change(expression: CronExpression, local: datetime, before: datetime) -> str:
    """Tell what a clock change has to do with an occurrence.

    Arguments:
        expression: The schedule.
        local: The occurrence on the clock of its zone.
        before: The occurrence before, or where the search began.

    Returns:
        Words, or nothing.
    """
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    if (first or timedelta()) > (second or timedelta()):
        if expression.is_fixed_time:
            return "clock change: shown twice, runs once"
        return f"clock change: {'second' if local.fold else 'first'} pass"
    if expression.is_fixed_time and not (
        local.hour in expression.hour.values
        and local.minute in expression.minute.values
        and local.second in expression.second.values
    ):
        return "clock change: its time is skipped"
    changed = before.astimezone(local.tzinfo).utcoffset() != local.utcoffset()
    return "clock change" if changed else ""


def clock_changes(zone: tzinfo, start_at: datetime, end_at: datetime) -> List[Tuple[datetime, int]]:
    """Return the changes of a zone's clock within a span.

    Arguments:
        zone: The zone.
        start_at: An aware datetime; a change at it is left out.
        end_at: An aware datetime; a change at it is included.

    Returns:
        The first instant after each change, in UTC, and by how many seconds the clock was put
        forward there; negative is back.
    """
    clock = ZoneClock(zone)
    found: List[Tuple[datetime, int]] = []
    start, end = to_instant(start_at), to_instant(end_at)
    offset = clock.offset(start)
    while True:
        change = clock.next_change(start, offset, end)
        if change is None:
            return found
        found.append((to_datetime(change.at), (change.after - change.before) // 1_000_000))
        start, offset = change.at, change.after
