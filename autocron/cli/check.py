"""``autocron check MODULE``: what is wrong with the tasks of a module, for a CI job."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from typing import Any, Iterator, List, Tuple

from autocron.cli.arguments import Parser, check_module
from autocron.cli.formatting import Screen
from autocron.cli.modules import Broken, read_tasks
from autocron.core.arguments import dump_call
from autocron.core.cron import parse
from autocron.core.errors import AutocronError, NotStorable
from autocron.core.next_run import next_run
from autocron.shell.clock import SystemClock
from autocron.shell.printable import one_line
from autocron.zones import load_zone

_ABOUT = """\
Check the tasks of a module: schedules that can not be read or never fire,
functions that no worker could find or call, defaults that can not be stored.
Prints one line for each finding and ends with exit code 1, or 0 if there is
none. What merely looks like a slip is a warning. Nothing is started.

example, in a CI job:
  autocron check shop.tasks
"""


def run(words: List[str]) -> int:
    """Run ``autocron check …``.

    Arguments:
        words: The words after the command.

    Returns:
        The exit code: 1 if anything was found.
    """
    parser = Parser("autocron check", description=_ABOUT)
    parser.add_argument("modules", nargs="+", metavar="MODULE[:APP]", help="where the tasks are")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.read(words)
    findings: List[str] = []
    warnings: List[str] = []
    functions = schedules = 0
    for module in options.modules:
        check_module(module)
    for module in options.modules:
        try:
            reader, slips = read_tasks(module)
        except Broken as error:
            findings.append(str(error))
            continue
        except AutocronError as error:
            findings.append(one_line(str(error)).partition("tasks: ")[2] or one_line(str(error)))
            continue
        warnings += slips
        functions += len(reader.functions)
        schedules += len(reader.schedules)
        findings += [f"{name}: {problem}" for name, problem in _problems(reader)]
    screen = Screen(sys.stdout)
    if options.json:
        screen.document({"findings": findings, "warnings": warnings})
        return 1 if findings else 0
    for text in warnings:
        screen.say(f"warning: {one_line(text)}")
    for text in findings:
        screen.say(one_line(text), "bad")
    if not findings:
        screen.say(
            f"{', '.join(options.modules)}: {functions} task function"
            f"{'' if functions == 1 else 's'}, {schedules} schedule"
            f"{'' if schedules == 1 else 's'}, nothing wrong",
            "good",
        )
    return 1 if findings else 0


def _problems(reader: Any) -> Iterator[Tuple[str, str]]:
    now = SystemClock().now()
    scheduled = {one.name for one in reader.schedules}
    for known in reader.functions.values():
        if known.unreachable is not None:
            yield known.name, f"no worker could find it: {known.unreachable}"
        elif not _is_importable(known.module):
            yield known.name, f"no worker could import its module {known.module!r}"
        if known.name in scheduled:
            try:
                known.check_call((), {})
            except TypeError as error:
                yield known.name, f"it has a schedule, which gives no arguments: {error}"
        else:
            yield from _defaults(known)
    for one in reader.schedules:
        if one.text is not None:
            zone = load_zone(one.zone or reader.zone_name)
            if next_run(parse(one.text), now, zone) is None:
                yield one.name, f"its schedule {one.text!r} never fires again"


def _is_importable(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _defaults(known: Any) -> Iterator[Tuple[str, str]]:
    for parameter in known.signature.parameters.values():
        if parameter.default is inspect.Parameter.empty:
            continue
        try:
            dump_call((parameter.default,), {}, (parameter.name,))
        except NotStorable as error:
            yield known.name, f"the default of {parameter.name!r} can not be stored: {error}"
