"""``autocron explain EXPRESSION``: what a cron expression means, and when it runs."""

from __future__ import annotations

import os
import sys
import textwrap
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Dict, List, Optional

from autocron import zones
from autocron.cli.arguments import (
    Parser,
    UsageError,
    add_runs_options,
    read_after,
    read_zone,
)
from autocron.cli.formatting import (
    Screen,
    duration,
    instant,
    moment,
    offset,
    spread,
    weekday,
)
from autocron.core.clock_change import clock_change
from autocron.core.cron import CronExpression, parse
from autocron.core.errors import InvalidSchedule
from autocron.core.explain import describe, warnings_for
from autocron.core.next_run import occurrences
from autocron.shell.clock import SystemClock
from autocron.shell.printable import one_line

_ABOUT = """\
Say in English what a cron expression means, warn of what looks like a slip,
and show when it runs next. The expression may be one text in quotes, or its
fields one by one, of which a * needs quotes.

examples:
  autocron explain "*/15 9-17 * * mon-fri"
  autocron explain "30 2 * * *" --tz Europe/Berlin --after 2026-03-28
  autocron explain 0 9 '*' '*' 1
"""

_FIXED = (
    "fixed time: where the clock skips it, it runs right after; where the clock shows it twice, "
    "the first time only"
)
_WILDCARD = (
    "wildcard, since minute or hour starts with *: it runs whenever the clock shows its time, "
    "also twice, and never for a time that the clock skips"
)
_MISSED = {
    "once": "once (default): if nobody was there at its time, one run is made up",
    "skip": "skip (default): if nobody was there at its time, nothing is made up",
}


@dataclass(frozen=True)
class Occurrence:
    """One run of a schedule.

    Attributes:
        at: The instant.
        local: What the clock of the zone shows then.
        change: What a clock change has to do with it, in words; empty for nothing.
    """

    at: datetime
    local: datetime
    change: str


def run(words: List[str]) -> int:
    """Run ``autocron explain …``.

    Arguments:
        words: The words after the command.

    Returns:
        The exit code.
    """
    parser = Parser("autocron explain", description=_ABOUT)
    parser.add_argument(
        "fields", nargs="*", metavar="EXPRESSION", help="five or six fields, or @daily and the like"
    )
    add_runs_options(parser, "a zone such as Europe/Berlin (default: the local one)")
    options = parser.read(words)
    if not options.fields:
        parser.error("an expression is missing, such as '0 9 * * mon-fri'")
    zone_name, zone = read_zone(options.tz)
    expression = _expression(options.fields)
    after = None if options.after is None else read_after(options.after, zone)
    now = SystemClock().now()
    found = _next_runs(expression, now if after is None else after, zone, options.n)
    screen = Screen(sys.stdout)
    if options.json:
        screen.document(_document(expression, zone_name, found))
    else:
        _show(screen, expression, zone_name, zone, found, now if after is None else None)
    return 0


# -- reading ----------------------------------------------------------------------------------


def _expression(fields: List[str]) -> CronExpression:
    text = " ".join(fields)
    try:
        return parse(text)
    except InvalidSchedule as error:
        message = one_line(str(error))
        if len(fields) > 1 and any(os.path.exists(field) for field in fields):
            message += "; the shell has put file names for a *: put the expression in quotes"
        # One character for each, so that the caret stands below the right one.
        shown = "".join(char if char.isprintable() else " " for char in error.text)
        if error.column is not None:
            message += f"\n  {shown}\n  {' ' * (error.column - 1)}^"
        raise UsageError(message) from None


# -- runs -------------------------------------------------------------------------------------


def _next_runs(
    expression: CronExpression, after: datetime, zone: tzinfo, count: int
) -> List[Occurrence]:
    found: List[Occurrence] = []
    before = after
    for at in occurrences(expression, after, zone):
        try:
            local = at.astimezone(zone)
        except OverflowError:  # the last day of the year 9999
            break
        found.append(Occurrence(at, local, clock_change(expression, local, before)))
        before = at
        if len(found) == count:
            break
    return found


# -- showing ----------------------------------------------------------------------------------


def _show(
    screen: Screen,
    expression: CronExpression,
    zone_name: str,
    zone: tzinfo,
    found: List[Occurrence],
    now: Optional[datetime],
) -> None:
    screen.say(str(expression), "bold")
    for line in textwrap.wrap(describe(expression), 76):
        screen.say(f"  {line}")
    for warning in warnings_for(expression):
        for line in spread(["Warning:", one_line(warning)]):
            screen.say(line, "bad")
    screen.say()
    kind = _FIXED if expression.is_fixed_time else _WILDCARD
    for name, text in (
        ("zone", "the local one of this machine" if zone_name == zones.LOCAL else zone_name),
        ("kind", kind),
        ("missed", _MISSED[_missed(expression)]),
    ):
        for place, line in enumerate(textwrap.wrap(text, 68)):
            screen.say(f"  {name if place == 0 else '':8}{line}")
    screen.say()
    screen.say("Next runs" if found else "No run is left in the calendar, which ends in 9999.")
    rows = []
    for one in found:
        notes = [] if now is None else [f"in {duration((one.at - now).total_seconds())}"]
        notes += [f"({one.change})"] if one.change else []
        rows.append([moment(one.at, zone, expression.has_seconds), "  ".join(notes)])
    if rows:
        screen.table(rows)


def _missed(expression: CronExpression) -> str:
    return "once" if expression.is_fixed_time else "skip"


def _document(
    expression: CronExpression, zone_name: str, found: List[Occurrence]
) -> Dict[str, Any]:
    return {
        "expression": str(expression),
        "description": describe(expression),
        "warnings": list(warnings_for(expression)),
        "zone": zone_name,
        "is_fixed_time": expression.is_fixed_time,
        "missed": _missed(expression),
        "next": [
            {
                "at": instant(one.at),
                "local": one.local.replace(tzinfo=None).isoformat() + offset(one.local),
                "weekday": weekday(one.local),
                "clock_change": one.change or None,
            }
            for one in found
        ],
    }
