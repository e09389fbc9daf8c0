"""Whether a process that only stores calls agrees with those whose workers run them.

Where workers are run apart, the serializer and the zone of schedules are said twice. And a name
must mean the same function to both: two applications that share a database by mistake may well
have a module ``tasks`` each. The rules stand in ``spec/start_spec.py``.
"""

from __future__ import annotations

import os
import sys
from typing import Iterable, Iterator, List, Mapping, Optional

from autocron.core.errors import StartError
from autocron.core.values import frozen
from autocron.registry import main_module, main_module_name
from autocron.shell.application import Application


@frozen
class Attached:
    """What a process that attaches has been told, and has imported.

    Attributes:
        serializer: As ``start()`` was given it.
        tz: The zone of its schedules that name none.
        files: The modules of its tasks by name, with their files.
    """

    serializer: str
    tz: str
    files: Mapping[str, str]


def files_of(modules: Iterable[str]) -> Mapping[str, str]:
    """Return the files of modules by name; those that have none are left out."""
    found = {}
    for name in modules:
        module = main_module() if name == main_module_name() else sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            found[name] = os.path.abspath(file)
    return found


def check_agreement(
    database: str, attached: Attached, served: Application, default_tz: str
) -> List[str]:
    """Check a process that attaches against the application that is being served.

    Arguments:
        database: The path of the database.
        attached: The process.
        served: The application.
        default_tz: The zone that both have if nobody says one.

    Returns:
        What is worth a warning.

    Raises:
        StartError: The workers could not run what is called here, or would run something else.
    """
    _check_names(database, attached, served)
    if not served.is_apart:
        # It will say itself what workers are to take, as soon as its new processes start.
        return []
    if (attached.serializer, served.serializer) == ("pickle", "json"):
        raise StartError(
            f"serializer: 'pickle' makes texts that the workers of {database!r} can not load, "
            "since they were started with 'json': start them with autocron … --run … --serializer "
            "pickle, which loads both"
        )
    return [*_differences(attached, served, default_tz)]


def _check_names(database: str, attached: Attached, served: Application) -> None:
    for name, file in attached.files.items():
        other = _found_on(served.sys_path, name)
        if other is not None and os.path.realpath(other) != os.path.realpath(file):
            raise StartError(
                f"{database!r} is in use by another application, in {served.root!r}, whose workers "
                f"take the module {name} from {other!r}, and not from {file!r}, as it is here: "
                "give each application its own database"
            )


def _differences(attached: Attached, served: Application, default_tz: str) -> Iterator[str]:
    if attached.serializer != served.serializer:
        yield (
            f"start() has serializer={attached.serializer!r} here, and the workers have "
            f"{served.serializer!r}: they run what is called here, but their results can not be "
            "read here; say the same in start() and after --run"
        )
    tz = served.tz or default_tz
    if attached.tz != tz:
        yield (
            f"start() has tz={attached.tz!r} here, and the workers have {tz!r}, which is what "
            f"schedules without a zone follow; say the same in start() and after --run, "
            f"as in --tz {attached.tz}"
        )


def _found_on(path: Iterable[str], name: str) -> Optional[str]:
    """Return the file that a module of this name is imported from; None if none is found."""
    top, *inner = name.split(".")
    for entry in path:
        for found in (os.path.join(entry, top, "__init__.py"), os.path.join(entry, f"{top}.py")):
            if os.path.isfile(found):
                if not inner:
                    return found
                below = os.path.join(os.path.dirname(found), *inner)
                files = (os.path.join(below, "__init__.py"), f"{below}.py")
                return next(filter(os.path.isfile, files), None)
    return None
