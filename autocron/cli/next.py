"""``autocron next MODULE``: when the tasks of a module run next."""

from __future__ import annotations

import heapq
import sys
from datetime import datetime, tzinfo
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from autocron import zones
from autocron.app import App
from autocron.cli.arguments import (
    ZONE_OF_SCHEDULES,
    Parser,
    UsageError,
    add_runs_options,
    check_module,
    did_you_mean,
    read_after,
    read_zone,
)
from autocron.cli.formatting import Screen, duration, instant, moment
from autocron.cli.modules import read_tasks
from autocron.core.clock_change import clock_change
from autocron.core.cron import parse
from autocron.core.next_run import occurrences
from autocron.shell.clock import SystemClock

_ABOUT = """\
Show when the tasks of a module run next. Nothing is started.

examples:
  autocron next shop.tasks
  autocron next shop.tasks:nightly -n 3 --after 2026-03-28 --tz Europe/Berlin
"""


class Coming(NamedTuple):
    """One run to come."""

    at: datetime
    key: str
    name: str
    text: str
    zone_name: str
    change: str


def run(words: List[str]) -> int:
    """Run ``autocron next …``.

    Arguments:
        words: The words after the command.

    Returns:
        The exit code.
    """
    parser = Parser("autocron next", description=_ABOUT)
    parser.add_argument("module", metavar="MODULE[:FUNCTION]", help="where the tasks are")
    add_runs_options(parser, ZONE_OF_SCHEDULES)
    options = parser.read(words)
    check_module(options.module)
    if options.tz is not None:
        read_zone(options.tz)
    module, _, function = options.module.partition(":")
    is_app = _is_app(module, function)
    reader, _ = read_tasks(options.module if is_app else module, options.tz)
    now = SystemClock().now()
    after = now if options.after is None else read_after(options.after, reader.zone)
    schedules = [one for one in reader.schedules if one.text is not None]
    if function and not is_app:
        name = f"{module}:{function}"
        if name not in reader.functions:
            hint = did_you_mean(name, reader.functions)
            raise UsageError(f"{module} has no task function {function!r}{hint}")
        schedules = [one for one in schedules if one.name == name]
    streams = [_coming(one, one.zone or reader.zone_name, after) for one in schedules]
    found = [one for _, one in zip(range(options.n), heapq.merge(*streams))]
    screen = Screen(sys.stdout)
    if options.json:
        screen.document({"next": [_plain(one) for one in found]})
    elif not found:
        screen.say("No schedule; delayed functions run when they are called.")
    else:
        rows = [_row(one, None if options.after is not None else now) for one in found]
        screen.table(rows, ("time", "", "task", "cron", ""))
    return 0


def _is_app(module: str, name: str) -> bool:
    """Tell whether a name in a module, which is imported for that, is that of an App."""
    if not name:
        return False
    if module not in sys.modules:
        read_tasks(module)
    return isinstance(getattr(sys.modules[module], name, None), App)


def _coming(one: Any, zone_name: str, after: datetime) -> Iterator[Coming]:
    zone: tzinfo = zones.load_zone(zone_name)
    expression = parse(one.text)
    before = after
    for at in occurrences(expression, after, zone):
        change = clock_change(expression, at.astimezone(zone), before)
        yield Coming(at, one.key, one.name, one.text, zone_name, change)
        before = at


def _row(one: Coming, now: Optional[datetime]) -> List[str]:
    zone = zones.load_zone(one.zone_name)
    has_seconds = len(one.text.split()) == 6
    wait = "" if now is None else f"in {duration((one.at - now).total_seconds())}"
    change = f"({one.change})" if one.change else ""
    return [moment(one.at, zone, has_seconds), wait, one.name, one.text, change]


def _plain(one: Coming) -> Dict[str, Optional[str]]:
    return {
        "at": instant(one.at),
        "name": one.name,
        "schedule": one.key,
        "expression": one.text,
        "zone": one.zone_name,
        "clock_change": one.change or None,
    }
