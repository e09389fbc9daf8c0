"""The results of Django's Tasks, made of the tasks that autocron has stored."""

from __future__ import annotations

import builtins
import re
from datetime import datetime
from typing import Any, List, Optional

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from autocron.app import default_app
from autocron.contrib.django.tasks_api import (
    Task,
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
)
from autocron.core import errors
from autocron.core.given import call_of
from autocron.core.task import Failure, TaskState
from autocron.core.task import Task as StoredTask

_STATUS = {
    TaskState.WAITING: TaskResultStatus.READY,
    TaskState.RUNNING: TaskResultStatus.RUNNING,
    TaskState.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
    TaskState.FAILED: TaskResultStatus.FAILED,
    # Django knows of no cancelling.
    TaskState.CANCELLED: TaskResultStatus.FAILED,
}
# autocron keeps the name of a worker for as long as it has the task.
_FORMER_WORKER = "autocron"
_EXCEPTION_LINE = re.compile(r"^([A-Za-z_][\w.<>]*)(?::|$)", re.MULTILINE)


def django_task(name: str) -> Optional[Any]:
    """Return the Task of Django whose function has a name, ``"module:qualname"``, or None."""
    try:
        found = import_string(name.replace(":", "."))
    except ImportError:
        return None
    return found if isinstance(found, Task) else None


def django_result(stored: StoredTask, backend: str, task: Any = None) -> Any:
    """Return what autocron has stored in the form of Django.

    Arguments:
        stored: The task.
        backend: The alias of the backend that is asked.
        task: The Task that was enqueued; None makes it of what is stored.

    Raises:
        TaskResultDoesNotExist: It is none of a Task of Django, or its code is gone.
    """
    args, kwargs = call_of(stored, default_app.codec)
    result = TaskResult(
        task=_task_of(stored, backend) if task is None else task,
        id=stored.id,
        status=_STATUS[stored.state],
        enqueued_at=_of_django(stored.enqueued_at),
        started_at=_of_django(
            stored.history[0].started_at if stored.history else stored.started_at
        ),
        last_attempted_at=_of_django(stored.started_at),
        finished_at=_of_django(stored.finished_at),
        args=list(args),
        kwargs=kwargs,
        backend=backend,
        errors=_errors(stored),
        worker_ids=_workers(stored),
    )
    if stored.state is TaskState.SUCCEEDED:
        value = default_app.codec.load_result(stored.result or "null")
        # As Django's own backends do: the class is frozen for all others.
        object.__setattr__(result, "_return_value", value)
    return result


def _task_of(stored: StoredTask, backend: str) -> Any:
    task = django_task(stored.name)
    if task is None:
        raise TaskResultDoesNotExist(
            f"{stored.id} is a task of {stored.name}, which is no Task of Django in this project"
        )
    run_after = stored.run_at if stored.run_at > stored.enqueued_at else None
    return task.using(
        priority=stored.priority,
        queue_name=stored.queue,
        run_after=_of_django(run_after),
        backend=backend,
    )


def _of_django(moment: Optional[datetime]) -> Optional[datetime]:
    """Return an instant as the settings have it: in UTC, or naive in the current zone."""
    if moment is None or settings.USE_TZ:
        return moment
    naive: datetime = timezone.make_naive(moment)
    return naive


def _workers(stored: StoredTask) -> List[str]:
    """Return one name for each attempt."""
    names = [_FORMER_WORKER] * stored.attempt
    if names and stored.worker is not None:
        names[-1] = stored.worker
    return names


def _errors(stored: StoredTask) -> List[Any]:
    found = [
        TaskError(
            exception_class_path=_class_path(attempt.error_message.partition(":")[0], ""),
            traceback=attempt.error_message,
        )
        for attempt in stored.history
    ]
    if stored.state is TaskState.CANCELLED:
        said = "the task was cancelled" if stored.failure is None else stored.failure.error_message
        path = f"{errors.TaskCancelled.__module__}.{errors.TaskCancelled.__qualname__}"
        found.append(TaskError(exception_class_path=path, traceback=said))
    elif stored.state is TaskState.FAILED and stored.failure is not None:
        found.append(_error(stored.failure))
    return found


def _error(failure: Failure) -> Any:
    return TaskError(
        exception_class_path=_class_path(failure.type, failure.traceback),
        traceback=failure.traceback or failure.error_message,
    )


def _class_path(name: str, traceback: str) -> str:
    """Return the path of an exception's class, which a traceback says: ``"shop.errors.Refused"``.

    Where none says it, it is a class of Python or of autocron, or else unknown.
    """
    last = traceback.rpartition("Traceback (most recent call last):\n")[2]
    for found in _EXCEPTION_LINE.finditer(last):
        path = found.group(1)
        if path == name and hasattr(builtins, name):
            break
        if path.endswith(f".{name}"):
            return path
    if hasattr(builtins, name):
        return f"builtins.{name}"
    if hasattr(errors, name):
        return f"{errors.__name__}.{name}"
    return "builtins.Exception"
