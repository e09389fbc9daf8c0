"""The terms on which workers work: when they are replaced, and how long they have to leave."""

from __future__ import annotations

import os
import resource
import sys
from typing import Any, Dict, Mapping

from autocron.core.settings import Settings
from autocron.core.values import frozen
from autocron.shell.application import Application

_MEGABYTE = 1024 * 1024


@frozen
class Terms:
    """What a worker is told, when it is hired and when it changes.

    Attributes:
        max_tasks: It leaves after so many tasks; 0 is never.
        max_memory_mb: It leaves once it takes more memory than this; 0 is never.
        stop_grace: How many seconds the task in hand has when it is told to stop.
    """

    max_tasks: int = 0
    max_memory_mb: float = 0.0
    stop_grace: float = 5.0

    @classmethod
    def of(cls, application: Application, settings: Settings) -> Terms:
        """Return what ``start()`` was given, else what is set, else the default."""

        def choose(given: Any, stored: Any) -> Any:
            return stored if given is None else given

        return cls(
            max_tasks=choose(application.max_tasks_per_worker, settings.max_tasks_per_worker),
            max_memory_mb=choose(application.max_memory_mb, settings.max_memory_mb),
            stop_grace=choose(application.stop_grace, settings.stop_grace),
        )

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Terms:
        """Return what :meth:`told` has made."""
        return cls(**told)

    def told(self) -> Dict[str, Any]:
        """Return them as what a channel carries."""
        return dict(vars(self))

    def are_over(self, tasks: int) -> bool:
        """Tell whether a worker that has run so many tasks is to leave."""
        if self.max_tasks and tasks >= self.max_tasks:
            return True
        return bool(self.max_memory_mb) and memory_mb() > self.max_memory_mb


def memory_mb() -> float:
    """Return how much memory this process takes, in megabytes.

    That is what is resident now; where the system does not tell it, the most that ever was.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE
    except (OSError, IndexError, ValueError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / _MEGABYTE if sys.platform == "darwin" else most / 1024
