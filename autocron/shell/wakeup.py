"""Wake-ups: one datagram wakes one sleeping process, and nobody ever waits to send one.

The supervisor binds two sockets in the run folder: its workers inherit the one on which enqueuing
processes say "there is work", and it listens itself on the other ("look again"). A datagram may
be lost; whoever sleeps also looks for itself after a while.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import socket

from autocron.shell.ownership import RunFolder

# The path of a Unix socket must fit into sockaddr_un: 108 bytes on Linux, 104 on macOS.
_LONGEST = 100
# Whether it can be asked as who this process is, rather than as who has started it.
_AS_EFFECTIVE = os.access in os.supports_effective_ids


class Sent(enum.Enum):
    """What became of a wake-up."""

    YES = "delivered, or so many are waiting to be read that one more would not help"
    NOBODY = "nobody listens"
    UNKNOWN = "it could not be sent"


def bind(path: str) -> socket.socket:
    """Listen for wake-ups.

    A path that is too long for a socket becomes a link to one in a folder of temporary files.

    Arguments:
        path: Where the socket is to stand; what stands there is replaced.

    Returns:
        A non-blocking datagram socket.
    """
    unbind(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        listener.setblocking(False)
        if len(os.fsencode(path)) <= _LONGEST:
            listener.bind(path)
        else:
            import tempfile  # for few, and slow to import

            short = os.path.join(tempfile.mkdtemp(prefix="autocron-"), "s")
            listener.bind(short)
            os.symlink(short, path)
    except BaseException:
        listener.close()
        raise
    return listener


def unbind(path: str) -> None:
    """Remove a socket, or the link to one, that nobody listens on any more."""
    if os.path.islink(path):
        # Never more than what bind() has made, wherever the link may point to.
        target = os.readlink(path)
        with contextlib.suppress(OSError):
            os.unlink(target)
            os.rmdir(os.path.dirname(target))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def drain(listener: socket.socket, at_most: int = 1) -> None:
    """Take wake-ups from a socket without waiting."""
    try:
        for _ in range(at_most):
            listener.recv(64)
    except (BlockingIOError, InterruptedError):
        pass


class Sender:
    """Sends wake-ups to one socket; may be used by any thread, and after a fork."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_long = len(os.fsencode(path)) > _LONGEST
        self._is_missing = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self) -> Sent:
        """Send one wake-up; never blocks and never raises."""
        # To see that it still is not there takes 0.7 µs, and 2.4 to be told by an exception.
        if self._is_missing and not os.access(self._path, os.F_OK, effective_ids=_AS_EFFECTIVE):
            return Sent.NOBODY
        self._is_missing = False
        try:
            path = os.readlink(self._path) if self._is_long else self._path
            self._socket.sendto(b"!", path)
        except BlockingIOError:
            return Sent.YES
        except FileNotFoundError:
            self._is_missing = True
            return Sent.NOBODY
        except ConnectionRefusedError:
            return Sent.NOBODY
        except OSError as error:
            return Sent.YES if error.errno == errno.ENOBUFS else Sent.UNKNOWN
        return Sent.YES

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class SocketWaker:
    """Wakes whoever sleeps on the sockets of a run folder; see :class:`autocron.ports.Waker`."""

    def __init__(self, folder: RunFolder) -> None:
        self._worker = Sender(folder.wake)
        self._supervisor = Sender(folder.control)

    def wake(self) -> None:
        """Wake one worker."""
        self._worker.send()

    def wake_supervisor(self) -> None:
        """Let the supervisor look around."""
        self._supervisor.send()
