"""``autocron simulate MODULE``: play an application's schedules, and show them as a timeline."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime
from typing import Any, Dict, List, Optional

from autocron.cli.arguments import (
    A_DURATION,
    ZONE_OF_SCHEDULES,
    Parser,
    UsageError,
    check_module,
    read_seconds,
    whole_number,
)
from autocron.cli.formatting import Screen
from autocron.cli.modules import Broken, read_tasks
from autocron.core.errors import AutocronError
from autocron.core.workforce import InvalidWorkers, Workers, parse_workers
from autocron.shell.clock import SystemClock

_ABOUT = """\
Play the schedules of a module through the real engine, on virtual time, and
show when its tasks run. Nothing is started and no function is called: each is
taken to run for a second, or as long as --durations says.

examples:
  autocron simulate shop.tasks --days 7
  autocron simulate shop.tasks --from 2026-10-24 --tz Europe/Berlin \\
      --durations nightly=2h,poll=90s --workers 2 --html report.html
"""

_PLAIN_WIDTH = 100
_MOST_DAYS = 36600


def run(words: List[str]) -> int:
    """Run ``autocron simulate …``.

    Arguments:
        words: The words after the command.

    Returns:
        The exit code.
    """
    parser = Parser("autocron simulate", description=_ABOUT)
    parser.add_argument("module", metavar="MODULE[:APP]", help="where the tasks are")
    parser.add_argument(
        "--from", dest="start", metavar="TIME", help="the first instant (default: today, 00:00)"
    )
    parser.add_argument("--to", dest="end", metavar="TIME", help="up to when, instead of --days")
    parser.add_argument("--days", type=_days, metavar="N", help="how many days (default 7)")
    parser.add_argument("--tz", metavar="ZONE", help=ZONE_OF_SCHEDULES)
    parser.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="how many, or how many for which queues: default=2,mail=1 (default 1)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, 10**9), default=0, metavar="N", help="of all chance"
    )
    parser.add_argument(
        "--durations",
        action="append",
        default=[],
        metavar="TASK=TIME,...",
        help="how long tasks run: nightly=2h,poll=90s, or 5s for all",
    )
    parser.add_argument(
        "--outage",
        action="append",
        default=[],
        metavar="FROM/TO",
        help="the machine is off: 2026-10-25T01:00/2026-10-25T05:00",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", metavar="FILE", help="write a page with a picture")
    options = parser.read(words)
    check_module(options.module)
    if options.html is not None:
        _check_page(options.html)
    if options.days is not None and options.end is not None:
        raise UsageError("--days and --to both say how long; give one of them")
    try:
        timeline = _play(options)
    except Broken:
        raise
    except AutocronError as error:
        raise UsageError(_as_written(str(error))) from error
    screen = Screen(sys.stdout)
    if options.html is not None:
        _write_page(options.html, timeline.to_html())
    if options.json:
        print(timeline.to_json())
        return 0
    for line in timeline.to_text(screen.width or _PLAIN_WIDTH).splitlines():
        screen.say(line, "bold" if line == "What is odd" else "")
    if options.html is not None:
        screen.say()
        screen.say(f"The page is in {os.path.abspath(options.html)}")
    return 0


def _check_page(path: str) -> None:
    """Refuse a file that can not be written, since playing may take long."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.basename(path) or os.path.isdir(path):
        raise UsageError(f"--html: {path!r} is no name of a file, such as report.html")
    if not os.path.isdir(folder):
        raise UsageError(
            f"--html: there is no folder {folder!r} for {path!r}; create it, or give a file in one "
            "that exists"
        )
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise UsageError(f"--html: {path!r} can not be written; give a file that can")


def _write_page(path: str, page: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
    except OSError as error:
        raise AutocronError(f"--html: {path!r} can not be written: {error.strerror}") from None


def _play(options: Any) -> Any:
    from autocron.testing.simulator import play, read_scenario

    reader, _ = read_tasks(options.module, options.tz)
    start: Any = options.start
    if start is None:
        today = SystemClock().now().astimezone(reader.zone)
        start = datetime(today.year, today.month, today.day)
    end: Optional[str] = options.end
    days = None if end is not None else options.days or 7.0
    scenario = read_scenario(
        reader,
        start,
        days,
        end,
        options.workers,
        options.seed,
        _durations(options.durations),
        None,
        [_outage(word) for word in options.outage],
        None,
        (),
        (),
        None,
        False,
    )
    return play(scenario)


def _workers(text: str) -> Workers:
    try:
        return parse_workers(text)
    except InvalidWorkers as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _days(word: str) -> float:
    try:
        days = float(word)
    except ValueError:
        days = 0.0
    if not 0 < days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(
            f"{word!r} is not a number of days above 0, up to {_MOST_DAYS}"
        )
    return days


def _durations(words: List[str]) -> Any:
    """Read ``nightly=2h,poll=90s``, or one duration for all tasks."""
    found: Dict[str, float] = {}
    for word in (piece for given in words for piece in given.split(",")):
        task, is_named, text = word.rpartition("=")
        seconds = _seconds(text)
        if is_named and task:
            found[task] = seconds
        elif is_named or len(words) > 1 or "," in words[0]:
            raise UsageError(f"--durations: {word!r} names no task; expected TASK=TIME")
        else:
            return seconds
    return found or None


def _seconds(text: str) -> float:
    seconds = read_seconds(text)
    if seconds is None:
        raise UsageError(f"--durations: {text!r} is no duration; expected {A_DURATION}")
    return seconds


def _outage(word: str) -> List[str]:
    begin, slash, end = word.partition("/")
    if not slash:
        raise UsageError(
            f"--outage: {word!r} is not FROM/TO, such as 2026-10-25T01:00/2026-10-25T05:00"
        )
    return [begin, end]


def _as_written(message: str) -> str:
    """Call an argument of simulate() what it is called on the command line."""
    for name, option in (("start:", "--from:"), ("end:", "--to:"), ("outages:", "--outage:")):
        if message.startswith(name):
            return option + message[len(name) :]
    return message
