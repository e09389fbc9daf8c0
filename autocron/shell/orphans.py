"""Workers that have outlived their supervisor, as the next one sees them.

It has no channel to them and is not their parent; it knows what they hold, and, by their locks,
their process ids. They leave by themselves once they have ended the task in hand. One that does not
end it in time is ended here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from typing import Dict, Iterable, List, Optional

from autocron.core.task import Task
from autocron.shell.clock import SystemClock
from autocron.shell.member import CUT_SECONDS, Limit
from autocron.shell.ownership import RunFolder, holder

logger = logging.getLogger("autocron")

# Nobody is told of the end of a process that is not its child, so one has to look; only while such
# a worker ends its task.
_LOOK_SECONDS = 0.2


class Orphans:
    """Sees to it that workers of an earlier supervisor end their tasks in time.

    Arguments:
        folder: The run folder of the database.
        clock: Tells how long a task has run, and measures what is left.
    """

    def __init__(self, folder: RunFolder, clock: SystemClock) -> None:
        self._folder = folder
        self._clock = clock
        # What they hold; and for which task they were ended.
        self._limits: Dict[str, Limit] = {}
        self._ended_for: Dict[str, str] = {}

    def watch(self, tasks: Iterable[Task]) -> None:
        """Look at the tasks that they hold, and end those that are late.

        Arguments:
            tasks: All running tasks of living workers that are not the supervisor's own.
        """
        now = self._clock.monotonic()
        before, self._limits = self._limits, {}
        for task in tasks:
            name = task.worker or ""
            limit = before.get(name)
            if limit is None or (limit.task_id, limit.attempt) != (task.id, task.attempt):
                limit = Limit(task.id, task.attempt, self._late_at(task, now))
            if task.is_cut_short and not limit.is_cut:
                limit.cut(now + CUT_SECONDS)
            self._limits[name] = limit
            if limit.at is not None and now >= limit.at and name not in self._ended_for:
                self._end(name, task)

    def _late_at(self, task: Task, now: float) -> Optional[float]:
        seconds = task.policy.timeout_seconds
        if seconds is None or task.started_at is None:
            return None
        # The wall clock is asked once; it may be set meanwhile.
        run_seconds = (self._clock.now() - task.started_at).total_seconds()
        return now + CUT_SECONDS + max(0.0, seconds - max(0.0, run_seconds))

    def _end(self, name: str, task: Task) -> None:
        self._ended_for[name] = task.id
        self.kill(name)

    def kill(self, name: str) -> None:
        """Kill a worker, if it lives."""
        pid = holder(self._folder.worker(name))
        # A process of another container is seen as 0 or -1, which kill() takes for many.
        if pid is not None and pid > 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def ended_for(self, name: str) -> Optional[str]:
        """Return the id of the task for which a worker was ended that is gone now, if it was."""
        return self._ended_for.pop(name, None)

    def living(self) -> List[str]:
        """Return the names of those that live, once the supervisor has no worker of its own."""
        return [
            name for name in self._folder.workers() if holder(self._folder.worker(name)) is not None
        ]

    def next_seconds(self) -> Optional[float]:
        """Return the seconds until one is to look at them again; None if none holds a task."""
        if not self._limits:
            return None
        times = [limit.at for name, limit in self._limits.items() if name not in self._ended_for]
        late_seconds = [at - self._clock.monotonic() for at in times if at is not None]
        return min([_LOOK_SECONDS, *late_seconds])
