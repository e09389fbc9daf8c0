"""Where the calls of an App go, as protocols: how it is served, and what a test puts there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional, Protocol, Union

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
