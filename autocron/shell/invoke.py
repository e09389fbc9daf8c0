"""Runs task functions in this process: decode, call, catch, encode."""

from __future__ import annotations

import contextvars
import sys
import traceback
from types import TracebackType
from typing import Any, Callable, Mapping, Optional, Protocol, Sequence, Tuple, Type, Union

from autocron.core.errors import Discard, Retry
from autocron.core.given import call_of
from autocron.core.outcome import (
    Discarded,
    Outcome,
    Raised,
    RetryAsked,
    Returned,
    Unknown,
    kinds_of,
)
from autocron.core.refusals import bounded
from autocron.core.task import Failure, Task
from autocron.current import Current
from autocron.ports import Hand
from autocron.registry import TaskFunction

MAX_KIND = 200
MAX_MESSAGE = 10_000
MAX_TRACEBACK = 50_000


# A class of a class may answer otherwise.
_NAME = type.__dict__["__name__"]


class Codec(Protocol):
    """Turns arguments and results to text and back; a module such as core.arguments."""

    def load_call(self, text: str) -> Tuple[Tuple[Any, ...], Any]:
        """Return the arguments of a call."""
        ...

    def dump_result(self, value: Any) -> str:
        """Return a result as text."""
        ...

    def load_result(self, text: str) -> Any:
        """Return the value of a result's text."""
        ...


class Call(Protocol):
    """Calls the function of a task."""

    def __call__(
        self,
        task: Task,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Return what the function returns; if that is a coroutine, what it comes to."""
        ...


def call_plainly(
    task: Task, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Call the function of a task; nothing ends it but itself."""
    value = function(*args, **kwargs)
    return _run_coroutine(value) if hasattr(value, "__await__") else value


class FunctionInvoker:
    """Runs functions in the calling thread.

    Arguments:
        find: Returns the task function of a name, or a text saying why there is none.
        codec: Decodes arguments and encodes results.
        passing: Exceptions that are not the task's to keep, such as KeyboardInterrupt at a
            terminal.
        call: Calls the function; None is plainly.
    """

    def __init__(
        self,
        find: Callable[[str], Union[TaskFunction, Unknown, str]],
        codec: Callable[[], Codec],
        passing: Tuple[Type[BaseException], ...] = (),
        call: Optional[Call] = None,
    ) -> None:
        self._find = find
        self._codec = codec
        self._passing = passing
        self._call = call or call_plainly

    def invoke(self, task: Task, hand: Hand) -> Outcome:
        """Run the function of a task; see :class:`autocron.ports.Invoker`."""
        found = self._find(task.name)
        if isinstance(found, str):
            return Unknown(found)
        if isinstance(found, Unknown):
            return found
        return run_function(found, task, self._codec(), hand, self._passing, self._call)


class NoHand:
    """The hand of a function whose task nobody else knows of; see :class:`autocron.ports.Hand`."""

    def tell_progress(self, progress: str) -> Optional[float]:
        """Do nothing: nobody could look."""
        return None

    def keep_progress(self, task: Task, told: Callable[[], Optional[str]]) -> None:
        """Do nothing."""

    def is_cancel_asked(self) -> bool:
        """Tell that nobody could ask."""
        return False


def run_function(
    function: TaskFunction,
    task: Task,
    codec: Codec,
    hand: Hand,
    passing: Tuple[Type[BaseException], ...] = (),
    call: Call = call_plainly,
) -> Outcome:
    """Run a task function with the arguments of a task.

    Arguments:
        function: The task function.
        task: The task.
        codec: Decodes arguments and encodes the result.
        hand: What the function may do to its task.
        passing: Exceptions that are let through.
        call: Calls the function.

    Returns:
        How it went.
    """
    try:
        args, kwargs = call_of(task, codec)
        with Current(task, hand):
            value = call(task, function.function, args, kwargs)
        text = codec.dump_result(value)
        way_out = "write it to a file in the task and return its path"
        return Returned(bounded(text, "the result takes", way_out))
    except passing:
        raise
    # What a task raises must never stop the worker, SystemExit and the like included.
    except BaseException as error:
        return outcome_of(error, function)


def outcome_of(error: BaseException, function: TaskFunction) -> Outcome:
    """Tell what it means for an attempt that its function has raised."""
    failure = failure_of(error, function.function.__code__.co_filename)
    try:
        if isinstance(error, Retry):
            return RetryAsked(failure, error.after_seconds)
        if isinstance(error, Discard):
            return Discarded(failure)
        return Raised(failure, kinds_of(type(error)))
    # A class may answer as it likes, also whether it is one of ours, and what it is called.
    except BaseException:
        return Raised(failure)


def _run_coroutine(awaitable: Any) -> Any:
    """Run a coroutine to its end in an event loop of its own.

    Where one runs in this thread already, as in a handler of an async framework that calls a task
    in place, that takes a thread: a loop can not run inside another.
    """
    import asyncio

    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as beside:
        return beside.submit(contextvars.copy_context().run, asyncio.run, wait()).result()


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
        # Of exactly this type, whatever was returned.
        message = "".join((str(error),))
    except BaseException as unprintable:
        message = f"(its message can not be shown: {type(unprintable).__name__})"
    try:
        lines = traceback.format_exception(type(error), error, _own_frames_off(error, file))
        text = "".join(lines)
    except BaseException as unprintable:
        text = f"(the traceback can not be shown: {type(unprintable).__name__})"
    return Failure(
        _storable(_NAME.__get__(type(error)), MAX_KIND),
        _storable(message, MAX_MESSAGE),
        _storable(text, MAX_TRACEBACK),
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
