"""Our own engine as a backend: that of a single machine, over the SQLite store."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Iterable, List, Optional, Protocol, Sequence, Tuple, TypeVar, Union

from autocron.core.errors import InvalidTask
from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task, TaskState
from autocron.operations import Operations
from autocron.ports import Stats, Store
from autocron.shell.database import Values
from autocron.shell.sqlite import SQLiteStore


class KeptStore(Store, Protocol):
    """A store that lasts."""

    def open(self, create: bool = True) -> None:
        """Make it usable; may be repeated.

        Arguments:
            create: Whether to create it if it is missing.
        """
        ...

    @property
    def replacements(self) -> int:
        """How often another one was found in its place."""
        ...


class AskedStore(KeptStore, Protocol):
    """A store to which an administrator's questions can be put.

    They are written in the SQL that SQLite has in common with others, over the tables ``tasks`` and
    ``schedules``.
    """

    def ask(self, doing: str, sql: str, values: Values = ()) -> List[Any]:
        """Return the rows of a question.

        Arguments:
            doing: What is done by it, for the error message: ``"count tasks"``.
            sql: The question.
            values: The values for its ``?``, or, by name, for its ``:name``.
        """
        ...

    def tasks_of(self, doing: str, sql: str, values: Values = ()) -> List[Task]:
        """Return the tasks of a question for :data:`autocron.shell.queries.TASK`."""
        ...

    def discard(self, task: Task) -> bool:
        """Remove a task if it is as it was read; tell whether it was."""
        ...


Kept = TypeVar("Kept", bound=KeptStore)


class StoreBackend(Generic[Kept]):
    """Hands what the front end asks to the engine; implements :class:`autocron.ports.Backend`.

    Arguments:
        store: The database.
        operations: What may be done to it; the engine, where there is one.
    """

    def __init__(self, store: Kept, operations: Operations) -> None:
        self.store = store
        self.operations = operations

    def open(self) -> None:
        """Make the database usable, creating it if it is missing; may be repeated."""
        self.store.open()

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self.store.close()

    def enqueue(self, message: Message) -> Task:
        """Store a task durably; see :meth:`autocron.ports.Backend.enqueue`."""
        return self.operations.enqueue(message)

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[Sequence[Task], List[Task]]:
        """Store several tasks at once; see :meth:`autocron.ports.Backend.enqueue_all`."""
        return self.operations.enqueue_all(messages, then, group=group)

    def within(self, connection: object, is_asked: bool = True) -> Any:
        """Refuse a call as part of a transaction; see :meth:`autocron.ports.Backend.within`."""
        if not is_asked:
            return None
        raise InvalidTask(
            "connection= stores a call in a transaction of the application's own database, and "
            'autocron\'s is another one here: it goes with start("postgresql://…"); without it, '
            "call the function after the commit"
        )

    def fire(
        self, schedule: Schedule, at: datetime, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of one occurrence, once; see :meth:`autocron.ports.Backend.fire`."""
        return self.operations.fire(schedule, at, message, unless_active)

    def declare(self, schedules: Sequence[Schedule], complete_for: Iterable[str] = ()) -> None:
        """Make schedules known; see :meth:`autocron.ports.Backend.declare`."""
        self.operations.declare(schedules, complete_for)

    def put_schedule(self, schedule: Schedule, *, keeps_state: bool = False) -> None:
        """Keep a schedule made at run time; see :meth:`autocron.ports.Backend.put_schedule`."""
        self.operations.put_schedule(schedule, keeps_state=keeps_state)

    def remove_schedule(self, key: str) -> bool:
        """Take such a schedule out again; tell whether it was there."""
        return self.operations.remove_schedule(key)

    def schedules(self) -> List[Schedule]:
        """Return all schedules, ordered by key."""
        return self.store.schedules()

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task."""
        return self.store.get(task_id)

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        group: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, oldest first."""
        return self.store.find(state=state, name=name, group=group, limit=limit)

    def stats(self) -> Stats:
        """Return counts over all tasks."""
        return self.operations.stats()

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Cancel a waiting task, or ask for a running one to end; tell whether it could be done."""
        return self.operations.cancel(task_id, kill)

    def retry(self, task_id: str) -> bool:
        """Make a failed or cancelled task wait again; tell whether it does."""
        return self.operations.retry(task_id)

    def reclaim(self, worker: str, charged: bool, timed_out: bool = False) -> List[Task]:
        """Take back the tasks of a worker that is gone; return what became of them."""
        return self.operations.reclaim(worker, charged, timed_out)

    def purge(self) -> int:
        """Remove what has been kept long enough, in a bounded batch; return how many."""
        return self.operations.purge()


class LocalBackend(StoreBackend[SQLiteStore]):
    """The backend of a single machine."""
