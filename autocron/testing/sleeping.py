"""Tells a test that one of its tasks sleeps for real, while the session's clock stands still.

Nobody can see from outside why a task takes long: a loaded machine looks the same. So the functions
``time.sleep`` and ``asyncio.sleep`` themselves are watched, and only while a session whose clock
the test moves runs tasks. They still sleep; but a long sleep is told before it begins, not an hour
later.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import warnings
from contextvars import ContextVar
from typing import Any, List, Optional, Tuple

LONG_SECONDS = 1.0

logger = logging.getLogger("autocron")

_task: ContextVar[Optional[str]] = ContextVar("autocron_task", default=None)
_lock = threading.Lock()
_watchers: List[int] = [0]
_put_in: List[Tuple[Any, Any]] = []
_SLEEP, _SLEEP_IN_LOOP = time.sleep, asyncio.sleep


class SleepWarning(UserWarning):
    """A task sleeps for real in a session whose clock stands still meanwhile."""


class Running:
    """Names the task function that is being run inside a ``with`` block.

    No generator, as ``contextlib`` would have it: that writes to exceptions that pass.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Name it."""
        self._token = _task.set(self._name)

    def __exit__(self, *error: object) -> None:
        """Name what was named before."""
        _task.reset(self._token)


def watch() -> None:
    """Watch sleeps until :func:`unwatch`; what other threads do is passed on unseen."""
    with _lock:
        _watchers[0] += 1
        if _watchers[0] == 1:
            _install()


def unwatch() -> None:
    """End one :func:`watch`."""
    with _lock:
        _watchers[0] -= 1
        if _watchers[0] == 0:
            _remove()


def _install() -> None:
    def watched(seconds: Any) -> None:
        _tell("time.sleep", seconds)
        _SLEEP(seconds)

    async def watched_in_loop(delay: float, *args: Any, **kwargs: Any) -> Any:
        _tell("asyncio.sleep", delay)
        return await _SLEEP_IN_LOOP(delay, *args, **kwargs)

    _put_in[:] = [(watched, watched_in_loop)]
    # What a test has put in their place knows what it does.
    if time.sleep is _SLEEP:
        time.sleep = watched
    if asyncio.sleep is _SLEEP_IN_LOOP:
        asyncio.sleep = watched_in_loop


def _remove() -> None:
    ((watched, watched_in_loop),) = _put_in
    if time.sleep is watched:
        time.sleep = _SLEEP
    if asyncio.sleep is watched_in_loop:
        asyncio.sleep = _SLEEP_IN_LOOP


def _tell(function: str, seconds: Any) -> None:
    name = _task.get()
    if name is None or not isinstance(seconds, (int, float)) or seconds < LONG_SECONDS:
        return
    text = (
        f"{name} sleeps for {seconds:g} seconds with {function}(), for real, while the clock of "
        "the session stands still. To let the session's time pass instead, replace the sleep in "
        "the test, as with monkeypatch.setattr(tasks.time, 'sleep', lambda seconds: "
        "session.advance(seconds=seconds)); or let the task call itself again later, with "
        f".options(seconds={seconds:g})(…)"
    )
    logger.warning(text)
    warnings.warn(text, SleepWarning, stacklevel=3)
