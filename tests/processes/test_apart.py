"""Workers apart from the application: ``autocron DATABASE --run MODULE…``, as a service has it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from typing import Dict, List, Optional

import pytest

from tests.processes.world import (
    IS_LINUX,
    TASKS,
    Application,
    World,
    children_of,
    eventually,
    is_alive,
)


class Service:
    """A world whose application only enqueues; its workers are run apart."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.write_app("workers=0")

    def run(self, *words: str, environment: Optional[Dict[str, str]] = None) -> Application:
        """Start the service; which modules, and how, is said by the words."""
        arguments = ("-m", "autocron", self.world.database, "--run", *(words or ("tasks",)))
        return self.world.launch(*arguments, environment=environment)

    def running(self, *words: str, environment: Optional[Dict[str, str]] = None) -> Application:
        """Start it, and wait until it is ready."""
        count = self.world.said().count("ready: ")
        service = self.run(*words, environment=environment)
        eventually(lambda: self.world.said().count("ready: ") > count, "the service is ready")
        return service


@pytest.fixture
def service(world: World) -> Service:
    return Service(world)


def test_the_application_enqueues_and_the_service_runs(service: Service, world: World) -> None:
    running = service.running("tasks", "--workers", "2")
    assert world.supervisor == running.pid
    workers = world.await_workers(count=2)
    assert sorted(children_of(running.pid)) == sorted(workers)
    application = world.application()
    assert application.ask("served") is False
    assert application.ask("tasks.pid().get(60)") in workers
    # Their lives are not bound to each other.
    application.end()
    assert world.application().ask("tasks.pid().get(60)") in workers
    assert running.signal(signal.SIGTERM) == 0
    assert world.background() == []
    assert world.said().rstrip().endswith("INFO autocron: stopped")


def test_a_call_wakes_an_idle_worker_of_the_service(service: Service, world: World) -> None:
    world.store.open()
    world.store.put_settings({"worker_idle_time": "3600", "monitor_idle_time": "3600"})
    running = service.running()
    application = world.application()
    for number in range(3):
        assert application.ask(f"tasks.add({number}, 1).get(30)") == number + 1
    running.signal(signal.SIGTERM)


def test_modules_without_tasks_are_pointed_out(service: Service, world: World) -> None:
    running = service.running("json")
    world.await_workers()
    eventually(lambda: "no task functions were found in json: name" in world.said(), "it is said")
    running.signal(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_task_in_hand_end(service: Service, world: World, number: int) -> None:
    running = service.running()
    application = world.application()
    application.do("held, later = tasks.hold('it'), tasks.add(1, 1)")
    world.await_marks("begin", "it")
    running.process.send_signal(number)
    eventually(lambda: "told to stop: the tasks in hand have 5 seconds" in world.said(), "heard")
    world.open_gate("it")
    assert running.wait() == 0
    assert world.background() == []
    assert application.ask("held.status") == "succeeded"
    # If the worker had not heard before the task had ended, it has run the other one, too.
    assert application.ask("later.status") in ("waiting", "succeeded")
    service.running()
    assert application.ask("later.get(60)") == 2
    os.kill(world.await_supervisor(), signal.SIGTERM)
    world.await_end()


def test_a_second_signal_waits_for_nothing_and_loses_nothing(
    service: Service, world: World
) -> None:
    world.store.open()
    world.store.put_settings({"stop_grace": "3600"})
    running = service.running()
    application = world.application()
    application.do("held = tasks.hold('it')")
    world.await_marks("begin", "it")
    running.process.send_signal(signal.SIGTERM)
    eventually(lambda: "told to stop: the tasks in hand have 3600" in world.said(), "heard")
    assert running.signal(signal.SIGTERM) == 0
    assert world.background() == []
    task = world.task(application.ask("held.id"))
    assert (task.state.value, task.deaths) == ("waiting", 0)


def test_a_terminal_interrupts_the_service_and_not_its_workers(
    service: Service, world: World
) -> None:
    """Ctrl-C goes to all processes of its group; a program that a task runs is none of them."""
    running = service.running()
    for worker in world.await_workers():
        assert os.getpgid(worker) not in (os.getpgid(running.pid), os.getpgid(0))
    running.signal(signal.SIGTERM)


def test_a_service_that_was_killed_is_followed_by_the_next(service: Service, world: World) -> None:
    running = service.running()
    application = world.application()
    application.do("held = tasks.hold('it')")
    world.await_marks("begin", "it")
    running.kill()
    world.await_end()
    assert application.ask("held.status") == "waiting"
    world.open_gate("it")
    following = service.running()
    assert application.ask("held.get(60)") > 0
    assert world.task(application.ask("held.id")).deaths == 0
    following.signal(signal.SIGTERM)


def test_a_worker_that_was_killed_is_replaced(service: Service, world: World) -> None:
    running = service.running()
    (worker,) = world.await_workers()
    os.kill(worker, signal.SIGKILL)
    assert world.await_workers(other_than=[worker])
    assert world.application().ask("tasks.add(1, 1).get(60)") == 2
    running.signal(signal.SIGTERM)


def test_new_code_of_the_application_is_run_without_a_restart_of_the_service(
    service: Service, world: World
) -> None:
    running = service.running()
    first = world.application()
    assert first.ask("tasks.add(1, 1).get(60)") == 2
    world.write("tasks.py", TASKS.replace("return a + b", "return a + b + 100"))
    first.end()
    assert world.application().ask("tasks.add(1, 1).get(60)") == 102
    assert world.supervisor == running.pid
    running.signal(signal.SIGTERM)


# -- what it says by its exit code -----------------------------------------------------------------


def test_a_second_service_is_refused_by_exit_code_3(service: Service, world: World) -> None:
    running = service.running()
    assert service.run().wait() == 3
    assert f"is served already, by the supervisor with pid {running.pid}" in world.said()
    assert "workers=0" in world.said()
    assert world.application().ask("tasks.add(1, 1).get(60)") == 2
    running.signal(signal.SIGTERM)


def test_one_that_is_leaving_is_waited_for(service: Service, world: World) -> None:
    running = service.running()
    application = world.application()
    application.do("held = tasks.hold('it')")
    world.await_marks("begin", "it")
    running.process.send_signal(signal.SIGTERM)
    eventually(lambda: "told to stop" in world.said(), "the first one is told")
    following = service.run()
    world.open_gate("it")
    assert running.wait() == 0
    assert world.await_supervisor() == following.pid
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    following.signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "can not import nosuch"),
        ("raise RuntimeError('broken here')", "RuntimeError: broken here"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import no_such_library", "No module named 'no_such_library'"),
    ],
)
def test_a_module_that_can_not_be_imported_is_exit_code_4(
    service: Service, world: World, code: str, said: str
) -> None:
    world.allows_tracebacks = True
    if code is not None:
        world.write("nosuch.py", code)
    assert service.run("tasks", "nosuch").wait() == 4
    assert said in world.said()
    assert f"not served: can not import nosuch, from {world.folder}" in world.said()
    assert "ready" not in world.said()
    assert world.background() == []


def test_so_are_an_app_that_can_not_be_imported_and_a_django_project(
    service: Service, world: World
) -> None:
    world.allows_tracebacks = True
    world.write("own.py", "raise RuntimeError('broken here')")
    assert service.run("own:app").wait() == 4
    assert "not served: can not import own, from" in world.said()
    project = {"DJANGO_SETTINGS_MODULE": "no_such_settings"}
    assert service.run("tasks", environment=project).wait() == 4
    assert "not served: can not import the Django project, from" in world.said()


def test_a_locked_database_is_exit_code_1(service: Service, world: World) -> None:
    world.store.open()
    world.store.put_settings({"autocron_lock": "on"})
    assert service.run().wait() == 1
    assert "--set-autocron-lock off" in world.said()


def test_a_service_of_another_application_is_refused(world: World) -> None:
    application = world.application()
    world.kill(world.await_supervisor(), *world.await_workers())
    elsewhere = world.folder / "elsewhere"
    for name in ("shared.py", "tasks.py"):
        world.write(f"elsewhere/{name}", (world.folder / name).read_text())
    refused = world.launch(
        "-m", "autocron", world.database, "--run", "tasks", cwd=elsewhere,
        environment={"PYTHONPATH": world.environment["PYTHONPATH"]},
    )  # fmt: skip
    assert refused.wait() == 1
    assert "is in use by another application" in world.said()
    assert application.ask("tasks.add(1, 1).get(60)") == 2


# -- options ---------------------------------------------------------------------------------------


def test_workers_and_queues_are_those_that_were_asked_for(service: Service, world: World) -> None:
    running = service.running("tasks", "--queues", "mail,bulk", "--workers", "2")
    application = world.application()
    workers = world.await_workers(count=2)
    application.do("other = tasks.pid()")
    for queue in ("mail", "bulk"):
        assert application.ask(f"tasks.pid.options(queue={queue!r})().get(60)") in workers
    assert application.ask("other.status") == "waiting"
    running.signal(signal.SIGTERM)


def test_the_zone_is_that_of_schedules_that_name_none(service: Service, world: World) -> None:
    world.write("jobs.py", "import autocron\n@autocron.cron('0 2 * * *')\ndef nightly(): pass\n")
    running = service.running("jobs", "--tz", "Asia/Tokyo")
    assert [(s.name, s.zone) for s in world.store.schedules()] == [("jobs:nightly", "Asia/Tokyo")]
    running.signal(signal.SIGTERM)


def test_tasks_of_an_app_of_ones_own_are_run(service: Service, world: World) -> None:
    world.write(
        "own.py",
        """
import os
from autocron.app import App
app = App()
@app.delay
def work(): return os.getpid()
@app.cron("0 2 * * *")
def nightly(): pass
""",
    )
    world.write(
        "attached.py",
        "import autocron, obey, own\n"
        f"own.app.start({world.database!r}, workers=0)\nobey.obey(globals())\n",
    )
    running = service.running("own:app")
    assert [s.name for s in world.store.schedules()] == ["own:nightly"]
    application = world.application("attached.py")
    assert application.ask("own.work().get(60)") in world.workers
    running.signal(signal.SIGTERM)


def test_what_is_no_app_is_refused(service: Service, world: World) -> None:
    world.write("site.py", "application = object()\n")
    world.write("wsgi.py", "application = object()\n")
    assert service.run("wsgi:application").wait() == 4
    assert "wsgi:application is no autocron App" in world.said()


def test_objects_that_only_pickle_takes_are_run_where_the_service_takes_them(
    service: Service, world: World
) -> None:
    world.write_app("workers=0, serializer='pickle'")
    running = service.running("tasks", "--serializer", "pickle")
    assert world.application().ask("tasks.add(1j, 2).get(60) == 2 + 1j") is True
    running.signal(signal.SIGTERM)


def test_objects_that_its_workers_do_not_take_are_refused_at_the_start(
    service: Service, world: World
) -> None:
    world.allows_tracebacks = True
    running = service.running()
    world.write_app("workers=0, serializer='pickle'", name="pickles.py")
    assert world.launch(str(world.folder / "pickles.py")).wait() == 1
    assert "start them with autocron" in world.said()
    running.signal(signal.SIGTERM)


def test_another_zone_than_its_workers_have_is_warned_of(service: Service, world: World) -> None:
    running = service.running("tasks", "--tz", "Asia/Tokyo")
    world.write_app("workers=0, tz='UTC'")
    assert world.application().ask("tasks.add(1, 1).get(60)") == 2
    assert "start() has tz='UTC' here, and the workers have 'Asia/Tokyo'" in world.said()
    running.signal(signal.SIGTERM)


def test_another_application_with_modules_of_the_same_names_is_refused(
    service: Service, world: World
) -> None:
    world.allows_tracebacks = True
    running = service.running()
    for name in ("shared.py", "obey.py", "tasks.py", "app.py"):
        world.write(f"elsewhere/{name}", (world.folder / name).read_text())
    other = str(world.folder / "elsewhere" / "app.py")
    assert world.launch(other, cwd=world.folder / "elsewhere").wait() == 1
    assert "give each application its own database" in world.said()
    running.signal(signal.SIGTERM)


# -- who has started it ----------------------------------------------------------------------------


def test_a_service_manager_is_told_and_workers_are_not_its_service(
    service: Service, world: World
) -> None:
    world.write(
        "tasks.py", TASKS + "@autocron.delay\ndef env(): return os.environ.get('NOTIFY_SOCKET')\n"
    )
    path = world.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(60)
        running = service.run("tasks", environment={"NOTIFY_SOCKET": str(path)})
        assert manager.recv(100) == b"READY=1"
        assert world.application().ask("tasks.env().get(60)") is None
        running.process.send_signal(signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        assert running.wait() == 0


def test_a_service_manager_that_is_gone_is_no_reason_not_to_serve(service: Service) -> None:
    running = service.running("tasks", environment={"NOTIFY_SOCKET": "/no/such/socket"})
    assert running.signal(signal.SIGTERM) == 0


def _can_unshare() -> bool:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return shutil.which("unshare") is not None and subprocess.call(
        command, stderr=subprocess.DEVNULL
    ) == 0  # fmt: skip


@pytest.mark.skipif(not IS_LINUX or not _can_unshare(), reason="needs a namespace of processes")
def test_as_process_1_of_a_container_it_buries_what_tasks_leave_behind(
    service: Service, world: World
) -> None:
    world.write(
        "tasks.py",
        TASKS
        + '''
@autocron.delay
def leave_a_grandchild():
    """It has no parent any more when it ends."""
    import subprocess
    subprocess.check_call(["sh", "-c", "sleep 0.1 &"])

@autocron.delay
def zombies():
    states = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                states.append(open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()[0])
            except OSError:
                continue
    return len(states), states.count("Z")
''',
    )
    with open(world.output, "ab") as output:
        process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-m",
             "autocron", world.database, "--run", "tasks"],
            cwd=str(world.folder), env=world.environment, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        eventually(lambda: "ready: " in world.said(), "it is ready")
        assert "in the foreground, pid 1\n" in world.said()
        application = world.application()
        for _ in range(3):
            application.ask("tasks.leave_a_grandchild().get(60)")

        def look() -> List[int]:
            return application.ask("tasks.zombies().get(60)")

        # The service, and its worker.
        eventually(lambda: look() == [2, 0], f"no grandchild is left: {look()}")
        (inner,) = children_of(process.pid)
        os.kill(inner, signal.SIGTERM)
        assert process.wait(60) == 0
        assert not is_alive(inner)
        assert "INFO autocron: stopped" in world.said()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
