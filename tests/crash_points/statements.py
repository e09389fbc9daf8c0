"""The seam at which writes are cut: every statement that a connection of SQLite executes.

Nothing of autocron knows of it. A process that is to be cut has the connections of :mod:`sqlite3`
made by a class of this module; the others have them as they are.
"""

from __future__ import annotations

import functools
import sqlite3
from typing import Any, Callable

BEFORE, AFTER = "before", "after"
# When; the statement, its blanks made single ones; the connection.
Look = Callable[[str, str, sqlite3.Connection], None]

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "ALTER", "DROP", "COMMIT", "ROLLBACK")
# These are settings of a connection, and write nothing.
_WRITES_NOTHING = ("synchronous", "fullfsync", "checkpoint_fullfsync", "journal_size_limit")


def is_write(sql: str) -> bool:
    """Tell whether a statement writes, or begins or ends what does."""
    word, _, rest = sql.strip().partition(" ")
    if word == "PRAGMA":
        name, equals, _ = rest.partition("=")
        return name not in _WRITES_NOTHING and (equals != "" or "vacuum" in name)
    return word in _WRITES or sql == "BEGIN IMMEDIATE"


def watch(look: Look) -> None:
    """Have all connections that are made from now on in this process tell of their writes.

    Arguments:
        look: Is called before each of them, and after it has been done.
    """

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            return self._tell(super().execute, sql, *values)

        def executescript(self, sql: str) -> sqlite3.Cursor:
            return self._tell(super().executescript, sql)

        def _tell(
            self, execute: Callable[..., sqlite3.Cursor], sql: str, *values: Any
        ) -> sqlite3.Cursor:
            if not is_write(sql):
                return execute(sql, *values)
            words = " ".join(sql.split())
            look(BEFORE, words, self)
            cursor = execute(sql, *values)
            if words.startswith("PRAGMA"):
                # It is done when it has said what came of it, which nobody asks.
                cursor.fetchall()
            look(AFTER, words, self)
            return cursor

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Watched)
