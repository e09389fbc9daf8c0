"""The tasks of a module that a command line names, without starting anything."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, List, Tuple

from autocron.core.errors import AutocronError, ScheduleWarning
from autocron.shell.printable import one_line

if TYPE_CHECKING:
    from autocron.testing.scenario import Reader


class Broken(AutocronError):
    """The module can not be imported; the message is one line and says where it stops."""


def read_tasks(name: str, tz: object = None) -> Tuple[Reader, List[str]]:
    """Import a module, as its directory is the present one, and read its tasks.

    In test mode: what the module calls runs nowhere, and its ``autocron.start()`` starts nothing.

    Arguments:
        name: ``MODULE``, or ``MODULE:APP`` for an App of one's own.
        tz: The name of the zone of schedules that name none; None is the App's.

    Returns:
        The tasks, and what looks like a slip in their schedules.

    Raises:
        Broken: The module can not be imported.
        AutocronError: There are no tasks in it, or the zone is not known.
    """
    from autocron.testing.scenario import Reader

    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ScheduleWarning)
        # That start() starts nothing is what was asked for here, and no news.
        logger = logging.getLogger("autocron")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            __import__(name.partition(":")[0])
        except Exception as error:
            raise Broken(f"can not import {name.partition(':')[0]}: {_told(error)}") from error
        except SystemExit as error:
            raise Broken(f"importing {name.partition(':')[0]} ends the process: {error}") from error
        finally:
            logger.setLevel(level)
        reader = Reader(name, tz)  # type: ignore[arg-type]
    slips = [
        f"{os.path.relpath(one.filename)}, line {one.lineno}: {one.message}"
        for one in caught
        if issubclass(one.category, ScheduleWarning)
    ]
    return reader, slips


def _told(error: Exception) -> str:
    """Say in one line what went wrong, and on which line of the application."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((ours, "<frozen"))
    ]
    where = f" ({os.path.relpath(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return one_line(f"{type(error).__name__}: {error}") + where
