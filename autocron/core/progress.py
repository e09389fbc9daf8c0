"""How far a task is, as it tells itself."""

from __future__ import annotations

import json
import sys
from typing import Optional

from autocron.core.errors import InvalidTask
from autocron.core.values import frozen

MAX_NOTE = 500
# What can be divided, and written as a number; a whole number may be larger.
_MOST = sys.float_info.max


@frozen
class Progress:
    """How far a task, or a group of tasks, is.

    Attributes:
        done: How much is done.
        total: How much there is to do; None if that is not known.
        note: What it is doing, in a few words.
    """

    done: float
    total: Optional[float] = None
    note: str = ""

    @property
    def fraction(self) -> Optional[float]:
        """The part that is done, from 0.0 to 1.0; None if the total is not known, or is 0."""
        if not self.total:
            return None
        return min(1.0, max(0.0, self.done / self.total))


def dump_progress(done: object, total: object, note: object) -> str:
    """Check what a task tells of itself, and return it as text.

    Raises:
        InvalidTask: It can not be used.
    """
    for name, value in (("done", done), ("total", 0 if total is None else total)):
        usable = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not usable or not 0 <= value <= _MOST:  # type: ignore[operator]
            raise InvalidTask(f"progress: {name} is {value!r}, expected a number from 0 upwards")
    if not isinstance(note, str):
        raise InvalidTask(f"progress: note is {note!r}, expected a text")
    return json.dumps([done, total, note[:MAX_NOTE]])


def load_progress(text: Optional[str]) -> Optional[Progress]:
    """Return the progress of a text; None for none, and for a text that tells none."""
    if text is None:
        return None
    try:
        done, total, note = json.loads(text)
        dump_progress(done, total, note)
    # Somebody else may have written it.
    except (InvalidTask, TypeError, ValueError, RecursionError):
        return None
    return Progress(done, total, note)
