"""Runs task functions in this process: decode, call, catch, encode."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import Any, Callable, Optional, Protocol, Tuple, Type, Union

from autocron.core.errors import NotStorable
from autocron.core.outcome import Outcome, Raised, Returned, Unknown
from autocron.core.task import Failure, Task
from autocron.registry import TaskFunction

MAX_MESSAGE = 10_000
MAX_TRACEBACK = 50_000
# Far below what SQLite can hold (a thousand million bytes), and above what belongs into a queue.
MAX_RESULT = 64 * 1024 * 1024


class Codec(Protocol):
    """Turns arguments and results to text and back; a module such as core.arguments."""

    def load_call(self, text: str) -> Tuple[Tuple[Any, ...], Any]:
        """Return the arguments of a call."""
        ...

    def dump_result(self, value: Any) -> str:
        """Return a result as text."""
        ...


class FunctionInvoker:
    """Runs functions in the calling thread.

    Arguments:
        find: Returns the task function of a name, or a text saying why there is none.
        codec: Decodes arguments and encodes results.
        passing: Exceptions that are not the task's to keep, such as KeyboardInterrupt at a
            terminal.
    """

    def __init__(
        self,
        find: Callable[[str], Union[TaskFunction, str]],
        codec: Callable[[], Codec],
        passing: Tuple[Type[BaseException], ...] = (),
    ) -> None:
        self._find = find
        self._codec = codec
        self._passing = passing

    def invoke(self, task: Task) -> Outcome:
        """Run the function of a task; see :class:`autocron.ports.Invoker`."""
        found = self._find(task.name)
        if isinstance(found, str):
            return Unknown(found)
        return run_function(found, task.payload, self._codec(), self._passing)


def run_function(
    function: TaskFunction,
    payload: str,
    codec: Codec,
    passing: Tuple[Type[BaseException], ...] = (),
) -> Outcome:
    """Run a task function with encoded arguments.

    Arguments:
        function: The task function.
        payload: Its arguments as text.
        codec: Decodes arguments and encodes the result.
        passing: Exceptions that are let through.

    Returns:
        Returned or Raised.
    """
    try:
        args, kwargs = codec.load_call(payload)
        value = function.function(*args, **kwargs)
        if hasattr(value, "__await__"):
            value = _run_coroutine(value)
        return Returned(_of_bounded_length(codec.dump_result(value)))
    except passing:
        raise
    # What a task raises must never stop the worker, SystemExit and the like included.
    except BaseException as error:
        return Raised(failure_of(error, function.function.__code__.co_filename))


def _of_bounded_length(text: str) -> str:
    if len(text) > MAX_RESULT:
        raise NotStorable(
            f"the result takes {len(text):,} characters as text, and at most {MAX_RESULT:,} are "
            "kept; write it to a file in the task and return its path",
            path="the result",
        )
    return text


def _run_coroutine(awaitable: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())


def failure_of(error: BaseException, file: str = "") -> Failure:
    """Describe an exception as text, whatever it is.

    Arguments:
        error: The exception.
        file: The file of the task function; frames above its first one are autocron's own and are
            left out.

    Returns:
        Its type, message and traceback, of bounded length and fit to be stored.
    """
    try:
        message = str(error)
    except BaseException as unprintable:
        message = f"(its message can not be shown: {type(unprintable).__name__})"
    try:
        lines = traceback.format_exception(type(error), error, _own_frames_off(error, file))
        text = "".join(lines)
    except BaseException as unprintable:
        text = f"(the traceback can not be shown: {type(unprintable).__name__})"
    return Failure(
        type(error).__name__, _storable(message, MAX_MESSAGE), _storable(text, MAX_TRACEBACK)
    )


def _own_frames_off(error: BaseException, file: str) -> Optional[TracebackType]:
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != file:
        frames = frames.tb_next
    return frames if frames is not None else error.__traceback__


def _storable(text: str, longest: int) -> str:
    """Cut the middle out of a text that is too long, and replace what UTF-8 can not hold."""
    if len(text) > longest:
        half = longest // 2
        text = f"{text[:half]}\n… {len(text) - longest} characters left out …\n{text[-half:]}"
    return text.encode(sys.getdefaultencoding(), "backslashreplace").decode()
