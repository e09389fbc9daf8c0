"""The tables of autocron in PostgreSQL, beside those of procrastinate; how they are made.

Instants are whole microseconds since 1970, and texts are texts, as in the SQLite store: a value
comes back equal, to the microsecond and the last character. No table of ours refers to one of
procrastinate's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, Tuple

import psycopg
from procrastinate.schema import SchemaManager

from autocron.core.errors import ForeignDatabase, NewerDatabase, StoreError

# Whoever makes or changes tables holds this lock of the server: "autocron", as a number.
MIGRATION_LOCK = 0x6175746F63726F6E

# `ticket` is the job of procrastinate that will bring a worker to a task, or that runs it; see
# `autocron.contrib.procrastinate.tickets`. "C" sorts lanes by their bytes, as SQLite does.
_VERSION_1 = """
CREATE TABLE autocron_tasks (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    name text NOT NULL,
    payload text NOT NULL,
    enqueued_at bigint NOT NULL,
    queue text NOT NULL DEFAULT 'default',
    priority integer NOT NULL DEFAULT 0,
    lane text COLLATE "C" NOT NULL DEFAULT '100 default',
    unique_key text,
    unique_until_at bigint,
    lock_key text,
    lock_limit integer NOT NULL DEFAULT 1,
    rate_key text,
    policy text,
    schedule text,
    occurrence_at bigint,
    group_id text,
    feeds integer NOT NULL DEFAULT 0,
    run_at bigint NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    revision integer NOT NULL DEFAULT 0,
    elapsed integer NOT NULL DEFAULT 0,
    expires_at bigint,
    after_id text,
    given text,
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    deaths integer NOT NULL DEFAULT 0,
    worker text,
    unknown_since_at bigint,
    started_at bigint,
    finished_at bigint,
    result text,
    progress text,
    cancel_asked_at bigint,
    is_cut_short integer NOT NULL DEFAULT 0,
    history text,
    failure_type text,
    failure_message text,
    failure_traceback text,
    ticket bigint
);
CREATE INDEX autocron_tasks_to_run ON autocron_tasks (lane, run_at, seq)
    WHERE state = 'waiting' AND after_id IS NULL;
CREATE INDEX autocron_tasks_expiring ON autocron_tasks (expires_at)
    WHERE state = 'waiting' AND expires_at IS NOT NULL;
CREATE INDEX autocron_tasks_unique ON autocron_tasks (unique_key)
    WHERE unique_key IS NOT NULL;
CREATE INDEX autocron_tasks_running ON autocron_tasks (worker)
    WHERE state = 'running';
CREATE INDEX autocron_tasks_locking ON autocron_tasks (lock_key, state)
    WHERE lock_key IS NOT NULL AND state IN ('waiting', 'running');
CREATE INDEX autocron_tasks_of_schedule ON autocron_tasks (schedule, state)
    WHERE schedule IS NOT NULL;
CREATE INDEX autocron_tasks_of_group ON autocron_tasks (group_id, state)
    WHERE group_id IS NOT NULL;
CREATE INDEX autocron_tasks_after ON autocron_tasks (after_id, state)
    WHERE after_id IS NOT NULL;
CREATE INDEX autocron_tasks_ended ON autocron_tasks (state, finished_at, seq)
    WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX autocron_tasks_without ON autocron_tasks (queue)
    WHERE state = 'waiting' AND after_id IS NULL AND ticket IS NULL;
CREATE TABLE autocron_schedules (
    key text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    text text,
    zone text NOT NULL,
    missed text NOT NULL,
    overlap text NOT NULL,
    grace_seconds double precision NOT NULL,
    at_start integer NOT NULL,
    watermark_at bigint NOT NULL,
    service text NOT NULL,
    is_enabled integer NOT NULL,
    is_dynamic integer NOT NULL,
    jitter_seconds double precision NOT NULL,
    payload text NOT NULL,
    queue text NOT NULL,
    priority integer NOT NULL,
    policy text
);
CREATE TABLE autocron_settings (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE autocron_starts (
    rate_key text NOT NULL,
    at bigint NOT NULL,
    until_at bigint NOT NULL
);
CREATE INDEX autocron_starts_of_key ON autocron_starts (rate_key, at);
CREATE INDEX autocron_starts_until ON autocron_starts (until_at);
CREATE TABLE autocron_busy_rates (rate_key text PRIMARY KEY, free_at bigint NOT NULL);
CREATE TABLE autocron_paused_queues (queue text PRIMARY KEY);
CREATE TABLE autocron_hosts (
    name text COLLATE "C" PRIMARY KEY,
    workers text NOT NULL,
    seen_at timestamp with time zone NOT NULL
);
"""

# The step at place n makes version n + 1 of version n. A step is never changed once released.
MIGRATIONS: Tuple[str, ...] = (_VERSION_1,)
VERSION = len(MIGRATIONS)
# procrastinate's own steps; a name begins with the version that brought it.
_STEP_NAME = re.compile(r"\d\d\.\d\d\.\d\d_\d\d_(pre|post)_.*\.sql")

# Not by to_regclass(), which may remember from before the lock that a table was not there.
_FIND = """
SELECT count(*) FILTER (WHERE relname = 'autocron_schema'),
    count(*) FILTER (WHERE relname = 'procrastinate_jobs')
FROM pg_class
WHERE relname IN ('autocron_schema', 'procrastinate_jobs') AND pg_table_is_visible(oid)"""
_VERSIONS = "SELECT version, procrastinate FROM autocron_schema"


def version_of(connection: psycopg.Connection[Any]) -> int:
    """Return the version of our tables, 0 if there are none.

    Raises:
        NewerDatabase: A newer autocron has made them; they are untouched.
    """
    ours, _ = _one(connection, _FIND)
    if not ours:
        return 0
    version, procrastinate = _one(connection, _VERSIONS)
    if version > VERSION:
        raise NewerDatabase(
            f"the tables in this database were made by a newer autocron: they have version "
            f"{version}, this autocron knows up to {VERSION}; update autocron, or name another "
            "database. They are untouched"
        )
    if procrastinate != "" and procrastinate < procrastinate_steps()[-1]:
        # A newer procrastinate needs what its steps add.
        return 0
    return int(version)


class Versions(NamedTuple):
    """What tables a database has.

    Attributes:
        ours: The version of autocron's; 0 if there are none.
        procrastinate: The latest step of procrastinate's; empty if there are none, or if an
            application has made them with procrastinate's own command.
    """

    ours: int
    procrastinate: str


def versions_of(connection: psycopg.Connection[Any]) -> Versions:
    """Return what tables a database has; whoever may change them is to hold the lock for that."""
    ours, _ = _one(connection, _FIND)
    return Versions(*_one(connection, _VERSIONS)) if ours else Versions(0, "")


def procrastinate_steps() -> Tuple[str, ...]:
    """Return the names of the installed procrastinate's own steps, in order."""
    folder = Path(SchemaManager.get_migrations_path())
    return tuple(sorted(path.name for path in folder.iterdir() if _STEP_NAME.match(path.name)))


def migrate(connection: psycopg.Connection[Any]) -> Tuple[Versions, Versions]:
    """Make the tables of autocron, and those of procrastinate, or bring them up to date.

    Any number of processes may do so at once. Tables that an application has made with
    procrastinate's own command are used, and left to that.

    Returns:
        What there was, and what there is now.

    Raises:
        StoreError: They can not be made, or are a newer autocron's.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        before = versions_of(connection)
        ours, theirs = _one(connection, _FIND)
        steps = procrastinate_steps()
        if not ours:
            noted = ""
            if not theirs:
                _script(connection, SchemaManager.get_schema())
                noted = steps[-1]
            connection.execute(
                "CREATE TABLE autocron_schema (version integer NOT NULL, procrastinate text "
                "NOT NULL)"
            )
            connection.execute("INSERT INTO autocron_schema VALUES (0, %s)", (noted,))
        elif not theirs:
            raise ForeignDatabase(
                "this database has the tables of autocron, and not those of procrastinate, which "
                "belong to them; restore a copy of it, or name another database"
            )
        version, noted = _one(connection, _VERSIONS)
        if version > VERSION:
            version_of(connection)
        if noted:
            folder = Path(SchemaManager.get_migrations_path())
            for step in steps:
                if step > noted:
                    _script(connection, (folder / step).read_text(encoding="utf-8"))
            noted = max(noted, steps[-1])
        for step in MIGRATIONS[version:]:
            _script(connection, step)
        after = Versions(VERSION, noted)
        if after != before:
            connection.execute("UPDATE autocron_schema SET version = %s, procrastinate = %s", after)
        return before, after


def _script(connection: psycopg.Connection[Any], sql: str) -> None:
    # Without values several statements may stand in one text.
    connection.execute(sql.encode())


def _one(connection: psycopg.Connection[Any], sql: str) -> Tuple[Any, ...]:
    row = connection.execute(sql.encode()).fetchone()
    if row is None:
        raise StoreError(f"the database gave no answer to {sql!r}; restore a copy of it")
    return tuple(row)
