"""Which task function a test means."""

from __future__ import annotations

import difflib
from typing import Any, Callable, List, Union

from autocron.core.errors import InvalidTask
from autocron.registry import TaskFunction
from autocron.testing.runner import name_of


def known_function(
    what: str,
    task: Union[Callable[..., Any], str],
    find: Callable[[str], Union[TaskFunction, str]],
    functions: Callable[[], List[str]],
) -> TaskFunction:
    """Return the task function that is meant by a function or a name.

    Arguments:
        what: To what it was given, for messages.
        task: The function, decorated or plain, or its name ``"module:qualname"``.
        find: Returns the task function of a name, or a text saying why there is none.
        functions: Returns the names of all that are known.

    Raises:
        InvalidTask: There is none; the message names those that it could be.
    """
    name = task if isinstance(task, str) else name_of(task, what)
    known = find(name)
    if isinstance(known, TaskFunction):
        return known
    names = functions()
    near = [other for other in names if other.rpartition(":")[2] == name.rpartition(":")[2]]
    near = near or difflib.get_close_matches(name, names) or names[:9]
    raise InvalidTask(
        f"{what}: {name!r} is no task function of this application; expected one that is decorated "
        f"with @delay or @cron, such as {', '.join(near) or '(there are none yet)'}"
    )
