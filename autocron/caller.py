"""The way of a call: from a delayed function to where the App sends it."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Sequence, Tuple

from autocron.core.errors import InvalidTask
from autocron.core.values import changed
from autocron.group import TaskGroup
from autocron.messages import message_like, message_of, messages_of
from autocron.result import TaskResult

if TYPE_CHECKING:
    from autocron.app import App
    from autocron.core.task import Message, Task, TaskState
    from autocron.delayed import Link
    from autocron.ports import Clock
    from autocron.serving import Destination, Route, Service, Taker


class AppCaller:
    """Takes the calls of an App's delayed functions; implements ``autocron.delayed.Caller``.

    Arguments:
        app: The App.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        # Where the last call went straight on, and where its result is read; mostly the next, too.
        self._straight: Tuple[Optional[Service], Optional[Source]] = (None, None)

    def call(self, link: Link, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> TaskResult[Any]:
        """Enqueue one call; see :class:`autocron.delayed.Caller`."""
        codec = self._app.codec
        if link.like is not None:
            message = message_like(link.like, link.known, args, kwargs, codec)
        else:
            message = message_of(link.known, link.options, args, kwargs, codec, self._zone)
            if link.options.are_even:
                link.like = changed(message, payload="")
        source = self._way((link,))
        return TaskResult(source.taker.enqueue(message), source)

    def call_chain(self, links: Tuple[Link, ...]) -> TaskResult[Any]:
        """Enqueue a chain; see :class:`autocron.delayed.Caller`."""
        first, *others = links
        message = self._message(first, first.args)
        followers = [self._message(link, link.args, takes_given=True) for link in others]
        source = self._way(links)
        _, chain = source.taker.enqueue_all([message], followers, group=False)
        return TaskResult(chain[-1], source)

    def call_all(
        self, link: Link, calls: Iterable[Tuple[Any, ...]], then: Tuple[Link, ...]
    ) -> TaskGroup[Any]:
        """Enqueue several calls at once; see :class:`autocron.delayed.Caller`."""
        messages = messages_of(link.known, link.options, calls, self._app.codec, self._zone)
        followers = [self._message(link, link.args, takes_given=True) for link in then]
        source = self._way((link, *then))
        tasks, chain = source.taker.enqueue_all(messages, followers)
        return self.group(tasks, chain[-1] if chain else None, source)

    def group(
        self, tasks: Sequence[Task], callback: Optional[Task], source: Source
    ) -> TaskGroup[Any]:
        """Return the results of the tasks of a group, and of the task that follows them."""
        group_id = next((task.group for task in tasks if task.group is not None), None)
        last: Optional[TaskResult[Any]] = None
        if callback is not None:
            last = TaskResult(callback, source)
        return TaskGroup(group_id, tasks, source, last)

    def _message(self, link: Link, args: Tuple[Any, ...], takes_given: bool = False) -> Message:
        codec = self._app.codec
        return message_of(
            link.known, link.options, args, link.kwargs, codec, self._zone, takes_given
        )

    def _zone(self) -> tzinfo:
        return self._app.zone

    def _way(self, links: Sequence[Link]) -> Source:
        """Return where a call goes, and where its result is read then."""
        app, options = self._app, links[0].options
        service = app.service
        if service is not None:
            if app.router is None and options.connection is None and not options.on_commit:
                known, source = self._straight
                if source is None or known is not service or source.codec is not app.codec:
                    source = self.source(service)
                    if app.rehearsal is None:  # a test is over soon, and is not kept
                        self._straight = service, source
                return source
            return self._routed(service.backend, service.clock, links)
        from autocron.inplace import InPlace

        here = InPlace(self._app, [link.known for link in links])
        return self._routed(here, here.clock, links)

    def _routed(self, taker: Destination, clock: Clock, links: Sequence[Link]) -> Source:
        options = links[0].options
        if options.connection is not None:
            return self._source(taker, clock, taker.within(options.connection))
        router, on_commit = self._app.router, options.on_commit
        if router is not None:
            return self._source(taker, clock, router(taker, clock, on_commit))
        if on_commit:
            raise InvalidTask(
                f"on_commit={on_commit!r} waits for a transaction of Django, and "
                "'autocron.contrib.django' is not in INSTALLED_APPS"
            )
        return self._source(taker, clock)

    def source(self, service: Service) -> Source:
        """Return where the results of a service are read."""
        return Source(service.backend, service.clock, None, self._app.codec, service)

    def _source(self, taker: Taker, clock: Clock, route: Optional[Route] = None) -> Source:
        return Source(taker, clock, route, self._app.codec, self._app.service)


class Source:
    """What a TaskResult, and a TaskGroup, read from."""

    __slots__ = ("_route", "_service", "clock", "codec", "taker")

    def __init__(
        self,
        taker: Taker,
        clock: Clock,
        route: Optional[Route],
        codec: Any,
        service: Optional[Service],
    ) -> None:
        self.taker: Taker = taker if route is None else route
        self.clock = clock
        self._route = route
        self.codec = codec
        self._service = service

    def check_wait(self, task_id: str, what: str, status: str) -> None:
        if self._route is not None:
            self._route.check_wait(task_id)
        if self._service is not None:
            self._service.check_wait(what, status)

    def get(self, task_id: str) -> Optional[Task]:
        if self._service is not None:
            self._service.look_after()
        return self.taker.get(task_id)

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        return self.taker.cancel(task_id, kill)

    def retry(self, task_id: str) -> bool:
        return self.taker.retry(task_id)

    def list_group(
        self, group: str, state: Optional[TaskState] = None, limit: Optional[int] = None
    ) -> List[Task]:
        if self._service is not None:
            self._service.look_after()
        return self.taker.list(group=group, state=state, limit=limit)

    def load_result(self, text: str) -> Any:
        return self.codec.load_result(text)
