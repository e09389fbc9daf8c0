"""Supervisors come and go with applications, and none is left without one."""

from __future__ import annotations

import pytest

from tests.processes.world import World, eventually

# Forks, since a new interpreter would take longer than everything that is to be hit here.
_COME_AND_GO = """
import autocron, os, sys, tasks, obey

def come_and_go(number, waits):
    child = os.fork()
    if child:
        return child
    try:
        os.close(0)
        autocron.start({database!r})
        result = tasks.add(number, 1000)
        with open("accepted", "a") as accepted:
            accepted.write(result.id + "\\n")
        if waits:
            assert result.get(60) == number + 1000
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)

def end_of(child):
    return os.waitpid(child, 0)[1]

if __name__ == "__main__":
    obey.obey(globals())
"""


@pytest.mark.mostly_waits
def test_applications_that_follow_each_other_at_once_are_all_served(world: World) -> None:
    world.write("app.py", _COME_AND_GO.format(database=world.database))
    driver = world.application()
    for number in range(30):
        # Each starts while the supervisor of the one before is about to leave.
        assert driver.ask(f"end_of(come_and_go({number}, waits=True))") == 0
    world.await_end()


def test_calls_of_applications_that_end_at_once_are_run_by_those_that_follow(world: World) -> None:
    world.write("app.py", _COME_AND_GO.format(database=world.database))
    driver = world.application()
    for number in range(20):
        assert driver.ask(f"end_of(come_and_go({number}, waits=False))") == 0
    assert driver.ask("end_of(come_and_go(20, waits=True))") == 0
    accepted = (world.folder / "accepted").read_text().split()
    assert len(accepted) == 21
    unfinished = [i for i in accepted if world.task(i).state.value != "succeeded"]
    if unfinished:
        # The last one has ended as soon as it had its own result.
        world.write_app(name="last.py")
        world.application("last.py")
        for task_id in unfinished:
            world.await_task(task_id, "succeeded")


def test_applications_that_overlap_hand_one_supervisor_on(world: World) -> None:
    world.write("app.py", _COME_AND_GO.format(database=world.database))
    driver = world.application()
    children = []
    for number in range(12):
        children.append(driver.ask(f"come_and_go({number}, waits=True)"))
        if len(children) > 3:
            assert driver.ask(f"end_of({children.pop(0)})") == 0
    for child in children:
        assert driver.ask(f"end_of({child})") == 0
    world.await_end()


def test_an_application_that_starts_while_the_workers_of_another_leave_is_served_after_them(
    world: World,
) -> None:
    """They have a grace of 5 seconds for the task in hand, and the database one supervisor."""
    first = world.application()
    first.do("result = tasks.hold('it')")
    (begun,) = world.await_marks("begin", "it")
    first.kill()
    second = world.application()
    # Handed back by the old worker, or kept if it was not told to leave yet; never lost.
    world.open_gate("it")
    assert second.ask("tasks.add(1, 1).get(60)") == 2
    eventually(lambda: world.marks("end", "it"), "the end of the task")
    assert world.marks("begin", "it")[0].pid == begun.pid
    assert second.ask("tasks.pid().get(60)") in world.workers


def test_a_further_process_is_told_what_it_says_otherwise(world: World) -> None:
    world.write_app("workers=2, tz='Asia/Tokyo'")
    world.application()
    world.await_workers(count=2)
    world.application()
    assert "start() has" not in world.said()
    world.write_app("tz='UTC'", name="other.py")
    world.application(str(world.folder / "other.py"))
    assert "start() has workers=None here, and 2 in a process of this application" in world.said()
    assert "start() has tz='UTC' here, and 'Asia/Tokyo' in a process" in world.said()
    assert world.said().count("start() has") == 2
