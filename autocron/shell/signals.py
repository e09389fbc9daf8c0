"""Signals of background processes: heard through a descriptor, and not passed on to children."""

from __future__ import annotations

import os
import signal
from typing import List, Set

# Both ask a process to leave. The end of a terminal is none of ours: there is none.
HEARD = (signal.SIGTERM, signal.SIGINT)
_HANDLED = (*HEARD, signal.SIGHUP)


def listen(descriptor: int) -> None:
    """Have the numbers of arriving signals written to a descriptor; nothing else happens then.

    The descriptor wakes a thread that waits on it even while the main thread is stuck in C code,
    which no handler could interrupt. In a child that is forked signals do what they usually do: it
    is a child of some task, and ``multiprocessing`` ends its children by SIGTERM.

    Arguments:
        descriptor: The writing end of a pipe, not blocking.
    """
    signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    for number in _HANDLED:
        # Not SIG_IGN, which programs that a task starts would inherit.
        signal.signal(number, _do_nothing)
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_be_a_child)


def _do_nothing(number: int, frame: object) -> None:
    return


# A signal may come to a child before it has put the handlers back; until then it is held back.
_masks: List[Set[int]] = []


def _hold() -> None:
    _masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)))


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


def _be_a_child() -> None:
    signal.set_wakeup_fd(-1)
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)
    _let_go()
