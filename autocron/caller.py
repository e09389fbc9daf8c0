"""The way of a call: from a delayed function to where the App sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from autocron.core.task import Message, Task, TaskState
from autocron.delayed import Link
from autocron.group import TaskGroup
from autocron.messages import message_of
from autocron.result import TaskResult
from autocron.serving import Service

if TYPE_CHECKING:
    from autocron.app import App
    from autocron.inplace import InPlace
    from autocron.ports import Backend, Clock


class AppCaller:
    """Takes the calls of an App's delayed functions; implements ``autocron.delayed.Caller``.

    Arguments:
        app: The App.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def call(self, link: Link) -> TaskResult[Any]:
        """Enqueue one call; see :class:`autocron.delayed.Caller`."""
        message = self._message(link, link.args)
        service = self._app.service
        if service is None:
            return self._in_place().run(link.known, message)
        return TaskResult(service.backend.enqueue(message), self.source(service))

    def call_chain(self, links: Tuple[Link, ...]) -> TaskResult[Any]:
        """Enqueue a chain; see :class:`autocron.delayed.Caller`."""
        first, *others = links
        message = self._message(first, first.args)
        followers = [self._message(link, link.args, takes_given=True) for link in others]
        service = self._app.service
        if service is None:
            here = self._in_place()
            ended = here.ended(first.known, message)
            functions = [link.known for link in others]
            return here.result(here.follow([ended], functions, followers, False)[-1])
        _, chain = service.backend.enqueue_all([message], followers, group=False)
        return TaskResult(chain[-1], self.source(service))

    def call_all(self, links: List[Link], then: Tuple[Link, ...]) -> TaskGroup[Any]:
        """Enqueue several calls at once; see :class:`autocron.delayed.Caller`."""
        messages = [self._message(link, link.args) for link in links]
        followers = [self._message(link, link.args, takes_given=True) for link in then]
        service = self._app.service
        if service is None:
            here = self._in_place()
            ended = [here.ended(link.known, message) for link, message in zip(links, messages)]
            last = here.follow(ended, [link.known for link in then], followers, True)
            results = [here.result(task) for task in ended]
            return TaskGroup(None, results, None, here.result(last[-1]) if last else None)
        tasks, chain = service.backend.enqueue_all(messages, followers)
        return self.group(tasks, chain[-1] if chain else None, service)

    def group(
        self, tasks: Sequence[Task], callback: Optional[Task], service: Service
    ) -> TaskGroup[Any]:
        """Return the results of the tasks of a group, and of the task that follows them."""
        source = self.source(service)
        group_id = next((task.group for task in tasks if task.group is not None), None)
        results: List[TaskResult[Any]] = [TaskResult(task, source) for task in tasks]
        last: Optional[TaskResult[Any]] = None
        if callback is not None:
            last = TaskResult(callback, source)
        return TaskGroup(group_id, results, source, last)

    def _message(self, link: Link, args: Tuple[Any, ...], takes_given: bool = False) -> Message:
        app = self._app
        return message_of(
            link.known, link.options, args, link.kwargs, app.codec, lambda: app.zone, takes_given
        )

    def _in_place(self) -> InPlace:
        from autocron.inplace import InPlace

        return InPlace(self._app)

    def source(self, service: Service) -> Source:
        """Return where the results of a service are read."""
        has_workers = self._app.rehearsal is None
        return Source(service.backend, service.clock, self._app.codec, has_workers)


class Source:
    """What a TaskResult, and a TaskGroup, read from."""

    __slots__ = ("_backend", "_codec", "clock", "has_workers")

    def __init__(self, backend: Backend, clock: Clock, codec: Any, has_workers: bool) -> None:
        self._backend = backend
        self._codec = codec
        self.clock = clock
        self.has_workers = has_workers

    def get(self, task_id: str) -> Optional[Task]:
        return self._backend.get(task_id)

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        return self._backend.cancel(task_id, kill)

    def list_group(
        self, group: str, state: Optional[TaskState] = None, limit: Optional[int] = None
    ) -> List[Task]:
        return self._backend.list(group=group, state=state, limit=limit)

    def load_result(self, text: str) -> Any:
        return self._codec.load_result(text)
