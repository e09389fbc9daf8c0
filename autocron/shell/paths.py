"""Where a database lives on disk; or, if it is another machine's, where what belongs to it does."""

from __future__ import annotations

import os
from typing import Union

from autocron.core.errors import StartError
from autocron.shell.private import check_folder
from autocron.shell.remote import is_url, local_name

HOME_FOLDER = ".autocron"


def database_path(name: Union[str, os.PathLike[str]], *, make_folder: bool = True) -> str:
    """Tell where the database of a name is.

    A relative name, folders included, lies in ``~/.autocron``; an absolute path is taken as it is,
    and so is one that begins with ``~/``, as in a shell.
    Of a URL this is its local name, see :mod:`autocron.shell.remote`.

    Arguments:
        name: What ``start()`` or the command line was given.
        make_folder: Whether to create missing folders of a relative name, readable by their owner.

    Returns:
        The absolute path, links resolved: one database has one path, whoever opens it.

    Raises:
        StartError: The name can not be a database; the message says why.
    """
    text = name.__fspath__() if isinstance(name, os.PathLike) else name
    if not isinstance(text, str):
        raise StartError(f"database: {name!r} is no file name; expected text such as 'project.db'")
    if is_url(text):
        # It may hold a password: no message but its own has a word of it.
        text = local_name(text)
    if not text.strip() or "\0" in text or text.endswith("/") or text == "~":
        raise StartError(f"database: {text!r} is no file name; expected one such as 'project.db'")
    if text == ":memory:":
        raise StartError(
            "database: workers are other processes and can not see ':memory:'; give a file name, "
            "or in a test use autocron.testing"
        )
    if text.startswith("~") and "/" in text:
        # What a shell makes of it, so that code and command line mean the same file.
        given, text = text, os.path.expanduser(text)
        if text == given:
            raise StartError(
                f"database: {text!r} begins with the home folder of nobody who is known here; give "
                "an absolute path"
            )
    if os.path.isabs(text):
        folder = os.path.dirname(text)
        if not os.path.isdir(folder):
            raise StartError(
                f"database: the folder {folder!r} of {text!r} does not exist; create it, or give a "
                f"relative name to keep the database in ~/{HOME_FOLDER}"
            )
        return os.path.realpath(text)
    home = os.path.expanduser("~")
    if not os.path.isabs(home) or not os.path.isdir(home):
        raise StartError(
            f"database: {text!r} is to lie in the home folder, but {home!r} is none; set HOME or "
            "give an absolute path"
        )
    base = os.path.join(home, HOME_FOLDER)
    path = os.path.normpath(os.path.join(base, text))
    if not path.startswith(base + os.sep):
        raise StartError(f"database: {text!r} leads out of {base!r}; give an absolute path instead")
    if make_folder:
        try:
            _make_private(os.path.dirname(path), base)
        except OSError as error:
            raise StartError(
                f"database: the folder of {path!r} can not be made: {error.strerror}; give an "
                "absolute path in a folder that exists"
            ) from None
    return os.path.realpath(path)


def _make_private(folder: str, base: str) -> None:
    if os.path.isdir(folder):
        check_folder(folder)
        return
    if folder != base:
        _make_private(os.path.dirname(folder), base)
    # Not makedirs: its mode does not hold for the folders in between.
    try:
        os.mkdir(folder, mode=0o700)
    except FileExistsError:
        # Another process made it in this moment, or something else is in the way.
        if not os.path.isdir(folder):
            raise
