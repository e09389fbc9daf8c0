"""The backend of a single machine: our own engine over the SQLite store."""

from __future__ import annotations

from datetime import datetime
from typing import Iterable, List, Optional, Sequence

from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task, TaskState
from autocron.engine import Engine
from autocron.ports import Stats
from autocron.shell.sqlite import SQLiteStore


class LocalBackend:
    """Hands what the front end asks to the engine; implements :class:`autocron.ports.Backend`.

    Arguments:
        store: The database.
        engine: The engine that drives this store.
    """

    def __init__(self, store: SQLiteStore, engine: Engine) -> None:
        self.store = store
        self.engine = engine

    def open(self) -> None:
        """Make the database usable, creating it if it is missing; may be repeated."""
        self.store.open()

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self.store.close()

    def enqueue(self, message: Message) -> Task:
        """Store a task durably; see :meth:`autocron.ports.Backend.enqueue`."""
        return self.engine.enqueue(message)

    def fire(
        self, schedule: Schedule, at: datetime, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of one occurrence, once; see :meth:`autocron.ports.Backend.fire`."""
        return self.engine.fire(schedule, at, message, unless_active)

    def declare(self, schedules: Sequence[Schedule], complete_for: Iterable[str] = ()) -> None:
        """Make schedules known; see :meth:`autocron.ports.Backend.declare`."""
        self.engine.declare(schedules, complete_for)

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task."""
        return self.store.get(task_id)

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, oldest first."""
        return self.store.find(state=state, name=name, limit=limit)

    def stats(self) -> Stats:
        """Return counts over all tasks."""
        return self.engine.stats()

    def cancel(self, task_id: str) -> bool:
        """Cancel a waiting task; tell whether it will not run."""
        return self.engine.cancel(task_id)

    def retry(self, task_id: str) -> bool:
        """Make a failed or cancelled task wait again; tell whether it does."""
        return self.engine.retry(task_id)

    def reclaim(self, worker: str, charged: bool) -> List[Task]:
        """Take back the tasks of a worker that is gone; return what became of them."""
        return self.engine.reclaim(worker, charged)

    def purge(self) -> int:
        """Remove what has been kept long enough, in a bounded batch; return how many."""
        return self.engine.purge()
