"""A coroutine that is run to its end, and into which an exception can be thrown where it awaits.

That takes what asyncio has for it, the cancelling of a task; on the way to the coroutine the
CancelledError becomes the exception.
"""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import Any, Generator, Optional


class Steered:
    """Runs one coroutine, or other awaitable, in an event loop of its own."""

    def __init__(self, awaitable: Any) -> None:
        async def wait() -> Any:
            return await awaitable

        self._steps: Generator[Any, Any, Any] = wait().__await__()
        self._task: Optional[asyncio.Task[Any]] = None
        self._reason: Optional[BaseException] = None

    def run(self) -> Any:
        """Run it to its end; return what it comes to."""

        async def steer() -> Any:
            self._task = asyncio.current_task()
            return await self

        return asyncio.run(steer())

    def is_running(self, frame: Optional[FrameType]) -> bool:
        """Tell whether a frame is of the coroutine, rather than of the event loop around it."""
        while frame is not None:
            if frame.f_code in _STEPS:
                return True
            frame = frame.f_back
        return False

    def interrupt(self, reason: BaseException) -> bool:
        """Throw an exception into the coroutine, soon; from the handler of a signal.

        Returns:
            False if it has not begun, or has ended.
        """
        task = self._task
        if task is None or task.done():
            return False
        self._reason = reason
        task.get_loop().call_soon_threadsafe(task.cancel)
        return True

    # -- what `await` asks --------------------------------------------------------------------

    def __await__(self) -> Steered:
        return self

    def __iter__(self) -> Steered:
        return self

    def __next__(self) -> Any:
        return next(self._steps)

    def send(self, value: Any) -> Any:
        """Go on with a value."""
        return self._steps.send(value)

    def throw(self, *raised: Any) -> Any:
        """Go on with an exception."""
        reason, kind = self._reason, raised[0]
        is_cancelled = isinstance(kind, asyncio.CancelledError) or kind is asyncio.CancelledError
        if reason is None or not is_cancelled:
            return self._steps.throw(*raised)
        self._reason = None
        uncancel = getattr(self._task, "uncancel", None)
        if uncancel is not None:
            uncancel()
        return self._steps.throw(reason)

    def close(self) -> None:
        """End it."""
        self._steps.close()


_STEPS = (Steered.__next__.__code__, Steered.send.__code__, Steered.throw.__code__)
