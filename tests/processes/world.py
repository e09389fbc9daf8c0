"""A world for one test: a database, processes of an application, and whatever they start.

The processes are real. An application does what a test tells it (:class:`Application`); its tasks
leave marks and wait at gates, so that a test waits for events and never for time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, TypeVar, Union

import autocron
from autocron.core.task import Task
from autocron.shell.ownership import RunFolder, holder
from autocron.shell.sqlite import SQLiteStore

T = TypeVar("T")

# For machines that are slow and busy with other things: nothing here should ever take as long.
DEADLINE_SECONDS = 60.0
# What the design promises: everything is gone within this, after the application has ended.
PROMISED_END_SECONDS = 10.0
# A deadline of the promise itself, with room for the start of processes on such a machine.
END_SECONDS = PROMISED_END_SECONDS + 10.0

IS_LINUX = sys.platform.startswith("linux")
PACKAGE_ROOT = str(Path(autocron.__file__).resolve().parent.parent)

# What the application and its tasks have in common. A mark is one line, written at once.
_SHARED = '''
import os, pathlib, time

HERE = pathlib.Path(__file__).parent

def mark(*words):
    line = " ".join(map(str, (*words, os.getpid()))) + "\\n"
    descriptor = os.open(HERE / "marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)

def pass_gate(name):
    """Wait until the test opens the gate; not for ever, should the test be gone."""
    for _ in range(12000):
        if (HERE / f"gate-{name}").exists():
            return
        time.sleep(0.01)
'''

# The other end of Application.ask(): runs the statements that it is told, one a line.
_OBEY = '''
import json, os, sys

def obey(names):
    answers = os.fdopen(int(os.environ["TEST_ANSWERS"]), "w")
    print(json.dumps({"value": "ready"}), file=answers, flush=True)
    for line in sys.stdin:
        answer = {"value": None}
        try:
            request = json.loads(line)
            if request["is_expression"]:
                answer["value"] = eval(request["code"], names)
            else:
                exec(request["code"], names)
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=repr), file=answers, flush=True)
    at_end()

def at_end():
    """What the script is to do at last; a test may put something else in its place."""
'''

TASKS = '''
import os, time
import autocron
from shared import mark, pass_gate

@autocron.delay
def add(a, b):
    return a + b

@autocron.delay
def pid():
    return os.getpid()

@autocron.delay
def hold(name):
    """Run from a mark to a gate."""
    mark("begin", name)
    pass_gate(name)
    mark("end", name)
    return os.getpid()

@autocron.delay
def touch(name):
    mark("touch", name)
    return os.getpid()
'''


class Mark(NamedTuple):
    """A line that a task has left."""

    words: Tuple[str, ...]
    pid: int


def eventually(
    look: Callable[[], T], what: str, seconds: float = DEADLINE_SECONDS, pause: float = 0.01
) -> T:
    """Wait until something is true and return it; fail, saying what was awaited, if it is not."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} seconds: {what} (last seen: {found!r})")
        time.sleep(pause)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = _ps(pid, "stat")
    # Until its last thread ("l") has ended, too, it holds its locks and what it has open.
    return bool(state) and (not state.startswith("Z") or "l" in state)


def _ps(pid: int, column: str) -> str:
    asked = subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)], stdout=subprocess.PIPE, check=False
    )
    return asked.stdout.decode().strip()


def children_of(pid: int) -> List[int]:
    """Return the process ids of the children of a process, ended ones included."""
    asked = subprocess.run(["ps", "-axo", "pid=,ppid="], stdout=subprocess.PIPE, check=True)
    pairs = [line.split() for line in asked.stdout.decode().splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def processes_naming(text: str) -> Dict[int, str]:
    """Return the processes whose command line contains a text, except this one."""
    found = {}
    if IS_LINUX:
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as file:
                        line = file.read().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if text in line:
                    found[int(entry)] = line
        return found
    asked = subprocess.run(["ps", "-axwwo", "pid=,command="], stdout=subprocess.PIPE, check=True)
    for line in asked.stdout.decode(errors="replace").splitlines():
        number, _, command = line.strip().partition(" ")
        if text in command and int(number) != os.getpid():
            found[int(number)] = command
    return found


def end_by_force(pid: int, number: int = signal.SIGKILL) -> None:
    """Kill one process, wherever it is in its life."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


class Application:
    """A process of the application, which does what it is told."""

    def __init__(self, process: subprocess.Popen[bytes], answers: int) -> None:
        self.process = process
        self._answers = answers
        self._unread = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def await_start(self) -> Application:
        """Wait until its modules are imported and ``start()`` has returned."""
        assert self.answer() == "ready"
        return self

    def ask(self, expression: str) -> Any:
        """Return the value of an expression; a failure in the application is one here."""
        self.send(expression, is_expression=True)
        return self.answer()

    def do(self, statement: str) -> None:
        """Let it execute a statement; a failure in the application is one here."""
        self.send(statement)
        self.answer()

    def send(self, code: str, is_expression: bool = False) -> None:
        """Tell it what to do, and do not wait for it."""
        assert self.process.stdin is not None
        line = json.dumps({"code": code, "is_expression": is_expression}) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Wait for what an earlier :meth:`send` came to."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while b"\n" not in self._unread:
            ready, _, _ = select.select(
                [self._answers], [], [], max(0.0, deadline - time.monotonic())
            )
            assert ready, "the application does not answer"
            data = os.read(self._answers, 1 << 16)
            assert data, "the application has ended"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"in the application: {answer['error']}")
        return answer["value"]

    def end(self) -> int:
        """Let it come to its natural end, and return its exit status."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        return self.wait()

    def signal(self, number: int) -> int:
        """Send it a signal that ends it, and return its exit status."""
        self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """Kill it."""
        self.signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait until it has ended, and return its exit status."""
        try:
            return self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError("the application does not end") from None

    def close(self) -> None:
        """Close what this process holds of it."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        if self._answers >= 0:
            os.close(self._answers)
            self._answers = -1


class World:
    """One database in a folder of its own, and all processes that belong to it.

    Arguments:
        folder: The folder.
        database: The path of the database; None is one in the folder.
        named: What ``start()`` is given, if not the path.
    """

    def __init__(
        self, folder: Path, database: Optional[str] = None, named: Optional[str] = None
    ) -> None:
        self.folder = folder
        # Not that of another world, whose name begins with the name of this one.
        self._in_folder = f"{folder}{os.sep}"
        self.database = database or str(folder / "project.db")
        self.named = named or self.database
        self.run = RunFolder(self.database)
        self.output = folder / "output"
        self.store = self.make_store()
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "PYTHONPATH": PACKAGE_ROOT,
            "PYTHONUNBUFFERED": "1",
        }
        self._applications: List[Application] = []
        # Tests that make user code or a module fail on purpose say so.
        self.allows_tracebacks = False
        self.write("shared.py", _SHARED)
        self.write("obey.py", _OBEY)
        self.write("tasks.py", TASKS)
        self.write_app()

    def make_store(self) -> Any:
        """Return a store of the database."""
        return SQLiteStore(self.database)

    # -- files ----------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> Path:
        """Write a file of the application."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def write_app(
        self, options: str = "", before: str = "", after: str = "", name: str = "app.py"
    ) -> Path:
        """Write the main script: imports tasks, starts, and does what the test tells it."""
        return self.write(
            name,
            f"import autocron, os, signal, sys, tasks\n{before}\n"
            f"served = autocron.start({self.named!r}{', ' if options else ''}{options})\n"
            f"{after}\n"
            "import obey\n"
            "obey.obey(globals())\n",
        )

    def open_gate(self, name: str) -> None:
        """Let the tasks go on that wait at a gate."""
        (self.folder / f"gate-{name}").touch()

    def marks(self, *words: str) -> List[Mark]:
        """Return the marks that begin with these words, oldest first."""
        try:
            lines = (self.folder / "marks").read_text().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            *marked, pid = line.split(" ")
            if tuple(marked[: len(words)]) == words:
                found.append(Mark(tuple(marked), int(pid)))
        return found

    def await_marks(self, *words: str, count: int = 1) -> List[Mark]:
        """Wait for so many marks that begin with these words."""
        eventually(lambda: len(self.marks(*words)) >= count, f"{count} marks {words}")
        return self.marks(*words)

    def said(self) -> str:
        """Return what the application and its background processes have written."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    # -- processes ------------------------------------------------------------------------------

    def launch(
        self,
        *arguments: str,
        environment: Optional[Dict[str, str]] = None,
        stdout: Union[int, None] = None,
        cwd: Optional[Path] = None,
        pass_fds: Sequence[int] = (),
        session: bool = False,
    ) -> Application:
        """Start a Python process with these arguments; it may or may not be one that obeys."""
        ours, theirs = os.pipe()
        with open(self.output, "ab") as output:
            process = subprocess.Popen(
                [sys.executable, *(arguments or (str(self.folder / "app.py"),))],
                stdin=subprocess.PIPE,
                stdout=output if stdout is None else stdout,
                stderr=output,
                cwd=str(cwd or self.folder),
                env={**self.environment, "TEST_ANSWERS": str(theirs), **(environment or {})},
                pass_fds=(theirs, *pass_fds),
                start_new_session=session,
            )
        os.close(theirs)
        application = Application(process, ours)
        self._applications.append(application)
        return application

    def application(self, *arguments: str, **options: Any) -> Application:
        """Start a process of the application and wait until it has started autocron."""
        return self.launch(*arguments, **options).await_start()

    @property
    def supervisor(self) -> Optional[int]:
        """The process id of the supervisor, or None."""
        return holder(self.run.supervisor)

    @property
    def workers(self) -> List[int]:
        """The process ids of the workers that live."""
        pids = (holder(self.run.worker(name)) for name in self.run.workers())
        return [pid for pid in pids if pid is not None]

    def await_supervisor(self, other_than: Optional[int] = None) -> int:
        """Wait for a supervisor, another than the given one, and return its process id."""
        return eventually(
            lambda: self.supervisor if self.supervisor != other_than else None,
            f"a supervisor other than {other_than}",
        )

    def await_workers(self, other_than: Sequence[int] = (), count: int = 1) -> List[int]:
        """Wait until so many workers live, not counting the given ones."""

        def look() -> List[int]:
            found = [pid for pid in self.workers if pid not in other_than]
            return found if len(found) >= count else []

        return eventually(look, f"{count} workers other than {other_than}")

    def background(self) -> List[int]:
        """Return the process ids of everything that serves the database, ready or not."""
        own = {application.pid for application in self._applications}
        named = {
            pid
            for pid, line in processes_naming(self.database).items()
            if "/autocron/shell/boot" in line
        }
        owners = {*self.workers, self.supervisor} - {None}
        return sorted(pid for pid in (named | owners) - own if pid is not None)

    def await_end(self, seconds: float = END_SECONDS) -> None:
        """Wait until nothing serves the database any more."""
        eventually(
            lambda: not self.background(),
            f"nothing serves {self.database} any more: {self.background()}",
            seconds,
            pause=0.05,
        )

    def kill(self, *pids: Optional[int]) -> None:
        """Kill processes of this world, all at once, and wait until they are gone."""
        living = [pid for pid in pids if pid is not None]
        # Stopped first, so that none of them sees another one die and does something about it.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in living:
                end_by_force(pid, number)
        for pid in living:
            eventually(lambda pid=pid: not is_alive(pid), f"the end of process {pid}")

    # -- tasks ----------------------------------------------------------------------------------

    def task(self, task_id: str) -> Task:
        """Return a task as it is stored."""
        found = self.store.get(task_id)
        assert found is not None
        return found

    def await_task(self, task_id: str, state: str) -> Task:
        """Wait until a task is in a state."""
        eventually(
            lambda: self.task(task_id).state.value == state,
            f"task {task_id} is {state}: {self.task(task_id)}",
        )
        return self.task(task_id)

    # -- the end --------------------------------------------------------------------------------

    def close(self, has_failed: bool = False) -> None:
        """End all applications; fail if anything of this world is left then."""
        try:
            if not has_failed:
                for application in self._applications:
                    application.end()
                self.await_end()
                left = processes_naming(self._in_folder)
                assert not left, f"left over: {left}"
                assert self.allows_tracebacks or "Traceback" not in self.said(), self.said()
        finally:
            for application in self._applications:
                if application.process.poll() is None:
                    application.process.kill()
                    application.process.wait()
                application.close()
            # A supervisor may just be hiring, so until nothing is found twice.
            for _ in range(20):
                left = [*self.background(), *processes_naming(self._in_folder)]
                for pid in left:
                    end_by_force(pid)
                if not left:
                    break
                time.sleep(0.05)
            self.store.close()
