"""Signals of background processes: heard through a descriptor, and not passed on to children."""

from __future__ import annotations

import os
import signal
from typing import List, Sequence, Set, Tuple

# Both ask a process to leave. The end of a terminal is none of ours: there is none.
_ASKS_TO_LEAVE = (signal.SIGTERM, signal.SIGINT)


def pipe() -> Tuple[int, int]:
    """Make a pipe that wakes who waits on it; return its reading and its writing end.

    Neither blocks: a pipe that is full wakes just as well.
    """
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        os.set_blocking(descriptor, False)
    return reader, writer


def listen(descriptor: int, others: Sequence[int] = ()) -> None:
    """Have the numbers of arriving signals written to a descriptor; nothing else happens then.

    The descriptor wakes a thread that waits on it even while the main thread is stuck in C code,
    which no handler could interrupt. In a child that is forked signals do what they usually do: it
    is a child of some task, and ``multiprocessing`` ends its children by SIGTERM.

    Arguments:
        descriptor: The writing end of a :func:`pipe`.
        others: Further signals that are to end a wait, such as SIGCHLD.
    """
    handled = (*_ASKS_TO_LEAVE, signal.SIGHUP, *others)
    # A signal may come to a child before it has put the handlers back; until then it is held back.
    masks: List[Set[int]] = []

    def hold() -> None:
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, handled)))

    def let_go() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def be_a_child() -> None:
        signal.set_wakeup_fd(-1)
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        let_go()

    signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    for number in handled:
        # Not SIG_IGN, which programs that a task starts would inherit.
        signal.signal(number, _do_nothing)
    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=be_a_child)


def is_asked_to_leave(descriptor: int) -> bool:
    """Read what has arrived; tell whether some signal asks this process to leave.

    Arguments:
        descriptor: The reading end of the pipe that :func:`listen` has got.
    """
    try:
        numbers = os.read(descriptor, 4096)
    except BlockingIOError:
        return False
    return any(number in numbers for number in _ASKS_TO_LEAVE)


def _do_nothing(number: int, frame: object) -> None:
    return
