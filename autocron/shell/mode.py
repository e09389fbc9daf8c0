"""Whether a process has its tasks served or only stores calls: decided once, and said."""

from __future__ import annotations

import os
from typing import Mapping, Optional, Sequence, Tuple

from autocron.core.workforce import Workers

# Set in every worker to the path of its database, so that children of tasks know where they are.
WORKER_VARIABLE = "AUTOCRON_WORKER"

_DJANGO_TOOLS = ("manage.py", "django-admin", "django-admin.py")
_DJANGO_SERVERS = ("runserver", "runserver_plus", "testserver")


def why_attach(
    database: str, workers: Optional[Workers], environ: Mapping[str, str], argv: Sequence[str]
) -> Optional[str]:
    """Tell why a process only attaches: its calls are stored, but it starts no workers.

    Arguments:
        database: The path of the database.
        workers: What ``start(workers=…)`` was given.
        environ: The environment of the process.
        argv: Its command line.

    Returns:
        The reason, or None if it serves.
    """
    if environ.get(WORKER_VARIABLE) == database:
        return "this process is the child of a task"
    if workers == 0:
        return "workers=0"
    command, is_server = _django_command(argv)
    if command is not None and not is_server:
        return f"'{command}' is no server"
    if command is not None and "--noreload" not in argv and environ.get("RUN_MAIN") != "true":
        return "this is the parent of the reloader"
    return None


def _django_command(argv: Sequence[str]) -> Tuple[Optional[str], bool]:
    tool = os.path.basename(argv[0]) if argv else ""
    if tool not in _DJANGO_TOOLS:
        return None, False
    command = next((word for word in argv[1:] if not word.startswith("-")), "help")
    return f"{tool} {command}", command in _DJANGO_SERVERS
