"""``autocron DATABASE --migrate``: its tables are made, or brought up to date."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, List

from autocron.cli.arguments import asks_for

if TYPE_CHECKING:
    from autocron.shell.migrating import Migrated


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of what makes tables."""
    group.add_argument(
        "--migrate",
        action="store_true",
        help="make the tables in a PostgreSQL database, or bring those of any database up to date, "
        "as the next start() would",
    )


def check(options: argparse.Namespace, others: List[str]) -> None:
    """Refuse what does not go with ``--migrate``.

    Arguments:
        options: The options as they were read.
        others: The options of other uses that were given, as they are written.

    Raises:
        UsageError: Something does not.
    """
    if options.migrate:
        asks_for(options, "migrate", [], others)


def run(options: argparse.Namespace) -> int:
    """Make the tables and say so; return the exit code."""
    from dataclasses import asdict

    from autocron.cli import as_json
    from autocron.cli.formatting import Screen
    from autocron.shell.admin import existing_path
    from autocron.shell.clock import SystemClock
    from autocron.shell.migrating import migrate_file, migrate_server
    from autocron.shell.remote import is_url, local_name, shown

    name = options.database
    if is_url(name):
        # Raises what it is not.
        local_name(name)
        named, done = shown(name), migrate_server(name)
    else:
        named = existing_path(name)
        done = migrate_file(named)
    screen = Screen(sys.stdout)
    if options.json:
        document = as_json.head(named, SystemClock().now())
        screen.document({**document, "migrate": {**asdict(done), "is_change": done.is_change}})
    else:
        screen.say(f"{named}: {_told(done, is_url(name))}")
    return 0


def _told(done: Migrated, is_server: bool) -> str:
    ours = _step(str(done.before or ""), str(done.after))
    if not is_server:
        return ours
    if not done.queue_after:
        return f"{ours}; procrastinate's are another application's, which looks after them"
    theirs = _step(_short(done.queue_before), _short(done.queue_after))
    return f"{ours}; procrastinate's {theirs}"


def _short(step: str) -> str:
    """Return what tells a step of procrastinate's from others: its version and number."""
    return "_".join(step.split("_")[:2])


def _step(before: str, after: str) -> str:
    """Say what became of some tables."""
    if not before:
        return f"tables made, version {after}"
    if before == after:
        return f"tables up to date, version {after}"
    return f"tables brought from version {before} to {after}"
