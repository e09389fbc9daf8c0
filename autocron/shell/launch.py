"""Starts background processes: a supervisor that is nobody's child, and workers that are its."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

BOOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot")


def python_executable() -> str:
    """Return the path of a Python interpreter like this one.

    A server that embeds Python may have put its own path into ``sys.executable``.
    """
    if os.path.basename(sys.executable or "").startswith(("python", "pypy")):
        return sys.executable
    return os.path.join(sys.prefix, "bin", "python3")


def launch_supervisor(database: str) -> None:
    """Start a supervisor; if there is one already, the new one sees that and ends.

    Returns when the supervisor is on its own and holds its lock, or was not needed: it is no child
    of this process, has no terminal and has inherited nothing but the standard output and error.

    Arguments:
        database: The absolute path of the database.
    """
    launcher = subprocess.Popen(
        [python_executable(), BOOT, "supervisor", database],
        stdin=subprocess.DEVNULL,
        cwd="/",
    )
    launcher.wait()


def spawn_worker(
    executable: str,
    database: str,
    name: str,
    channel: socket.socket,
    wake: socket.socket,
) -> subprocess.Popen[bytes]:
    """Start a worker process.

    Arguments:
        executable: The application's Python interpreter.
        database: The absolute path of the database.
        name: The worker's name.
        channel: The worker's end of the channel to its supervisor.
        wake: The socket on which it is woken.

    Returns:
        The process.
    """
    inherited = (channel.fileno(), wake.fileno())
    return subprocess.Popen(
        [executable, BOOT, "worker", database, name, *map(str, inherited)],
        stdin=subprocess.DEVNULL,
        cwd="/",
        pass_fds=inherited,
        # What a terminal sends, or a task to its process group, is not for the others.
        start_new_session=True,
    )
