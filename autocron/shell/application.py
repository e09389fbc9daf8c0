"""Which application a database serves: what a worker must know to find its task functions."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, List, Mapping, Optional, Tuple

from autocron.core.values import changed, fields_of, frozen
from autocron.core.workforce import Workers
from autocron.registry import main_module, main_module_name

# What may change under workers that go on.
_TERMS: Mapping[str, Any] = dict.fromkeys(
    ("workers", "max_tasks_per_worker", "max_memory_mb", "stop_grace")
)
# What all processes of an application should say alike, since its workers have it from the latest.
_SAID = ("serializer", "durability", "tz", *_TERMS)


@frozen
class Application:
    """An application as its workers need it.

    Attributes:
        root: The folder from which its code is imported; what tells two applications apart.
        directory: Its working directory.
        sys_path: Its import path.
        executable: The Python interpreter.
        main_name: The module name under which tasks of its main script are known; None if no task
            lives there.
        main_file: The path of that script.
        django: Its DJANGO_SETTINGS_MODULE if Django is configured, else None.
        serializer: ``"json"`` or ``"pickle"``.
        durability: ``"full"`` or ``"normal"``.
        tz: The name of its default time zone; None is Django's, or the system's.
        is_apart: Whether its workers are run apart from it.
        app: ``MODULE:APP`` if its tasks are those of an App of its own; None is the default one.
        workers: What ``start(workers=…)`` asked for, in the form of
            :mod:`autocron.core.workforce`; None leaves it to the settings, as for what follows.
        max_tasks_per_worker: As ``start()`` was given it, like what follows.
        max_memory_mb: When a worker is replaced for the memory it takes.
        stop_grace: How long workers have to leave.
    """

    root: str
    directory: str
    sys_path: Tuple[str, ...]
    executable: str
    main_name: Optional[str] = None
    main_file: Optional[str] = None
    django: Optional[str] = None
    serializer: str = "json"
    durability: str = "full"
    tz: Optional[str] = None
    is_apart: bool = False
    app: Optional[str] = None
    workers: Optional[Workers] = None
    max_tasks_per_worker: Optional[int] = None
    max_memory_mb: Optional[float] = None
    stop_grace: Optional[float] = None

    def entries(self) -> Dict[str, Any]:
        """Return the application as what JSON can hold."""
        return dict(vars(self))

    def to_json(self) -> str:
        """Return the application as JSON text."""
        return json.dumps(self.entries())

    @classmethod
    def from_json(cls, text: str) -> Application:
        """Return the application of a JSON text; unknown entries are left out."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Application:
        """Return the application of such entries; unknown ones are left out."""
        entries = {name: found[name] for name in fields_of(cls) if name in found}
        entries["sys_path"] = tuple(entries["sys_path"])
        return cls(**entries)

    def is_same_as(self, other: Application) -> bool:
        """Tell whether two processes are of one application: one can import the other's code."""
        return self.root == other.root or self.root in other.sys_path or other.root in self.sys_path

    def runs_like(self, other: Application) -> bool:
        """Tell whether workers started for one can go on for the other."""
        return changed(self, **_TERMS) == changed(other, **_TERMS)


def differences(application: Application, served: Application) -> List[str]:
    """Tell what one more process says otherwise than those before it, which still live.

    It is the latest, so its word counts: it may be newer code. And it may be a script that only
    wants to call something.
    """
    return [
        f"start() has {name}={getattr(application, name)!r} here, and "
        f"{getattr(served, name)!r} in a process of this application that is served already; from "
        "now on its workers have what is said here. Say the same in all of them, or workers=0 "
        "where calls are only to be stored"
        for name in _SAID
        if getattr(application, name) != getattr(served, name)
    ]


def describe(
    caller: Mapping[str, Any],
    task_modules: List[str],
    *,
    serializer: str,
    durability: str,
    tz: str,
    workers: Optional[Workers],
    terms: Mapping[str, Any],
) -> Application:
    """Describe the application of this process.

    Arguments:
        caller: The global names of the module that called ``start()``.
        task_modules: The names of the modules in which tasks were decorated.
        serializer: As ``start()`` was given it, like what follows.
        durability: How calls are synced.
        tz: The name of the default time zone.
        workers: How many workers; None leaves it to the settings.
        terms: The other arguments of ``start()`` that are about workers.

    Returns:
        The application.
    """
    from autocron.shell.launch import python_executable

    main = main_module()
    main_name = main_module_name()
    in_main = main_name in task_modules and getattr(main, "__file__", None) is not None
    return Application(
        root=_root(caller),
        directory=os.getcwd(),
        sys_path=tuple(os.path.abspath(entry) for entry in sys.path),
        executable=python_executable(),
        main_name=main_name if in_main else None,
        main_file=os.path.abspath(str(main.__file__)) if in_main else None,
        django=_django_module(),
        serializer=serializer,
        durability=durability,
        tz=tz,
        workers=workers,
        **terms,
    )


def apart(
    *, app: Optional[str], workers: Optional[Workers], tz: Optional[str], serializer: str
) -> Application:
    """Describe an application whose workers are run apart from it, from the present directory.

    Arguments:
        app: ``MODULE:APP`` of an App of its own; None is the default one.
        workers: How many workers; None leaves it to the settings.
        tz: The name of the default time zone; None is Django's, or the system's.
        serializer: ``"json"`` or ``"pickle"``.

    Returns:
        The application.
    """
    from autocron.shell.launch import python_executable

    here = os.getcwd()
    # As with `python -m`: the modules lie here, and not beside the script of the command.
    path = [here, *(os.path.abspath(entry) for entry in sys.path)]
    return Application(
        root=here,
        directory=here,
        sys_path=tuple(dict.fromkeys(path)),
        executable=python_executable(),
        django=_django_module() or os.environ.get("DJANGO_SETTINGS_MODULE"),
        serializer=serializer,
        tz=tz,
        is_apart=True,
        app=app,
        workers=workers,
    )


def _root(caller: Mapping[str, Any]) -> str:
    """Return the folder from which the calling module can be imported."""
    if (caller.get("__package__") or "").startswith("autocron.contrib"):
        # An integration calls for the project, whose settings are in the project's folder.
        settings = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
        caller = {} if settings is None else vars(settings)
    file = caller.get("__file__")
    if not file:
        return os.getcwd()
    folder: str = os.path.dirname(os.path.abspath(file))
    package = caller.get("__package__") or ""
    for _ in package.split(".") if package else ():
        folder = os.path.dirname(folder)
    return folder


def django_settings() -> Optional[Any]:
    """Return the settings of Django if it is configured, not merely installed."""
    conf = sys.modules.get("django.conf")
    return conf.settings if conf is not None and conf.settings.configured else None


def _django_module() -> Optional[str]:
    return None if django_settings() is None else os.environ.get("DJANGO_SETTINGS_MODULE")
