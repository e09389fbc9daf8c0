"""``autocron DATABASE …``: look at a database, set its settings, delete it."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from typing import Any, Dict, List, Mapping, Optional

import autocron
from autocron.cli import as_json, listing
from autocron.cli.arguments import Parser, UsageError, did_you_mean, given, whole_number
from autocron.cli.formatting import Screen, to_json
from autocron.core.errors import StartError
from autocron.core.settings import NAMES, InvalidSetting, check_setting
from autocron.core.task import TaskState
from autocron.shell.admin import (
    Admin,
    Changed,
    MissingDatabase,
    neighbours,
    open_existing,
    open_or_create,
)
from autocron.shell.clock import SystemClock

DEFAULT_LIMIT = 50
_LISTS = ("info", "tasks", "results")

_USAGE = "autocron DATABASE [options]\n       autocron demo\n       autocron explain EXPRESSION"
_ABOUT = """\
Look at a database of autocron, set its settings, delete it. Without options it
shows the information of --info.

commands:
  autocron demo         show real workers at work, for a few seconds
  autocron explain      say in English what a cron expression means, and when it
                        runs next (a database of such a name is written ./demo)
"""
_DATABASE = "a name such as project.db, which is kept in ~/.autocron, or an absolute path"


def _parser() -> Parser:
    parser = Parser("autocron", usage=_USAGE, description=_ABOUT)
    parser.add_argument("database", nargs="?", metavar="DATABASE", help=_DATABASE)
    parser.add_argument("--version", action="version", version=f"autocron {autocron.__version__}")
    look = parser.add_argument_group("look; what reads changes nothing")
    look.add_argument(
        "-i", "--info", action="store_true", help="settings, processes, schedules and counts"
    )
    look.add_argument(
        "-t", "--tasks", action="store_true", help="tasks that run or wait, and cron schedules"
    )
    look.add_argument(
        "-r", "--results", action="store_true", help="tasks that have ended, the latest first"
    )
    look.add_argument(
        "--limit",
        type=whole_number(1, 1_000_000),
        metavar="N",
        help=f"list at most N tasks of a kind (default {DEFAULT_LIMIT})",
    )
    look.add_argument("--json", action="store_true", help="print JSON; instants are in UTC")
    change = parser.add_argument_group("set; all that is given in one call, or nothing")
    change.add_argument(
        "--set-autocron-lock",
        metavar="on|off",
        help="on: start() starts nothing, calls run in place; also true and false",
    )
    change.add_argument(
        "--set-max-workers",
        metavar="N",
        help="how many workers run, or how many for which queues: default=2,mail=1",
    )
    change.add_argument(
        "--set-max-tasks-per-worker",
        metavar="N",
        help="after so many tasks a worker is replaced; 0 is never",
    )
    change.add_argument(
        "--set-max-memory-mb",
        metavar="MB",
        help="a worker that takes more memory is replaced; 0 is never",
    )
    change.add_argument(
        "--set-stop-grace",
        metavar="SECONDS",
        help="that tasks in hand have when the workers are told to stop",
    )
    change.add_argument(
        "--set-worker-idle-time",
        metavar="SECONDS",
        help="after which an idle worker looks for work unasked",
    )
    change.add_argument(
        "--set-monitor-idle-time",
        metavar="SECONDS",
        help="after which an idle supervisor looks around unasked",
    )
    change.add_argument("--set-result-ttl", metavar="SECONDS", help="how long results are kept")
    change.add_argument(
        "--set-failure-ttl", metavar="SECONDS", help="how long failed tasks are kept"
    )
    change.add_argument(
        "--set-defaults", action="store_true", help="reset every setting that is not given"
    )
    delete = parser.add_argument_group("delete")
    delete.add_argument(
        "--delete-database",
        action="store_true",
        help="delete the database, its tasks and results; asks before",
    )
    delete.add_argument("--yes", action="store_true", help="do not ask")
    return parser


_SETTERS = tuple(f"set_{name}" for name in (*NAMES, "defaults"))


def run(words: List[str]) -> int:
    """Run ``autocron DATABASE …``.

    Arguments:
        words: The words of the command line, the database among them.

    Returns:
        The exit code.
    """
    options = _parser().read(words)
    changes = _checked(options)
    screen = Screen(sys.stdout)
    try:
        open_database = open_or_create if changes else open_existing
        admin = open_database(options.database, SystemClock())
    except MissingDatabase as error:
        raise MissingDatabase(error.path, _hint(options.database, error.path)) from None
    except StartError as error:  # the name itself
        raise UsageError(str(error)) from None
    with closing(admin.store):
        if options.delete_database:
            return _delete(admin, screen, options.yes)
        if changes:
            changed = admin.change(changes)
            # What is for people must not get between the lines of JSON.
            _show_changed(admin, changes, changed, Screen(sys.stderr) if options.json else screen)
        if not changes or given(options, _LISTS):
            _show_lists(admin, options, screen)
    return 0


def _checked(options: argparse.Namespace) -> Dict[str, Optional[str]]:
    """Check the whole command line; return the settings to change."""
    lists, setters = given(options, _LISTS), given(options, _SETTERS)
    if options.database is None:
        raise UsageError("a database is missing: autocron DATABASE --info (see autocron --help)")
    if options.delete_database and (lists or setters or options.json or options.limit):
        raise UsageError("--delete-database stands alone, or with --yes")
    if options.yes and not options.delete_database:
        raise UsageError("--yes goes with --delete-database")
    if options.limit and not (options.tasks or options.results):
        raise UsageError("--limit goes with --tasks or --results")
    if options.json and setters and not lists:
        raise UsageError("--json goes with --info, --tasks or --results")
    changes: Dict[str, Optional[str]] = dict.fromkeys(NAMES) if options.set_defaults else {}
    for name in NAMES:
        word = getattr(options, f"set_{name}")
        if word is not None:
            try:
                changes[name] = check_setting(name, word)
            except InvalidSetting as error:
                option = f"--set-{name.replace('_', '-')}"
                raise UsageError(f"{option}{str(error)[len(name) :]}; nothing is changed") from None
    return changes


def _hint(word: str, path: str) -> str:
    """Tell what was probably meant by the name of a database that is missing."""
    from autocron.cli import commands

    command = did_you_mean(word, commands())
    if command:
        return command.replace("?", " (a command)?")
    here = os.path.abspath(word)
    if not os.path.isabs(word) and os.path.isfile(here):
        return f"; a relative name is one in ~/.autocron, for the file in this folder write {here}"
    files = [name for name in neighbours(path) if not name.endswith(("-wal", "-shm", ".run"))]
    near = did_you_mean(os.path.basename(path), files)
    return near or "; it is created by autocron.start(), or by setting something"


# -- settings ---------------------------------------------------------------------------------


def _show_changed(
    admin: Admin, changes: Mapping[str, Optional[str]], changed: Changed, screen: Screen
) -> None:
    screen.say(admin.path, "bold")
    screen.table(
        [
            [
                name.replace("_", "-"),
                listing.setting(changed.before, name),
                "->",
                listing.setting(changed.after, name),
            ]
            for name in changes
        ]
    )
    if changed.was_told:
        screen.say(f"The supervisor (pid {changed.processes.supervisor}) has been told.")
    for note in _notes(changes, changed):
        screen.say(note)


def _notes(changes: Mapping[str, Optional[str]], changed: Changed) -> List[str]:
    """Tell what a change does not do, where one might think that it does."""
    notes = []
    was_locked, is_locked = changed.before.autocron_lock, changed.after.autocron_lock
    if is_locked and not was_locked and changed.processes.is_anyone_there:
        notes.append(
            "The lock is read by start(): workers go on until the application is started anew."
        )
    if was_locked and not is_locked:
        notes.append("All schedules begin now; nothing is made up for the time of the lock.")
    if changes.get("max_workers") is not None and changed.start_workers is not None:
        notes.append(
            f"The application has called start(workers={changed.start_workers}), which wins over "
            "max-workers."
        )
    return notes


# -- lists ------------------------------------------------------------------------------------


def _show_lists(admin: Admin, options: argparse.Namespace, screen: Screen) -> None:
    wanted = given(options, _LISTS) or ["info"]
    limit = options.limit or DEFAULT_LIMIT
    now = admin.clock.now()
    document: Dict[str, Any] = as_json.head(admin.path, now)
    if not options.json:
        screen.say(admin.path, "bold")
    for kind in wanted:
        if kind == "info":
            overview = admin.overview()
            if options.json:
                document["info"] = as_json.info(overview, now)
            else:
                listing.show_info(screen, overview, now)
        elif kind == "tasks":
            tasks = admin.tasks(limit)
            if options.json:
                document["tasks"] = as_json.tasks(tasks)
            else:
                listing.show_tasks(screen, tasks, now)
        else:
            results = admin.results(limit)
            if options.json:
                document["results"] = as_json.results(results)
            else:
                listing.show_results(screen, results)
    if options.json:
        screen.say(to_json(document))


# -- deleting ---------------------------------------------------------------------------------


def _delete(admin: Admin, screen: Screen, is_sure: bool) -> int:
    counts = admin.overview().stats.counts
    waiting = counts[TaskState.WAITING] + counts[TaskState.RUNNING]
    ended = sum(counts.values()) - waiting
    what = f"{admin.path} with {waiting} waiting and {ended} ended tasks"
    if not is_sure and not _is_confirmed(f"Delete {what}? [y/N] "):
        print("autocron: nothing is deleted (for scripts: --yes)", file=sys.stderr)
        return 1
    admin.delete()
    screen.say(f"Deleted {what}.")
    return 0


def _is_confirmed(question: str) -> bool:
    try:
        answer = input(question)
    except EOFError:
        answer = ""
    if not sys.stdin.isatty():
        print()  # nobody has typed Enter
    return answer.strip().lower() in ("y", "yes")
