"""The options of ``autocron DATABASE …``: which there are, and which go together."""

from __future__ import annotations

import argparse
from typing import Dict, List, Optional, Sequence, Tuple

import autocron
from autocron.cli import backing_up, migrating, moving, running, verifying
from autocron.cli.arguments import (
    SUCH_AS,
    Parser,
    UsageError,
    did_you_mean,
    duration,
    given,
    read_seconds,
    whole_number,
)
from autocron.core.errors import InvalidTask
from autocron.core.settings import NAMES, NUMBERS, InvalidSetting, check_setting
from autocron.core.task import ALL_QUEUES, TaskState
from autocron.core.values import frozen
from autocron.options import check_queue
from autocron.shell.listing import ENDED, UNFINISHED, Filter
from autocron.shell.operating import POSSIBLE_STATES

DEFAULT_LIMIT = 50
ALL = "all"

LISTS = ("info", "tasks", "results", "failed", "show", "stats")
TASK_VERBS = tuple(POSSIBLE_STATES)
OPERATIONS = (*TASK_VERBS, "pause", "resume", "enable", "disable", "unschedule")
_LIMITED = ("tasks", "results", "failed")
_FILTERS = ("task", "state", "queue", "older_than", "newer_than")
_ALONE = ("watch", "json", "limit", "thorough", "kill", "delete_database", "yes")
# What is done to a database as a whole, and who does it.
_KEEPERS = {"backup": backing_up, "verify": verifying, "move_to": moving, "migrate": migrating}
_SETTERS = tuple(f"set_{name}" for name in (*NAMES, "defaults"))

_USAGE = """\
autocron DATABASE [options]
       autocron demo
       autocron explain EXPRESSION
       autocron next MODULE[:FUNCTION]
       autocron simulate MODULE[:APP]
       autocron check MODULE[:APP]..."""
_ABOUT = """\
Look at a database of autocron, do something to its tasks, queues and schedules,
set its settings, delete it. Without options it shows the information of --info.

commands:
  autocron demo         show real workers at work, for a few seconds
  autocron explain      say in English what a cron expression means, and when it
                        runs next
  autocron next         show when the tasks of a module run next
  autocron simulate     play a module's schedules, and show them as a timeline
  autocron check        find what is wrong with the tasks of a module
  autocron help         show this, or the help of a command: autocron help check
(a database of such a name is written ./demo)
"""
_DATABASE = "a name such as project.db, which is kept in ~/.autocron, or an absolute path"


@frozen
class Request:
    """What a command line asks for, checked as far as it can be without the database.

    Attributes:
        options: The options as they were read.
        lists: Which of :data:`LISTS` to show.
        operation: Which of :data:`OPERATIONS` to do, if any.
        changes: The settings to change; None is the default of one.
        only: Which tasks are meant.
        states: In which states; none is what fits.
        limit: How many tasks of a kind to list at most.
    """

    options: argparse.Namespace
    lists: Tuple[str, ...]
    operation: Optional[str]
    changes: Dict[str, Optional[str]]
    only: Filter
    states: Tuple[TaskState, ...]
    limit: int


def read(words: Sequence[str]) -> Request:
    """Read a command line.

    Raises:
        UsageError: It can not be used.
    """
    options = _parser().read(words)
    if options.database is None:
        raise UsageError("a database is missing: autocron DATABASE --info (see autocron --help)")
    operations = given(options, OPERATIONS)
    _check_company(options, operations)
    operation = operations[0] if operations else None
    lists = _lists(options, operation)
    states = _states(options, operation, lists)
    _check_filters(options, operation, lists)
    return Request(
        options=options,
        lists=lists,
        operation=operation,
        changes=_changes(options),
        only=Filter(options.task, options.queue, options.older_than, options.newer_than),
        states=states,
        limit=options.limit or DEFAULT_LIMIT,
    )


# -- the parser -------------------------------------------------------------------------------


def _parser() -> Parser:
    parser = Parser("autocron", usage=_USAGE, description=_ABOUT)
    parser.add_argument("database", nargs="?", metavar="DATABASE", help=_DATABASE)
    parser.add_argument("--version", action="version", version=f"autocron {autocron.__version__}")
    _add_looks(parser.add_argument_group("look; what reads changes nothing"))
    _add_filters(parser.add_argument_group("which tasks; with lists, and with all"))
    _add_operations(parser.add_argument_group("operate; a living system acts at once"))
    _add_settings(parser.add_argument_group("set; all that is given in one call, or nothing"))
    running.add_options(parser.add_argument_group("run; for systemd, or a container"))
    keep = parser.add_argument_group("keep")
    backing_up.add_options(keep)
    verifying.add_options(keep)
    grow = parser.add_argument_group("grow; see 'Grow beyond one machine'")
    moving.add_options(grow)
    migrating.add_options(grow)
    delete = parser.add_argument_group("delete")
    delete.add_argument(
        "--delete-database",
        action="store_true",
        help="delete the database, its tasks and results; asks before",
    )
    delete.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _add_looks(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-i", "--info", action="store_true", help="settings, processes, queues, schedules, counts"
    )
    group.add_argument(
        "-t", "--tasks", action="store_true", help="tasks that run or wait, and cron schedules"
    )
    group.add_argument(
        "-r", "--results", action="store_true", help="tasks that have ended, the latest first"
    )
    group.add_argument(
        "-f", "--failed", action="store_true", help="tasks that have failed, the latest first"
    )
    group.add_argument(
        "--show", metavar="ID", help="all of one task; ID may be its first characters"
    )
    group.add_argument(
        "--stats", action="store_true", help="how much has ended, how long it waited and ran"
    )
    group.add_argument(
        "--watch",
        nargs="?",
        const=1.0,
        type=duration(0.1),
        metavar="SECONDS",
        help="a live view, until q or Ctrl-C; looks every second",
    )
    group.add_argument("--json", action="store_true", help="print JSON; instants are in UTC")


def _add_filters(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--task", metavar="NAME", help="their function: its name, or the end of it")
    group.add_argument(
        "--state", metavar="S", help="waiting, running, succeeded, failed, cancelled; several: S,S"
    )
    group.add_argument("--queue", metavar="Q", help="their queue")
    group.add_argument(
        "--older-than",
        type=duration(),
        metavar="TIME",
        help="ended, begun or called longer ago, such as 90s, 30m, 1h, 2d",
    )
    group.add_argument(
        "--newer-than", type=duration(), metavar="TIME", help="ended, begun or called since then"
    )
    group.add_argument(
        "--limit",
        type=whole_number(1, 1_000_000),
        metavar="N",
        help=f"list at most N tasks of a kind (default {DEFAULT_LIMIT})",
    )
    group.add_argument(
        "--thorough",
        action="store_true",
        help="look at all tasks, also if that takes seconds; --stats, --task and --queue do not",
    )


def _add_operations(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--retry", nargs="+", metavar="ID", help="let failed or cancelled tasks wait again; or all"
    )
    group.add_argument(
        "--discard", nargs="+", metavar="ID", help="remove failed or cancelled tasks; or all"
    )
    group.add_argument(
        "--cancel",
        nargs="+",
        metavar="ID",
        help="cancel waiting tasks, ask running ones to end; or all that wait",
    )
    group.add_argument(
        "--kill", action="store_true", help="with --cancel: end those that do not end by themselves"
    )
    group.add_argument(
        "--pause",
        nargs="?",
        const=ALL_QUEUES,
        metavar="QUEUE",
        help="let no task of a queue begin; of any queue, if none is given",
    )
    group.add_argument(
        "--resume", nargs="?", const=ALL_QUEUES, metavar="QUEUE", help="let them begin again"
    )
    group.add_argument("--enable", metavar="NAME", help="let a schedule made at run time fire")
    group.add_argument("--disable", metavar="NAME", help="let it not fire")
    group.add_argument("--unschedule", metavar="NAME", help="take it out")


def _add_settings(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--set-autocron-lock",
        metavar="on|off",
        help="on: start() starts nothing, calls run in place; also true and false",
    )
    group.add_argument(
        "--set-max-workers",
        metavar="N",
        help="how many workers run, or how many for which queues: default=2,mail=1",
    )
    group.add_argument(
        "--set-max-tasks-per-worker",
        metavar="N",
        help="after so many tasks a worker is replaced; 0 is never",
    )
    group.add_argument(
        "--set-max-memory-mb",
        metavar="MB",
        help="a worker that takes more memory is replaced; 0 is never",
    )
    group.add_argument(
        "--set-stop-grace",
        metavar="TIME",
        help="that tasks in hand have when the workers are told to stop, such as 90s",
    )
    group.add_argument(
        "--set-worker-idle-time",
        metavar="TIME",
        help="after which an idle worker looks for work unasked",
    )
    group.add_argument(
        "--set-monitor-idle-time",
        metavar="TIME",
        help="after which an idle supervisor looks around unasked",
    )
    group.add_argument(
        "--set-result-ttl", metavar="TIME", help="how long results are kept, such as 1h"
    )
    group.add_argument("--set-failure-ttl", metavar="TIME", help="how long failed tasks are kept")
    group.add_argument(
        "--set-defaults", action="store_true", help="reset every setting that is not given"
    )


# -- what goes together -----------------------------------------------------------------------


def _check_company(options: argparse.Namespace, operations: List[str]) -> None:
    """Refuse what can not be given in one call."""
    lists, setters = given(options, LISTS), given(options, _SETTERS)
    filters = given(options, _FILTERS)
    if options.delete_database and (
        lists
        or setters
        or operations
        or filters
        or options.watch
        or options.json
        or options.limit
        or options.thorough
    ):
        raise UsageError("--delete-database stands alone, or with --yes")
    others = [*lists, *operations, *setters, *filters, *given(options, _ALONE)]
    keeps = given(options, _KEEPERS)
    running.check(options, [_written(name) for name in (*others, *keeps)])
    for keep, module in _KEEPERS.items():
        fit = [keep, "json", *(["yes"] if moving.is_undone(options) else [])]
        beside = [_written(name) for name in (*others, *keeps) if name not in fit]
        module.check(options, beside)
    if len(operations) > 1:
        raise UsageError(f"{_written(operations[0])} and {_written(operations[1])}: one at a time")
    others = [*lists, *setters, *(["watch"] if options.watch else [])]
    for operation in operations:
        if others:
            raise UsageError(f"{_written(operation)} and {_written(others[0])}: one at a time")
        words = getattr(options, operation)
        if operation in TASK_VERBS and ALL in words and len(words) > 1:
            raise UsageError(f"{_written(operation)}: all, or ids, not both")
    if options.watch and (lists or setters):
        raise UsageError(f"--watch and {_written((lists + setters)[0])}: one at a time")
    asks = (options.discard, options.cancel)
    is_asked = options.delete_database or moving.is_undone(options)
    if options.yes and not is_asked and not any(words == [ALL] for words in asks):
        raise UsageError("--yes goes with --delete-database, --discard all or --cancel all")
    for operation in ("pause", "resume"):
        word = getattr(options, operation)
        if word not in (None, ALL_QUEUES):
            try:
                check_queue(_written(operation), word)
            except InvalidTask as error:
                raise UsageError(str(error)) from None
    if options.kill and not options.cancel:
        raise UsageError("--kill goes with --cancel")
    if options.json and setters and not lists:
        raise UsageError("--json goes with --info, --tasks or --results")


def _lists(options: argparse.Namespace, operation: Optional[str]) -> Tuple[str, ...]:
    """Tell what to show: what was asked for, what the filters mean, or the information."""
    asked = tuple(given(options, LISTS))
    if asked or operation or options.watch or options.delete_database:
        return asked
    if given(options, _FILTERS) or options.limit:
        states = _named_states(options.state)
        return tuple(
            name
            for name, fitting in (("tasks", UNFINISHED), ("results", ENDED))
            if not states or set(states) & set(fitting)
        )
    return () if given(options, _SETTERS) else ("info",)


def _states(
    options: argparse.Namespace, operation: Optional[str], lists: Sequence[str]
) -> Tuple[TaskState, ...]:
    states = _named_states(options.state)
    if not states:
        return ()
    if operation in TASK_VERBS:
        possible, what = POSSIBLE_STATES[operation or ""], f"--{operation}"
    else:
        if "failed" in lists:
            raise UsageError("--failed and --state: one of them says which tasks")
        fitting = {"tasks": UNFINISHED, "results": ENDED}
        possible = tuple(state for name in lists for state in fitting.get(name, ()))
        what = " and ".join(_written(name) for name in lists if name in fitting)
    for state in states:
        if possible and state not in possible:
            names = " and ".join(one.value for one in possible)
            raise UsageError(f"--state {state.value}: {what} is about {names} tasks")
    return states


def _named_states(text: Optional[str]) -> Tuple[TaskState, ...]:
    known = {state.value: state for state in TaskState}
    found = []
    for word in () if text is None else text.split(","):
        if word not in known:
            raise UsageError(
                f"--state: {word!r} is not one of {', '.join(known)}{did_you_mean(word, known)}"
            )
        found.append(known[word])
    return tuple(found)


def _check_filters(
    options: argparse.Namespace, operation: Optional[str], lists: Sequence[str]
) -> None:
    filters = [*given(options, _FILTERS), *given(options, ("limit", "thorough"))]
    older, newer = options.older_than, options.newer_than
    if older is not None and newer is not None and older >= newer:
        raise UsageError("--older-than is to be less than --newer-than, or nothing is left")
    for name in filters:
        if operation in TASK_VERBS:
            fits = name not in ("limit", "thorough") and getattr(options, operation or "") == [ALL]
        elif name in ("task", "queue", "thorough"):
            fits = bool({*_LIMITED, "stats"} & set(lists))
        else:
            fits = bool(set(_LIMITED) & set(lists))
        if not fits:
            if name == "thorough":
                raise UsageError("--thorough goes with --tasks, --results, --failed or --stats")
            also = "" if name == "limit" else ", or with all"
            raise UsageError(f"{_written(name)} goes with --tasks, --results or --failed{also}")


def _changes(options: argparse.Namespace) -> Dict[str, Optional[str]]:
    changes: Dict[str, Optional[str]] = dict.fromkeys(NAMES) if options.set_defaults else {}
    for name in NAMES:
        word = getattr(options, f"set_{name}")
        if word is not None:
            changes[name] = _setting(name, word)
    return changes


def _setting(name: str, word: str) -> str:
    """Return the text to store of a setting; what is seconds may be written as any duration."""
    is_duration = name in NUMBERS and NUMBERS[name][2] == "seconds"
    seconds = read_seconds(word) if is_duration else None
    text = word if seconds is None else repr(seconds)
    try:
        return check_setting(name, text)
    except InvalidSetting as error:
        # Of what was given, and not of what was made of it.
        said = str(error)[len(name) :].replace(repr(text), repr(word), 1)
        also = f", {SUCH_AS}" if is_duration else ""
        raise UsageError(f"{_written(f'set_{name}')}{said}{also}; nothing is changed") from None


def _written(name: str) -> str:
    """Return an option as it is written."""
    return f"--{name.replace('_', '-')}"
