"""Is this interpreter as any other, so that a fork of it would be, too?"""

from __future__ import annotations

import os
import sys

# Type checkers take this for true. Not from typing: the first task waits for what imports this.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

# The standard streams, and the supervisor's lock.
_OPEN_FILES = 4
# What site imports that an administrator, or a user, has written.
_CUSTOM = ("sitecustomize", "usercustomize")


def is_plain() -> bool:
    """Tell whether nothing has happened to this interpreter that each process has for itself.

    Threads, open files, and what traces or customizes an interpreter, would be those of the process
    that is forked, or of all, and not each one's own. Linux tells; elsewhere nobody does, and macOS
    has libraries that do not work after a fork. Only CPython is tried.
    """
    if sys.platform != "linux" or sys.implementation.name != "cpython":
        return False
    try:
        threads = len(os.listdir("/proc/self/task"))
        # One of them is that by which they are listed.
        files = len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return False
    return (threads, files) == (1, _OPEN_FILES) and not (_is_traced() or _is_customized())


def _is_traced() -> bool:
    monitoring: Any = getattr(sys, "monitoring", None)
    return (
        sys.gettrace() is not None
        or sys.getprofile() is not None
        or (monitoring is not None and any(map(monitoring.get_tool, range(6))))
    )


def _is_customized() -> bool:
    """Tell whether there is code of somebody that is to run in each interpreter.

    Debian's own ``sitecustomize`` lies in the standard library, and only changes how errors look.
    What a ``.pth`` file imports is not asked for: mostly it finds modules, and if it did anything
    else, that would be seen by a thread, a file or a trace.
    """
    library = os.path.dirname(os.__file__)
    found = [sys.modules[name] for name in _CUSTOM if name in sys.modules]
    return any(
        os.path.dirname(getattr(module, "__file__", None) or "") != library for module in found
    )
