"""A PgBouncer of the tests' own before their server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Optional

# Debian has it there, which is not on everybody's PATH.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])

_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
unix_socket_dir =
logfile = {folder}/log
"""


def program() -> Optional[str]:
    """Return the path of PgBouncer, if it is installed."""
    return shutil.which("pgbouncer", path=_PATH)


class Pool:
    """A pool that runs.

    Arguments:
        folder: A folder for it, which is made, where any user may go.
        server: The port of the server.
        user: Who runs it; None is this user.
        mode: ``"session"`` or ``"transaction"``.
    """

    def __init__(self, folder: Path, server: int, user: Optional[str], mode: str) -> None:
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        values = {"server": server, "port": self.port, "folder": folder, "mode": mode}
        (folder / "ini").write_text(_SETTINGS.format(**values))
        (folder / "users").write_text('"autocron" ""\n')
        if user is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user)
        options = {} if user is None else {"user": user, "extra_groups": []}
        self._process = subprocess.Popen(
            [str(program()), "-q", str(folder / "ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=str(folder),
            **options,
        )

    def is_ready(self) -> bool:
        """Tell whether it takes connections."""
        assert self._process.poll() is None, "PgBouncer has ended"
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def url(self, url: str) -> str:
        """Return the URL of a database of the server, by way of this."""
        server, _, name = url.rpartition("/")
        return f"{server.rpartition(':')[0]}:{self.port}/{name}"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
