"""A copy of a database in one file, consistent while others write."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from typing import Callable, Optional

from autocron.core.errors import StoreError
from autocron.shell.connections import SQLITE_ERRORS, connect, store_error
from autocron.shell.schema import check_is_ours

# So many pages between two tellings: 4 MB, with pages of 4 KB.
_PAGES = 1024
_TIMEOUT_SECONDS = 5.0
# What stands beside a database that has been, or is, in use.
_BESIDE = ("-wal", "-shm", "-journal", ".run")


class BadTarget(StoreError):
    """The copy can not be put where it is to go; nothing was written."""


def back_up(
    path: str,
    target: str,
    overwrite: bool = False,
    tell: Optional[Callable[[int, int], None]] = None,
) -> int:
    """Copy a database as it is at this moment, whatever others write meanwhile.

    The copy appears under its name when it is complete, checked and on the disk, or not at all. A
    database of an older autocron is copied as it is.

    Arguments:
        path: The absolute path of the database, which is not changed.
        target: The absolute path of the copy, readable by its owner only.
        overwrite: True replaces a file that is there; never one that is in use as a database.
        tell: Is called with how many bytes are copied, of how many, now and then.

    Returns:
        The size of the copy in bytes.

    Raises:
        BadTarget: The copy can not go there.
        StoreError: The database can not be read, is damaged, or the copy can not be written.
    """
    check_target(path, target, overwrite)
    folder = os.path.dirname(target)
    try:
        descriptor, part = tempfile.mkstemp(".part", f"{os.path.basename(target)}.", folder)
        os.close(descriptor)
    except OSError as error:
        raise BadTarget(f"can not write into {folder}: {error.strerror}") from error
    try:
        size = _copy(path, part, tell)
        _sync(part)
        # Somebody may have been quicker.
        check_target(path, target, overwrite)
        os.replace(part, target)
    except OSError as error:
        raise StoreError(f"can not write {target}: {error.strerror}") from error
    finally:
        for end in ("", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(part + end)
    _sync(folder)
    return size


def check_target(path: str, target: str, overwrite: bool) -> None:
    """Refuse a place for a copy; arguments and errors as :func:`back_up`."""
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise BadTarget(f"there is no folder {folder} for the copy; create it")
    if os.path.isdir(target):
        raise BadTarget(f"{target} is a folder; give the name of a file in it")
    if os.path.realpath(target) == os.path.realpath(path):
        raise BadTarget(f"{target} is the database itself; give another name for the copy")
    beside = [target + end for end in _BESIDE if os.path.lexists(target + end)]
    if beside:
        raise BadTarget(
            f"{target} may be in use as a database, since there is {beside[0]}; give another name"
        )
    if os.path.lexists(target) and not overwrite:
        raise BadTarget(f"{target} is there already; give another name, or --overwrite")


def _copy(path: str, part: str, tell: Optional[Callable[[int, int], None]]) -> int:
    doing = "copy the database"
    try:
        with closing(_open(path)) as source, closing(sqlite3.connect(part)) as copy:
            check_is_ours(source, path)
            # Under a snapshot: else each write of another process would begin the copy anew.
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            (page_bytes,) = source.execute("PRAGMA page_size").fetchone()

            def told(status: int, left: int, total: int) -> None:
                if tell is not None:
                    tell((total - left) * page_bytes, total * page_bytes)

            source.backup(copy, pages=_PAGES, progress=told)
            source.execute("ROLLBACK")
            # One file that can be opened where nothing can be written, too.
            copy.execute("PRAGMA journal_mode=DELETE").fetchall()
            found = [row[0] for row in copy.execute("PRAGMA quick_check(1)")]
    except SQLITE_ERRORS as error:
        raise store_error(doing, path, _TIMEOUT_SECONDS, error) from error
    if found != ["ok"]:
        raise StoreError(
            f"{path} is damaged ({found[0]}); it is not copied: an older copy is better than this"
        )
    return os.path.getsize(part)


def _open(path: str) -> sqlite3.Connection:
    """Open the database so that nothing can be changed by it."""
    connection = connect(path, "full", _TIMEOUT_SECONDS, "rw" if os.access(path, os.W_OK) else "ro")
    connection.execute("PRAGMA query_only=ON").fetchall()
    return connection


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
