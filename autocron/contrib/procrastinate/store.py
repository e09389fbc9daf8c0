"""The store of the engine in PostgreSQL: any number of hosts share it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional, Sequence, Tuple

from autocron.contrib.procrastinate import statements
from autocron.contrib.procrastinate.connections import Connections
from autocron.contrib.procrastinate.database import Database, Values
from autocron.contrib.procrastinate.tickets import Tickets
from autocron.core.errors import StoreError
from autocron.core.schedule import Schedule
from autocron.core.task import ALL_QUEUES, Task, TaskState
from autocron.ports import Clock, Stats
from autocron.shell.chance import draw
from autocron.shell.rows import (
    MAX_INSTANT,
    MIN_INSTANT,
    added,
    changed,
    instant,
    microseconds,
    readable,
    row_schedule,
    row_task,
    schedule_row,
)

# For a ticket whose time has come workers look each second.
_LOOK_SECONDS = 1.0


class PostgresStore(Database):
    """Keeps tasks, schedules and settings; implements :class:`autocron.ports.Store`.

    Any number of threads, processes and hosts may use one database; after a fork a store may be
    used in parent and child. Nothing is touched before :meth:`open` or the first use.

    Arguments:
        url: The database, as ``postgresql://user@host/name``.
        tickets: Issues the tickets that bring workers to tasks.
        clock: The source of time, for what a ticket needs of it.
        connections: Its connections, which may be others' too; None is its own.
    """

    def __init__(
        self,
        url: str,
        tickets: Tickets,
        clock: Optional[Clock] = None,
        connections: Optional[Connections] = None,
    ) -> None:
        super().__init__(url, connections)
        self._tickets = tickets
        self.clock = clock
        self._used = threading.local()

    # -- tickets ------------------------------------------------------------------------------

    @contextmanager
    def using(self, ticket: int) -> Iterator[None]:
        """Note, on the tasks that this thread begins inside, which ticket has brought it here."""
        self._used.ticket = ticket
        try:
            yield
        finally:
            self._used.ticket = None

    def renew(self, task_id: str, ticket: int) -> Optional[int]:
        """Give a task that waits still the next ticket, once its own has been used.

        A task that waits for a lock, or in a paused queue, gets none: who frees the lock, or
        resumes the queue, issues it.

        Arguments:
            task_id: The task.
            ticket: The ticket that was used.

        Returns:
            The new ticket; None if it needs none, or gets it later.
        """
        with self.transaction():
            # This takes the turn: whatever is found holds until it is acted upon.
            rows = self.read("read a task", statements.GET_WITH_TICKET, (task_id,))
            if not rows or rows[0][-1] != ticket:
                return None
            task = readable(row_task, rows[0], self.url)
            if not _is_to_run(task):
                return None
            now = self._now()
            if task.expires_at is not None and task.expires_at <= now:
                return None
            if self._is_blocked(task):
                self._set_ticket(task.id, None)
                return None
            return self._issue(task.id, task.queue, task.priority, self._free_at(task, now))

    # -- hosts --------------------------------------------------------------------------------

    def put_host(self, name: str, workers: Sequence[str]) -> None:
        """Note that a host is there, now, with these workers."""
        self.write("note this host", statements.PUT_HOST, (name, " ".join(workers)))

    def remove_host(self, name: str) -> None:
        """Note that a host has left."""
        sql = "DELETE FROM autocron_hosts WHERE name = %s"
        self.write("note that this host leaves", sql, (name,))

    def forget_hosts(self) -> None:
        """Forget the hosts that have not been heard of for a day."""
        self.write("forget hosts that are gone", statements.FORGET_HOSTS)

    def hosts(self, silent_seconds: float) -> List[Tuple[str, Tuple[str, ...], float]]:
        """Return the hosts that have been heard of within so many seconds, by name.

        Each with its workers, and for how many seconds nothing was heard of it.
        """
        rows = self.read("read the hosts", statements.HOSTS, (silent_seconds,))
        return [(name, tuple(workers.split()), seconds) for name, workers, seconds in rows]

    def workers_with(self, ticket: int) -> List[str]:
        """Return who runs a task to which this ticket has brought him; at most one."""
        rows = self.read("look for a worker", statements.WORKERS_WITH, (ticket,))
        return [worker for (worker,) in rows]

    def reissue(self, limit: int = 1000) -> int:
        """Give new tickets to tasks whose tickets are not there any more; return how many.

        None ought to be lost; but others may use procrastinate's tables, and empty them.
        """
        with self.transaction():
            rows = self.read("look for lost tickets", statements.LOST_TICKETS, (limit,))
            self._issue_all(rows)
        return len(rows)

    def _is_blocked(self, task: Task) -> bool:
        if self.paused() & {ALL_QUEUES, task.queue}:
            return True
        if task.lock is None:
            return False
        doing = "look for running tasks"
        running = self.read(doing, statements.RUNNING_WITH_LOCK, (task.lock,))[0][0]
        return bool(running >= task.limit)

    def _free_at(self, task: Task, now: datetime) -> datetime:
        if task.rate_key is None or task.run_at > now:
            return task.run_at
        values = (task.rate_key, microseconds(now))
        rows = self.read("read a rate", statements.BUSY_UNTIL, values)
        return instant(rows[0][0]) if rows else task.run_at

    def _issue(self, task_id: str, queue: str, priority: int, at: datetime) -> int:
        """Issue the ticket of a stored task, inside a transaction."""
        ticket = self._ticket(task_id, queue, priority, at)
        self._set_ticket(task_id, ticket)
        return ticket

    def _set_ticket(self, task_id: str, ticket: Optional[int]) -> None:
        self.write("note a ticket", statements.SET_TICKET, (ticket, task_id))

    def _ticket(self, task_id: str, queue: str, priority: int, at: datetime) -> int:
        connection = self.in_transaction
        assert connection is not None
        later = at if at > self._now() else None
        with self.said("issue a ticket"):
            return self._tickets.issue(connection, task_id, queue, priority, later)

    def _ticket_of(self, task: Task, late_seconds: float = 0.0) -> int:
        at = task.run_at + timedelta(seconds=late_seconds)
        return self._ticket(task.id, task.queue, task.priority, at)

    def _now(self) -> datetime:
        assert self.clock is not None
        return self.clock.now()

    def _free_lock(self, lock: str) -> None:
        """Let the next task come that waits for a lock; inside a transaction that has the turn."""
        rows = self.read("look for who waits", statements.WITHOUT_FOR_LOCK, {"lock": lock})
        self._issue_all(rows)

    def _issue_all(self, rows: Sequence[Sequence[Any]]) -> None:
        for task_id, queue, priority, run_at in rows:
            self._issue(task_id, queue, priority, instant(run_at))

    # -- tasks --------------------------------------------------------------------------------

    def add(self, task: Task) -> None:
        """Store a new task, with its ticket.

        Raises:
            StoreError: Its id is taken, or the database can not be written.
        """
        columns, values = added(task)
        doing = f"store task {task.id}"
        if not _is_to_run(task):
            self.write(doing, statements.add(columns), values)
            return
        with self.transaction():
            values.append(self._ticket_of(task))
            self.write(doing, statements.add((*columns, "ticket")), values)

    def add_all(self, tasks: Sequence[Task]) -> None:
        """Store several new tasks, all or none; see :meth:`add`."""
        with self.transaction():
            for task in tasks:
                self.add(task)

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task if it still is at ``before.revision``; tell whether it was.

        Arguments:
            before: The task as it was read.
            after: What it is to become; its id stays.
        """
        if after.id != before.id:
            after = replace(after, id=before.id)
        columns, values = changed(before, after)
        begins = after.state is TaskState.RUNNING and before.state is not TaskState.RUNNING
        if begins:
            ticket = getattr(self._used, "ticket", None)
            return self._swap(before, (*columns, "ticket"), [*values, ticket])
        comes = _is_to_run(after) and not (_is_to_run(before) and before.run_at == after.run_at)
        # It may have been what keeps others from running, or whose ticket was to let them come.
        left = before.state is TaskState.RUNNING and after.state is not TaskState.RUNNING
        gone = before.state is TaskState.WAITING and after.state.is_final
        frees = before.lock is not None and (left or gone)
        ends = after.feeds and after.state.is_final
        if not (comes or frees or ends):
            return self._swap(before, columns, values)
        with self.transaction():
            if frees or ends:
                # Before the row is held: who has the turn may wait for it.
                self.take_turn()
            if comes:
                # Who has put it off, since he could not run it, was the one to look just then, and
                # would be it again each time: workers look once in so many seconds.
                is_put_off = after.failures == before.failures and after.run_at > before.run_at
                late_seconds = draw() * _LOOK_SECONDS if left and is_put_off else 0.0
                columns = (*columns, "ticket")
                values = [*values, self._ticket_of(after, late_seconds)]
            if not self._swap(before, columns, values):
                return False
            if frees and before.lock is not None:
                self._free_lock(before.lock)
            return True

    def _swap(self, before: Task, columns: Sequence[str], values: Sequence[Any]) -> bool:
        sql = statements.swap(tuple(columns))
        given = (*values, before.id, before.revision)
        return self.write(f"change task {before.id}", sql, given) == 1

    def get(self, task_id: str) -> Optional[Task]:
        """Return one task, or None."""
        return self._one_task("read a task", statements.GET, (task_id,))

    def claimable(self, now: datetime, queues: Optional[Sequence[str]] = None) -> Optional[Task]:
        """Return the waiting task to run next: by priority, due time, age.

        Arguments:
            now: The instant at which it is due, has not expired, and its rate key is free.
            queues: The queues of which one is to be its own; None is all.
        """
        values = {"now": microseconds(now), "queues": _listed(queues)}
        alone = self.in_transaction is not None
        sql = statements.CLAIMABLE_ALONE if alone else statements.CLAIMABLE
        return self._one_task("look for a due task", sql, values)

    def claimable_next(
        self, claimed: Task, now: datetime, limit: int, queues: Optional[Sequence[str]] = None
    ) -> List[Task]:
        """Return none: each task is brought by a ticket of its own."""
        return []

    def next_due_at(
        self, after: datetime, queues: Optional[Sequence[str]] = None
    ) -> Optional[datetime]:
        """Return the next instant at which something may become claimable by time alone.

        Arguments:
            after: The instant is later than this one.
            queues: The queues of which it is asked; None is all. What is paused does not count.
        """
        values = {"after": microseconds(after), "queues": _listed(queues)}
        return self._instant("look for the next due task", statements.NEXT_DUE_AT, values)

    def expiring(self, limit: int) -> List[Task]:
        """Return waiting tasks that expire, the first one to expire first."""
        return self._tasks("look for tasks that expire", statements.EXPIRING, (max(limit, 0),))

    def taken_by(self, unique: str, running: bool, now: datetime) -> Optional[Task]:
        """Return the oldest task that takes a unique key.

        Arguments:
            unique: The key.
            running: Whether a running task takes it, too.
            now: Later than this is the ``unique_until_at`` of a task that takes it.
        """
        values = {"unique": unique, "running": running, "now": microseconds(now)}
        return self._one_task("look for a unique task", statements.TAKEN_BY, values)

    def find(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        worker: Optional[str] = None,
        schedule: Optional[str] = None,
        group: Optional[str] = None,
        after: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, oldest first.

        Arguments:
            state: Their state.
            name: The name of their task function.
            worker: The worker that holds them.
            schedule: The key of their schedule.
            group: The id of their group.
            after: The id of the task, or the group, for which they are held, or were.
            limit: Return at most so many.
        """
        given = {
            "name": name,
            "worker": worker,
            "schedule": schedule,
            "group_id": group,
            "after_id": after,
        }
        wanted = {column: value for column, value in given.items() if value is not None}
        clauses = [f"{column} = %s" for column in wanted]
        if state is not None:
            clauses.append(statements.STATE[state])
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        return self._tasks(
            "look for tasks",
            f"SELECT {statements.TASK} {statements.FROM} {where}ORDER BY seq LIMIT %s",
            (*wanted.values(), limit),
        )

    def has_in_hand(self, schedule: str) -> bool:
        """Tell whether a task of the schedule with this key waits or runs."""
        rows = self.read("look for tasks of a schedule", statements.IN_HAND, (schedule,))
        return bool(rows[0][0])

    def stats(self, now: datetime) -> Stats:
        """Return counts over all tasks.

        Arguments:
            now: The instant up to which a waiting task is due.
        """
        doing = "count the tasks"
        counts: Dict[TaskState, int] = dict.fromkeys(TaskState, 0)
        for state, count in self.read(doing, statements.COUNTS):
            counts[TaskState(state)] = count
        return Stats(counts, self._instant(doing, statements.OLDEST_DUE_AT, (microseconds(now),)))

    def purge(self, state: TaskState, finished_before: datetime, limit: int) -> int:
        """Remove at most ``limit`` tasks in a final state that ended earlier, the oldest first.

        What is still needed stays; see :meth:`autocron.ports.Store.purge`.

        Raises:
            StoreError: The state is not final, or the database can not be written.
        """
        if not state.is_final:
            raise StoreError(f"can not purge {state.value} tasks: only what has ended is purged")
        values = {"before": microseconds(finished_before), "limit": max(limit, 0)}
        return self.write(f"purge {state.value} tasks", statements.PURGE[state], values)

    def shift(self, seconds: float) -> int:
        """Move the due times of the waiting tasks with an elapsed delay; return how many.

        It is for the contract's sake: the server's clock, by which all is judged, goes on evenly.
        A ticket that comes too early for its task gives it the next one; none comes too late, as
        long as nothing is moved to earlier.
        """
        doing = "shift delays"
        values = {"by": round(seconds * 1_000_000), "min": MIN_INSTANT, "max": MAX_INSTANT}
        with self.transaction():
            count = self.write(doing, statements.SHIFT, values)
            self.write(doing, statements.SHIFT_STARTS, values)
            self.write(doing, statements.SHIFT_FREE, values)
        return count

    # -- questions ------------------------------------------------------------------------------

    def ask(self, doing: str, sql: str, values: Values = ()) -> List[Any]:
        """Return the rows of a question; see :class:`autocron.shell.local.AskedStore`."""
        return self.read(doing, statements.translated(sql), values)

    def tasks_of(self, doing: str, sql: str, values: Values = ()) -> List[Task]:
        """Return the tasks of a question for :data:`autocron.shell.queries.TASK`."""
        return self._tasks(doing, statements.translated(sql), values)

    def discard(self, task: Task) -> bool:
        """Remove a task if it is as it was read; tell whether it was."""
        values = (task.id, task.revision)
        return self.write(f"discard task {task.id}", statements.DISCARD, values) == 1

    def _tasks(self, doing: str, sql: str, values: Values) -> List[Task]:
        return [readable(row_task, row, self.url) for row in self.read(doing, sql, values)]

    def _one_task(self, doing: str, sql: str, values: Values) -> Optional[Task]:
        rows = self.read(doing, sql, values)
        return readable(row_task, rows[0], self.url) if rows else None

    def _instant(self, doing: str, sql: str, values: Values) -> Optional[datetime]:
        found = self.read(doing, sql, values)[0][0]
        return None if found is None else instant(found)

    # -- rates and queues ---------------------------------------------------------------------

    def starts(self, rate_key: str, limit: int) -> List[datetime]:
        """Return the latest starts of the tasks with a rate key, the last one first."""
        values = (rate_key, max(limit, 0))
        rows = self.read("read the starts of a rate", statements.STARTS, values)
        return [instant(at) for (at,) in rows]

    def put_start(
        self, rate_key: str, at: datetime, until_at: datetime, free_at: Optional[datetime]
    ) -> None:
        """Add a start of a task with a rate key.

        Arguments:
            rate_key: The key.
            at: When it began.
            until_at: From when on it does not matter any more.
            free_at: Until when no other one is claimable; None if the key is free.
        """
        doing = f"note a start of rate {rate_key}"
        start = (rate_key, microseconds(at), microseconds(until_at))
        with self.transaction():
            self.write(doing, "INSERT INTO autocron_starts VALUES (%s, %s, %s)", start)
            if free_at is None:
                sql = "DELETE FROM autocron_busy_rates WHERE rate_key = %s"
                self.write(doing, sql, (rate_key,))
            else:
                self.write(doing, statements.PUT_BUSY, (rate_key, microseconds(free_at)))

    def purge_starts(self, now: datetime) -> None:
        """Remove the starts that do not matter any more, and what they kept from being free."""
        doing, past = "purge the starts of rates", (microseconds(now),)
        with self.transaction():
            self.write(doing, "DELETE FROM autocron_starts WHERE until_at <= %s", past)
            self.write(doing, "DELETE FROM autocron_busy_rates WHERE free_at <= %s", past)

    def busy_rates(self) -> Mapping[str, datetime]:
        """Return until when rate keys are not free, as far as they are not, or were not lately."""
        rows = self.read("read the rates", "SELECT rate_key, free_at FROM autocron_busy_rates")
        return {key: instant(free_at) for key, free_at in rows}

    def paused(self) -> FrozenSet[str]:
        """Return the queues that are paused; :data:`autocron.core.task.ALL_QUEUES` is all."""
        rows = self.read("read the paused queues", "SELECT queue FROM autocron_paused_queues")
        return frozenset(queue for (queue,) in rows)

    def put_paused(self, queue: str, is_paused: bool) -> None:
        """Pause a queue, or resume it: then what waits in it gets its tickets."""
        with self.transaction():
            self.take_turn()
            if is_paused:
                sql = "INSERT INTO autocron_paused_queues VALUES (%s) ON CONFLICT DO NOTHING"
                self.write(f"pause queue {queue}", sql, (queue,))
                return
            doing = f"resume queue {queue}"
            self.write(doing, "DELETE FROM autocron_paused_queues WHERE queue = %s", (queue,))
            self._issue_all(self.read(doing, statements.WITHOUT_IN_QUEUE, {"queue": queue}))

    # -- schedules and settings -----------------------------------------------------------------

    def schedules(self, key: Optional[str] = None) -> List[Schedule]:
        """Return all schedules, or the one with a key, ordered by key."""
        where, values = ("WHERE key = %s ", (key,)) if key is not None else ("", ())
        rows = self.read(
            "read the schedules",
            f"SELECT {statements.SCHEDULE} FROM autocron_schedules {where}ORDER BY key",
            values,
        )
        return [readable(row_schedule, row, self.url) for row in rows]

    def swap_schedule(self, before: Optional[Schedule], after: Optional[Schedule]) -> bool:
        """Replace a schedule if it still equals ``before``; None is one that is not stored.

        Raises:
            StoreError: ``before`` and ``after`` have different keys.
        """
        keys = {schedule.key for schedule in (before, after) if schedule is not None}
        if len(keys) != 1:
            raise StoreError(f"can not swap schedules: expected one key, given {sorted(keys)}")
        values = () if after is None else schedule_row(after)
        if before is None:
            sql = statements.ADD_SCHEDULE
        else:
            sql = statements.REMOVE_SCHEDULE if after is None else statements.CHANGE_SCHEDULE
            values = (*values, *schedule_row(before))
        # Before the row is held: who has the turn may wait for it.
        self.take_turn()
        return self.write(f"change schedule {keys.pop()}", sql, values) == 1

    def settings(self) -> Mapping[str, str]:
        """Return all settings that were ever set."""
        rows = self.read("read the settings", "SELECT name, value FROM autocron_settings")
        return dict(rows)

    def put_settings(self, changes: Mapping[str, Optional[str]]) -> None:
        """Set settings; None removes one. All are changed, or none."""
        doing = "change the settings"
        with self.transaction():
            self.take_turn()
            for name, value in changes.items():
                if value is None:
                    self.write(doing, "DELETE FROM autocron_settings WHERE name = %s", (name,))
                else:
                    self.write(doing, statements.PUT_SETTING, (name, value))


def _is_to_run(task: Task) -> bool:
    """Tell whether a task waits, and for nothing but its time and its turn."""
    return task.state is TaskState.WAITING and task.after is None


def _listed(queues: Optional[Sequence[str]]) -> Optional[List[str]]:
    return None if queues is None else list(queues)
