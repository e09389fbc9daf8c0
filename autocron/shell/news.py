"""What a supervisor does to tasks, told to the hooks of the application.

The supervisor has no user code, so one of its workers tells the hooks, between its tasks. A worker
says which kinds of news its hooks hear; where there is no hook, nothing is sent.
"""

from __future__ import annotations

from collections import deque
from typing import Collection, Deque, List, Sequence, Tuple

from autocron.core.task import Task
from autocron.shell.channel import TELL
from autocron.shell.member import Member

# While no worker is there to hear; what is older then is forgotten.
_LONGEST = 1000


class News:
    """Keeps what has happened until a worker can be told."""

    def __init__(self) -> None:
        self._news: Deque[Tuple[str, str]] = deque(maxlen=_LONGEST)

    def __call__(self, kind: str, task: Task) -> None:
        """Hear what has happened to a task; see :class:`autocron.ports.Observer`."""
        self._news.append((kind, task.id))

    def __bool__(self) -> bool:
        return bool(self._news)

    def pass_on(self, members: Sequence[Member], busy: Collection[str]) -> None:
        """Tell what there is to tell.

        Arguments:
            members: The workers.
            busy: The names of those that hold a task: they can listen only when it has ended.
        """
        ready = [one for one in members if one.is_ready and not one.is_leaving]
        if not ready:
            return
        ready.sort(key=lambda one: one.name in busy)
        while self._news:
            kind, task_id = self._news.popleft()
            listeners: List[Member] = [one for one in ready if kind in one.hooks]
            if listeners:
                listeners[0].channel.send(do=TELL, kind=kind, task=task_id)
