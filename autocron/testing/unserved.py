"""What a started App talks to where no workers are: tasks run when a test or simulation says so."""

from __future__ import annotations

import os
from typing import Any, Generic, TypeVar, Union

from autocron.core.errors import WaitTimeout
from autocron.shell.local import LocalBackend

B = TypeVar("B", bound=LocalBackend)


class UnservedService(Generic[B]):
    """What is the same in a session and in a simulation; see :class:`autocron.serving.Service`.

    Arguments:
        backend: What takes the calls.
        clock: Its clock.
    """

    is_serving = False

    def __init__(self, backend: B, clock: Any) -> None:
        self.backend = backend
        self.clock = clock

    def matches(self, database: Union[str, os.PathLike[str]]) -> bool:
        """Tell that ``start()`` starts nothing; the session itself answers it."""
        return True

    def announce(self) -> None:
        """Do nothing: what is decorated while a simulation is played is no part of it."""

    def stop(self) -> None:
        """Do nothing: nothing was started."""

    def look_after(self) -> None:
        """Do nothing: a task runs when the test says so."""

    def check_wait(self, what: str, status: str) -> None:
        """Tell that to wait would be for ever."""
        raise WaitTimeout(
            f"{what} is {status}, and in a test nobody runs it while you wait: call "
            "autocron.testing.run_pending() first"
        )
