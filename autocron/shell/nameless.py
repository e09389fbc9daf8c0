"""Looks for modules with tasks that workers could not import, since their names are not theirs.

A server that loads a file by its path gives the module a name of its own making: uWSGI's
``--wsgi-file`` does, and Apache's mod_wsgi.
"""

from __future__ import annotations

import logging
import sys
from typing import Iterable, Optional

logger = logging.getLogger("autocron")


def warn_of_nameless(names: Iterable[str], main_name: Optional[str]) -> None:
    """Warn of each module that can not be found by its name.

    Arguments:
        names: The modules in which tasks were decorated.
        main_name: That of the main script, which workers import by its file.
    """
    for name in names:
        if name != main_name and not _can_be_found(name.partition(".")[0]):
            logger.warning(
                "tasks live in %r (%s), and no module of that name can be imported by workers: "
                "have the server import it by its real name, or move the tasks to another module",
                name,
                getattr(sys.modules.get(name), "__file__", None) or "no file",
            )


def _can_be_found(name: str) -> bool:
    """Ask all finders, as an import does that does not know the module yet."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is not None and find(name, None) is not None:
            return True
    return False
