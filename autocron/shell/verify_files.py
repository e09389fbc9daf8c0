"""Whether the files of a database are one user's alone; they are looked at, and never opened."""

from __future__ import annotations

import os
import stat

from autocron.shell.findings import Findings
from autocron.shell.ownership import RunFolder

_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_BESIDE = ("-wal", "-shm", "-journal")


def verify_files(findings: Findings, path: str) -> None:
    """Check owner and mode of a database, of what SQLite keeps beside it, and of its run folder.

    Whoever verifies need not be the owner: root may, for example, verify what a service serves. So
    all has to have one owner, whoever that is.

    Arguments:
        findings: Get what is wrong.
        path: The absolute path of the database, links resolved.
    """
    owner = os.stat(path).st_uid
    folder = os.path.dirname(path)
    mode = os.stat(folder).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        findings.add(
            folder, "everybody may replace files in this folder", f"'chmod o-w {folder}', or move"
        )
    for name in (path, *(path + end for end in _BESIDE)):
        _verify(findings, name, owner, stat.S_IFREG, "a plain file")
    run = RunFolder(path).path
    _verify(findings, run, owner, stat.S_IFDIR, "a folder")
    if os.path.isdir(run) and not os.path.islink(run):
        try:
            names = sorted(os.listdir(run))
        except OSError as error:
            findings.add(run, f"it can not be read ({error.strerror})", "verify as its owner")
            return
        for name in names:
            # Who may connect to a socket is told by its folder.
            if not name.endswith(".sock"):
                _verify(findings, os.path.join(run, name), owner, stat.S_IFREG, "a plain file")


def _verify(findings: Findings, path: str, owner: int, kind: int, kind_in_words: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        findings.add(path, f"it can not be looked at ({error.strerror})", "verify as its owner")
        return
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    if stat.S_IFMT(found.st_mode) != kind:
        findings.add(path, f"it is not {kind_in_words}", "stop the application, and remove it")
    elif found.st_uid != owner:
        findings.add(
            path,
            f"it is owned by user {found.st_uid}, and the database by user {owner}",
            f"'chown {owner} {path}', if you know how it came there",
        )
    elif found.st_mode & _MAY_WRITE:
        findings.add(path, f"other users may write it ({mode})", f"'chmod go-w {path}'")
    elif found.st_mode & stat.S_IROTH:
        findings.add(
            path,
            f"everybody may read it ({mode}), arguments and results among it",
            f"'chmod o= {path}'",
        )
