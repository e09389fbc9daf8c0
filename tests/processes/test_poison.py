"""Tasks that do to their worker what no task should: the others go on, and the record says why.

All of them are tasks of one application with one worker, so that each comes after the others.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Iterator, NamedTuple

import pytest

from autocron.core.task import Task
from tests.processes.world import IS_LINUX, TASKS, Application, World, eventually, is_alive

POISON = (
    TASKS
    + """
import ctypes, locale, resource, signal, sys, threading

@autocron.delay
def die(how):
    mark("dies")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(10**9)
    exec(how, globals())

def again():
    again()

@autocron.delay(timeout=60)
def fork(how):
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return [os.getpid(), os.WEXITSTATUS(status)]
    if how == "raises":
        raise ValueError("in the child")
    if how == "leaves":
        sys.exit(3)
    return "the child's"

@autocron.delay
def spoil():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    os.umask(0o777)
    os.chdir("/")
    os.environ.clear()
    os.close(1)
    locale.setlocale(locale.LC_ALL, "C")
    sys.stdout = None
    threading.Thread(target=threading.Event().wait).start()
    sys.setrecursionlimit(60)
    return os.getpid()

@autocron.delay(timeout=0.5)
def take_long():
    time.sleep(60)

@autocron.delay
def state():
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    umask = os.umask(0o077)
    os.umask(umask)
    open_too = [os.fstat(number).st_mode > 0 for number in (1, 2)]
    return [sorted(mask), umask, sys.getrecursionlimit() > 500, os.getcwd(), open_too, os.getpid()]

@autocron.delay
def take_memory():
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + (64 << 20), hard))
    try:
        return len(bytearray(1 << 30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

@autocron.delay
def flood():
    for number in range(20_000):
        print(number, "x" * 100)
    print("the flood is over")

class Odd(BaseException):
    def __str__(self):
        raise RuntimeError("no text")
    __repr__ = __str__

class Text(str):
    def encode(self, *how):
        raise RuntimeError("no bytes")
    def __len__(self):
        return -1

class TextOfItsOwn(Exception):
    def __str__(self):
        return Text("of a text of its own")

class Meta(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")
    __mro__ = __name__

class Nameless(Exception, metaclass=Meta):
    @property
    def __class__(self):
        raise RuntimeError("no class")

class Impostor(Exception):
    @property
    def __class__(self):
        raise RuntimeError("no class")

def circle():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one

def chain():
    error = None
    for number in range(3000):
        before, error = error, ValueError(number)
        error.__cause__ = before
    return error

ERRORS = {
    "odd": Odd,
    "text of its own": TextOfItsOwn,
    "nameless": lambda: Nameless("no name"),
    "impostor": lambda: Impostor("no class"),
    "huge": lambda: ValueError("x" * 30_000_000),
    "surrogates": lambda: ValueError("\\ud800"),
    "long name": lambda: type("x" * 100_000, (Exception,), {})(),
    "controls": lambda: ValueError("\\x1b]0;owned\\x07\\0"),
    "circle": circle,
    "chain": chain,
    "interrupt": KeyboardInterrupt,
    "generator exit": GeneratorExit,
    "system exit": lambda: SystemExit(Odd()),
    "group": lambda: ExceptionGroup("several", [ValueError(1), circle()]),
}

@autocron.delay
def fail(how):
    raise ERRORS[how]()

def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value

class Hostile:
    def __reduce__(self):
        raise KeyboardInterrupt
    __repr__ = __str__ = __class__ = property(__reduce__)

RESULTS = {
    "huge": lambda: "x" * (64 * 1024 * 1024),
    "deep": lambda: nested(100_000),
    "surrogate": lambda: "\\ud800",
    "hostile": Hostile,
    "endless": lambda: iter(int, 1),
    "not a number": lambda: float("nan"),
    "itself": lambda: (lambda value: (value.append(value), value)[1])([]),
}

@autocron.delay
def give(how):
    return RESULTS[how]()
"""
)


class Poisoned(NamedTuple):
    """The application, and the world that it is in."""

    world: World
    application: Application

    def ask(self, expression: str) -> Any:
        return self.application.ask(expression)

    def failed(self, call: str) -> Task:
        """Call a task that is to fail; return it then."""
        return self.world.await_task(self.ask(f"tasks.{call}.id"), "failed")

    def worker(self) -> int:
        pid = self.ask("tasks.pid().get(60)")
        assert isinstance(pid, int)
        return pid


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Poisoned]:
    world = World(tmp_path_factory.mktemp("poison"))
    world.allows_tracebacks = True
    world.write("tasks.py", POISON)
    world.write_app("workers=1")
    try:
        yield Poisoned(world, world.application())
    finally:
        print(f"--- what {world.database} and its processes said:\n{world.said()[-100_000:]}")
        world.close()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("os._exit(0)", "ended with exit code 0"),
        ("os.abort()", "was ended by SIGABRT"),
        ("ctypes.string_at(0)", "was ended by SIGSEGV"),
        pytest.param(
            "again()",
            "was ended by SIG",
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 11), reason="these calls do not use the stack of C"
            ),
        ),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL, as the system does it"),
        ("os.closerange(3, 256); files = [open(__file__) for _ in range(50)]", "had lost its"),
    ],
)
def test_a_task_that_ends_its_worker_is_run_three_times_and_the_record_says_what_it_did(
    poisoned: Poisoned, how: str, why: str
) -> None:
    before = len(poisoned.world.marks("dies"))
    task = poisoned.failed(f"die({how!r})")
    assert task.failure is not None
    assert task.failure.type == "WorkerDied"
    assert why in task.failure.message
    assert [past.error_message.startswith("its worker ") for past in task.history] == [True] * 2
    assert all(why in past.error_message for past in task.history)
    assert len(poisoned.world.marks("dies")) - before == 3
    assert poisoned.ask("tasks.add(1, 1).get(60)") == 2


@pytest.mark.parametrize(("how", "status"), [("returns", 0), ("raises", 1), ("leaves", 3)])
def test_a_child_that_a_task_forks_does_not_become_a_second_worker(
    poisoned: Poisoned, how: str, status: int
) -> None:
    pid, found = poisoned.ask(f"tasks.fork({how!r}).get(60)")
    assert found == status
    assert poisoned.worker() == pid
    assert poisoned.world.workers == [pid]


def test_what_a_task_does_to_its_process_is_undone(poisoned: Poisoned) -> None:
    before = poisoned.ask("tasks.state().get(60)")
    pid = before[-1]
    assert poisoned.ask("tasks.spoil().get(60)") == pid
    # At once after it, too.
    poisoned.application.do("spoilt, late = tasks.spoil(), tasks.take_long()")
    late = poisoned.world.await_task(poisoned.ask("late.id"), "failed")
    assert late.failure is not None
    assert late.failure.error_message == "TaskTimeout: it did not end within 0.5 seconds"
    assert poisoned.ask("spoilt.get(60)") == pid
    assert poisoned.ask("tasks.state().get(60)") == before


def test_a_worker_that_a_task_has_made_deaf_leaves_when_it_is_told(poisoned: Poisoned) -> None:
    pid = poisoned.ask("tasks.spoil().get(60)")
    # It is idle once it has looked again.
    assert poisoned.worker() == pid
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not is_alive(pid), "the end of the worker")
    assert poisoned.worker() != pid


@pytest.mark.skipif(not IS_LINUX, reason="needs /proc")
def test_a_task_for_which_there_is_no_memory_fails_and_says_so(poisoned: Poisoned) -> None:
    pid = poisoned.worker()
    task = poisoned.failed("take_memory()")
    assert task.failure is not None
    assert (task.failure.type, task.deaths, task.attempt) == ("MemoryError", 0, 1)
    assert poisoned.worker() == pid


def test_a_flood_of_output_arrives(poisoned: Poisoned) -> None:
    assert poisoned.ask("tasks.flood().get(60)") is None
    eventually(lambda: "the flood is over" in poisoned.world.said(), "all that was printed")
    assert len(poisoned.world.said()) > 2_000_000


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("odd", "Odd", "can not be shown"),
        ("text of its own", "TextOfItsOwn", "of a text of its own"),
        ("nameless", "Nameless", "no name"),
        ("impostor", "Impostor", "no class"),
        ("huge", "ValueError", "characters left out"),
        ("surrogates", "ValueError", "\\ud800"),
        ("long name", "xxx", ""),
        ("controls", "ValueError", "owned"),
        ("circle", "ValueError", "one"),
        ("chain", "ValueError", "2999"),
        ("interrupt", "KeyboardInterrupt", ""),
        ("generator exit", "GeneratorExit", ""),
        ("system exit", "SystemExit", ""),
        ("group", "", ""),
    ],
)
def test_whatever_a_task_raises_is_its_failure(
    poisoned: Poisoned, how: str, kind: str, text: str
) -> None:
    pid = poisoned.worker()
    task = poisoned.failed(f"fail({how!r})")
    assert task.failure is not None
    assert task.failure.type.startswith(kind)
    assert text in task.failure.message
    assert len(task.failure.type) < 500
    assert len(task.failure.message) < 11_000
    assert len(task.failure.traceback) < 51_000
    assert (task.deaths, task.attempt) == (0, 1)
    assert poisoned.worker() == pid


@pytest.mark.parametrize(
    "how", ["huge", "deep", "surrogate", "hostile", "endless", "not a number", "itself"]
)
def test_a_result_that_can_not_be_kept_is_a_failure_that_says_so(
    poisoned: Poisoned, how: str
) -> None:
    pid = poisoned.worker()
    task = poisoned.failed(f"give({how!r})")
    assert task.failure is not None
    assert task.failure.type == "NotStorable"
    assert "the result" in task.failure.message
    assert (task.deaths, task.attempt) == (0, 1)
    assert poisoned.worker() == pid
