"""Rows that autocron did not write: what is wrong with them, and how they are put out of the way.

A database may have been changed by a bad disk, by hand, or by somebody who means no good. One such
row must not keep the others from being read: a task becomes a failed one that says so, what is no
schedule or setting counts as none.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, List, Optional, Tuple

from autocron.core.errors import StoreError
from autocron.core.task import MAX_ID_LENGTH, MAX_NAME_LENGTH

if TYPE_CHECKING:
    from autocron.shell.database import Database

DAMAGED = "DamagedRow"
_BATCH = 500
_MAX_MESSAGE = 500


class DamagedRow(StoreError):
    """A row holds what autocron did not write."""


class UndecodableText(StoreError):
    """A text in some row is no text."""


# What is kept if it is what it should be; the rest of such a row is not to be trusted.
_KEPT = """
SELECT
    CASE typeof(id) WHEN 'text' THEN CAST(id AS BLOB) END,
    CASE typeof(name) WHEN 'text' THEN CAST(name AS BLOB) END,
    CASE typeof(payload) WHEN 'text' THEN CAST(payload AS BLOB) END,
    CASE typeof(given) WHEN 'text' THEN CAST(given AS BLOB) WHEN 'null' THEN NULL ELSE x'ff' END,
    CASE typeof(enqueued_at) WHEN 'integer' THEN enqueued_at END,
    CASE typeof(run_at) WHEN 'integer' THEN run_at END
FROM tasks WHERE seq = ?"""
_SET_ASIDE = """
UPDATE tasks SET
    id = ?, name = ?, payload = ?, given = ?, enqueued_at = ?, run_at = ?, failure_message = ?,
    failure_type = 'DamagedRow', failure_traceback = '', state = 'failed',
    revision = CASE WHEN typeof(revision) = 'integer' AND revision BETWEEN 0 AND 1000000000
        THEN revision + 1 ELSE 1 END,
    queue = 'default', priority = 0, lane = '100 default', unique_key = NULL,
    unique_until_at = NULL, lock_key = NULL, lock_limit = 1, rate_key = NULL, policy = NULL,
    schedule = NULL, occurrence_at = NULL, group_id = NULL, feeds = 0, elapsed = 0,
    expires_at = NULL, after_id = NULL, attempt = 0, failures = 0, deaths = 0, worker = NULL,
    unknown_since_at = NULL, started_at = NULL, finished_at = NULL, result = NULL,
    progress = NULL, cancel_asked_at = NULL, is_cut_short = 0, history = NULL
WHERE seq = ?"""
# The texts of a table whose rows are no tasks, and which of them names a row.
_TEXTS = {
    "settings": ("name", "name || value"),
    "paused_queues": ("queue", "queue"),
    "busy_rates": ("rate_key", "rate_key"),
    "schedules": (
        "key",
        "key || name || coalesce(text, '') || zone || missed || overlap || grace_seconds"
        " || at_start || watermark_at || service || is_enabled || is_dynamic || jitter_seconds"
        " || payload || queue || priority || coalesce(policy, '')",
    ),
}


def set_aside(
    database: Database, seq: int, error: BaseException, lowest: int, highest: int
) -> None:
    """Make a row that is no task a failed task, which stays until somebody discards it.

    If somebody retries it, the function runs with the arguments as they are stored, or, if those
    are damaged, the task fails once more.

    Arguments:
        database: The database.
        seq: The number of the row.
        error: What is wrong with it.
        lowest: The earliest instant that can be stored.
        highest: The latest one.
    """
    doing = "set a damaged row aside"
    rows = database.read(doing, _KEPT, (seq,))
    if not rows:
        return
    task_id, name, payload, given = (_text(stored) for stored in rows[0][:4])
    times = [at if at is not None and lowest <= at <= highest else 0 for at in rows[0][4:]]
    if not task_id or len(task_id) > MAX_ID_LENGTH or not task_id.isprintable():
        task_id = f"damaged-{seq}"
    if not name or len(name) > MAX_NAME_LENGTH:
        name = "damaged"
    if payload is None or (given is None and rows[0][3] is not None):
        # No function must be called with other arguments than those it was meant for.
        payload, given = "", None
    why = f"the row of this task holds what autocron did not write: {error}"[:_MAX_MESSAGE]
    why = why.encode(errors="backslashreplace").decode()
    values = (task_id, name, payload, given, *times, why, seq)
    if database.write(doing, _SET_ASIDE, values):
        _log("%s: task %s is set aside as failed: %s", database.path, task_id, why)


def _log(message: str, *values: object) -> None:
    import logging  # few need it, and it is large

    logging.getLogger("autocron").error(message, *values)


def _text(stored: Optional[bytes]) -> Optional[str]:
    if stored is not None:
        with suppress(UnicodeDecodeError):
            return stored.decode()
    return None


def remove_undecodable(database: Database) -> None:
    """Remove the rows without tasks in which a text is none; they could not be read at all."""
    doing = "remove damaged rows"
    for table, (key, texts) in _TEXTS.items():
        sql = f"SELECT CAST({key} AS BLOB), CAST({texts} AS BLOB) FROM {table}"
        for name, text in database.read(doing, sql):
            if _text(text) is None and text is not None:
                database.write(doing, f"DELETE FROM {table} WHERE CAST({key} AS BLOB) = ?", (name,))
                _log("%s: a damaged row of %s is removed: %r", database.path, table, text)


def undecodable_rows(database: Database, sql: str) -> List[Tuple[int, UndecodableText]]:
    """Return the numbers of the rows of tasks in which a text is none, with what is wrong.

    Arguments:
        database: The database.
        sql: Selects rows of tasks, without a condition.
    """
    found: List[Tuple[int, UndecodableText]] = []
    doing, after = "look for damaged rows", -(2**63)
    while True:
        rows = database.read(
            doing, "SELECT seq FROM tasks WHERE seq > ? ORDER BY seq LIMIT ?", (after, _BATCH)
        )
        if not rows:
            return found
        first, after = rows[0][0], rows[-1][0]
        try:
            database.read(doing, f"{sql} WHERE seq BETWEEN ? AND ?", (first, after))
        except UndecodableText:
            for (seq,) in rows:
                try:
                    database.read(doing, f"{sql} WHERE seq = ?", (seq,))
                except UndecodableText as error:
                    found.append((seq, error))
