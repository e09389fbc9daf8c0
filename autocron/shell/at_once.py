"""Questions that take long, and do not depend on each other, are asked at once."""

from __future__ import annotations

import os
from itertools import count
from threading import Thread
from typing import Any, Callable, List

# A disk, and what processors have in common, are not faster for more.
_MOST = 4


def at_once(*questions: Callable[[], Any]) -> List[Any]:
    """Ask questions on as many processors as there are; return the answers in their order.

    SQLite works without holding the interpreter.

    Arguments:
        questions: What asks one; the first ones are begun first.

    Raises:
        BaseException: What the first of them raises that does.
    """
    answers: List[Any] = [None] * len(questions)
    errors: List[Any] = [None] * len(questions)
    places = count()

    def ask() -> None:
        # One after the other: to take a number is one step of the interpreter.
        for place in places:
            if place >= len(questions):
                return
            try:
                answers[place] = questions[place]()
            except BaseException as error:  # raised in the thread that has asked
                errors[place] = error
                return

    helpers = min(len(questions), os.cpu_count() or 1, _MOST) - 1
    threads = [Thread(target=ask) for _ in range(helpers)]
    for thread in threads:
        thread.start()
    ask()
    for thread in threads:
        thread.join()
    for error in errors:
        if error is not None:
            raise error
    return answers
