"""Signals of background processes: heard through a descriptor, and not passed on to children."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Collection, List, Sequence, Set, Tuple

# Both ask a process to leave. The end of a terminal does so only for one in the foreground.
ASKS_TO_LEAVE = (signal.SIGTERM, signal.SIGINT)
ASKS_IN_FOREGROUND = (*ASKS_TO_LEAVE, signal.SIGHUP)
# What every background process hears.
HEARD = ASKS_IN_FOREGROUND


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
    handled = (*HEARD, *others)
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
    return bool(asked_to_leave(descriptor))


def asked_to_leave(descriptor: int, asking: Sequence[int] = ASKS_TO_LEAVE) -> int:
    """Read what has arrived; return how many signals ask this process to leave.

    Arguments:
        descriptor: The reading end of the pipe that :func:`listen` has got.
        asking: The signals that do.
    """
    try:
        numbers = os.read(descriptor, 4096)
    except BlockingIOError:
        return 0
    return sum(number in asking for number in numbers)


def reap_others(pids: Collection[int]) -> None:
    """Take leave of ended children that nobody waits for; what the process with pid 1 has to do.

    Arguments:
        pids: The children that somebody does wait for.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            # One that is waited for is in the way until somebody has waited.
            if ended is None or ended.si_pid in pids:
                return
            os.waitpid(ended.si_pid, 0)


def _do_nothing(number: int, frame: object) -> None:
    return
