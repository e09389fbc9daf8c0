"""``autocron DATABASE --move-to URL``: from a file to PostgreSQL, where several hosts share it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, List

from autocron.cli.arguments import UsageError, asks_for
from autocron.core.errors import StartError
from autocron.shell.remote import is_url, local_name, shown

if TYPE_CHECKING:
    from autocron.cli.formatting import Screen
    from autocron.shell.moving import Moved

# In place of a URL: it was not to be.
_NOWHERE = "none"
_EXPECTED = "expected the URL of a PostgreSQL database, such as postgresql://user@host/name"


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of what moves a database."""
    group.add_argument(
        "--move-to",
        metavar="URL",
        help="move tasks, results, schedules and settings to this PostgreSQL database, while the "
        "application is stopped; none: do not, if it was cut off",
    )


def check(options: argparse.Namespace, others: List[str]) -> None:
    """Refuse what does not go with ``--move-to``.

    Arguments:
        options: The options as they were read.
        others: The options of other uses that were given, as they are written.

    Raises:
        UsageError: Something does not.
    """
    if not asks_for(options, "move_to", [], others):
        return
    if is_url(options.database):
        raise UsageError(
            f"--move-to moves a file to PostgreSQL, and {shown(options.database)} is none; between "
            "servers pg_dump and pg_restore do it"
        )
    if is_undone(options):
        return
    if not is_url(options.move_to):
        raise UsageError(f"--move-to: {options.move_to!r} is no URL; {_EXPECTED}")
    try:
        local_name(options.move_to)
    except StartError as error:
        # A file name, of which that speaks too, is none.
        why = str(error).replace("database: ", "--move-to: ", 1).partition("; expected ")[0]
        raise UsageError(f"{why}; {_EXPECTED}") from None


def is_undone(options: argparse.Namespace) -> bool:
    """Tell whether a move that was cut off is not to be."""
    return bool(options.move_to == _NOWHERE)


def run(options: argparse.Namespace) -> int:
    """Move the database and say so; return the exit code."""
    from dataclasses import asdict

    from autocron.cli import as_json
    from autocron.cli.formatting import Screen
    from autocron.shell.admin import existing_path
    from autocron.shell.clock import SystemClock
    from autocron.shell.moving import move

    path = existing_path(options.database)
    if is_undone(options):
        return _do_not(path, options.yes)
    is_told = not options.json and sys.stderr.isatty()

    def tell(done: int, total: int) -> None:
        print(f"\r{done} of {total} tasks", end="", file=sys.stderr, flush=True)

    try:
        moved = move(path, options.move_to, tell if is_told else None)
    finally:
        if is_told:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    screen = Screen(sys.stdout)
    if options.json:
        screen.document({**as_json.head(path, SystemClock().now()), "move": asdict(moved)})
    else:
        _show(screen, path, moved)
    return 0


def _do_not(path: str, is_sure: bool) -> int:
    from autocron.cli.changing import is_confirmed
    from autocron.cli.formatting import Screen
    from autocron.shell.moving import take_mark_off

    question = (
        f"Is it certain that nothing of {path} has arrived there? Else tasks run twice. [y/N] "
    )
    if not is_sure and not is_confirmed(question):
        print("autocron: nothing is changed (for scripts: --yes)", file=sys.stderr)
        return 1
    url = take_mark_off(path)
    Screen(sys.stdout).say(f"{path} is not moved to {url}, and can be used again")
    return 0


def _show(screen: Screen, path: str, moved: Moved) -> None:
    before = "" if moved.is_news else ", before now; nothing was left to do"
    screen.say(f"{path} is moved to {moved.to}{before}", "bold")
    rows = [[state, _tasks(count)] for state, count in moved.tasks.items() if count]
    rows += [["schedules", ", ".join(moved.schedules)]] if moved.schedules else []
    settings = [f"{_written(name)} {value}" for name, value in moved.settings.items()]
    rows += [["settings", ", ".join(settings)]] if settings else []
    rows += [["paused", ", ".join(moved.paused)]] if moved.paused else []
    if rows:
        screen.table(rows)
    for note in _notes(moved):
        screen.say(note)
    screen.say("Start the application with that URL now. This file is kept, and not used any more.")


def _notes(moved: Moved) -> List[str]:
    """Tell what was not moved, or is not as one might think."""
    notes = []
    if moved.there:
        notes.append(f"{_tasks(moved.there)} were there already.")
    if moved.schedules_kept:
        kept = ", ".join(moved.schedules_kept)
        notes.append(f"Known there already, and left as they are there: {kept}.")
    if moved.settings_kept:
        kept = ", ".join(map(_written, moved.settings_kept))
        notes.append(f"Set there already, and left as they are there: {kept}.")
    if moved.schedules_damaged:
        damaged = moved.schedules_damaged
        notes.append(f"Schedules that could not be read, and are left out: {damaged}.")
    if moved.settings.get("autocron_lock") == "on":
        notes.append("It is locked there, too: calls run in place until that is set off.")
    return notes


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _written(name: str) -> str:
    return name.replace("_", "-")
