"""The way of a call: from a delayed function to where the App sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from autocron.core.errors import InvalidTask, WaitTimeout
from autocron.core.task import Message, Task, TaskState
from autocron.delayed import Link
from autocron.group import TaskGroup
from autocron.messages import message_of
from autocron.result import TaskResult
from autocron.serving import Route, Service, Taker

if TYPE_CHECKING:
    from autocron.app import App
    from autocron.inplace import InPlace
    from autocron.ports import Clock


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
        source = self._way(service, link)
        return TaskResult(source.backend.enqueue(message), source)

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
        source = self._way(service, first)
        _, chain = source.backend.enqueue_all([message], followers, group=False)
        return TaskResult(chain[-1], source)

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
        source = self._way(service, next(iter([*links, *then]), None))
        tasks, chain = source.backend.enqueue_all(messages, followers)
        return self.group(tasks, chain[-1] if chain else None, source)

    def group(
        self, tasks: Sequence[Task], callback: Optional[Task], source: Source
    ) -> TaskGroup[Any]:
        """Return the results of the tasks of a group, and of the task that follows them."""
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

    def _way(self, service: Service, link: Optional[Link]) -> Source:
        """Return where a call goes, and where its result is read then."""
        router = self._app.router
        on_commit = None if link is None else link.options.on_commit
        if router is not None:
            return self.source(service, router(service, on_commit))
        if on_commit:
            raise InvalidTask(
                f"on_commit={on_commit!r} waits for a transaction of Django, and "
                "'autocron.contrib.django' is not in INSTALLED_APPS"
            )
        return self.source(service)

    def source(self, service: Service, route: Optional[Route] = None) -> Source:
        """Return where the results of a service are read."""
        has_workers = self._app.rehearsal is None
        return Source(service, route, self._app.codec, has_workers)


class Source:
    """What a TaskResult, and a TaskGroup, read from."""

    __slots__ = ("_codec", "_has_workers", "_route", "backend", "clock")

    def __init__(
        self, service: Service, route: Optional[Route], codec: Any, has_workers: bool
    ) -> None:
        self.backend: Taker = service.backend if route is None else route
        self.clock: Clock = service.clock
        self._route = route
        self._codec = codec
        self._has_workers = has_workers

    def check_wait(self, task_id: str, what: str, status: str) -> None:
        if self._route is not None:
            self._route.check_wait(task_id)
        if not self._has_workers:
            raise WaitTimeout(
                f"{what} is {status}, and in a test nobody runs it while you wait: call "
                "autocron.testing.run_pending() first"
            )

    def get(self, task_id: str) -> Optional[Task]:
        return self.backend.get(task_id)

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        return self.backend.cancel(task_id, kill)

    def retry(self, task_id: str) -> bool:
        return self.backend.retry(task_id)

    def list_group(
        self, group: str, state: Optional[TaskState] = None, limit: Optional[int] = None
    ) -> List[Task]:
        return self.backend.list(group=group, state=state, limit=limit)

    def load_result(self, text: str) -> Any:
        return self._codec.load_result(text)
