"""The pieces of a task as people read them; nothing that is stored is run, and none is trusted."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional

from autocron.cli.formatting import bar, duration, wall
from autocron.core import arguments
from autocron.core.errors import AutocronError
from autocron.core.progress import Progress, load_progress
from autocron.core.task import Task, TaskState
from autocron.zones import LocalZone

STYLES = {TaskState.SUCCEEDED: "good", TaskState.FAILED: "bad", TaskState.CANCELLED: "dim"}
PICKLED = "(pickled)"
_PICKLED_TEXT = '{"$pickle":'
# Of an id these are the time of the call in microseconds, and 8 random bits.
_SHORT_ID = 16


def short(task_id: str) -> str:
    """Return as much of an id as names one task, for all that is likely."""
    return task_id[:_SHORT_ID]


def shown_result(text: str) -> str:
    """Return a stored result as Python writes it.

    What was pickled is not loaded: that could run code of whoever can write to the database.
    """
    if text.startswith(_PICKLED_TEXT):
        return PICKLED
    try:
        return repr(arguments.load_result(text))
    except AutocronError:
        return text


def shown_call(text: str) -> str:
    """Return stored arguments as they stand in a call: ``"1, 2, colour='red'"``."""
    if text.startswith(_PICKLED_TEXT):
        return PICKLED
    try:
        args, kwargs = arguments.load_call(text)
    except AutocronError:
        return text
    words = [repr(value) for value in args]
    return ", ".join([*words, *(f"{name}={value!r}" for name, value in kwargs.items())])


def progress_of(task: Task) -> Optional[Progress]:
    """Return how far a task is; None if it has not told, or not in words of ours."""
    return load_progress(task.progress)


def shown_progress(progress: Progress) -> str:
    """Return a bar, the numbers and the note: ``"[###.......] 30 % (3 of 10) reading"``."""
    done = f"{progress.done:g}"
    fraction = progress.fraction
    if fraction is not None:
        done = f"{bar(fraction)} {fraction * 100:.0f} % ({done} of {progress.total:g})"
    return f"{done} {progress.note}".rstrip()


def local(at: Optional[datetime]) -> str:
    """Return an instant on the clock of this machine."""
    zone = LocalZone()
    return "" if at is None else wall(at.astimezone(timezone.utc).astimezone(zone))


def since(start: Optional[datetime], end: Optional[datetime]) -> str:
    """Return the time between two instants; nothing if one of them is missing."""
    return "" if start is None or end is None else duration((end - start).total_seconds())


def lasting(start: Optional[datetime], now: datetime) -> str:
    """Return for how long something goes on: ``"for 3 s"``."""
    return "" if start is None else f"for {since(start, now)}"


def due(task: Task, now: datetime) -> str:
    """Return when a waiting task is due, or what it waits for."""
    if task.after is not None:
        return f"after {short(task.after)}"
    return f"in {since(now, task.run_at)}" if task.run_at > now else lasting(task.run_at, now)


def outcome(task: Task) -> str:
    """Return what came of a task: the result, or the error."""
    if task.state is not TaskState.SUCCEEDED and task.failure is not None:
        return task.failure.error_message
    return "" if task.result is None else shown_result(task.result)


def attempt(task: Task) -> str:
    """Return the number of the attempt in hand, or of the one to come."""
    return str(task.attempt + (task.state is TaskState.WAITING))
