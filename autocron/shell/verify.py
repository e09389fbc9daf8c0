"""Whether a database is sound: its file, its tables, each row, and all rows together.

It is not opened as by all others, which bring an older one up to date, and refuse a damaged one. It
is read under one snapshot, so that what others write meanwhile is neither kept from them nor taken
for a fault; nothing is changed.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Callable, Mapping, Set, Tuple

from autocron.core.errors import StoreError
from autocron.shell.connections import SMALLEST_BYTES, SQLITE_ERRORS, connect, store_error
from autocron.shell.findings import Finding, Findings
from autocron.shell.schema import APPLICATION_ID, VERSION, check_is_ours
from autocron.shell.verify_files import verify_files
from autocron.shell.verify_rows import Rows, Tell, as_text
from autocron.shell.verify_schema import RESTORE, expected_columns, verify_schema

_TIMEOUT_SECONDS = 5.0
_DOING = "verify the database"
_MAX_DAMAGES = 100
_SAVE = f"{RESTORE}, or save what can be read with 'sqlite3 FILE .recover'"


@dataclass(frozen=True)
class Verified:
    """What was found in a database.

    Attributes:
        version: The version of its schema; 0 if it could not be read.
        bytes: The size of its file.
        rows: How many rows could be read, by table.
        findings: What is wrong, at most :data:`autocron.shell.findings.MAX_FINDINGS`.
        count: How many findings there are.
    """

    version: int
    bytes: int
    rows: Mapping[str, int]
    findings: Tuple[Finding, ...]
    count: int


def verify(path: str, now: datetime, tell: Tell = lambda what, done, total: None) -> Verified:
    """Check a database that may be in use, or damaged.

    Arguments:
        path: Its absolute path, links resolved; nothing there is changed.
        now: The present instant.
        tell: Is called with what is looked at, how many rows of it are, and of how many (0 if that
            is not known), now and then.

    Returns:
        What is wrong with it.

    Raises:
        ForeignDatabase: It was made by another application.
        NewerDatabase: It was made by a newer autocron.
        StoreError: It can not be looked at, which says nothing of whether it is sound.
    """
    if os.path.isdir(path):
        raise StoreError(f"{path} is a folder, and no database; give the name of a file")
    findings = Findings()
    verify_files(findings, path)
    size = os.path.getsize(path)
    looked = _Look(findings, path, now, tell)
    if size < SMALLEST_BYTES:
        looked.add_no_database()
    else:
        looked.attempt(path, looked.look)
    return Verified(looked.version, size, looked.rows, tuple(findings.kept), findings.count)


def _open(path: str) -> sqlite3.Connection:
    """Open the database so that nothing can be changed by it, its log included."""
    # As others do who only look; see `autocron.shell.database`.
    left_over = any(os.path.lexists(path + end) for end in ("-wal", "-journal"))
    may_write = os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)
    if may_write or left_over:
        mode = "ro" if left_over else "rw"
    else:
        # A log can neither be made, nor is there one: nobody uses it.
        mode = "ro&immutable=1"
    connection = connect(path, "full", _TIMEOUT_SECONDS, mode)
    try:
        connection.text_factory = as_text
        # What a hostile schema could have run, and damage that would be stumbled over later.
        for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


class _Look:
    """One look at what is in a file; each of its steps goes as far as the file can be read."""

    def __init__(self, findings: Findings, path: str, now: datetime, tell: Tell) -> None:
        self.version = 0
        self.rows: Mapping[str, int] = {}
        self._findings = findings
        self._path = path
        self._now = now
        self._tell = tell

    def attempt(self, where: str, step: Callable[..., None], *given: object) -> None:
        """Take a step; what keeps it from its end is a finding, unless it is no damage."""
        try:
            step(*given)
        except SQLITE_ERRORS as error:
            text = str(error)
            if "not a database" in text:
                self.add_no_database()
            elif any(piece in text for piece in ("locked", "unable to open")):
                raise store_error(_DOING, self._path, _TIMEOUT_SECONDS, error) from error
            else:
                self._findings.add(where, f"it can not be read to its end: {text}", _SAVE)

    def look(self) -> None:
        """Look at all."""
        with closing(_open(self._path)) as connection:
            connection.execute("BEGIN")
            self.version = _version(connection, self._path)
            self._tell("file", 0, 0)
            self.attempt(self._path, self._verify_pages, connection)
            sound = verify_schema(self._findings, connection, self.version)
            self._verify_rows(connection, sound)

    def add_no_database(self) -> None:
        """Add that the file can not be opened at all."""
        what = "it is no SQLite database, or damaged at its beginning"
        self._findings.add(self._path, what, f"name another file, or {RESTORE}")

    def _verify_pages(self, connection: sqlite3.Connection) -> None:
        found = connection.execute(f"PRAGMA integrity_check({_MAX_DAMAGES})").fetchall()
        for damage in [line for row in found for line in str(row[0]).splitlines()]:
            if damage != "ok" and not damage.startswith("***"):
                self._findings.add(self._path, f"the file is damaged: {damage}", _SAVE)

    def _verify_rows(self, connection: sqlite3.Connection, sound: Set[str]) -> None:
        columns = expected_columns(self.version)
        rows = Rows(self._findings, connection, columns, self._tell)
        self.rows = rows.counts
        is_present = self.version == VERSION
        for table in sorted(sound):
            where = f"table {table}"
            if table == "settings":
                self.attempt(where, rows.verify_settings)
            elif table == "tasks" and is_present:
                self.attempt(where, rows.verify_tasks)
                self.attempt(where, rows.verify_company)
            elif table == "schedules" and is_present:
                self.attempt(where, rows.verify_schedules, self._now)
            else:
                # Of an older one only the start of the application makes what can be read.
                self.attempt(where, rows.verify_kinds, table)


def _version(connection: sqlite3.Connection, path: str) -> int:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id == APPLICATION_ID and 0 < version <= VERSION:
        return int(version)
    # It says what is wrong, unless nothing was made yet.
    check_is_ours(connection, path)
    raise StoreError(f"{path} has no tables yet; start the application, which makes them")
