"""The channel between a supervisor and one of its workers: lines of JSON over a socket pair.

Its end is the news that the other side is gone, however it went.
"""

from __future__ import annotations

import json
import socket
import threading
from typing import Any, Dict, List

# What a supervisor tells a worker to do: leave after the task in hand, leave within the grace, look
# again whether there is work, end the function of the task in hand, or tell the hooks something.
FINISH = "finish"
STOP = "stop"
LOOK = "look"
CUT = "cut"
TELL = "tell"


def _read(line: bytes) -> List[Dict[str, Any]]:
    """Return the message of a line; none if a task has written there, by whatever mistake."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [message] if isinstance(message, dict) else []


class Channel:
    """One end of the channel."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._sending = threading.Lock()
        self._unread = b""
        self.is_open = True

    def fileno(self) -> int:
        """Return the descriptor, to wait on."""
        return self.connection.fileno()

    def send(self, **message: Any) -> None:
        """Send a message; if the other side is gone, or long does not listen, nothing happens."""
        try:
            with self._sending:
                self.connection.sendall(json.dumps(message).encode() + b"\n")
        except BlockingIOError:
            # A worker that is stuck in C code reads nothing; it is ended, in time, for that.
            return
        except OSError:
            self.is_open = False

    def receive(self) -> List[Dict[str, Any]]:
        """Wait for data and return the messages that are complete; ``is_open`` tells of the end."""
        try:
            data = self.connection.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.is_open = False
            return []
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [message for line in lines for message in _read(line)]

    def close(self) -> None:
        """Close this end."""
        self.connection.close()
