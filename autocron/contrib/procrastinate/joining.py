"""Calls inside a transaction of the application: the task and its rows are committed together.

``send_mail.options(connection=connection)("ada")`` stores the task, and its ticket, by that
connection. If the transaction is rolled back, the task was never there.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import psycopg
from psycopg.pq import TransactionStatus

from autocron.contrib.procrastinate.store import PostgresStore
from autocron.core.errors import InvalidTask, ResultNotReady
from autocron.core.task import Message, Task, TaskState
from autocron.ports import Backend

_EXPECTED = (
    "expected an open connection of psycopg 3 to autocron's own database, or one of Django or "
    "SQLAlchemy that has such a connection"
)
# From Django's wrapper, and from SQLAlchemy's, to the connection of the driver.
_INNER = ("driver_connection", "connection")
_DEEPEST = 3


def driver_connection(given: object) -> psycopg.Connection[Any]:
    """Return the connection of the driver that is behind what an application has.

    Arguments:
        given: A connection of psycopg, Django or SQLAlchemy.

    Raises:
        InvalidTask: There is none, or it is closed.
    """
    found: Any = given
    for _ in range(_DEEPEST):
        if isinstance(found, psycopg.Connection):
            break
        ensure = getattr(found, "ensure_connection", None)
        if callable(ensure):
            ensure()
        found = next((getattr(found, n) for n in _INNER if getattr(found, n, None)), None)
    if not isinstance(found, psycopg.Connection):
        raise InvalidTask(f"connection: {type(given).__name__} given; {_EXPECTED}")
    if found.closed:
        raise InvalidTask(f"connection: a closed one given; {_EXPECTED}")
    return found


class JoinedCalls:
    """The way of calls inside a transaction; implements :class:`autocron.serving.Route`.

    Arguments:
        backend: Takes the calls.
        store: Its store.
        connection: The connection of the transaction.

    Raises:
        InvalidTask: The connection is to another database, or its transaction has failed.
    """

    def __init__(
        self, backend: Backend, store: PostgresStore, connection: psycopg.Connection[Any]
    ) -> None:
        if not store.is_same_as(connection):
            info = connection.info
            raise InvalidTask(
                f"connection: one to {info.host}:{info.port}/{info.dbname} given, and autocron "
                f"uses {store.shown}; {_EXPECTED}"
            )
        self._backend = backend
        self._store = store
        self._connection = connection
        # What was called, for as long as only that transaction can see it.
        self._tasks: Dict[str, Task] = {}

    # -- taking calls -------------------------------------------------------------------------

    def enqueue(self, message: Message) -> Task:
        """Store a call; see :meth:`autocron.ports.Backend.enqueue`."""
        with self._store.joined(self._connection):
            task = self._backend.enqueue(message)
        self._tasks[task.id] = task
        return task

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[Sequence[Task], List[Task]]:
        """Store several calls; see :meth:`autocron.ports.Backend.enqueue_all`."""
        with self._store.joined(self._connection):
            tasks, chain = self._backend.enqueue_all(messages, then, group=group)
        self._tasks.update((task.id, task) for task in (*tasks, *chain))
        return tasks, chain

    # -- what became of them --------------------------------------------------------------------

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task."""
        found = self._backend.get(task_id)
        return self._tasks.get(task_id) if found is None and self._is_open else found

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        group: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, as far as they are committed."""
        return self._backend.list(state=state, name=name, group=group, limit=limit)

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Cancel a task; before the commit that is part of the transaction, too."""
        if task_id in self._tasks and self._is_open:
            with self._store.joined(self._connection):
                return self._backend.cancel(task_id, kill)
        return self._backend.cancel(task_id, kill)

    def retry(self, task_id: str) -> bool:
        """Make a task wait again; tell whether it does."""
        return self._backend.retry(task_id)

    def check_wait(self, task_id: str) -> None:
        """See that it is not in vain to wait for a task; see :class:`autocron.serving.Route`."""
        if self._is_open and self._backend.get(task_id) is None:
            raise ResultNotReady(
                f"task {task_id} is there for workers when the transaction in which it was called "
                "is committed, so to wait for it inside of that would be for ever: commit first"
            )

    @property
    def _is_open(self) -> bool:
        connection = self._connection
        status = connection.info.transaction_status
        return not connection.closed and status is not TransactionStatus.IDLE
