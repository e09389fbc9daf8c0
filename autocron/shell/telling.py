"""Progress that is told too soon after the last is stored a little later, not only at the end."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Callable, Optional

from autocron.core.errors import StoreError
from autocron.core.outcome import Outcome
from autocron.core.task import Task
from autocron.ports import Hand, Invoker


class PromptInvoker:
    """Runs functions whose progress is stored soon, whatever they do after they have told it.

    Arguments:
        invoker: Runs them.
    """

    def __init__(self, invoker: Invoker) -> None:
        self._invoker = invoker

    def invoke(self, task: Task, hand: Hand) -> Outcome:
        """Run the function of a task; see :class:`autocron.ports.Invoker`."""
        prompt = _PromptHand(task, hand)
        try:
            return self._invoker.invoke(task, prompt)
        finally:
            prompt.close()


class _PromptHand:
    """A hand with a timer, which there is only while something waits to be stored.

    Nothing is locked here: a function can be interrupted anywhere, also while it holds a lock.
    """

    def __init__(self, task: Task, hand: Hand) -> None:
        self._task = task
        self._hand = hand
        self._late: Optional[str] = None
        self._timer: Optional[threading.Timer] = None

    def tell_progress(self, progress: str) -> Optional[float]:
        # First of all, so that the timer never stores something older than what is told now.
        self._late = None
        seconds = self._hand.tell_progress(progress)
        if seconds is not None:
            self._late = progress
            if self._timer is None:
                self._timer = timer = threading.Timer(seconds, self._catch_up)
                timer.daemon = True
                timer.start()
        return seconds

    def keep_progress(self, task: Task, told: Callable[[], Optional[str]]) -> None:
        self._hand.keep_progress(task, told)

    def is_cancel_asked(self) -> bool:
        return self._hand.is_cancel_asked()

    def _catch_up(self) -> None:
        self._timer = None
        # What can not be stored now is stored with the end of the attempt.
        with suppress(StoreError):
            self._hand.keep_progress(self._task, lambda: self._late)

    def close(self) -> None:
        """Let nothing be stored any more: the attempt is over."""
        self._late = None
        timer = self._timer
        if timer is not None:
            timer.cancel()
            timer.join()
