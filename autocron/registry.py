"""Task functions: how a decorated function is named, and whether a worker could find it."""

from __future__ import annotations

import os
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from autocron.core.errors import InvalidTask
from autocron.core.task import MAX_NAME_LENGTH

if TYPE_CHECKING:
    import inspect

# The second is the name under which a process that multiprocessing spawns imports it.
_MAINS = ("__main__", "__mp_main__")
# inspect.CO_GENERATOR and CO_ASYNC_GENERATOR; who only decorates does without that module.
_GENERATOR = 0x20 | 0x200


class TaskFunction:
    """A decorated function.

    Arguments:
        name: ``"module:qualname"``; under this name its tasks are stored.
        function: The plain function.
        unreachable: Why no worker could find it; None if one can.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], unreachable: Optional[str] = None
    ) -> None:
        self.name = name
        self.function = function
        self.unreachable = unreachable
        #: The names of the positional parameters, in order.
        self.parameters, self._enough = _shape(function)
        self._signature: Optional[inspect.Signature] = None

    @property
    def signature(self) -> inspect.Signature:
        """Its signature."""
        if self._signature is None:
            self._signature = _signature(self.function)
        return self._signature

    @property
    def module(self) -> str:
        """The name of the module in which it was decorated."""
        return self.name.partition(":")[0]

    def check_call(self, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> None:
        """Check that the function can be called like this.

        Raises:
            TypeError: The arguments do not fit the signature; the same error as a plain call.
        """
        enough = self._enough
        if not kwargs and enough is not None and enough <= len(args) <= len(self.parameters):
            return  # Almost always; binding them takes longer than all else that a call does here.
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.function.__name__}() {error}") from None


def _shape(function: Callable[..., Any]) -> Tuple[Tuple[str, ...], Optional[int]]:
    """Return the names of the positional parameters, and how many arguments are enough for a call.

    The latter are positional ones, for a call without others; None if none are enough. Mostly the
    code tells that, and :mod:`inspect` need not be imported by who only decorates.
    """
    if not (hasattr(function, "__wrapped__") or hasattr(function, "__signature__")):
        code, defaults = function.__code__, function.__defaults__ or ()
        positional = code.co_argcount
        named = code.co_varnames[positional : positional + code.co_kwonlyargcount]
        is_enough = set(named) <= set(function.__kwdefaults__ or ())
        return code.co_varnames[:positional], positional - len(defaults) if is_enough else None
    found = _signature(function).parameters.values()
    needed = [one for one in found if one.default is one.empty and not _is_variable(one)]
    is_enough = all(_is_positional(one) for one in needed)
    names = tuple(one.name for one in found if _is_positional(one))
    return names, len(needed) if is_enough else None


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    import inspect

    return inspect.signature(function)


def _is_positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


def _is_variable(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def main_module() -> ModuleType:
    """Return the main module, also while a process that multiprocessing spawns imports it."""
    main = sys.modules["__main__"]
    spawned = sys.modules.get("__mp_main__")
    if spawned is None or getattr(main, "__file__", None) is not None:
        return main
    return spawned


def main_module_name() -> str:
    """Return the name under which the functions of ``__main__`` are known to workers.

    ``python -m package.module`` has its name; a script is known by its file's, so that its tasks
    have the same names however it is started.
    """
    main = main_module()
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name)
    return os.path.splitext(os.path.basename(getattr(main, "__file__", None) or "__main__"))[0]


def task_function(function: Any, decorator: str) -> TaskFunction:
    """Make a task function of a plain one.

    Arguments:
        function: What was decorated.
        decorator: The decorator's name, for messages.

    Returns:
        The task function.

    Raises:
        InvalidTask: It is no function, or one that no worker could ever find.
    """
    if not isinstance(function, FunctionType):
        raise InvalidTask(
            f"@{decorator} takes a function, and was given {function!r}"
            + _class_hint(function, decorator)
        )
    module, qualname = function.__module__, function.__qualname__
    if function.__name__ == "<lambda>":
        raise InvalidTask(
            f"@{decorator} can not take a lambda (in module {module}): a worker finds a task by "
            "its name, and a lambda has none; write it as a function with def"
        )
    if function.__code__.co_flags & _GENERATOR:
        raise InvalidTask(
            f"@{decorator} can not take the generator function {qualname} (in module {module}): a "
            "call of it runs nothing of its body, and what it returns can not be stored; make it a "
            "plain function that does the work, and returns a list if there is something to return"
        )
    is_in_class = "." in qualname.rpartition("<locals>.")[2]
    first = next(iter(_signature(function).parameters), None) if is_in_class else None
    if first in ("self", "cls"):
        raise InvalidTask(
            f"@{decorator} can not take the method {qualname} (in module {module}): its {first!r} "
            "can not be stored; decorate a function that is given what it needs, and call it from "
            "the method"
        )
    shown = main_module_name() if module in _MAINS else module
    name = f"{shown}:{qualname}"
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidTask(
            f"the task name {name!r} has {len(name)} characters; at most {MAX_NAME_LENGTH} can be "
            "stored: give the function or its module a shorter name"
        )
    return TaskFunction(name, function, _unreachable(module, qualname))


def name_of_task(what: str, given: Any, or_else: str = "") -> str:
    """Return the name of a task function that was given to something of ours.

    Arguments:
        what: To what it was given, for messages.
        given: The function, plain.
        or_else: What else might have been given, for messages.

    Raises:
        InvalidTask: It can be no task function.
    """
    try:
        return task_function(given, "delay").name
    except InvalidTask:
        raise InvalidTask(
            f"{what}: {given!r} is no task function; expected a function that is decorated with "
            f"@delay or @cron{or_else}"
        ) from None


def _class_hint(function: Any, decorator: str) -> str:
    if isinstance(function, (staticmethod, classmethod)):
        kind = type(function).__name__
        return f": put @{decorator} below @{kind}" if kind == "staticmethod" else ""
    return ""


def _unreachable(module: str, qualname: str) -> Optional[str]:
    if "<locals>" in qualname:
        return (
            f"{qualname} in module {module} is defined inside a function, where no worker can find "
            "it; move it to the top level of its module"
        )
    file = getattr(main_module(), "__file__", None)
    # A script that comes from standard input is called <stdin>.
    if module in _MAINS and (file is None or file.startswith("<")):
        return (
            f"{qualname} was defined at a prompt, where no worker can find it; move it to a module "
            "and import it from there"
        )
    return None


class Registry:
    """The task functions of an application, by name."""

    def __init__(self) -> None:
        self._functions: Dict[str, TaskFunction] = {}

    def add(self, function: TaskFunction) -> None:
        """Add a task function; the latest of a name counts, as with a plain ``def``."""
        self._functions[function.name] = function

    def remove(self, name: str) -> None:
        """Take a task function out again."""
        self._functions.pop(name, None)

    def get(self, name: str) -> Optional[TaskFunction]:
        """Return the task function of a name, or None."""
        return self._functions.get(name)

    def all(self) -> List[TaskFunction]:
        """Return all task functions, in the order of their first decoration."""
        return list(self._functions.values())

    def modules(self) -> List[str]:
        """Return the names of the modules with task functions that a worker can find."""
        return sorted({f.module for f in self._functions.values() if f.unreachable is None})
