"""The write-ahead log, which grows for as long as somebody reads the same moment of a database.

SQLite writes it into the database and begins it anew, but not while a reader may need what stood
there before: an open transaction in a shell, a copy being made. Nothing is wrong until the disk is
full, so it is said before.
"""

from __future__ import annotations

import logging
import os

logger = logging.getLogger("autocron")

# In the usual course of things it has 4 MB, and a transaction or a rush may make it larger.
LARGE_BYTES = 64 * 1024 * 1024
_MB = 1_000_000


class LargeLog:
    """Says once that the log of a database has become large, and again after it was small.

    Arguments:
        path: The database.
        large_bytes: What is large.
    """

    def __init__(self, path: str, large_bytes: int = LARGE_BYTES) -> None:
        self._path = path
        self._large_bytes = large_bytes
        self._is_large = False

    def look(self) -> None:
        """Look at its size; it is not opened."""
        try:
            size = os.stat(f"{self._path}-wal").st_size
        except OSError:
            size = 0
        was_large, self._is_large = self._is_large, size >= self._large_bytes
        if self._is_large and not was_large:
            logger.warning(
                "%s: its log (-wal) has grown to %.0f MB, since somebody has been reading the same "
                "moment of the database for long, and fills the disk; look for a shell, or a "
                "program, that has left a transaction open, and end it",
                self._path,
                size / _MB,
            )
