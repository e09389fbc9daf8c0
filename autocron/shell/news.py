"""What a supervisor does to tasks, told to the hooks of the application.

The supervisor has no user code, so one of its workers tells the hooks, between its tasks. A worker
says which kinds of news its hooks hear; where there is no hook, nothing is sent. It also says when
they were told; if it dies before that, another one is asked.
"""

from __future__ import annotations

from collections import deque
from typing import Collection, Deque, Sequence

from autocron.core.task import Task
from autocron.shell.channel import TELL
from autocron.shell.member import Item, Member

# While no worker is there to hear; what is older then is forgotten.
_LONGEST = 1000
# A hook that ends its worker must not do that for ever.
_MOST_TRIES = 3


class News:
    """Keeps what has happened until a worker has told it to the hooks."""

    def __init__(self) -> None:
        self._items: Deque[Item] = deque(maxlen=_LONGEST)

    def __call__(self, kind: str, task: Task) -> None:
        """Hear what has happened to a task; see :class:`autocron.ports.Observer`."""
        self._items.append(Item(kind, task.id))

    def pass_on(self, members: Sequence[Member], busy: Collection[str]) -> None:
        """Have the hooks told what there is to tell.

        Arguments:
            members: The workers.
            busy: The names of those that hold a task: they can listen only when it has ended.
        """
        if not self._items:
            return
        ready = [one for one in members if one.is_ready and not one.is_leaving]
        if not ready:
            return
        ready.sort(key=lambda one: one.name in busy)
        while self._items:
            item = self._items.popleft()
            listener = next((one for one in ready if item.kind in one.hooks), None)
            if listener is not None:
                listener.untold.append(item)
                listener.channel.send(do=TELL, kind=item.kind, task=item.task_id)

    def take_back(self, member: Member) -> None:
        """Take back what a worker that has ended has not told."""
        for item in reversed(member.untold):
            if item.tries + 1 < _MOST_TRIES:
                self._items.appendleft(item._replace(tries=item.tries + 1))
        member.untold.clear()
