"""What arrives from another database, in one transaction: all of it at once, or nothing.

Who follows a task, belongs to its group or waits for its place must not come later than the task,
or it would wait for ever. So no worker sees anything before all is there. With it goes a *receipt*,
by which whoever was cut off knows, when he comes again, that nothing is left to do.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from autocron.contrib.procrastinate import statements
from autocron.contrib.procrastinate.backend import postgres_store
from autocron.contrib.procrastinate.texts import storable
from autocron.contrib.procrastinate.tickets import Tickets, Wanted
from autocron.core.schedule import Schedule
from autocron.core.task import TaskState
from autocron.operations import SCHEDULES_VERSION, next_version
from autocron.shell.rows import LANE, TASK_COLUMNS, instant, lane, schedule_row

_RECEIPT = "arrived "
# Between two statements a batch is read, and perhaps a disk waited for.
_PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = '5min'"
# Whoever was cut off in its commit has not let go of this before it is known how that ended.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"

_COUNTS = ("priority", "lock_limit", "revision", "attempt", "failures", "deaths", "ticket")
_FLAGS = ("elapsed", "feeds", "is_cut_short")


def _kind(column: str) -> str:
    is_number = column in (*_COUNTS, *_FLAGS, "at") or column.endswith("_at")
    return "bigint[]" if is_number else "text[]"


def _add_all(table: str, columns: Sequence[str], then: str = "") -> str:
    """Return the statement that adds rows, of which each column is given as an array."""
    arrays = ", ".join(f"%s::{_kind(name)}" for name in columns)
    names = ", ".join(columns)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} "
        f"FROM unnest({arrays}) WITH ORDINALITY AS given ({names}, place) ORDER BY place{then}"
    )


_ADD_TASKS = _add_all("autocron_tasks", (*TASK_COLUMNS, LANE, "ticket"))
_ADD_STARTS = _add_all("autocron_starts", ("rate_key", "at", "until_at"))
_ADD_BUSY = """
INSERT INTO autocron_busy_rates AS busy VALUES (%s, %s)
ON CONFLICT (rate_key) DO UPDATE SET free_at = greatest(busy.free_at, excluded.free_at)"""
_THERE = "SELECT id FROM autocron_tasks WHERE id = ANY (%s)"

_ID, _STATE, _QUEUE, _PRIORITY, _RUN_AT, _AFTER = (
    TASK_COLUMNS.index(name) for name in ("id", "state", "queue", "priority", "run_at", "after_id")
)


class Arrival:
    """Takes what arrives in one PostgreSQL database.

    Arguments:
        url: The database, as ``postgresql://user@host/name``.
    """

    def __init__(self, url: str) -> None:
        self._store = postgres_store(url)
        self._tickets = Tickets()
        #: Whether all may be there, and nobody has heard of it: the commit has begun.
        self.may_be_there = False

    def open(self) -> None:
        """Make the database usable, its tables as well.

        Raises:
            StoreError: It can not be reached or used; the message says why.
        """
        self._store.open()

    def close(self) -> None:
        """Close what is open."""
        self._store.close()

    @contextmanager
    def transaction(self, move_id: str) -> Iterator[Optional[str]]:
        """Let all that is done inside arrive at once.

        Arguments:
            move_id: Names what arrives. Two processes with the same are here one after the other.

        Yields:
            The receipt, if it has arrived before: then there is nothing to do.
        """
        doing = "begin to move"
        with self._store.transaction():
            self._store.write(doing, _PATIENCE)
            self._store.write(doing, _ALONE, (move_id,))
            yield self._receipt(move_id)
            self.may_be_there = True

    def _receipt(self, move_id: str) -> Optional[str]:
        sql = "SELECT value FROM autocron_settings WHERE name = %s"
        rows = self._store.look("look what has arrived", sql, (_RECEIPT + move_id,))
        return rows[0][0] if rows else None

    def sign(self, move_id: str, receipt: str) -> None:
        """Leave the receipt, as the last thing of all."""
        self._store.put_settings({_RECEIPT + move_id: receipt})

    # -- tasks ----------------------------------------------------------------------------------

    def add_tasks(self, rows: Sequence[Sequence[Any]]) -> Tuple[List[Sequence[Any]], int]:
        """Add tasks, and the tickets of those that are to run, in the order of their age.

        Arguments:
            rows: Their rows, in the order of :data:`autocron.shell.rows.TASK_COLUMNS`.

        Returns:
            The rows that were added, and how many were there already, as after a move of another
            copy of the same database.
        """
        doing = f"store the tasks {rows[0][_ID]} to {rows[-1][_ID]}"
        there = self._there([row[_ID] for row in rows])
        new = [row for row in rows if row[_ID] not in there]
        if new:
            tickets = self._tickets_for(new)
            full = [
                (*row, lane(row[_PRIORITY], row[_QUEUE]), ticket)
                for row, ticket in zip(new, tickets)
            ]
            self._store.write(doing, _ADD_TASKS, _columns(full))
        return new, len(there)

    def _there(self, ids: List[str]) -> Set[str]:
        rows = self._store.look("look for tasks", _THERE, ([storable(each) for each in ids],))
        return {task_id for (task_id,) in rows}

    def _tickets_for(self, rows: Sequence[Sequence[Any]]) -> List[Optional[int]]:
        connection, clock = self._store.in_transaction, self._store.clock
        assert connection is not None
        assert clock is not None
        now = clock.now()
        places, wanted = [], []
        for place, row in enumerate(rows):
            if row[_STATE] == TaskState.WAITING.value and row[_AFTER] is None:
                at = instant(row[_RUN_AT])
                places.append(place)
                later = at if at > now else None
                wanted.append(Wanted(row[_ID], row[_QUEUE], row[_PRIORITY], later))
        found: List[Optional[int]] = [None] * len(rows)
        with self._store.said("issue tickets"):
            for place, ticket in zip(places, self._tickets.issue_all(connection, wanted)):
                found[place] = ticket
        return found

    # -- what stands beside them ------------------------------------------------------------------

    def add_starts(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add starts of tasks with a rate: key, instant, until when it counts."""
        if rows:
            self._store.write("store the starts of rates", _ADD_STARTS, _columns(rows))

    def add_busy(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add until when rates are not free; what is later holds."""
        for row in rows:
            self._store.write("store the rates", _ADD_BUSY, row)

    def add_schedules(self, schedules: Sequence[Schedule]) -> List[str]:
        """Add schedules, with what has fired of them; return the keys of those that stand here.

        These stay as they are: whoever has stored them knows what has fired since then.
        """
        # Before any of their rows is held: who has the turn may wait for it.
        self._store.take_turn()
        kept = []
        for schedule in schedules:
            row = schedule_row(schedule)
            doing = f"store schedule {schedule.key}"
            if not self._store.write(doing, statements.ADD_SCHEDULE, row):
                kept.append(schedule.key)
        if len(kept) < len(schedules):
            version = next_version(self._store.settings())
            self._store.put_settings({SCHEDULES_VERSION: version})
        return kept

    def add_settings(self, settings: Mapping[str, str]) -> List[str]:
        """Add settings; return the names of those that were set here, and stay."""
        known = self._store.settings()
        self._store.put_settings({name: v for name, v in settings.items() if name not in known})
        return [name for name in settings if name in known]

    def pause(self, queues: Sequence[str]) -> None:
        """Pause queues."""
        for queue in queues:
            self._store.put_paused(queue, True)


def _columns(rows: Sequence[Sequence[Any]]) -> List[List[Any]]:
    return [[storable(value) for value in column] for column in zip(*rows)]
