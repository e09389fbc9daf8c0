"""Ports of loopback for the servers that tests start."""

from __future__ import annotations

import random
import socket
from typing import List

# Each is bound to the number of a port that was given away: no other test gets that one, whatever
# process it runs in, though the server has not begun to listen yet.
_given: List[socket.socket] = []


def free_port() -> int:
    """Return a port of loopback that nobody uses, and that no other test is given.

    Not one that the kernel would choose: it gives such a one to the next connection that anybody
    makes, and then the server that was to have it can not begin.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        # A datagram socket is in no server's way.
        given = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            given.bind(("127.0.0.1", port))
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            given.close()
            continue
        _given.append(given)
        return port
