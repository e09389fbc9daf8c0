"""Where the calls of an App go, as protocols: how it is served, and who may put what there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, List, Optional, Protocol, Sequence, Tuple, Union

from autocron.core.task import Message, Task, TaskState
from autocron.registry import TaskFunction
from autocron.schedule_options import CronOptions

if TYPE_CHECKING:
    from autocron.ports import Backend, Clock


class Service(Protocol):
    """How an application is served in this process: what a started App talks to."""

    @property
    def backend(self) -> Backend:
        """The engine that takes the calls."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock of that engine."""
        ...

    @property
    def is_serving(self) -> bool:
        """Whether calls go to workers."""
        ...

    def matches(self, database: Union[str, os.PathLike[str]]) -> bool:
        """Tell whether ``start()`` with this database would be the same again."""
        ...

    def announce(self) -> None:
        """Make a function known that was decorated after the start."""
        ...

    def stop(self) -> None:
        """Give up this process's share in the application."""
        ...

    def look_after(self) -> None:
        """See that somebody works on what a caller looks for; called at each look of its."""
        ...

    def check_wait(self, what: str, status: str) -> None:
        """See that it is not in vain to wait.

        Arguments:
            what: What is waited for, for messages.
            status: In which state it is, for messages.

        Raises:
            WaitTimeout: This is a test, where nobody else works.
        """
        ...


class Taker(Protocol):
    """What takes calls, and tells what became of them: that part of a Backend."""

    def enqueue(self, message: Message) -> Task:
        """Take a call; see :meth:`autocron.ports.Backend.enqueue`, also for the others."""
        ...

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[Sequence[Task], List[Task]]:
        """Take several calls at once, all or none."""
        ...

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task."""
        ...

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Cancel a task, or ask for a running one to end; tell whether that could be done."""
        ...

    def retry(self, task_id: str) -> bool:
        """Make a failed or cancelled task wait again; tell whether it does."""
        ...

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        group: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return tasks, oldest first."""
        ...


class Destination(Taker, Protocol):
    """Where a call goes if it takes no other way."""

    def within(self, connection: object, is_asked: bool = True) -> Any:
        """Return what takes it in a transaction; see :meth:`autocron.ports.Backend.within`."""
        ...


class Route(Taker, Protocol):
    """Another way of calls than straight to the service."""

    def check_wait(self, task_id: str) -> None:
        """See that it is not in vain to wait for one of them, here and now.

        Raises:
            ResultNotReady: It would be for ever.
        """
        ...


class Router(Protocol):
    """Decides at each call whether it takes another way than straight to where it would go.

    An integration sets it as ``App.router``: to hold calls until a transaction is committed, or to
    store them inside that transaction itself. Without one a call pays for a comparison.
    """

    def __call__(
        self, taker: Destination, clock: Clock, on_commit: Union[bool, str, None]
    ) -> Optional[Route]:
        """Return the way of a call; None is the straight one.

        Arguments:
            taker: Where it would go: to the engine, or here, in place.
            clock: The clock of that.
            on_commit: What the options of the call say: False is the straight way, True is
                to wait for the transactions around it, a text for that of one connection; None
                leaves it to the integration.

        Raises:
            InvalidTask: The options can not be followed.
        """
        ...


class Rehearsal(Protocol):
    """What a test puts in the place of a service: tasks run in this process, when told to."""

    @property
    def service(self) -> Service:
        """Where calls go."""
        ...

    @property
    def default_zone(self) -> Optional[str]:
        """The name of the time zone of schedules that name none; None is the application's."""
        ...

    def find(self, name: str) -> Union[TaskFunction, str]:
        """Return the task function of a name, or a text saying that there is none."""
        ...

    def add(self, known: TaskFunction) -> None:
        """Keep a function that was decorated inside a function of the test."""
        ...

    def add_schedule(self, options: CronOptions) -> None:
        """Keep a schedule of such a function."""
        ...

    def forget(self, name: str) -> None:
        """Take such a function and its schedules out again."""
        ...

    def start(
        self, database: Union[str, os.PathLike[str]], tz: Optional[str], serializer: str
    ) -> None:
        """Take over what was given to ``start()``, and start nothing."""
        ...
