"""One worker process, seen from its supervisor."""

from __future__ import annotations

import signal
from collections import deque
from typing import Deque, Dict, FrozenSet, NamedTuple, Optional, Sequence, Tuple

from autocron.core.task import Task
from autocron.shell.channel import CUT, Channel
from autocron.shell.launch import Process

# So long a function may go on after it was told that its time is over, or that it is cancelled.
CUT_SECONDS = 5.0
# How a worker ends whose descriptors a task has closed.
CLOSED_DESCRIPTORS = 79


class Limit:
    """Until when a worker may go on with an attempt.

    Arguments:
        task_id: The id of the task.
        attempt: The attempt.
        at: When the worker is ended, on the monotonic clock; None is never.
    """

    def __init__(self, task_id: str, attempt: int, at: Optional[float] = None) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.at = at
        #: Whether the attempt is to end since somebody has cancelled it.
        self.is_cut = False

    def cut(self, at: float) -> None:
        """Take note that the attempt is to end."""
        self.is_cut = True
        self.at = at if self.at is None else min(self.at, at)


class Item(NamedTuple):
    """Something that happened to a task, to be told to hooks.

    Attributes:
        kind: What.
        task_id: The id of the task.
        tries: How many workers have ended before they had told it.
    """

    kind: str
    task_id: str
    tries: int = 0


class Gone(NamedTuple):
    """A worker that has ended.

    Attributes:
        name: Its name.
        charged: Whether its death is to be charged to the task that it may still hold: it is,
            unless we had told it to leave, or ended it.
        ended_for: The id of the task for which it was ended, since that was late.
        how: What ended it, unless we did.
    """

    name: str
    charged: bool
    ended_for: Optional[str]
    how: str = ""


class Member:
    """A worker of a crew.

    Arguments:
        name: Its name.
        queues: The queues of which it takes tasks; None is any.
        process: Its process.
        channel: The supervisor's end of the channel to it.
    """

    def __init__(
        self,
        name: str,
        queues: Optional[Tuple[str, ...]],
        process: Process,
        channel: Channel,
    ) -> None:
        self.name = name
        self.queues = queues
        self.process = process
        self.channel = channel
        self.hooks: FrozenSet[str] = frozenset()
        self.untold: Deque[Item] = deque()
        self.is_ready = False
        self.late_at: Optional[float] = None
        self.is_leaving = False
        self.is_dismissed = False
        self.kill_at: Optional[float] = None
        self.was_killed = False
        self.limit: Optional[Limit] = None
        self.ended_for: Optional[str] = None
        self.files: Dict[str, Optional[Sequence[int]]] = {}

    def cut_short(self, task: Task, at: Optional[float]) -> None:
        """Have a task that it holds ended; by force if that takes until then, and once."""
        if at is None:
            self.channel.send(do=CUT, task=task.id, attempt=task.attempt)
            return
        limit = self.limit
        if limit is None or (limit.task_id, limit.attempt) != (task.id, task.attempt):
            limit = self.limit = Limit(task.id, task.attempt)
        if not limit.is_cut:
            limit.cut(at)
            self.channel.send(do=CUT, task=task.id, attempt=task.attempt)

    def is_late(self, now: float) -> bool:
        """Tell whether it has not ended a task in time."""
        return self.limit is not None and self.limit.at is not None and now >= self.limit.at

    def end(self) -> None:
        """End it, since its task is late."""
        if self.limit is not None:
            self.ended_for, self.limit = self.limit.task_id, None
        # The next one is hired before this one is buried.
        self.is_leaving = True
        self.process.send_signal(signal.SIGKILL)

    @property
    def gone(self) -> Gone:
        """What is to be known once it has ended."""
        charged = not self.is_dismissed and self.ended_for is None
        code = self.process.returncode
        how = told_end(code) if charged and code is not None else ""
        return Gone(self.name, charged, self.ended_for, how)


def told_end(code: int) -> str:
    """Say what ended a process of which this is the return code, as ``subprocess`` tells it."""
    if code == CLOSED_DESCRIPTORS:
        return "had lost its database: the task had closed files that it had not opened"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as the system does it when memory runs out" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
