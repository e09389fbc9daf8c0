"""The tables of the SQLite store: how they are made, recognised and brought up to date.

Queries stand in :mod:`autocron.shell.sqlite`, those for people to read in
:mod:`autocron.shell.listing`.
"""

from __future__ import annotations

import atexit
import sqlite3
import time
from typing import List, Tuple

from autocron.core.errors import ForeignDatabase, NewerDatabase
from autocron.shell.moved import GUARDS

# "acrn": tells autocron's databases from all others (PRAGMA application_id).
APPLICATION_ID = 0x6163726E

# Half of SQLite's own: a commit writes whole pages, and of several tables and indexes a little
# each. A call and a run take a tenth less (`benchmarks/README.md`); 1024 gains no more.
PAGE_BYTES = 2048

_VERSION_1 = """
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    enqueued_at INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL,
    elapsed INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    unique_key TEXT,
    lock_key TEXT,
    retries INTEGER NOT NULL,
    backoff_seconds REAL,
    schedule TEXT,
    occurrence_at INTEGER,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    worker TEXT,
    unknown_since_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    result TEXT,
    failure_type TEXT,
    failure_message TEXT,
    failure_traceback TEXT
);
CREATE INDEX tasks_to_run ON tasks (priority DESC, run_at, seq, lock_key)
    WHERE state = 'waiting';
CREATE INDEX tasks_unique ON tasks (unique_key)
    WHERE state = 'waiting' AND unique_key IS NOT NULL;
CREATE INDEX tasks_running ON tasks (worker)
    WHERE state = 'running';
CREATE INDEX tasks_locking ON tasks (lock_key)
    WHERE state = 'running' AND lock_key IS NOT NULL;
CREATE INDEX tasks_of_schedule ON tasks (schedule, state)
    WHERE schedule IS NOT NULL;
CREATE INDEX tasks_ended ON tasks (state, finished_at)
    WHERE state <> 'waiting' AND state <> 'running';
CREATE TABLE schedules (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    text TEXT,
    zone TEXT NOT NULL,
    missed TEXT NOT NULL,
    overlap TEXT NOT NULL,
    grace_seconds REAL NOT NULL,
    at_start INTEGER NOT NULL,
    watermark_at INTEGER NOT NULL,
    service TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""

# `tasks_to_run` answers what is due and when the next one will be, lane by lane, without looking at
# what waits for the future; see `autocron.shell.queries`. What decides whether a due task may begin
# is in it too, so that tasks which wait for a lock or a rate are passed over without reading them;
# what is held for another task is not.
# Every index is partial: to enqueue a plain task updates this one and the id's alone. A column's
# default is that of the field: what is as in every task is not written.
#
# Some SQLite in use can not drop a column, so a table is made anew and filled from the old one.
_VERSION_2 = """
ALTER TABLE tasks RENAME TO old_tasks;
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    enqueued_at INTEGER NOT NULL,
    queue TEXT NOT NULL DEFAULT 'default',
    priority INTEGER NOT NULL DEFAULT 0,
    lane TEXT NOT NULL DEFAULT '100 default',
    unique_key TEXT,
    unique_until_at INTEGER,
    lock_key TEXT,
    lock_limit INTEGER NOT NULL DEFAULT 1,
    rate_key TEXT,
    policy TEXT,
    schedule TEXT,
    occurrence_at INTEGER,
    group_id TEXT,
    feeds INTEGER NOT NULL DEFAULT 0,
    run_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    revision INTEGER NOT NULL DEFAULT 0,
    elapsed INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER,
    after_id TEXT,
    given TEXT,
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    unknown_since_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    result TEXT,
    progress TEXT,
    cancel_asked_at INTEGER,
    is_cut_short INTEGER NOT NULL DEFAULT 0,
    history TEXT,
    failure_type TEXT,
    failure_message TEXT,
    failure_traceback TEXT
);
INSERT INTO tasks (
    seq, id, name, payload, enqueued_at, priority, lane, unique_key, lock_key, policy, schedule,
    occurrence_at, run_at, state, revision, elapsed, attempt, failures, deaths, worker,
    unknown_since_at, started_at, finished_at, result, failure_type, failure_message,
    failure_traceback
) SELECT
    seq, id, name, payload, enqueued_at, priority, printf('%03d default', 100 - priority),
    unique_key, lock_key,
    CASE
        WHEN backoff_seconds IS NOT NULL
        THEN printf('{"backoff_seconds": %!.17g, "retries": %d}', backoff_seconds, retries)
        WHEN retries <> 0 THEN printf('{"retries": %d}', retries)
    END,
    schedule, occurrence_at, run_at, state, revision, elapsed, attempt, failures, deaths, worker,
    unknown_since_at, started_at, finished_at, result, failure_type, failure_message,
    failure_traceback
FROM old_tasks;
DROP TABLE old_tasks;
CREATE INDEX tasks_to_run
    ON tasks (lane, run_at, seq, expires_at, lock_key, lock_limit, rate_key)
    WHERE state = 'waiting' AND after_id IS NULL;
CREATE INDEX tasks_expiring ON tasks (expires_at)
    WHERE state = 'waiting' AND expires_at IS NOT NULL;
CREATE INDEX tasks_unique ON tasks (unique_key, state)
    WHERE unique_key IS NOT NULL AND (state = 'waiting' OR state = 'running');
CREATE INDEX tasks_unique_until ON tasks (unique_key, unique_until_at)
    WHERE unique_until_at IS NOT NULL;
CREATE INDEX tasks_running ON tasks (worker)
    WHERE state = 'running';
CREATE INDEX tasks_locking ON tasks (lock_key)
    WHERE state = 'running' AND lock_key IS NOT NULL;
CREATE INDEX tasks_of_schedule ON tasks (schedule, state)
    WHERE schedule IS NOT NULL;
CREATE INDEX tasks_of_group ON tasks (group_id, state)
    WHERE group_id IS NOT NULL;
CREATE INDEX tasks_after ON tasks (after_id, state)
    WHERE after_id IS NOT NULL;
CREATE INDEX tasks_ended
    ON tasks (state, finished_at, seq, group_id, after_id, unique_until_at)
    WHERE state <> 'waiting' AND state <> 'running';
CREATE TABLE starts (
    rate_key TEXT NOT NULL,
    at INTEGER NOT NULL,
    until_at INTEGER NOT NULL
);
CREATE INDEX starts_of_key ON starts (rate_key, at);
CREATE INDEX starts_until ON starts (until_at);
CREATE TABLE busy_rates (
    rate_key TEXT PRIMARY KEY,
    free_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX busy_rates_free ON busy_rates (free_at);
CREATE TABLE paused_queues (
    queue TEXT PRIMARY KEY
) WITHOUT ROWID;
ALTER TABLE schedules RENAME TO old_schedules;
CREATE TABLE schedules (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    text TEXT,
    zone TEXT NOT NULL,
    missed TEXT NOT NULL,
    overlap TEXT NOT NULL,
    grace_seconds REAL NOT NULL,
    at_start INTEGER NOT NULL,
    watermark_at INTEGER NOT NULL,
    service TEXT NOT NULL,
    is_enabled INTEGER NOT NULL,
    is_dynamic INTEGER NOT NULL,
    jitter_seconds REAL NOT NULL,
    payload TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    policy TEXT
) WITHOUT ROWID;
INSERT INTO schedules SELECT
    key, name, text, zone, missed, overlap, grace_seconds, at_start, watermark_at, service,
    1, 0, 0.0, '[[],{}]', 'default', 0, NULL
FROM old_schedules;
DROP TABLE old_schedules;
"""

# The step at place n makes version n + 1 of version n. A step is never changed once released.
MIGRATIONS: Tuple[str, ...] = (_VERSION_1, _VERSION_2)
VERSION = len(MIGRATIONS)


def check_is_ours(connection: sqlite3.Connection, path: str) -> int:
    """Make sure that a database is one of autocron's, or still empty, only by reading it.

    Returns:
        The version of its schema; 0 for an empty one.

    Raises:
        ForeignDatabase: It was made by another application.
        NewerDatabase: It was made by a newer autocron.
    """
    application_id, version, tables, acting = _identity(connection)
    if application_id == APPLICATION_ID:
        if version > VERSION:
            raise NewerDatabase(
                f"{path} was made by a newer autocron: its schema has version {version}, this "
                f"autocron knows up to {VERSION}; update autocron, or name another file. The file "
                f"is untouched"
            )
        if acting:
            kind, name = acting[0]
            raise ForeignDatabase(
                f"{path} has a {kind} {name!r} that autocron did not make, and which would act on "
                f"what it stores; drop it, or restore a copy. The file is untouched"
            )
        return version
    if application_id != 0 or version != 0 or tables:
        found = f", for example the table {tables[0][0]!r}" if tables else ""
        raise ForeignDatabase(
            f"{path} is a database of another application (application_id {application_id}, "
            f"user_version {version}{found}), and autocron needs one of its own; name another "
            f"file. The file is untouched"
        )
    return 0


def prepare(connection: sqlite3.Connection, path: str, timeout_seconds: float) -> None:
    """Bring a database of ours, or an empty one, to write-ahead logging and the present schema.

    Any number of processes may do so at once.

    Raises:
        StoreError: The database is not ours, or newer.
    """
    # No clock is read here: the pauses themselves are added up.
    waited_seconds, pause_seconds = 0.0, 0.001
    while True:
        try:
            version = check_is_ours(connection, path)
            if version == 0:
                # Must be said before the first page is written, which the next line does.
                connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            if version < VERSION:
                _migrate(connection, path)
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait its timeout for the change to write-ahead logging.
            if "locked" not in str(error) or waited_seconds >= timeout_seconds:
                raise
            time.sleep(pause_seconds)
            waited_seconds += pause_seconds
            pause_seconds = min(2 * pause_seconds, 0.05)


# Databases in memory are copies of this one, once there is one.
_prepared: List[sqlite3.Connection] = []


def prepare_in_memory(connection: sqlite3.Connection) -> None:
    """Give a new database in memory the present schema; for one thread at a time.

    Each test opens such a database. To copy the tables takes a twentieth of what it takes to make
    them.
    """
    if not _prepared:
        template = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        prepare(template, ":memory:", timeout_seconds=0.0)
        _prepared.append(template)
        atexit.register(template.close)
    _prepared[0].backup(connection)


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it meanwhile, all or, in an older version, in part.
        for step in MIGRATIONS[check_is_ours(connection, path) :]:
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


# A trigger is run by whoever changes a table, and a view of a table's name is read in its place.
_ACTING = """
SELECT type, name, sql FROM sqlite_master
WHERE (type = 'trigger' AND lower(tbl_name) IN {ours}) OR (type = 'view' AND lower(name) IN {ours})
""".format(ours="('tasks', 'schedules', 'settings', 'starts', 'busy_rates', 'paused_queues')")


def _identity(
    connection: sqlite3.Connection,
) -> Tuple[int, int, List[Tuple[str]], List[Tuple[str, str]]]:
    """Read the application, the version, a table, and what acts on ours, all at one moment."""
    # Another process may be creating the tables, so all has to be read in one transaction.
    begins = not connection.in_transaction
    if begins:
        connection.execute("BEGIN")
    try:
        (application_id,), *_ = connection.execute("PRAGMA application_id").fetchall()
        (version,), *_ = connection.execute("PRAGMA user_version").fetchall()
        tables = connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
        acting = connection.execute(_ACTING).fetchall()
        foreign = [(kind, name) for kind, name, sql in acting if sql != GUARDS.get(name)]
        return application_id, version, tables, foreign
    finally:
        if begins and connection.in_transaction:
            connection.execute("ROLLBACK")
