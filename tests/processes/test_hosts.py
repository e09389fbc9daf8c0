"""The process that called ``start()`` stays its own; it may fork, thread and listen as it likes."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.processes.world import IS_LINUX, TASKS, World, children_of, eventually, is_alive

# What could be changed in a process by somebody who is not its owner.
_LOOK = """
# Logging ends itself at exit, whoever imports it first.
import atexit, logging, threading

def look():
    handlers = {}
    for number in range(1, signal.NSIG):
        try:
            handlers[number] = repr(signal.getsignal(number))
        except ValueError:
            continue
    return {
        "threads": threading.active_count(),
        "handlers": handlers,
        "wakeup": signal.set_wakeup_fd(-1),
        "timers": [signal.getitimer(kind) for kind in (signal.ITIMER_REAL, signal.ITIMER_PROF)],
        "at exit": atexit._ncallbacks(),
        "directory": os.getcwd(),
        "path": list(sys.path),
        "group": (os.getpgid(0), os.getsid(0)),
        "hooks": (sys.excepthook is sys.__excepthook__, sys.stdout is sys.__stdout__),
        "mask": os.umask(os.umask(0o022)) and 0,
    }

before = look()
"""


def test_start_and_calls_change_nothing_in_the_application(world: World) -> None:
    world.write_app(before=_LOOK)
    application = world.application()
    for _ in range(3):
        application.ask("tasks.add(1, 1).get(60)")
    assert application.ask("look()") == application.ask("before")
    assert application.ask("threading.active_count()") == 1
    if IS_LINUX:
        assert len(os.listdir(f"/proc/{application.pid}/task")) == 1


def test_nothing_becomes_or_stays_a_child_of_the_application(world: World) -> None:
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    assert children_of(application.pid) == []
    # Nor when they are started again.
    world.kill(world.supervisor, *world.workers)
    application.ask("tasks.add(1, 1).get(60)")
    assert children_of(application.pid) == []
    # A server that waits for any child of its own finds none.
    application.do("""
try: waited = os.waitpid(-1, os.WNOHANG)
except ChildProcessError: waited = "no child"
""")
    assert application.ask("waited") == "no child"


def test_a_server_that_reaps_all_its_children_does_not_disturb_a_start(world: World) -> None:
    """As gunicorn's arbiter does; the launcher's exit status is taken away by the handler."""
    world.write_app(
        before="""
reaped = []
def reap(number, frame):
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            reaped.append(status)
    except ChildProcessError:
        pass
signal.signal(signal.SIGCHLD, reap)
"""
    )
    application = world.application()
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    # gunicorn stops for good if a child ends with 3 or 4.
    assert set(application.ask("reaped")) <= {0}


def test_start_works_in_a_thread(world: World) -> None:
    world.write(
        "app.py",
        f"""
import threading
import autocron, obey, tasks
thread = threading.Thread(target=autocron.start, args=({world.database!r},))
thread.start()
thread.join()
obey.obey(globals())
""",
    )
    assert world.application().ask("tasks.add(1, 1).get(60)") == 2


def test_several_threads_may_start_and_call_at_once(world: World) -> None:
    world.write(
        "app.py",
        f"""
import threading
import autocron, obey, tasks
results = []
def serve():
    autocron.start({world.database!r})
    results.append(tasks.add(len(results), 0))
threads = [threading.Thread(target=serve) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
obey.obey(globals())
""",
    )
    application = world.application()
    assert len(application.ask("[result.get(60) for result in results]")) == 8
    assert len(world.background()) == 2


def test_no_listening_socket_is_inherited(world: World) -> None:
    world.write_app(
        before="""
import socket
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
os.set_inheritable(server.fileno(), True)
"""
    )
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    port = application.ask("server.getsockname()[1]")
    if IS_LINUX:
        inode = f"socket:[{application.ask('os.fstat(server.fileno()).st_ino')}]"
        assert inode in _open_files(application.pid)
        for pid in world.background():
            assert inode not in _open_files(pid)
    # While the background processes live, the port is the application's to give back.
    world.write_app()
    other = world.application()
    application.kill()
    assert other.ask("tasks.add(1, 1).get(60)") == 2
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def _open_files(pid: int) -> set:
    folder = f"/proc/{pid}/fd"
    found = set()
    for name in os.listdir(folder):
        try:
            found.add(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            continue
    return found


@pytest.mark.skipif(not IS_LINUX, reason="looks into /proc")
def test_background_processes_hold_nothing_of_the_application_but_its_output(world: World) -> None:
    world.write("opened", "")
    world.write_app(
        before=f"""
kept = open({str(world.folder / "opened")!r})
os.set_inheritable(kept.fileno(), True)
"""
    )
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    for pid in world.background():
        assert str(world.folder / "opened") not in _open_files(pid)
        assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull
        assert os.readlink(f"/proc/{pid}/fd/1") == str(world.output)


# -- several processes ------------------------------------------------------


def test_when_the_process_that_started_the_supervisor_ends_the_other_goes_on(world: World) -> None:
    first = world.application()
    worker = first.ask("tasks.pid().get(60)")
    supervisor = world.supervisor
    second = world.application()
    first.end()
    assert second.ask("tasks.pid().get(60)") == worker
    assert world.supervisor == supervisor
    second.do("result = tasks.hold('it')")
    world.await_marks("begin", "it")
    third = world.application()
    second.kill()
    world.open_gate("it")
    assert third.ask("tasks.pid().get(60)") == worker
    assert world.supervisor == supervisor


def test_many_processes_that_start_at_once_have_one_supervisor(world: World) -> None:
    world.write_app("workers=2")
    applications = [world.launch() for _ in range(4)]
    for application in applications:
        application.await_start()
    for application in applications:
        application.send("tasks.pid().get(60)", is_expression=True)
    workers = {application.answer() for application in applications}
    assert workers <= set(world.await_workers(count=2))
    # Those that were launched in vain have ended.
    eventually(lambda: len(world.background()) == 3, "one supervisor, two workers, no more")


# -- forks ------------------------------------------------------------------


_FORK = """
def fork(work):
    child = os.fork()
    if child:
        return child
    try:
        os.close(0)
        work()
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)

def serve(name, until):
    from shared import mark, pass_gate
    mark("answer", name, tasks.add(1, 1).get(60))
    pass_gate(until)
    mark("answer", name + "-again", tasks.add(2, 2).get(60))
"""


def test_calls_work_in_processes_that_were_forked_after_the_start(world: World) -> None:
    """As with gunicorn --preload."""
    world.write_app(before=_FORK)
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    children = [application.ask(f"fork(lambda: serve('child-{n}', 'go'))") for n in range(3)]
    for number in range(3):
        world.await_marks("answer", f"child-{number}", "2")
    world.open_gate("go")
    for number, child in enumerate(children):
        world.await_marks("answer", f"child-{number}-again", "4")
        assert application.ask(f"os.waitpid({child}, 0)[1]") == 0
    # The end of the children is not the end of the parent's service.
    assert application.ask("tasks.add(3, 3).get(60)") == 6


def test_a_forked_child_is_served_on_when_its_parent_has_ended(world: World) -> None:
    world.write_app(before=_FORK)
    application = world.application()
    child = application.ask("fork(lambda: serve('child', 'go'))")
    world.await_marks("answer", "child", "2")
    supervisor, workers = world.supervisor, world.workers
    application.kill()
    assert (world.supervisor, world.workers) == (supervisor, workers)
    world.open_gate("go")
    world.await_marks("answer", "child-again", "4")
    eventually(lambda: not is_alive(child), "the end of the child")
    world.await_end()


def test_a_fork_before_the_start_makes_two_processes_that_each_start(world: World) -> None:
    world.write_app(
        before=_FORK
        + f"""
child = fork(lambda: (autocron.start({world.database!r}), serve("child", "go")))
"""
    )
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    world.open_gate("go")
    world.await_marks("answer", "child-again", "4")
    assert application.ask("os.waitpid(child, 0)[1]") == 0
    assert len(world.background()) == 2


def test_a_fork_while_another_thread_calls_harms_nobody(world: World) -> None:
    world.write_app(
        before=_FORK
        + """
import threading, warnings
warnings.simplefilter("ignore")  # of Python 3.12, about threads

def call_all_the_time():
    while len(done) < 300:
        tasks.add(1, 1)
        done.append(1)
done = []

def fork_meanwhile():
    thread = threading.Thread(target=call_all_the_time)
    thread.start()
    children = []
    for number in range(10):
        children.append(fork(lambda: tasks.touch(f"child-{number}")))
        for _ in range(5): tasks.add(2, 2)
    thread.join()
    return [os.waitpid(child, 0)[1] for child in children]
"""
    )
    application = world.application()
    assert application.ask("fork_meanwhile()") == [0] * 10
    for number in range(10):
        world.await_marks("touch", f"child-{number}")


def test_processes_that_the_application_runs_have_no_share_in_it(world: World) -> None:
    """Else the workers would live as long as any program that it happened to start."""
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    application.do("import subprocess")
    child = application.ask(
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "close_fds=False).pid"
    )
    application.kill()
    world.await_end()
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)


def test_multiprocessing_in_the_application_is_served(world: World) -> None:
    world.write(
        "helpers.py",
        TASKS
        + """
def call(number):
    return add(number, number).get(60)
""",
    )
    world.write_app(before="import helpers, multiprocessing")
    application = world.application()
    application.do("context = multiprocessing.get_context('fork')")
    application.do("pool = context.Pool(2)")
    assert application.ask("pool.map(helpers.call, [1, 2, 3])") == [2, 4, 6]
    application.do("pool.terminate(); pool.join()")
    assert application.ask("tasks.add(1, 1).get(60)") == 2
