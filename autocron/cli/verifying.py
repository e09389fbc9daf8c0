"""``autocron DATABASE --verify``: is a database sound?"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, List

from autocron.cli.arguments import asks_for
from autocron.shell.printable import one_line

if TYPE_CHECKING:
    from autocron.shell.verify import Verified

_MB = 1_000_000


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of what verifies a database."""
    group.add_argument(
        "--verify",
        action="store_true",
        help="check the database, also while it is in use; exit code 1 if it is not sound",
    )


def check(options: argparse.Namespace, others: List[str]) -> None:
    """Refuse what does not go with ``--verify``.

    Arguments:
        options: The options as they were read.
        others: The options of other uses that were given, as they are written.

    Raises:
        UsageError: Something does not.
    """
    if options.verify:
        asks_for(options, "verify", [], others)


def run(options: argparse.Namespace) -> int:
    """Check the database and say what was found; return the exit code."""
    from dataclasses import asdict

    from autocron.cli import as_json
    from autocron.cli.formatting import Screen
    from autocron.shell.admin import existing_path
    from autocron.shell.clock import SystemClock
    from autocron.shell.verify import verify

    path, now = existing_path(options.database), SystemClock().now()
    is_told = not options.json and sys.stderr.isatty()

    def tell(what: str, done: int, total: int) -> None:
        if is_told:
            far = f" {done} of {total}" if total else ""
            print(f"\r\033[Kverifying: {what}{far}", end="", file=sys.stderr, flush=True)

    try:
        found = verify(path, now, tell)
    finally:
        if is_told:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    if options.json:
        verified = {
            "is_sound": not found.count,
            "schema": found.version,
            "bytes": found.bytes,
            "rows": dict(found.rows),
            "findings": [asdict(finding) for finding in found.findings],
            "count": found.count,
        }
        Screen(sys.stdout).document({**as_json.head(path, now), "verify": verified})
    else:
        _show(path, found)
    return 1 if found.count else 0


def _show(path: str, found: Verified) -> None:
    # Not cut to the width of a terminal: what to do stands at the end.
    for finding in found.findings:
        print(one_line(str(finding)))
    if found.count > len(found.findings):
        print(f"... and {found.count - len(found.findings)} more")
    rows = ", ".join(f"{table} {count}" for table, count in found.rows.items() if count)
    what = f"{found.bytes / _MB:.1f} MB, schema {found.version}, rows: {rows or 'none'}"
    verdict = "sound" if not found.count else f"NOT SOUND, {_findings(found.count)}"
    print(one_line(f"{path}: {verdict} ({what})"))


def _findings(count: int) -> str:
    return "1 finding" if count == 1 else f"{count} findings"
