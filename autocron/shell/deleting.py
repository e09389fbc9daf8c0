"""Deleting a database with all that belongs to it, if nobody uses it."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing, suppress

from autocron.core.errors import StoreError
from autocron.shell.connections import SQLITE_ERRORS, connect
from autocron.shell.overview import Processes, processes
from autocron.shell.ownership import RunFolder
from autocron.shell.sqlite import SQLiteStore
from autocron.shell.wakeup import unbind

# How long others may take to end a transaction before a database counts as in use.
_PATIENCE_SECONDS = 1.0
_REMOVE_TRIES = 100


def delete(store: SQLiteStore, folder: RunFolder) -> None:
    """Delete a database.

    Raises:
        StoreError: A process uses it, or a file can not be removed.
    """
    path = store.path
    _check_unused(path, processes(store, folder))
    store.close()
    try:
        connection = connect(path, "full", _PATIENCE_SECONDS, "rw")
        with closing(connection):
            # Fails while any other process has the database open, also one that holds no lock
            # of ours, as `manage.py` commands do. It also puts the log away.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
            connection.execute("PRAGMA journal_mode=DELETE").fetchall()
            connection.execute("BEGIN EXCLUSIVE")
            for end in ("-wal", "-shm", "-journal", ""):
                with suppress(FileNotFoundError):
                    os.unlink(path + end)
    except SQLITE_ERRORS as error:
        raise StoreError(
            f"{path} is open in another process ({error}); end it, and delete the database then"
        ) from error
    _remove(folder)


def _check_unused(path: str, found: Processes) -> None:
    if found.is_anyone_there:
        pids = [("supervisor", found.supervisor), *(("worker", w.pid) for w in found.workers)]
        who = ", ".join(f"{role} {pid}" for role, pid in pids if pid is not None)
        raise StoreError(
            f"{path} is in use{f' ({who})' if who else ''}; stop the application, and delete the "
            "database then"
        )


def _remove(folder: RunFolder) -> None:
    for path in (folder.wake, folder.control):
        unbind(path)
    for _ in range(_REMOVE_TRIES):
        shutil.rmtree(folder.path, ignore_errors=True)
        if not os.path.lexists(folder.path):
            return
        time.sleep(0.01)  # a supervisor on its very last steps may be looking in
    raise StoreError(f"{folder.database} is deleted, but not the folder {folder.path}")
