"""What keeps a process from its database, said once, and not at each of its tries."""

from __future__ import annotations

import logging
from typing import Set

logger = logging.getLogger("autocron")

# A trouble with more faces than this has been described.
_MOST = 10


class Trouble:
    """The trouble that a process has with its database, from the first error to the next success.

    Arguments:
        path: The database.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._told: Set[str] = set()

    def tell(self, error: Exception) -> None:
        """Log an error that was not logged since this trouble began."""
        text = str(error)
        if text in self._told or len(self._told) >= _MOST:
            return
        more = "" if self._told else "; it is tried again until it can be done"
        self._told.add(text)
        logger.error("%s: %s%s", self._path, text, more)

    def is_over(self) -> None:
        """Say, if there was trouble, that it is over."""
        if self._told:
            self._told.clear()
            logger.warning("%s: work goes on", self._path)
