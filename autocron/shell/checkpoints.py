"""Checkpoints: the write-ahead log is copied into the database, and begins anew.

SQLite does that by itself, after a commit, while others write. From 3.7.0 to 3.51.2 it can lose
commits by that, or damage the file: if one checkpoint has just copied all of the log, and another
one has begun, while somebody commits, so that the log begins anew, then the second one takes what
was committed for copied (https://sqlite.org/wal.html#walresetbug). ``python -m tests.wal_reset``
shows it within a minute.

With such a SQLite none is made automatically. Who has written so much makes one while he holds the
lock of the writer, so that nobody commits meanwhile. To hold it, and to make it, takes two
connections.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Tuple

if TYPE_CHECKING:
    from autocron.shell.connections import Pool

# The write-ahead log is cut back to this after it has grown, for example under a long read.
WAL_BYTES = 8 * 1024 * 1024
# Four megabytes of pages, as where they have SQLite's own size.
_PAGES = 2000
# What a commit adds to the log, and each row that it changes: measured, of calls, runs and maps.
_PAGES_EACH_COMMIT, _PAGES_EACH_ROW = 3.0, 0.4
# Each process counts its own, and mostly two or three are busy.
_PAGES_EACH_PROCESS = 1000.0
# Rows may be large. So now and then the file is looked at: it never shrinks below this by itself.
_LOOK_EACH_PAGES = 50.0


def is_unsafe(version: Tuple[int, ...]) -> bool:
    """Tell whether a version of SQLite may lose commits while it makes a checkpoint.

    Arguments:
        version: As ``sqlite3.sqlite_version_info``.
    """
    is_mended = version[:2] == (3, 44) and version >= (3, 44, 6)
    is_mended = is_mended or (version[:2] == (3, 50) and version >= (3, 50, 7))
    return version < (3, 51, 3) and not is_mended


IS_UNSAFE = is_unsafe(sqlite3.sqlite_version_info)
# After so many SQLite makes one by itself; 0 is never.
AUTOMATIC_PAGES = 0 if IS_UNSAFE else _PAGES


def see_to_log(pool: Pool, connection: sqlite3.Connection, rows: int) -> None:
    """Take note of a commit, and make a checkpoint if it is time for one, and SQLite makes none.

    Arguments:
        pool: The connections, of which the thread has the turn to write.
        connection: The one that has committed.
        rows: How many rows were changed.
    """
    if not IS_UNSAFE or pool.place is None:
        return
    pool.logged_pages += _PAGES_EACH_COMMIT + _PAGES_EACH_ROW * rows
    if pool.logged_pages < pool.look_at_pages:
        return
    if pool.logged_pages < _PAGES_EACH_PROCESS and _log_bytes(pool) <= WAL_BYTES:
        pool.look_at_pages = pool.logged_pages + _LOOK_EACH_PAGES
        return
    # What is committed is committed, whatever comes of this.
    with suppress(sqlite3.Error):
        _make(pool, connection)


def _log_bytes(pool: Pool) -> int:
    try:
        return os.stat(f"{pool.path}-wal").st_size
    except OSError:
        return 0


def _make(pool: Pool, connection: sqlite3.Connection) -> None:
    # Not patiently: if another process writes, the next commit tries it again.
    connection.execute("BEGIN IMMEDIATE")
    try:
        other = pool.take()
        try:
            made = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            pool.give(other)
    finally:
        connection.execute("ROLLBACK")
    ((_, pages, copied_pages),) = made
    # What somebody still reads is left; while that is much, the next commit tries it again.
    pool.logged_pages = float(max(pages - copied_pages, 0))
    pool.look_at_pages = _LOOK_EACH_PAGES
