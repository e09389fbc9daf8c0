"""Hooks: functions of the application that are told what happens to its tasks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar

from autocron.core.errors import AutocronError, InvalidTask
from autocron.core.values import frozen

if TYPE_CHECKING:
    from autocron.core.task import Task
    from autocron.ports import Observer

KINDS = ("enqueued", "started", "succeeded", "failed", "retried", "lost", "cancelled")


@frozen
class TaskEvent:
    """What happened to a task.

    Attributes:
        kind: What: ``enqueued``, ``started``, ``succeeded``, ``failed`` (for good), ``retried`` (it
            failed, and is tried again at ``run_at``), ``lost`` (its worker died; it runs again) or
            ``cancelled`` (also: discarded, or expired).
        task_id: The id of the task.
        name: The name of the task function, ``"module:qualname"``.
        args: Its positional arguments; none if they can not be loaded, of which a warning tells.
        kwargs: Its keyword arguments; likewise.
        queue: Its queue.
        attempt: How often it has been begun.
        enqueued_at: When it was called, or fired.
        run_at: When it was, or is, to run.
        started_at: When the latest attempt began.
        finished_at: When it ended.
        error_message: ``"ValueError: text"``, or why it was cancelled; else ``""``.
        traceback: The traceback of the failure; else ``""``.
    """

    kind: str
    task_id: str
    name: str
    args: Tuple[Any, ...]
    kwargs: Mapping[str, Any]
    queue: str
    attempt: int
    enqueued_at: datetime
    run_at: datetime
    started_at: Optional[datetime]
    finished_at: Optional[datetime]
    error_message: str
    traceback: str


Hook = Callable[[TaskEvent], Any]
H = TypeVar("H", bound=Hook)


class Hooks:
    """The hooks of an application.

    Arguments:
        codec: Returns the codec of arguments.
    """

    def __init__(self, codec: Callable[[], Any]) -> None:
        self._codec = codec
        self._hooks: Dict[str, List[Hook]] = {}
        self._observers: Dict[str, List[Observer]] = {}
        #: What there are hooks for; another list after each change.
        self.kinds: List[str] = []

    def on(self, *kinds: str) -> Callable[[H], H]:
        """Return a decorator that makes a function a hook; see ``autocron.on``."""
        for kind in kinds:
            if kind not in KINDS:
                raise InvalidTask(f"{kind!r} is nothing that happens to a task: {', '.join(KINDS)}")
        if not kinds:
            raise InvalidTask(f"on() is told what for: {', '.join(KINDS)}")

        def decorate(hook: H) -> H:
            for kind in kinds:
                known = self._hooks.setdefault(kind, [])
                # A module that is imported again, as by a reloader in the same process.
                known[:] = [one for one in known if not _is_same(one, hook)] + [hook]
            self._list_kinds()
            return hook

        return decorate

    def observe(self, observer: Observer, *kinds: str) -> None:
        """Have an integration told of the tasks themselves, before the hooks are.

        Arguments:
            observer: What is told; an error of it is logged, and harms nothing.
            *kinds: What to hear of; see :meth:`on`.
        """
        for kind in kinds:
            self._observers.setdefault(kind, []).append(observer)
        self._list_kinds()

    def remove(self, hook: Hook) -> None:
        """Take a hook out again."""
        for kind, known in self._hooks.items():
            self._hooks[kind] = [one for one in known if one is not hook]
        self._list_kinds()

    def _list_kinds(self) -> None:
        self.kinds = sorted(kind for kind in KINDS if self.listens_to(kind))

    def listens_to(self, kind: str) -> bool:
        """Tell whether there is a hook for something that happens."""
        return bool(self._hooks.get(kind) or self._observers.get(kind))

    def __call__(self, kind: str, task: Task) -> None:
        """Tell the hooks what happened to a task; see :class:`autocron.ports.Observer`."""
        for observer in self._observers.get(kind, ()):
            _tell(observer, kind, kind, task)
        hooks = self._hooks.get(kind)
        if not hooks:
            return
        event = self._event(kind, task)
        for hook in list(hooks):
            _tell(hook, kind, event)

    def _event(self, kind: str, task: Task) -> TaskEvent:
        args, kwargs = self._call(task)
        is_told = kind in ("failed", "retried", "cancelled") and task.failure is not None
        return TaskEvent(
            kind=kind,
            task_id=task.id,
            name=task.name,
            args=args,
            kwargs=kwargs,
            queue=task.queue,
            attempt=task.attempt,
            enqueued_at=task.enqueued_at,
            run_at=task.run_at,
            started_at=task.started_at,
            finished_at=task.finished_at,
            error_message=task.failure.error_message if is_told and task.failure else "",
            traceback=task.failure.traceback if is_told and task.failure else "",
        )

    def _call(self, task: Task) -> Tuple[Tuple[Any, ...], Mapping[str, Any]]:
        from autocron.core.given import call_of  # only where there are hooks, as logging below

        try:
            return call_of(task, self._codec())
        # Of its end, which that will be, the hooks are to hear all the more.
        except AutocronError as error:
            import logging

            logging.getLogger("autocron").warning(
                "hooks are told of task %s (%s) without its arguments: %s",
                task.id,
                task.name,
                error,
            )
            return (), {}


def _tell(hook: Callable[..., Any], kind: str, *what: object) -> None:
    try:
        hook(*what)
    except KeyboardInterrupt:
        raise
    # A hook never harms the task, whatever it does.
    except BaseException:
        import logging

        logging.getLogger("autocron").exception("the hook %r for %r failed", _name(hook), kind)


def _name(hook: Hook) -> str:
    module, qualname = getattr(hook, "__module__", "?"), getattr(hook, "__qualname__", repr(hook))
    return f"{module}:{qualname}"


def _is_same(first: Hook, second: Hook) -> bool:
    return first is second or ("<locals>" not in _name(first) and _name(first) == _name(second))
