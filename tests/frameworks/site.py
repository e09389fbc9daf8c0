"""A site: a copy of an example, its server on a free port of loopback, and all that the two start.

Everything that belongs to a site has a mark in its environment, by which it is found in ``/proc``,
whatever its name is and whoever its parent.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple

import autocron
from autocron.core.task import Task
from autocron.shell.ownership import RunFolder, holder
from autocron.shell.sqlite import SQLiteStore
from tests.ports import free_port
from tests.processes.world import END_SECONDS, eventually, is_alive

ROOT = Path(__file__).resolve().parents[2]
_MARK = "AUTOCRON_TEST_SITE"
_SCRIPTS = Path(sys.executable).parent
_PACKAGE_ROOT = str(Path(autocron.__file__).resolve().parent.parent)
_REQUEST_SECONDS = 30.0
_COMMAND_SECONDS = 120.0


@dataclass(frozen=True)
class Plan:
    """How an example is served.

    Attributes:
        name: The name of the site.
        source: The folder of the application, below that of the project.
        command: The command that serves it; ``{port}`` is the port.
        database: The name of its database.
        path: The path of its page.
        port: The port in ``application.py``, where no option of the command says it.
        needs: The modules without which there is no such server.
        environment: What else it finds in its environment.
    """

    name: str
    source: str
    command: str
    database: str
    path: str = "/"
    port: Optional[str] = None
    needs: Tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Site:
    """An example that is being served.

    Arguments:
        plan: How.
        folder: A folder of its own: its home, its log and its files.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.code = folder / "code"
        shutil.copytree(
            str(ROOT / plan.source),
            str(self.code),
            ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"),
        )
        self.port = free_port()
        self.log = folder / "log"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "AUTOCRON_"))},
            "HOME": str(self.home),
            "PYTHONPATH": _PACKAGE_ROOT,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            # Schedules and tests read the same clock.
            "TZ": "UTC",
            _MARK: str(folder),
            **plan.environment,
        }
        if plan.port is not None:
            self.edit("application.py", plan.port, str(self.port))
        self.database = str(self.home / ".autocron" / plan.database)
        self.run = RunFolder(self.database)
        self.process: Optional[subprocess.Popen[bytes]] = None
        self._store: Optional[SQLiteStore] = None

    # -- files ----------------------------------------------------------------------------------

    def write(self, file: str, text: str) -> None:
        """Write a file of the application."""
        (self.code / file).write_text(text)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file of the application."""
        path = self.code / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        # At once: a worker that imported half of it would wait for the rest for some seconds.
        whole = path.with_name(f"{path.name}.new")
        whole.write_text(text.replace(old, new))
        whole.replace(path)

    def touch(self, file: str) -> None:
        """Let a file look changed."""
        os.utime(self.code / file)

    def said(self) -> str:
        """Return what the server, the workers and the tasks have written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def times_said(self, text: str) -> int:
        """Tell how often a task has printed this text.

        Several processes write to the log: behind a text there may be another one's before the end
        of its line.
        """
        return self.said().count(text)

    # -- the server -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        words = self.plan.command.format(port=self.port).split()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [_program(words[0]), *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=str(self.code),
                env=self.environment,
                start_new_session=True,
            )
        eventually(self._is_listening, f"{self.plan.command} takes connections", pause=0.05)

    def _is_listening(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server has ended:\n{self.said()}"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def get(self, path: Optional[str] = None) -> str:
        """Ask for a page once."""
        url = f"http://127.0.0.1:{self.port}{self.plan.path if path is None else path}"
        with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as answer:
            text: str = answer.read().decode()
            return text

    def get_when_ready(self, path: Optional[str] = None) -> str:
        """Ask for a page until there is an answer; a server that reloads may refuse for a while."""

        def ask() -> str:
            try:
                return self.get(path)
            except (OSError, http.client.HTTPException):
                # It is not there yet, or left in the midst of its answer.
                return ""

        return eventually(ask, "an answer of the web server", pause=0.1)

    def signal(self, number: int, group: bool = False) -> None:
        """Send a signal to the main process of the server, or to all of its processes."""
        assert self.process is not None
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def await_server_end(self) -> int:
        """Wait for the main process of the server, and return its exit status."""
        assert self.process is not None
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end:\n{self.said()}") from None

    def await_end(self) -> None:
        """Wait until nothing is left of the server and of what it has started."""
        self.await_server_end()
        eventually(
            lambda: not self.processes(),
            f"nothing is left of {self.plan.name}: {self.processes()}",
            END_SECONDS,
            pause=0.1,
        )

    def call(self, *words: str, environment: Optional[Mapping[str, str]] = None) -> str:
        """Run a command in the folder of the application; return what it says."""
        found = subprocess.run(
            [_program(words[0]), *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=str(self.code),
            env={**self.environment, **(environment or {})},
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        said = found.stdout.decode(errors="replace")
        assert found.returncode == 0, f"{words}: {found.returncode}\n{said}"
        return said

    # -- processes ------------------------------------------------------------------------------

    def processes(self) -> Dict[int, str]:
        """Return all processes of the site, with their command lines."""
        mark = f"{_MARK}={self.folder}".encode()
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    environ = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                    line = Path(f"/proc/{entry}/cmdline").read_bytes()
                except OSError:
                    continue
                if mark in environ and is_alive(int(entry)):
                    found[int(entry)] = line.replace(b"\0", b" ").decode(errors="replace")
        return found

    def background(self) -> List[int]:
        """Return those that autocron has started."""
        return [pid for pid, line in self.processes().items() if "/autocron/shell/boot" in line]

    def servers(self) -> List[int]:
        """Return the others."""
        return sorted({*self.processes()} - {*self.background()})

    @property
    def supervisor(self) -> Optional[int]:
        """The process id of the supervisor, or None."""
        return holder(self.run.supervisor)

    @property
    def workers(self) -> List[int]:
        """The process ids of the workers that live."""
        pids = (holder(self.run.worker(name)) for name in self.run.workers())
        return [pid for pid in pids if pid is not None]

    # -- tasks ----------------------------------------------------------------------------------

    @property
    def store(self) -> SQLiteStore:
        """The store of the application, once that has made it."""
        if self._store is None:
            eventually(lambda: os.path.exists(self.database), f"{self.database} exists")
            self._store = SQLiteStore(self.database)
        return self._store

    def tasks(self, function: str) -> List[Task]:
        """Return the calls of a task function, or the occurrences of its schedule."""
        return [task for task in self.store.find() if task.name.endswith(f":{function}")]

    def await_succeeded(self, function: str, count: int) -> List[Task]:
        """Wait until so many tasks of a function have succeeded; for each as long as for one."""
        for number in range(1, count + 1):
            eventually(
                lambda: self._succeeded(function) >= number,
                f"{number} of {count} tasks have succeeded",
                pause=0.1,
            )
        tasks = self.tasks(function)
        assert len(tasks) == count, tasks
        return tasks

    def _succeeded(self, function: str) -> int:
        return [task.state.value for task in self.tasks(function)].count("succeeded")

    # -- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """End whatever is left, by its id."""
        for _ in range(50):
            left = self.processes()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if not left:
                break
            time.sleep(0.05)
        if self.process is not None:
            self.process.wait()
        if self._store is not None:
            self._store.close()


def _program(name: str) -> str:
    return sys.executable if name == "python" else str(_SCRIPTS / name)


def parent_of(pid: int) -> int:
    """Return the process id of a process's parent; 0 is nobody's."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The name, in brackets, may have anything in it.
    return int(status.rpartition(")")[2].split()[1])


def ancestors_of(pid: int) -> Set[int]:
    """Return the process ids of all ancestors of a process."""
    found: Set[int] = set()
    while pid > 1:
        pid = parent_of(pid)
        found.add(pid)
    return found


def sockets_of(pids: Sequence[int]) -> Set[str]:
    """Return the sockets that these processes have open."""
    found = set()
    for pid in pids:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                continue
            if target.startswith("socket:"):
                found.add(target)
    return found


def listening_sockets(port: int) -> Set[str]:
    """Return the sockets that listen on a port of IPv4."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if int(columns[1].rpartition(":")[2], 16) == port and columns[3] == "0A":
            found.add(f"socket:[{columns[9]}]")
    return found
