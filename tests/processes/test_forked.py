"""Workers that are forked off their supervisor are what interpreters of their own would be."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, Dict, List

import pytest

from autocron.shell.ownership import Share, holder
from tests.processes.world import (
    IS_LINUX,
    PACKAGE_ROOT,
    TASKS,
    World,
    eventually,
    is_alive,
    processes_naming,
)

pytestmark = pytest.mark.skipif(not IS_LINUX, reason="elsewhere workers are not forked")

# What a task can find out about the process that it runs in. What is each process's own is left
# out, or replaced: numbers of processes and of descriptors, and the worker's name.
ABOUT = (
    TASKS
    + r'''
import atexit, gc, locale, logging, random, re, resource, tempfile, threading, uuid, warnings

def own(text):
    """Take out what is different in each worker."""
    me, parent = os.getpid(), os.getppid()
    text = re.sub(rf"\b({me}|{parent})\b", "PID", str(text))
    return re.sub(r"\b[0-9a-f]{8}\b|0x[0-9a-f]+|\[\d+\]", "X", text)

def line(words):
    return [own(word) for word in words[:-2]], len(words)

def holds():
    found = []
    for number in os.listdir("/proc/self/fd"):
        # That by which they are listed is gone.
        if os.path.exists(f"/proc/self/fd/{number}"):
            found.append(own(os.readlink(f"/proc/self/fd/{number}")))
    return sorted(found)

@autocron.delay
def about():
    import __main__, signal, sys

    with open("/proc/self/cmdline", "rb") as file:
        shown = file.read().rstrip(b"\0").decode().split("\0")
    with open("/proc/self/status") as file:
        status = dict(each.split(":", 1) for each in file.read().splitlines())
    with open("/proc/self/stat") as file:
        terminal = file.read().rpartition(")")[2].split()[4]
    return {
        "argv": line(sys.argv),
        "orig_argv": line(getattr(sys, "orig_argv", [])),
        "shown": line(shown),
        "name": status["Name"],
        "signals": [status[f"Sig{which}"] for which in ("Pnd", "Blk", "Ign", "Cgt")],
        "handlers": [own(signal.getsignal(n)) for n in sorted(signal.valid_signals())],
        "umask": status["Umask"],
        "threads": sorted(each.name for each in threading.enumerate()),
        "main": [__main__.__name__, __main__.__file__, sorted(vars(__main__))],
        "path": sys.path,
        "hooks": [own(sys.path_hooks), own(sys.meta_path), own(sys.excepthook)],
        # What its supervisor needs of ours is there, too.
        "modules": sorted(name for name in sys.modules if not name.startswith("autocron.")),
        "flags": [str(sys.flags), sys.warnoptions, sys._xoptions, sys.dont_write_bytecode],
        "warnings": own(warnings.filters),
        "executable": [sys.executable, sys.prefix, sys.base_prefix],
        "environ": {k: own(v) for k, v in os.environ.items()},
        "directory": os.getcwd(),
        "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid(), terminal],
        "descriptors": holds(),
        "standard": [os.readlink(f"/proc/self/fd/{n}") for n in range(3)],
        "streams": [
            own([stream, stream.encoding, stream.errors, stream.line_buffering])
            for stream in (sys.stdout, sys.stderr)
        ],
        "stdin": own([sys.stdin, sys.stdin.read()]),
        "logging": own([logging.root, logging.root.handlers, logging.lastResort.formatter._fmt]),
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_debug()],
        "limits": [resource.getrlimit(n) for n in range(10)],
        "nice": os.nice(0),
        "recursion": sys.getrecursionlimit(),
        "exits": atexit._ncallbacks(),
        "locale": locale.setlocale(locale.LC_ALL),
        "switch": sys.getswitchinterval(),
        "traced": [sys.gettrace(), sys.getprofile()],
        "is supervised": os.getppid(),
        "main thread": [
            threading.main_thread() is threading.current_thread(),
            threading.main_thread().native_id == os.getpid(),
        ],
    }

@autocron.delay
def meet(who):
    """Tell of this process, while another one does, too."""
    mark("meets", who)
    pass_gate("meet")
    # Two interpreters have one seed only if one was forked off the other, or both off a third.
    drawn = [random.random(), str(uuid.uuid4()), tempfile.mktemp()]
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "seed": hash("autocron"),
        "drawn": drawn,
        "holds": holds(),
        "customized": globals()["__builtins__"].get("customized"),
    }

@autocron.delay
def die():
    os._exit(7)
'''
)


@pytest.fixture
def forking(world: World) -> World:
    """A world in which nothing is in the way of a fork."""
    world.environment.pop("PYTHONHASHSEED", None)
    for name in [name for name in world.environment if name.startswith("COV")]:
        del world.environment[name]
    world.write("tasks.py", ABOUT)
    return world


def meet(world: World, application: Any, count: int = 2) -> List[Dict[str, Any]]:
    """Have so many workers tell of themselves at the same time."""
    gate = world.folder / "gate-meet"
    if gate.exists():
        gate.unlink()
    before = len(world.marks("meets"))
    application.do(f"results = [tasks.meet(n) for n in range({count})]")
    world.await_marks("meets", count=before + count)
    world.open_gate("meet")
    found: List[Dict[str, Any]] = application.ask("[r.get(60) for r in results]")
    assert len({each["pid"] for each in found}) == count
    return found


def are_forked(found: List[Dict[str, Any]]) -> bool:
    """Tell whether all come from one interpreter; else each has to be one of its own."""
    seeds = {each["seed"] for each in found}
    assert len(seeds) in (1, len(found))
    return len(seeds) == 1


# -- what they are ----------------------------------------------------------------------------


def test_a_task_can_not_tell_it_from_an_interpreter_of_its_own(forking: World) -> None:
    forking.write_app("workers=1")
    application = forking.application()
    forked = application.ask("tasks.about().get(60)")
    [worker] = forking.workers
    forking.kill(worker)
    # Whoever takes its place is one.
    started = application.ask("tasks.about().get(60)")
    for name, is_so in started.items():
        assert (name, forked[name]) == (name, is_so)


def test_workers_come_from_one_interpreter_and_draw_numbers_of_their_own(forking: World) -> None:
    forking.write_app("workers=2")
    one, other = meet(forking, forking.application())
    assert are_forked([one, other])
    assert all(a != b for a, b in zip(one["drawn"], other["drawn"]))


def test_they_are_children_of_the_supervisor_and_shown_as_workers(forking: World) -> None:
    forking.write_app("workers=2")
    found = meet(forking, forking.application())
    assert {each["parent"] for each in found} == {forking.supervisor}
    shown = processes_naming(forking.database)
    for each in found:
        _, name, *_ = shown[each["pid"]].partition("boot worker ")[2].split(" ")
        assert holder(forking.run.worker(name)) == each["pid"]
    assert "boot supervisor " in shown[forking.supervisor or 0]


def test_each_holds_what_a_worker_holds_and_nothing_of_the_others(forking: World) -> None:
    """No lock of the supervisor; and no channel of another one, which would never end then."""
    forking.write_app("workers=3")
    application = forking.application()
    found = meet(forking, application, 3)
    assert are_forked(found)
    forking.kill(found[0]["pid"])
    # One of these is an interpreter of its own.
    later = meet(forking, application, 3)
    held = {each["pid"]: each["holds"] for each in (*found, *later)}
    assert len(set(map(tuple, held.values()))) == 1


def test_they_end_like_others_and_others_take_their_place(forking: World) -> None:
    forking.write_app("workers=1")
    application = forking.application()
    first = application.ask("tasks.pid().get(60)")
    application.do("result = tasks.die()")
    application.do("result.wait(60)")
    assert "ended with exit code 7" in application.ask("result.error_message")
    assert application.ask("tasks.pid().get(60)") != first
    assert not is_alive(first)


# A supervisor that ends before it has hired the workers that it has forked.
ENDS_EARLY = """
import os, sys
from autocron.shell import launch, ownership, worker

folder = ownership.RunFolder(sys.argv[1])
lock = ownership.acquire(folder.supervisor)
lock.note("2")
begun = launch.recruit(folder, lock)
if isinstance(begun, list):
    worker.main(*begun)
    os._exit(0)
print(*(recruit.process.pid for recruit in begun.recruits), flush=True)
os._exit(0)
"""


def test_those_that_were_not_hired_yet_see_to_a_supervisor_when_theirs_is_gone(
    forking: World,
) -> None:
    forking.run.make()
    share = Share(forking.run.application)
    line = [sys.executable, "-c", ENDS_EARLY, forking.database]
    said = forking.folder / "pids"
    with open(said, "wb") as file:
        subprocess.run(line, env=forking.environment, check=True, stdout=file)
    pids = [int(word) for word in said.read_text().split()]
    assert len(pids) == 2
    # It has workers of its own, which wait for a database.
    assert forking.await_supervisor() not in pids
    eventually(lambda: not any(map(is_alive, pids)), "they leave")
    share.release()
    forking.await_end()


def test_as_many_are_forked_as_the_last_supervisor_had_by_settings(forking: World) -> None:
    application = forking.application()
    line = [sys.executable, "-m", "autocron", forking.database, "--set-max-workers", "2"]
    subprocess.run(line, env=forking.environment, check=True, stdout=subprocess.DEVNULL)
    forking.await_workers(count=2)
    assert not are_forked(meet(forking, application))
    old = forking.workers
    forking.kill(forking.supervisor, *old)
    application.do("tasks.add(1, 2).get(60)")
    forking.await_workers(other_than=old, count=2)
    assert are_forked(meet(forking, application))


# -- where each is an interpreter of its own ------------------------------------------------------


def test_what_a_site_runs_in_each_interpreter_is_run_for_each_worker(forking: World) -> None:
    """None is forked then."""
    forking.write("site/sitecustomize.py", "import builtins, os; builtins.customized = os.getpid()")
    path = os.pathsep.join((str(forking.folder / "site"), PACKAGE_ROOT))
    forking.environment["PYTHONPATH"] = path
    forking.write_app("workers=2")
    found = meet(forking, forking.application())
    assert not are_forked(found)
    assert [each["customized"] for each in found] == [each["pid"] for each in found]


@pytest.mark.parametrize(
    ("done", "is_plain"),
    [
        ("pass", True),
        (
            "import threading; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
            False,
        ),
        ("kept = open(os.devnull)", False),
        ("sys.settrace(lambda *_: None)", False),
        ("sys.setprofile(lambda *_: None)", False),
        ("sys.modules['usercustomize'] = type(sys)('usercustomize')", False),
    ],
)
def test_nothing_is_forked_off_an_interpreter_that(done: str, is_plain: bool) -> None:
    script = (
        "import os, sys, time\n"
        "from autocron.shell import plain\n"
        "lock = os.open(os.devnull, os.O_RDONLY)\n"
        f"{done}\n"
        "sys.exit(plain.is_plain())\n"
    )
    environment = {**os.environ, "PYTHONPATH": PACKAGE_ROOT}
    code = subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode
    assert bool(code) is is_plain
