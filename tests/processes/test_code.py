"""Workers run the application's present code, and wait for what they do not know yet."""

from __future__ import annotations

import os
import sqlite3

import pytest

from tests.processes.world import TASKS, World, eventually

_VERSION = (
    TASKS
    + """
@autocron.delay
def version(*args):
    return VERSION, os.getpid()

VERSION = {version}
"""
)


def test_a_new_process_with_changed_code_has_it_run(world: World) -> None:
    """A server that is reloaded: the new processes start before the old ones have ended."""
    world.write("tasks.py", _VERSION.format(version=1))
    old = world.application()
    version, worker = old.ask("tasks.version().get(60)")
    assert version == 1
    world.write("tasks.py", _VERSION.format(version=22))
    new = world.application()
    # From the first call on: its arguments may be such as the old code does not know.
    version, other = new.ask("tasks.version('new').get(60)")
    assert version == 22
    assert other != worker
    eventually(lambda: worker not in world.workers, "the end of the old worker")
    assert new.ask("tasks.version().get(60)") == [22, other]


def test_a_change_of_a_module_that_a_task_imported_later_counts_too(world: World) -> None:
    world.write("helpers.py", "VALUE = 1\n")
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def look():
    import helpers
    return helpers.VALUE
""",
    )
    old = world.application()
    assert old.ask("tasks.look().get(60)") == 1
    world.write("helpers.py", "VALUE = 22\n")
    new = world.application()
    assert new.ask("tasks.look().get(60)") == 22


def test_with_unchanged_code_the_same_worker_goes_on(world: World) -> None:
    first = world.application()
    worker = first.ask("tasks.pid().get(60)")
    # Neither a new process nor a file that no worker has imported is a reason.
    world.write("unrelated.py", "")
    for _ in range(3):
        assert world.application().ask("tasks.pid().get(60)") == worker
    assert world.workers == [worker]


def test_a_changed_worker_ends_the_task_in_hand_first(world: World) -> None:
    old = world.application()
    old.do("result = tasks.hold('it')")
    (begun,) = world.await_marks("begin", "it")
    world.write("tasks.py", TASKS + "\n# changed\n")
    new = world.application()
    others = world.await_workers(other_than=[begun.pid])
    assert new.ask("tasks.pid().get(60)") in others
    assert world.marks("end", "it") == []
    world.open_gate("it")
    assert old.ask("result.get(60)") == begun.pid
    assert len(world.marks("begin", "it")) == 1


def test_more_workers_and_fewer_are_a_matter_of_the_next_start(world: World) -> None:
    first = world.application()
    (worker,) = world.await_workers()
    assert first.ask("tasks.pid().get(60)") == worker
    world.write_app("workers=3", name="three.py")
    three = world.application(str(world.folder / "three.py"))
    assert worker in world.await_workers(count=3)
    three.end()
    world.application()
    eventually(lambda: len(world.workers) == 1, "one worker")


# -- what workers do not know -----------------------------------------------


@pytest.mark.mostly_waits
def test_a_task_whose_function_is_gone_waits_uncharged_for_code_that_knows_it(world: World) -> None:
    world.write("tasks.py", _VERSION.format(version=1))
    world.write_app("workers=0", name="attached.py")
    attached = world.application(str(world.folder / "attached.py"))
    attached.do("result = tasks.version()")
    task_id = attached.ask("result.id")
    world.write("tasks.py", TASKS)
    old = world.application()
    eventually(lambda: world.task(task_id).unknown_since_at is not None, "a worker looks at it")
    task = eventually(
        lambda: world.task(task_id) if world.task(task_id).state.value == "waiting" else None,
        "the task is handed back",
    )
    assert (task.attempt, task.deaths) == (0, 0)
    # The worker goes on with others meanwhile.
    assert old.ask("tasks.add(1, 1).get(60)") == 2
    world.write("tasks.py", _VERSION.format(version=333))
    world.application()
    assert attached.ask("result.get(60)")[0] == 333


def test_a_task_whose_function_stays_gone_fails_saying_what_to_do(world: World) -> None:
    world.write("tasks.py", _VERSION.format(version=1))
    world.write_app("workers=0", name="attached.py")
    attached = world.application(str(world.folder / "attached.py"))
    attached.do("result = tasks.version()")
    task_id = attached.ask("result.id")
    world.write("tasks.py", TASKS)
    application = world.application()
    eventually(lambda: world.task(task_id).unknown_since_at is not None, "a worker looks at it")
    eventually(lambda: world.task(task_id).state.value == "waiting", "it is handed back")
    # As if the minute were over, and the pause until the next attempt, too.
    connection = sqlite3.connect(world.database, timeout=60)
    connection.execute(
        "UPDATE tasks SET unknown_since_at = unknown_since_at - 61000000, run_at = enqueued_at, "
        "revision = revision + 1 WHERE id = ?",
        (task_id,),
    )
    connection.commit()
    connection.close()
    application.ask("tasks.add(1, 1).get(60)")
    task = world.await_task(task_id, "failed")
    assert task.failure is not None
    assert task.failure.type == "UnknownTask"
    assert "tasks:version" in task.failure.message
    assert "decorated" in task.failure.message
    assert application.ask("tasks.pid().get(60)") in world.workers
    assert world.said().count("no task function tasks:version is known to the workers") == 1
    assert "newer code may know it, and after 60 seconds the task fails" in world.said()


def test_a_module_that_can_not_be_imported_in_a_worker_is_reported_and_others_run(
    world: World,
) -> None:
    world.allows_tracebacks = True
    world.write(
        "broken.py",
        """
import sys
import autocron

if "autocron.shell.worker" in sys.modules:
    raise RuntimeError("only in a worker")

@autocron.delay
def broken(): return 1
""",
    )
    world.write_app(before="import broken")
    application = world.application()
    application.do("result = broken.broken()")
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    assert "could not import broken" in world.said()
    assert "RuntimeError: only in a worker" in world.said()
    # It may be the fault of the moment; the task waits for better code.
    assert application.ask("(result.is_ready, result.has_error)") == [False, False]
    assert len(world.workers) == 1


_BROKEN = """
import pathlib, sys
import autocron

if "autocron.shell.worker" in sys.modules:
    MEND

@autocron.delay
def broken(): return 1

@autocron.cron("0 2 * * *")
def nightly(): pass
"""


@pytest.mark.mostly_waits
def test_a_module_that_is_mended_while_its_task_waits_is_imported_then(world: World) -> None:
    world.allows_tracebacks = True
    world.write("broken.py", _BROKEN.replace("MEND", "raise RuntimeError('only in a worker')"))
    world.write_app("workers=2", before="import broken")
    application = world.application()
    application.do("results = [broken.broken() for _ in range(5)]")
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    world.await_workers(count=2)
    eventually(lambda: "only in a worker" in world.said(), "the traceback is shown")
    # Wait for the second try: both workers, and each further try, say nothing new.
    first = application.ask("results[0].id")
    began_at = world.task(first).run_at
    eventually(lambda: world.task(first).run_at > began_at, "it was tried again")
    assert world.said().count("RuntimeError: only in a worker") == 1
    world.write("broken.py", _BROKEN.replace("MEND", "pass"))
    assert application.ask("[result.get(60) for result in results]") == [1] * 5
    assert "broken can be imported again" in world.said()
    assert "broken:nightly" in [schedule.name for schedule in world.store.schedules()]
    application.end()
    world.await_end()


def test_a_new_process_has_a_mended_module_run_at_once(world: World) -> None:
    world.allows_tracebacks = True
    world.write_app(before="import broken")
    world.write("broken.py", _BROKEN.replace("MEND", "raise RuntimeError('only in a worker')"))
    first = world.application()
    first.do("result = broken.broken()")
    eventually(lambda: "only in a worker" in world.said(), "the traceback is shown")
    (worker,) = world.await_workers()
    world.write("broken.py", _BROKEN.replace("MEND", "pass"))
    second = world.application()
    assert second.ask("broken.broken().get(60)") == 1
    assert worker not in world.await_workers(other_than=[worker])


def test_a_module_that_exits_at_its_import_in_a_worker_does_not_end_it(world: World) -> None:
    world.allows_tracebacks = True
    world.write(
        "leaving.py",
        """
import sys
import autocron

if "autocron.shell.worker" in sys.modules:
    sys.exit(1)

@autocron.delay
def leaving(): return 1
""",
    )
    world.write_app(before="import leaving")
    application = world.application()
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    assert "could not import leaving" in world.said()


def test_a_script_that_can_not_be_imported_keeps_its_schedules_and_is_reported_once(
    world: World,
) -> None:
    world.allows_tracebacks = True
    world.write(
        "script.py",
        f"""
import autocron, tasks

@autocron.cron("0 2 * * *")
def above(): pass

if __name__ != "__main__":
    raise RuntimeError("not twice")

@autocron.cron("0 3 * * *")
def below(): pass

autocron.start({world.database!r})
import obey
obey.obey(globals())
""",
    )
    application = world.application("script.py")
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    assert world.said().count("could not import script") == 1
    assert [schedule.name for schedule in world.store.schedules()] == [
        "script:above",
        "script:below",
    ]


@pytest.mark.mostly_waits
def test_workers_that_can_not_even_begin_are_not_started_without_a_pause(world: World) -> None:
    world.allows_tracebacks = True
    world.write(
        "deadly.py",
        """
import os, sys
import autocron
from shared import mark

@autocron.delay
def deadly(): return 1

if "autocron.shell.worker" in sys.modules and not os.path.exists("gate-healed"):
    mark("born dead")
    os._exit(9)
""",
    )
    world.write_app(before="import deadly")
    application = world.application()
    application.do("result = deadly.deadly()")
    eventually(lambda: "before it was ready" in world.said(), "an explanation")
    born = world.await_marks("born", count=2)
    # Half a second, one, two, four: in the time that a few processes take, there are few.
    assert len(born) < 5
    world.open_gate("healed")
    assert application.ask("result.get(60)") == 1
    assert os.path.exists(world.database)
