"""The seam at which processes are cut: every function of the modules that make their steps.

Nothing of autocron knows of it. In a process that is to be cut, whatever one of these modules
defines is wrapped as soon as the module has been executed, before anybody else imports it.
"""

from __future__ import annotations

import functools
import inspect
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Any, Callable, List, Optional

BEFORE, AFTER = "before", "after"
# When, and which function.
Look = Callable[[str, str], None]

# Of the engine these; and of the shell all but those that stand apart.
ENGINE = {"calls", "engine", "firing", "followers", "housekeeping", "operations", "stint"}
# Modules of the shell that make no step of a process, and why.
APART = {
    "shell.admin": "the command line",
    "shell.agreement": "only warns, where workers run apart",
    "shell.backup": "the command line",
    "shell.chance": "draws numbers",
    "shell.clock": "reads the time",
    "shell.connections": "its statements are cut",
    "shell.database": "its statements are cut",
    "shell.deleting": "the command line",
    "shell.findings": "the command line",
    "shell.foreground": "the command line: the same supervisor, told of",
    "shell.interrupt": "looks at the stack; what it ends is an attempt, which is cut",
    "shell.large_log": "only warns",
    "shell.listing": "the command line",
    "shell.log_records": "names records of the log",
    "shell.main_script": "reads a file",
    "shell.mode": "decides, and changes nothing",
    "shell.nameless": "only warns",
    "shell.operating": "the command line; its writes are cut",
    "shell.overview": "the command line",
    "shell.paths": "names of files",
    "shell.place": "removes the log of a file that has lost its name, which nobody can use",
    "shell.printable": "texts",
    "shell.queries": "texts",
    "shell.rows": "values",
    "shell.schema": "its statements are cut",
    "shell.sqlite": "its statements are cut",
    "shell.statistics": "the command line",
    "shell.steered": "looks at the stack; drives an attempt, which is cut",
    "shell.terms": "values",
    "shell.trouble": "only warns",
    "shell.verify": "the command line; only reads",
    "shell.verify_files": "the command line; only reads",
    "shell.verify_rows": "the command line; only reads",
    "shell.verify_schema": "the command line; only reads",
}


def makes_steps(module: str) -> bool:
    """Tell whether what a module of the package defines is a step of a process."""
    return module in ENGINE or (module.startswith("shell.") and module not in APART)


def watch(look: Look) -> None:
    """Have the modules that are imported from now on tell of their steps.

    Arguments:
        look: Is called before each call of a function, and when it has returned.
    """
    sys.meta_path.insert(0, _Finder(look))  # type: ignore[arg-type]


class _Finder:
    def __init__(self, look: Look) -> None:
        self._look = look

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        package, _, inner = name.partition(".")
        if package != "autocron" or not makes_steps(inner):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            _wrap(module, inner, self._look)

        spec.loader.exec_module = execute_and_wrap  # type: ignore[method-assign]
        return spec


def functions(module: ModuleType) -> List[Any]:
    """Return what is wrapped of a module: where it stands, its name, and the function."""
    found = []
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, type):
            for inner, function in list(vars(value).items()):
                is_plain = isinstance(function, FunctionType) and not inner.startswith("__")
                # What is generated is passed later; a protocol does nothing.
                if is_plain and not inspect.isgeneratorfunction(inspect.unwrap(function)):
                    found.append((value, inner, function))
        elif isinstance(value, FunctionType) and not inspect.isgeneratorfunction(value):
            found.append((module, name, value))
    return found


def _wrap(module: ModuleType, inner: str, look: Look) -> None:
    for place, name, function in functions(module):
        label = f"{inner}.{function.__qualname__}"
        setattr(place, name, _wrapped(function, label, look))


def _wrapped(function: Callable[..., Any], label: str, look: Look) -> Callable[..., Any]:
    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        look(BEFORE, label)
        result = function(*args, **kwargs)
        look(AFTER, label)
        return result

    return step
