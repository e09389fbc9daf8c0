"""Ends the function of a task from outside: its time is over, or somebody asks for it.

A signal comes to the main thread, which runs the function, and its handler raises there; so also
what blocks is interrupted. Where an exception must not be raised it is not: the handler comes again
a moment later. Those places are

- what runs before the function has begun and after it has returned, so that no result is lost;
- autocron's own code, logging, and imports, which would be left half done, with locks held.

What can not be interrupted like this (C code that does not return, a function that catches the
exception and goes on) is ended with its process, by the supervisor.

A coroutine gets the exception where it awaits, or, while it does not, as any function.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Tuple

from autocron.core.errors import AutocronError, TaskCancelled, TaskTimeout
from autocron.core.task import Task
from autocron.ports import Clock

if TYPE_CHECKING:
    from autocron.shell.steered import Steered

# It is a signal of its own timer, so that a timeout needs no thread.
SIGNAL = signal.SIGALRM

_AGAIN_SECONDS = 0.01
# What every system takes; who waits for longer is not waiting.
_SHORTEST_TIMER_SECONDS, _LONGEST_TIMER_SECONDS = 0.001, 1e8

_SHELL = os.path.join(os.path.dirname(__file__), "")
_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_HERE = (__file__, os.path.join(_SHELL, "steered.py"))
_NOT_TO_BE_LEFT_HALF_DONE = (
    _SHELL,
    *(
        os.path.join(_PACKAGE, name)
        for name in ("engine.py", "hand.py", "operations.py", "hooks.py")
    ),
    logging.__file__,
    os.path.join(os.path.dirname(logging.__file__), "handlers.py"),
    "<frozen importlib",
)


class Interrupter:
    """Calls the functions of tasks so that they can be ended; one for the main thread.

    Arguments:
        clock: Measures the time of a task.
        check: Is called right after a function, before anything else.
        tell: Is told when a task with a timeout begins (``begins``, ``attempt``,
            ``seconds``), and when it, or
            one that was to be cut short, ends (``ends``).
    """

    def __init__(
        self, clock: Clock, tell: Callable[..., None], check: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._check = check
        self._tell = tell
        self._task: Optional[Task] = None
        self._ends_at: Optional[float] = None
        self._cut: Optional[Tuple[str, int]] = None
        self._has_timer = False
        self._was_raised = False
        # That of the call that is under way.
        self._frame: Optional[FrameType] = None
        self._steered: Optional[Steered] = None

    def listen(self) -> None:
        """Hear the signal; in the main thread."""
        signal.signal(SIGNAL, self._hear)

    def cut_short(self, task_id: str, attempt: int) -> None:
        """End an attempt if it is the one in hand, or is about to be; from any thread."""
        self._cut = task_id, attempt
        task = self._task
        if task is not None and self._is_cut(task):
            main = threading.main_thread().ident
            if main is not None:
                signal.pthread_kill(main, SIGNAL)

    # -- calling ------------------------------------------------------------------------------

    def call(
        self,
        task: Task,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Call the function of a task, to the end of its coroutine if it gives one.

        Raises:
            TaskTimeout: Its time was over.
            TaskCancelled: It was cut short.
        """
        self._was_raised = False
        self._task = task
        try:
            self._begin(task)
            try:
                return self._call(function, args, kwargs)
            finally:
                self._check()
        finally:
            self._end(task)

    def _begin(self, task: Task) -> None:
        seconds = task.policy.timeout_seconds
        if seconds is not None:
            self._tell(begins=task.id, attempt=task.attempt, seconds=seconds)
            # A task before may have put its own in its place.
            self.listen()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (SIGNAL,))
            self._ends_at = self._clock.monotonic() + seconds
            self._wait(seconds)
        if self._cut is not None and self._is_cut(task):
            raise self._reason(task)

    def _end(self, task: Task) -> None:
        self._task = self._frame = self._steered = None
        if self._has_timer:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._has_timer = False
        if self._ends_at is not None or (self._cut is not None and self._is_cut(task)):
            self._ends_at = self._cut = None
            self._tell(ends=task.id)

    def _call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        self._frame = sys._getframe()
        value = function(*args, **kwargs)
        if hasattr(value, "__await__"):
            # Only now: most applications never need asyncio.
            from autocron.shell.steered import Steered

            self._steered = Steered(value)
            value = self._steered.run()
        return value

    # -- interrupting -------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        self._has_timer = True
        seconds = min(max(seconds, _SHORTEST_TIMER_SECONDS), _LONGEST_TIMER_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _hear(self, number: int, frame: Optional[FrameType]) -> None:
        task = self._task
        if task is None or self._was_raised:
            return
        if not self._is_cut(task):
            if self._ends_at is None:
                return
            left = self._ends_at - self._clock.monotonic()
            if left > 0:
                self._wait(left)
                return
        if not self._may_interrupt(frame):
            self._wait(_AGAIN_SECONDS)
            return
        steered = self._steered
        if steered is None or steered.is_running(frame):
            # Once: who catches it and goes on is ended by the supervisor.
            self._was_raised = True
            raise self._reason(task)
        self._was_raised = steered.interrupt(self._reason(task))
        if not self._was_raised:
            self._wait(_AGAIN_SECONDS)

    def _may_interrupt(self, frame: Optional[FrameType]) -> bool:
        """Tell whether the function is being run, and nothing that must not be left half done."""
        if frame is None or frame.f_code.co_filename in _HERE:
            return False
        while frame is not None and frame is not self._frame:
            file = frame.f_code.co_filename
            if file not in _HERE and file.startswith(_NOT_TO_BE_LEFT_HALF_DONE):
                return False
            frame = frame.f_back
        # None: another stack than that of the call, such as a greenlet's.
        return frame is not None

    def _is_cut(self, task: Task) -> bool:
        return self._cut == (task.id, task.attempt)

    def _reason(self, task: Task) -> AutocronError:
        if self._is_cut(task):
            return TaskCancelled("it was cancelled while it ran")
        return TaskTimeout(f"it did not end within {task.policy.timeout_seconds:g} seconds")
