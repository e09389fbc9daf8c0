"""What a delayed function is: called like the plain one, it returns a TaskResult at once."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Dict,
    Iterable,
    Iterator,
    Optional,
    Protocol,
    Tuple,
    TypedDict,
    TypeVar,
    Union,
    cast,
    overload,
)

from autocron.core.errors import InvalidTask

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Unpack

    from autocron.core.task import Message
    from autocron.group import TaskGroup
    from autocron.options import Backoff, DelayOptions, Duration, Exceptions, Key, Moment
    from autocron.registry import TaskFunction
    from autocron.result import TaskResult

    P = ParamSpec("P")
    R = TypeVar("R")


class TaskOptions(TypedDict, total=False):
    """The options of ``@delay`` and of ``task.options(…)``; None is "not given".

    A duration is a number of seconds or a timedelta, unless another unit is said.

    Attributes:
        weeks: Do not run before so many weeks have elapsed; added to the four below.
        days: Days of 24 hours.
        hours: Hours.
        minutes: Minutes.
        seconds: Seconds.
        schedule: Do not run before an instant: an aware datetime, one in the application's zone, or
            a callable that gives one at each call.
        expires: Begin no attempt later than so long after the call, or at an instant.
        retries: How many attempts are made again after a failure; 0.
        backoff: The delay before each of them, or ``"exponential"``, the default: drawn below a
            bound that doubles with each failure, from 5 seconds to ``max_backoff``.
        max_backoff: The longest delay that exponential backoff draws; an hour.
        retry_on: The exceptions that are worth another attempt, a class or several; all.
        no_retry_on: Those that are not.
        timeout: How long an attempt may run; for ever.
        priority: -100 to 100, higher first; 0.
        queue: The queue in which it waits; ``"default"``.
        limit: At most so many run at once; any number.
        limit_key: What they are counted by: a text, or a callable that is given the arguments and
            returns one; the function.
        rate: At most so many begin in a period: ``"10/minute"``.
        rate_key: What they are counted by, as ``limit_key``.
        unique: While one waits, a second call gives back the first: True for one of the function,
            ``"args"`` for one with the same arguments, or a callable that is given the arguments
            and returns a key, or None for a call that is like no other.
        unique_while: ``"waiting"``, the default, or ``"running"``: while one waits or runs.
        unique_for: Also for so long after the call, whatever has become of it.
        on_commit: With ``autocron.contrib.django``: whether a call inside an atomic block is
            enqueued when that commits, or which database's; as the setting says if not given.
        connection: With a PostgreSQL database: the connection, of psycopg, Django or SQLAlchemy, in
            whose transaction the call is stored; for ``task.options(…)``.
    """

    weeks: Optional[float]
    days: Optional[float]
    hours: Optional[float]
    minutes: Optional[float]
    seconds: Optional[float]
    schedule: Optional[Moment]
    expires: Union[Duration, datetime, None]
    retries: Optional[int]
    backoff: Optional[Backoff]
    max_backoff: Optional[Duration]
    retry_on: Optional[Exceptions]
    no_retry_on: Optional[Exceptions]
    timeout: Optional[Duration]
    priority: Optional[int]
    queue: Optional[str]
    limit: Optional[int]
    limit_key: Optional[Key]
    rate: Optional[str]
    rate_key: Optional[Key]
    unique: Union[bool, str, Callable[..., object], None]
    unique_while: Optional[str]
    unique_for: Optional[Duration]
    on_commit: Union[bool, str, None]
    connection: Optional[object]


if TYPE_CHECKING:

    class DelayedCall(Protocol[P, R]):
        """A delayed function, plain or a coroutine function: it returns a TaskResult."""

        __name__: str
        __qualname__: str

        def options(self, **options: Unpack[TaskOptions]) -> DelayedCall[P, R]:
            """Return the function with other options."""
            ...

        def map(self, items: Iterable[Any], *, then: Optional[Follower] = None) -> TaskGroup[R]:
            """Call the function once with each item, all in one transaction."""
            ...

        def starmap(
            self, items: Iterable[Iterable[Any]], *, then: Optional[Follower] = None
        ) -> TaskGroup[R]:
            """Call the function once with the arguments in each item, all in one transaction."""
            ...

        def then(self, follower: Follower, *args: Any, **kwargs: Any) -> Chain:
            """Return a chain: the follower is called with what this one returned."""
            ...

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]: ...

    class Delayed(DelayedCall[P, R], Protocol[P, R]):
        """A delayed function: called like the plain one, it returns a TaskResult."""

        __wrapped__: Callable[P, R]

        @property
        def function(self) -> Callable[P, R]:
            """The plain function."""
            ...

        def options(self, **options: Unpack[TaskOptions]) -> Delayed[P, R]:
            """Return the function with other options."""
            ...

    class DelayedCoroutine(DelayedCall[P, R], Protocol[P, R]):
        """A delayed coroutine function; the result of its task is what the coroutine comes to."""

        __wrapped__: Callable[P, Coroutine[Any, Any, R]]

        @property
        def function(self) -> Callable[P, Coroutine[Any, Any, R]]:
            """The plain coroutine function."""
            ...

        def options(self, **options: Unpack[TaskOptions]) -> DelayedCoroutine[P, R]:
            """Return the function with other options."""
            ...

    class DelayDecorator(Protocol):
        """What ``@delay(…)`` is."""

        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, function: Callable[P, Coroutine[Any, Any, R]]
        ) -> DelayedCoroutine[P, R]: ...

        @overload
        def __call__(self, function: Callable[P, R]) -> Delayed[P, R]: ...

    Follower = Union[DelayedCall[..., Any], "Chain"]


class Link:
    """A task function with its options, and arguments that stand behind what it will be given."""

    def __init__(
        self,
        known: TaskFunction,
        options: DelayOptions,
        args: Tuple[Any, ...] = (),
        kwargs: Optional[Dict[str, Any]] = None,
    ) -> None:
        self.known = known
        self.options = options
        self.args = args
        self.kwargs = kwargs or {}
        #: What all of its calls ask for, but for their arguments; None until it is known.
        self.like: Optional[Message] = None


if TYPE_CHECKING:

    class Caller(Protocol):
        """Takes the calls of delayed functions."""

        def call(
            self, link: Link, args: Tuple[Any, ...], kwargs: Dict[str, Any]
        ) -> TaskResult[Any]:
            """Enqueue one call, with these arguments."""
            ...

        def call_chain(self, links: Tuple[Link, ...]) -> TaskResult[Any]:
            """Enqueue a chain; return the result of its last task."""
            ...

        def call_all(
            self, link: Link, calls: Iterable[Tuple[Any, ...]], then: Tuple[Link, ...]
        ) -> TaskGroup[Any]:
            """Enqueue several calls at once, and what is to follow.

            Arguments:
                link: The function, with its options.
                calls: The arguments of each call.
                then: What is to follow.
            """
            ...

    class HasCaller(Protocol):
        """Whoever has decorated a function, and knows by its first call who takes it: the App."""

        @property
        def caller(self) -> Caller:
            """Who takes its calls."""
            ...


class Chain:
    """Delayed functions that run one after the other, each given what the one before returned.

    Made by ``first.then(second)``; call it like the first of them. It never changes, so it can be
    kept, called many times, and continued in different ways.
    """

    def __init__(self, app: HasCaller, links: Tuple[Link, ...]) -> None:
        self._app = app
        self._links = links

    def then(self, follower: Any, *args: Any, **kwargs: Any) -> Chain:
        """Return a longer chain.

        Arguments:
            follower: A delayed function, or a chain.
            *args: Arguments of the function behind what it will be given.
            **kwargs: Keyword arguments.

        Raises:
            InvalidTask: It is neither; or a function would stand in the chain twice.
            TypeError: The arguments do not fit the function.
        """
        links = self._links + links_of(follower, args, kwargs)
        names = [link.known.name for link in links]
        again = next((name for name in names if names.count(name) > 1), None)
        if again is not None:
            raise InvalidTask(
                f"{again} stands in the chain twice ({' -> '.join(names)}): a chain has an end, "
                "and does not come back to a function; to repeat something, call it from within"
            )
        return Chain(self._app, links)

    def __call__(self, *args: Any, **kwargs: Any) -> TaskResult[Any]:
        """Enqueue all tasks of the chain in one transaction; the first one is given the arguments.

        Returns:
            The result of the last task. If one before it fails or is cancelled, those behind it are
            cancelled.
        """
        first, *others = self._links
        return self._app.caller.call_chain(
            (Link(first.known, first.options, args, kwargs), *others)
        )

    def __repr__(self) -> str:
        return f"<Chain {' -> '.join(link.known.name for link in self._links)}>"


def links_of(
    follower: Any, args: Tuple[Any, ...] = (), kwargs: Optional[Dict[str, Any]] = None
) -> Tuple[Link, ...]:
    """Return the links of a delayed function, or of a chain.

    Raises:
        InvalidTask: It is neither.
        TypeError: The arguments do not fit the function.
    """
    if isinstance(follower, Chain):
        if args or kwargs:
            raise InvalidTask("the functions of a chain have their arguments already")
        return follower._links
    link = getattr(follower, "_link", None)
    if not isinstance(link, Link):
        raise InvalidTask(
            f"then: {follower!r} is no delayed function, nor a chain of some; decorate it with "
            "@autocron.delay"
        )
    link.known.check_call((None, *args), kwargs or {})
    return (Link(link.known, link.options, args, kwargs),)


def _each(function: str, items: Any) -> Iterator[Any]:
    try:
        return iter(items)
    except TypeError:
        wanted = "what the function is called with, one call each"
        if function == "starmap":
            wanted = "the arguments of one call in each item"
        raise InvalidTask(f"{function}: {items!r} is not iterable; expected {wanted}") from None


def delayed_function(
    app: HasCaller, known: TaskFunction, options: DelayOptions
) -> Callable[..., TaskResult[Any]]:
    """Make the delayed function of a plain one.

    Arguments:
        app: Whoever has decorated it.
        known: The task function.
        options: Its options.
    """
    link = Link(known, options)

    @functools.wraps(known.function)
    def call(*args: Any, **kwargs: Any) -> TaskResult[Any]:
        return app.caller.call(link, args, kwargs)

    def with_options(**given: Any) -> Callable[..., TaskResult[Any]]:
        return delayed_function(app, known, options.changed(**given))

    def call_map(items: Iterable[Any], *, then: Any = None) -> TaskGroup[Any]:
        return call_all(((item,) for item in _each("map", items)), then)

    def call_starmap(items: Iterable[Iterable[Any]], *, then: Any = None) -> TaskGroup[Any]:
        each = _each("starmap", items)
        return call_all((tuple(_each("starmap", item)) for item in each), then)

    def call_all(calls: Iterable[Tuple[Any, ...]], then: Any) -> TaskGroup[Any]:
        followers = () if then is None else links_of(then)
        if followers and options.unique is not False:
            raise InvalidTask(
                "then= waits for all of a group, and with unique= some of it may be calls of others"
            )
        return app.caller.call_all(link, calls, followers)

    def then(follower: Any, *args: Any, **kwargs: Any) -> Chain:
        return Chain(app, (link,)).then(follower, *args, **kwargs)

    delayed = cast(Any, call)
    delayed.function = known.function
    delayed.options = with_options
    delayed.map = call_map
    delayed.starmap = call_starmap
    delayed.then = then
    delayed._link = link
    return call
