"""Whether what PostgreSQL takes is installed; an error that says how to install it, if not."""

from __future__ import annotations

import importlib
import sys
from typing import Callable, Tuple

from autocron.core.errors import StartError

OLDEST_PYTHON = (3, 10)
NEEDED = ("procrastinate", "psycopg")
INSTALL = 'python -m pip install "autocron[postgres]"'


def check_extra(
    version: Tuple[int, int] = sys.version_info[:2],
    find: Callable[[str], object] = importlib.import_module,
) -> None:
    """Make sure that a PostgreSQL database can be used here.

    Arguments:
        version: The version of Python.
        find: Imports a module by name.

    Raises:
        StartError: It can not; the message says what to do.
    """
    if version < OLDEST_PYTHON:
        raise StartError(
            f"PostgreSQL takes Python {_dotted(OLDEST_PYTHON)} or newer, and this is "
            f"{_dotted(version)}; use a newer Python, or a SQLite database"
        )
    for name in NEEDED:
        try:
            find(name)
        except ImportError as error:
            raise StartError(
                f"a PostgreSQL database takes {name}, which can not be imported ({error}): "
                f"{INSTALL}"
            ) from error


def _dotted(version: Tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
