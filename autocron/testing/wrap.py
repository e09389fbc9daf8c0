"""A session as a decorator."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

from autocron.core.errors import AutocronError

if TYPE_CHECKING:
    from autocron.testing.sessions import Session

F = TypeVar("F", bound=Callable[..., Any])


def in_a_session(make: Callable[[], Session], function: F) -> F:
    """Return a function that runs in a new session at each call.

    Arguments:
        make: Makes a session.
        function: The function, coroutine function or generator function; also a method.

    Raises:
        AutocronError: It is none of these.
    """
    if not inspect.isfunction(function) or inspect.isasyncgenfunction(function):
        raise AutocronError(
            f"testing.session() decorates functions and methods, and was given {function!r}. For "
            "all tests of a class derive it from testing.SessionMixin; in an async generator "
            "write 'with testing.session(…) as session:'"
        )
    if asyncio.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with make():
                return await function(*args, **kwargs)

        return cast(F, run_async)
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def run_generator(*args: Any, **kwargs: Any) -> Any:
            with make():
                return (yield from function(*args, **kwargs))

        return cast(F, run_generator)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return cast(F, run)
