"""``autocron DATABASE --backup FILE``: a copy of a database that may be in use."""

from __future__ import annotations

import argparse
import os
import sys
from typing import List

from autocron.cli.arguments import UsageError, asks_for

_MB = 1_000_000


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of what copies a database."""
    group.add_argument(
        "--backup",
        metavar="FILE",
        help="copy the database as it is now into FILE, also while it is in use",
    )
    group.add_argument("--overwrite", action="store_true", help="replace a FILE that is there")


def check(options: argparse.Namespace, others: List[str]) -> None:
    """Refuse what does not go with ``--backup``.

    Arguments:
        options: The options as they were read.
        others: The options of other uses that were given, as they are written.

    Raises:
        UsageError: Something does not.
    """
    if asks_for(options, "backup", ["overwrite"], others) and not options.backup:
        raise UsageError("--backup: a file is missing")


def run(options: argparse.Namespace) -> int:
    """Copy the database and say so; return the exit code."""
    from autocron.cli import as_json
    from autocron.cli.formatting import Screen
    from autocron.shell.admin import existing_path
    from autocron.shell.backup import back_up
    from autocron.shell.clock import SystemClock

    path = existing_path(options.database)
    target = os.path.abspath(options.backup)
    is_told = not options.json and sys.stderr.isatty()

    def tell(done: int, total: int) -> None:
        print(f"\r{done / _MB:.0f} of {total / _MB:.0f} MB", end="", file=sys.stderr, flush=True)

    try:
        size = back_up(path, target, options.overwrite, tell if is_told else None)
    finally:
        if is_told:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    screen = Screen(sys.stdout)
    if options.json:
        head = as_json.head(path, SystemClock().now())
        screen.document({**head, "backup": {"path": target, "bytes": size}})
    else:
        screen.say(f"{path} is copied to {target} ({size / _MB:.1f} MB)")
    return 0
