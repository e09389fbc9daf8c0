"""What ``start()`` comes to in a process: workers, calls that are only stored, or calls in place.

It is decided once, by what the process can be seen to be: its command line, its environment, and
what it has imported. ``AUTOCRON_START`` has the last word where that sees it wrong. The rules stand
in ``spec/start_spec.py``.
"""

from __future__ import annotations

import enum
import os
from typing import Container, Mapping, NamedTuple, Optional, Sequence, Tuple

from autocron.core.errors import StartError
from autocron.core.values import frozen
from autocron.core.workforce import Workers

# Set in every worker to the path of its database, so that children of tasks know where they are.
WORKER_VARIABLE = "AUTOCRON_WORKER"
# Says whether a process may have workers started, whatever it looks like.
START_VARIABLE = "AUTOCRON_START"

# The plugin that pytest loads, in each of its processes; an application does not.
_PYTEST_PLUGIN = "autocron_pytest"
_TEST_RUNNERS = ("pytest", "py.test", "unittest")
_DJANGO_TOOLS = ("manage", "django-admin", "django")
# testserver has no reloader.
_DJANGO_SERVERS = ("runserver", "runserver_plus", "testserver")
_DJANGO_RELOADERS = ("runserver", "runserver_plus")
# What takes a value, before the command: the value is not the command.
_DJANGO_VALUES = ("--settings", "--pythonpath")
_FLASK_VALUES = ("-A", "--app", "-e", "--env-file")
# What imports an application only to look at it.
_LOOKERS = (
    "alembic",
    "sphinx-build",
    "sphinx",
    "pshell",
    "proutes",
    "pviews",
    "ptweens",
    "prequest",
)


class Mode(enum.Enum):
    """What becomes of the calls of a process."""

    SERVE = "serve"
    ATTACH = "attach"
    IN_PLACE = "in place"


class Decision(NamedTuple):
    """A mode, and why, in words that follow "since"."""

    mode: Mode
    reason: str


@frozen
class Process:
    """A process as far as its mode is concerned.

    Attributes:
        argv: Its command line, as ``sys.argv``.
        environ: Its environment.
        modules: What it has imported, by name.
    """

    argv: Sequence[str]
    environ: Mapping[str, str]
    modules: Container[str]


def decide(database: str, workers: Optional[Workers], process: Process) -> Decision:
    """Decide what ``start()`` comes to.

    Arguments:
        database: The path of the database.
        workers: What ``start(workers=…)`` was given.
        process: The process that calls it.

    Returns:
        The mode, and why.

    Raises:
        StartError: AUTOCRON_START is neither 0 nor 1.
    """
    asked = process.environ.get(START_VARIABLE, "").strip()
    if asked not in ("", "0", "1"):
        raise StartError(
            f"{START_VARIABLE}: {asked!r} is not one of 0, 1; 0 keeps start() from starting "
            "workers, 1 has it start them, and without it start() looks what this process is"
        )
    # The environment of an application is that of its tasks and their children, too; and who says
    # workers=0 has none to start. So these come first.
    if process.environ.get(WORKER_VARIABLE) == database:
        return Decision(Mode.ATTACH, "this process was started by a task")
    if workers == 0:
        return Decision(Mode.ATTACH, "start() was called with workers=0")
    if asked:
        mode = Mode.SERVE if asked == "1" else Mode.ATTACH
        return Decision(mode, f"{START_VARIABLE} is {asked}")
    tool = _tool(process.argv)
    if tool in _TEST_RUNNERS or _PYTEST_PLUGIN in process.modules:
        return Decision(Mode.IN_PLACE, f"this is a test run ({_of_tests(tool)})")
    if tool in _LOOKERS or (tool == "gunicorn" and "--check-config" in process.argv):
        return Decision(Mode.ATTACH, f"'{tool}' only looks at the application")
    if tool in _DJANGO_TOOLS:
        return _of_django(process)
    if tool == "flask":
        return _of_flask(process)
    return Decision(Mode.SERVE, "this process looks like one of an application")


def _tool(argv: Sequence[str]) -> str:
    """Return the name of the program that runs; of ``python -m NAME`` it is the NAME."""
    path = argv[0] if argv else ""
    # So unittest names itself.
    if path.endswith(" -m unittest"):
        return "unittest"
    folder, name = os.path.split(path)
    if name == "__main__.py":
        name = os.path.basename(folder)
    return name[:-3] if name.endswith(".py") else name


def _of_tests(tool: str) -> str:
    return tool if tool in _TEST_RUNNERS else "pytest"


def _of_django(process: Process) -> Decision:
    command = _command(process.argv, _DJANGO_VALUES) or "help"
    named = f"'{os.path.basename(process.argv[0])} {command}'"
    if command == "test":
        return Decision(Mode.IN_PLACE, f"this is a test run ({named})")
    if command not in _DJANGO_SERVERS:
        return Decision(Mode.ATTACH, f"{named} is no server")
    has_reloader = command in _DJANGO_RELOADERS and "--noreload" not in process.argv
    return _of_server(named, has_reloader, process)


def _of_flask(process: Process) -> Decision:
    command = _command(process.argv, _FLASK_VALUES) or "help"
    named = f"'flask {command}'"
    if command != "run":
        return Decision(Mode.ATTACH, f"{named} is no server")
    return _of_server(named, _has_flask_reloader(process), process)


def _has_flask_reloader(process: Process) -> bool:
    """Tell whether ``flask run`` has a reloader: as it is told to, else in debug mode."""
    told = [word for word in process.argv if word in ("--reload", "--no-reload")]
    if told:
        return told[-1] == "--reload"
    debug = [word for word in process.argv if word in ("--debug", "--no-debug")]
    if debug:
        return debug[-1] == "--debug"
    return process.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no")


def _of_server(named: str, has_reloader: bool, process: Process) -> Decision:
    # Django's reloader and Werkzeug's mark the process that they start.
    is_reloaded = "true" in (
        process.environ.get("RUN_MAIN"),
        process.environ.get("WERKZEUG_RUN_MAIN"),
    )
    if has_reloader and not is_reloaded:
        return Decision(
            Mode.ATTACH, f"this process of {named} only watches for changes, and starts the server"
        )
    return Decision(Mode.SERVE, f"{named} is a server")


def _command(argv: Sequence[str], with_value: Tuple[str, ...]) -> Optional[str]:
    """Return the first word that is neither an option nor the value of one."""
    words = iter(argv[1:])
    for word in words:
        if word in with_value:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None
