"""A PostgreSQL server of the tests' own: in a temporary folder, on loopback, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from typing import List, Optional

# Where Debian's packages keep what is not on PATH.
_DEBIAN = Path("/usr/lib/postgresql")
_PATIENCE_SECONDS = "60"
# A power cut is no subject here, and syncing takes most of the time of a small write.
_OPTIONS = (
    "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off "
    "-c full_page_writes=off -c max_connections=60 -c shared_buffers=32MB"
)


_NEW = ("--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")


class NoServer(Exception):
    """No server can be run here; says why, and what to install."""


def programs() -> Path:
    """Return the folder of initdb and pg_ctl, the newest one."""
    folders = sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for name in (*map(str, folders), *os.environ.get("PATH", "").split(os.pathsep)):
        if all((Path(name) / program).exists() for program in ("initdb", "pg_ctl", "postgres")):
            return Path(name)
    raise NoServer("no PostgreSQL server is installed (Debian: apt-get install postgresql)")


class Server:
    """One server, not started.

    Arguments:
        folder: A folder for it, which is made.
    """

    def __init__(self, folder: Path) -> None:
        self._programs = programs()
        self.folder = folder
        self._data = folder / "data"
        # The server refuses to run as root.
        self.user: Optional[str] = None if os.getuid() else _unprivileged()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def create(self) -> None:
        """Make its files."""
        self.folder.mkdir(mode=0o700)
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        self._do(
            "initdb",
            ["-D", self._data, "-U", "autocron", *_NEW],
        )

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        log = self.folder / "log"
        try:
            self._control("start", "-w", "-t", _PATIENCE_SECONDS, "-l", log, "-o", self._options)
        except NoServer as error:
            said = log.read_text(errors="replace") if log.exists() else ""
            raise NoServer(f"{error}\n{said}") from None

    def stop(self, how: str = "fast") -> None:
        """Stop it: "fast" ends all connections first, "immediate" is as a crash."""
        self._control("stop", "-w", "-t", _PATIENCE_SECONDS, "-m", how)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://autocron@127.0.0.1:{self.port}/{database}"

    @property
    def _options(self) -> str:
        return f"-p {self.port} {_OPTIONS}"

    def _control(self, *arguments: object) -> None:
        self._do("pg_ctl", ["-D", self._data, "-s", *arguments])

    def _do(self, program: str, arguments: List[object]) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        options = {} if self.user is None else {"user": self.user, "extra_groups": []}
        # What stays behind must not hold a pipe of ours open.
        output = self.folder / "output"
        with output.open("w") as said:
            done = subprocess.run(
                command,
                cwd=str(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
                **options,
            )
        if done.returncode:
            raise NoServer(f"{' '.join(command)} failed:\n{output.read_text(errors='replace')}")


def _unprivileged() -> str:
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise NoServer("root can not run a PostgreSQL server, and there is no user postgres or nobody")
