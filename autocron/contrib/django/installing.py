"""What autocron is told of Django, in each process of a project, workers among them."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable

from asgiref.sync import sync_to_async
from django.db import close_old_connections, reset_queries
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from autocron.app import default_app
from autocron.core.encoding import keep_as


def install() -> None:
    """Unwrap Django's texts, and look after database connections around tasks; may be repeated."""
    keep_as(SafeString, _plain_text)
    keep_as(Promise, _plain_text)
    default_app.around = with_connections


def _plain_text(value: Any) -> str:
    # str() of a SafeString is a SafeString; of a lazy translation it is the translated text.
    return str.__str__(str(value))


def with_connections(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does what a request does around it to database connections.

    Those that are unusable, or older than CONN_MAX_AGE, are closed before and after. In workers
    alone: where a task runs in place, the connections are those of a request, or of a test.

    Arguments:
        function: The function of a task.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        reset_queries()
        close_old_connections()
        is_left_to_coroutine = False
        try:
            value = function(*args, **kwargs)
            if inspect.isawaitable(value):
                is_left_to_coroutine = True
                return _with_connections_of_threads(value)
            return value
        finally:
            if not is_left_to_coroutine:
                close_old_connections()

    return call


async def _with_connections_of_threads(awaitable: Any) -> Any:
    # A coroutine uses the database in the thread that sync_to_async keeps for it.
    try:
        return await awaitable
    finally:
        await sync_to_async(close_old_connections)()
        close_old_connections()
