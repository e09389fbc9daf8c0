"""Ports of loopback for the servers that tests start."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """Return a port of loopback that nobody uses.

    Not one that the kernel would choose: it gives such a one to the next connection that anybody
    makes, and then the server that was to have it can not begin.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
