"""A backend for Django's own Tasks: they are enqueued, run and kept by autocron."""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.utils import timezone

from autocron.app import default_app
from autocron.contrib.django import conf
from autocron.contrib.django.installing import install
from autocron.contrib.django.results import django_result, django_task
from autocron.contrib.django.tasks_api import (
    BaseTaskBackend,
    InvalidTask,
    InvalidTaskBackend,
    TaskContext,
    TaskResultDoesNotExist,
    normalize_json,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from autocron.contrib.django.transactions import route
from autocron.core import errors
from autocron.core.task import Task as StoredTask
from autocron.current import current_task
from autocron.options import DelayOptions
from autocron.shell.paths import database_path

# Options of each call, as @autocron.delay has them, beside what Django's Tasks say themselves.
_TASK_OPTIONS = ("retries", "backoff", "max_backoff", "timeout", "expires")
OPTIONS = ("database", "workers", "on_commit", *_TASK_OPTIONS)

# The delayed functions of Tasks, by their plain functions: there is one for all backends, of which
# each thread has its own.
_delayed: Dict[Callable[..., Any], Any] = {}
# The aliases of the backends in which Tasks were declared, by the names of the Tasks.
_aliases: Dict[str, str] = {}


class AutocronBackend(BaseTaskBackend):
    """Runs Django's Tasks in the workers of autocron.

    ::

        TASKS = {
            "default": {
                "BACKEND": "autocron.contrib.django.AutocronBackend",
                "OPTIONS": {"database": "project.db"},
            }
        }

    A Task that is enqueued is stored at once, as Django documents it, also inside of a transaction;
    with the option ``on_commit`` it is when that is committed. Further options are ``workers``, and
    ``retries``, ``backoff``, ``max_backoff``, ``timeout``, ``expires`` of all Tasks of the backend.

    Arguments:
        alias: The key of the backend in TASKS.
        params: Its value.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        self._problems = self._look_for_problems()
        self._served_by = 0
        install()

    def check(self, **kwargs: Any) -> List[CheckMessage]:
        """Tell what is wrong with the settings of this backend; see ``manage.py check``."""
        return [
            Error(problem.message, hint=problem.hint, id=f"autocron.{problem.number}")
            for problem in self._problems
        ]

    def _look_for_problems(self) -> List[conf.Problem]:
        of, options, problems = f"TASKS[{self.alias!r}]['OPTIONS']", self.options, []
        if not isinstance(options, Mapping):
            return [conf.Problem("E010", f"{of} is {options!r}, and has to be a dictionary")]
        for name in options:
            if name not in OPTIONS:
                hint = conf.did_you_mean(name, OPTIONS)
                problems.append(conf.Problem("E010", f"{of} has an unknown option {name!r}", hint))
        database = options.get("database") or conf.read().database
        if database is None:
            problems.append(
                conf.Problem(
                    "E011",
                    f"{of} names no database",
                    'for example "OPTIONS": {"database": "project.db"}',
                )
            )
        else:
            try:
                database_path(database, make_folder=False)
            except errors.AutocronError as error:
                problems.append(conf.Problem("E005", f"{of}: {error}"))
        for name in ("on_commit", *_TASK_OPTIONS):
            try:
                self._options_of_call({name: options.get(name)})
            except errors.AutocronError as error:
                # Some only make sense together; that is looked at below.
                if "is about retries" not in str(error):
                    problems.append(conf.Problem("E010", f"{of}: {error}"))
        if not problems:
            try:
                self._options_of_call(options)
            except errors.AutocronError as error:
                problems.append(conf.Problem("E010", f"{of}: {error}"))
        return problems

    @staticmethod
    def _options_of_call(options: Mapping[str, Any]) -> DelayOptions:
        names = ("on_commit", *_TASK_OPTIONS)
        return DelayOptions().changed(**{name: options.get(name) for name in names})

    # -- Tasks ----------------------------------------------------------------------------------

    def validate_task(self, task: Any) -> None:
        """Refuse a Task that can not be run, as Django does; note one that can, for the workers.

        Raises:
            InvalidTask: It can not be run.
        """
        super().validate_task(task)
        if task.func not in _delayed:
            try:
                _delayed[task.func] = default_app.delay(_called(task))
            except errors.AutocronError as error:
                raise InvalidTask(str(error)) from error
            _aliases.setdefault(_name(task.func), self.alias)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue a Task.

        Arguments:
            task: The Task.
            args: Its positional arguments; what JSON can hold.
            kwargs: Its keyword arguments.

        Returns:
            Its result, which is READY; where autocron is locked, or in a test run, it has ended.

        Raises:
            InvalidTask: It can not be run.
            InvalidTaskBackend: The settings of this backend can not be used.
            TypeError: An argument is nothing that JSON can hold, or does not fit the function.
        """
        self.validate_task(task)
        if task.func.__module__ == "__main__":
            raise InvalidTask(
                f"{task.func.__qualname__} is defined in the script that runs (__main__), where no "
                "worker can find the Task; move it to a module, best to the tasks.py of an app"
            )
        self._serve()
        options = {name: self.options[name] for name in _TASK_OPTIONS if name in self.options}
        if task.run_after is not None:
            aware = timezone.is_aware(task.run_after)
            options["schedule"] = task.run_after if aware else timezone.make_aware(task.run_after)
        try:
            delayed = _delayed[task.func].options(
                queue=task.queue_name,
                priority=int(task.priority),
                on_commit=self.options.get("on_commit", False),
                **options,
            )
        except errors.InvalidTask as error:
            raise InvalidTask(str(error)) from error
        result = delayed(*normalize_json(list(args)), **normalize_json(dict(kwargs)))
        return django_result(result._look(), self.alias, task)

    def get_result(self, result_id: str) -> Any:
        """Return the result of a Task that was enqueued earlier, by any process.

        Raises:
            TaskResultDoesNotExist: There is none, or it has expired.
            InvalidTaskBackend: The settings of this backend can not be used.
        """
        self._serve()
        service = default_app.service
        stored = None
        if service is not None and isinstance(result_id, str):
            stored = service.backend.get(result_id)
        if stored is None:
            raise TaskResultDoesNotExist(
                f"there is no result {result_id!r}: there never was one, or it has expired"
            )
        return django_result(stored, self.alias)

    def _serve(self) -> None:
        """Start autocron, unless the app in INSTALLED_APPS has: once in each process."""
        if self._problems:
            problem = self._problems[0]
            raise InvalidTaskBackend(
                f"{problem.message} ({problem.hint})" if problem.hint else problem.message
            )
        if self.options.get("on_commit"):
            default_app.router = route
        if self._served_by == os.getpid() or default_app.is_active:
            return
        configuration = conf.read()
        if apps.is_installed("autocron.contrib.django") and configuration.start:
            return
        arguments = dict(configuration.arguments)
        if "workers" in self.options:
            arguments["workers"] = self.options["workers"]
        database: Any = self.options.get("database") or configuration.database
        default_app.start(database, **arguments)
        self._served_by = os.getpid()


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _called(task: Any) -> Callable[..., Any]:
    """Return what a worker calls for a Task: its function, with the context if it takes one."""
    function = task.func

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if task.takes_context:
            args = (_context(_name(function)), *args)
        with _Kept():
            value = function(*args, **kwargs)
            return _awaited(value) if inspect.isawaitable(value) else normalize_json(value)

    signature = inspect.signature(function)
    if task.takes_context:
        parameters = list(signature.parameters.values())[1:]
        signature = signature.replace(parameters=parameters)
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


async def _awaited(awaitable: Any) -> Any:
    with _Kept():
        return normalize_json(await awaitable)


def _context(name: str) -> Any:
    current = current_task(None)
    if current is None:
        raise RuntimeError(f"{name} takes the context of a Task, and was called outside of one")
    return TaskContext(task_result=django_result(current._task, _aliases[name]))


# -- signals --------------------------------------------------------------------------------------


def _tell(kind: str, task: StoredTask) -> None:
    """Send Django's signals for what happened to a Task."""
    alias = _aliases.get(task.name)
    if alias is None or django_task(task.name) is None:
        return
    signal = {"enqueued": task_enqueued, "started": task_started}.get(kind, task_finished)
    send = functools.partial(
        signal.send, type(task_backends[alias]), task_result=django_result(task, alias)
    )
    error = _Kept.take(task.id)
    if kind != "failed" or error is None:
        send()
        return
    try:
        raise error
    # Django promises receivers that the exception is the present one; its log shows it.
    except BaseException:
        send()


class _Kept:
    """Keeps what the function of a Task raises until that is told: ``with _Kept():``."""

    latest: Optional[Tuple[str, BaseException]] = None

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: Optional[BaseException], traceback: object) -> None:
        current = current_task(None)
        if current is not None and error is not None:
            _Kept.latest = current.id, error

    @classmethod
    def take(cls, task_id: str) -> Optional[BaseException]:
        """Return what the function of a task has raised in this process, once."""
        if cls.latest is None or cls.latest[0] != task_id:
            return None
        error, cls.latest = cls.latest[1], None
        return error


default_app.hooks.observe(_tell, "enqueued", "started", "succeeded", "failed", "cancelled")
