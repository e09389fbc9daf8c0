"""What a task hands on to those that wait for it, as text.

Of one task it is its result, of a group the list of its members' results, in order; a member that
did not succeed is an exception in that list, as ``asyncio.gather(return_exceptions=True)`` does it.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

from autocron.core.errors import TaskCancelled, TaskFailed
from autocron.core.task import Task, TaskState


def given_by_task(task: Task) -> str:
    """Return what a task that has succeeded hands on."""
    return json.dumps({"result": task.result})


def given_by_group(tasks: Sequence[Task]) -> str:
    """Return what a group hands on, all of whose tasks have ended."""
    return json.dumps({"results": [_part(task) for task in tasks]})


def _part(task: Task) -> Dict[str, Optional[str]]:
    if task.state is TaskState.SUCCEEDED:
        return {"result": task.result}
    failure = task.failure
    if task.state is TaskState.CANCELLED:
        return {"cancelled": "it was cancelled" if failure is None else failure.error_message}
    if failure is None:
        # Nothing of ours ends like this, but such a row can be written.
        return {"failed": "it failed", "traceback": ""}
    return {"failed": failure.error_message, "traceback": failure.traceback}


def load_given(text: str, load_result: Callable[[str], Any]) -> Any:
    """Return what was handed on: the first argument of the task that waited for it.

    Arguments:
        text: What :func:`given_by_task` or :func:`given_by_group` returned.
        load_result: Returns the value of a result's text.
    """
    given = json.loads(text)
    if "results" in given:
        return [_value(part, load_result) for part in given["results"]]
    return _value(given, load_result)


def call_of(task: Task, codec: Any) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """Return the arguments with which the function of a task is called.

    Arguments:
        task: The task; what it was given is the first of them.
        codec: Decodes arguments and results; a module such as :mod:`autocron.core.arguments`.
    """
    args, kwargs = codec.load_call(task.payload)
    if task.given is not None:
        args = (load_given(task.given, codec.load_result), *args)
    return args, kwargs


def _value(part: Dict[str, Any], load_result: Callable[[str], Any]) -> Any:
    if "cancelled" in part:
        return TaskCancelled(part["cancelled"])
    if "failed" in part:
        return TaskFailed(part["failed"], part["traceback"])
    return load_result(part["result"])
