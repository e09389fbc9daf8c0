"""A database that was moved to another one: how it is marked, and that nothing is stored in it.

The mark is a setting, which says where to, and triggers, by which SQLite itself refuses to store
anything: also for processes that have had the database open since before, and look at no setting.
So no call is taken, and no task run, where nobody would look for it any more. It can still be read,
copied and deleted.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Dict, Mapping, NamedTuple, Optional

from autocron.core.errors import StartError

MOVED_TO = "moved_to"

# What SQLite says of it; `autocron.shell.connections` puts it in words.
_REFUSED = "moved by autocron"
_TABLES = ("tasks", "schedules", "settings", "paused_queues")
_ROWS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}


def _guards() -> Dict[str, str]:
    made = {}
    for table in _TABLES:
        for verb, row in _ROWS.items():
            # The mark itself has yet to be completed, or taken off.
            when = f" WHEN {row}.name <> '{MOVED_TO}'" if table == "settings" else ""
            name = f"moved_{table}_{verb.lower()}"
            made[name] = (
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table}{when} "
                f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
            )
    return made


# Name -> how it is made, as SQLite keeps it. Any other trigger is none of autocron's.
GUARDS: Mapping[str, str] = _guards()


class MovedDatabase(StartError):
    """A database was moved to another one, and is not to be used any more."""


class Mark(NamedTuple):
    """Where to a database was moved.

    Attributes:
        url: The URL, as it may be shown.
        name: Its local name, which is the same for all spellings of it.
        id: Names this move, and no other one.
        is_complete: Whether it is known that all has arrived there.
    """

    url: str
    name: str
    id: str
    is_complete: bool

    def text(self) -> str:
        """Return the setting that says so."""
        return json.dumps(self._asdict())


def mark_of(stored: Mapping[str, str]) -> Optional[Mark]:
    """Return the mark among the settings of a database; None if it was not moved."""
    text = stored.get(MOVED_TO)
    if text is not None:
        with suppress(ValueError, TypeError, LookupError):
            found = json.loads(text)
            url, name, move_id = (str(found[field]) for field in ("url", "name", "id"))
            return Mark(url, name, move_id, found["is_complete"] is True)
    return None


def check_not_moved(stored: Mapping[str, str], shown: str) -> None:
    """Refuse a database that was moved.

    Arguments:
        stored: Its settings.
        shown: How messages name it.

    Raises:
        MovedDatabase: It was moved, or is being moved; the message says where to.
    """
    mark = mark_of(stored)
    if mark is None:
        return
    if mark.is_complete:
        raise MovedDatabase(
            f"{shown} was moved to {mark.url}, and nothing is stored or run here any more; start "
            "the application with that URL"
        )
    raise MovedDatabase(
        f"{shown} is being moved to {mark.url}; wait until that has ended, or, if it was cut off, "
        f"let it go on: autocron {shown} --move-to URL"
    )
