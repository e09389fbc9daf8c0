"""Finds the tasks of a project: those in the ``tasks.py`` of each installed app."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import List, Tuple

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from autocron.core.errors import AutocronError
from autocron.shell.mode import WORKER_VARIABLE

logger = logging.getLogger("autocron")

MODULE = "tasks"
_COMMANDS = ("manage.py", "django-admin", "django-admin.py", "__main__.py")

# What the system checks tell of: the modules whose tasks autocron refuses, and why.
refused: List[Tuple[str, AutocronError]] = []


def discover() -> None:
    """Import the ``tasks.py`` of each installed app.

    A worker goes on without one that can not be imported, and says so: tasks of others run. Where
    autocron refuses what stands in one, a command of manage.py leaves it to the system checks.
    """
    refused.clear()
    for app in apps.get_app_configs():
        if app.module is None or not module_has_submodule(app.module, MODULE):
            continue
        name = f"{app.name}.{MODULE}"
        try:
            importlib.import_module(name)
        except AutocronError as error:
            if not (is_command() or _is_worker()):
                raise
            refused.append((name, error))
            if _is_worker():
                _say(name)
        except Exception:
            if not _is_worker():
                raise
            _say(name)


def is_command() -> bool:
    """Tell whether this is a command of manage.py, whose system checks tell what is wrong."""
    return os.path.basename(sys.argv[0] if sys.argv else "") in _COMMANDS


def is_looked_at() -> bool:
    """Tell whether this is ``manage.py autocron``, which opens the database itself."""
    return is_command() and sys.argv[1:2] == ["autocron"]


def _say(name: str) -> None:
    logger.exception(
        "a worker could not import %s; tasks that are defined below the error can not run", name
    )


def _is_worker() -> bool:
    return WORKER_VARIABLE in os.environ
