"""What a process is called by ``ps``: its command line, which a fork has from its parent."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Sequence

# Where /proc/self/stat, behind the name, tells where the arguments begin and end.
_ARGUMENTS_BEGIN, _ARGUMENTS_END = 45, 46


def show(arguments: Sequence[str]) -> None:
    """Have this process shown with these arguments (Linux), as far as there is room for them.

    The kernel reads a command line in the memory where it has put it, and there is no call that
    sets it. Python has long copied it. Where that memory can not be written nothing changes.
    """
    with suppress(OSError, IndexError, ValueError):
        with open("/proc/self/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        begin, end = int(fields[_ARGUMENTS_BEGIN]), int(fields[_ARGUMENTS_END])
        if not 0 < begin < end:
            return
        # If it did not end with a NUL, the kernel would read on into the environment.
        text = b"\0".join(map(os.fsencode, arguments))[: end - begin - 1]
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(begin)
            memory.write(text.ljust(end - begin, b"\0"))
