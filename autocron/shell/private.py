"""Whether files are this user's alone: who can write them decides what runs, and with what.

Whoever can write a database can have decorated functions called; whoever can write its run folder
can say which code workers import. So both are refused if anybody else could.
"""

from __future__ import annotations

import os
import stat

from autocron.core.errors import StartError

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check_database(path: str) -> None:
    """Refuse a database that somebody else owns, may write, or may replace.

    Arguments:
        path: Its absolute path, links resolved; it need not exist.

    Raises:
        StartError: The message says what is wrong and how to put it right.
    """
    folder = os.path.dirname(path)
    mode = os.stat(folder).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise StartError(
            f"database: everybody may replace files in {folder!r}, so that {path!r} is not safe "
            f"there; 'chmod o-w {folder}', or use a folder of your own"
        )
    for name in (path, f"{path}-wal", f"{path}-shm", f"{path}-journal"):
        # What is no file at all, SQLite refuses with a better message.
        if not os.path.isdir(name):
            _check(name, stat.S_IFREG, "a plain file")


def check_folder(path: str) -> None:
    """Refuse a folder that somebody else owns, or may write; arguments and errors as above."""
    _check(path, stat.S_IFDIR, "a folder")


def _check(path: str, kind: int, kind_in_words: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_IFMT(found.st_mode) != kind:
        raise StartError(f"database: {path!r} is not {kind_in_words}; remove it, or use another")
    if found.st_uid != os.geteuid():
        raise StartError(
            f"database: {path!r} is owned by user {found.st_uid}, and this process runs as user "
            f"{os.geteuid()}: who owns it could have this user's code called; run as its owner, or "
            "use a database of this user"
        )
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise StartError(
            f"database: other users may write {path!r} (mode {stat.S_IMODE(found.st_mode):04o}), "
            f"and could have this user's code called; 'chmod go-w {path}'"
        )
