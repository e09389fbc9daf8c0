"""Random deaths under load: every call that returned runs, and only what was killed runs again."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from typing import Dict, List, Set

from tests.processes.world import TASKS, World, end_by_force, eventually

SEED = 20261124
CHAOS_SECONDS = 9.0

_LOAD = (
    TASKS
    + """
@autocron.delay
def work(name):
    mark("run", name)
    time.sleep(0.005)
    return name
"""
)

# Enqueues until it is told to stop, and notes each call once it has returned.
_ENQUEUE = """
import time
from shared import HERE

def enqueue(who):
    count = 0
    with open(HERE / f"accepted-{who}", "a") as accepted:
        while not (HERE / "gate-stop").exists():
            result = tasks.work(f"{who}-{count}")
            accepted.write(f"{result.id} {who}-{count}\\n")
            accepted.flush()
            count += 1
            time.sleep(0.02)
    return count
"""


def test_random_deaths_under_load_lose_nothing_and_repeat_only_what_was_killed(
    world: World,
) -> None:
    world.write("tasks.py", _LOAD)
    world.write_app("workers=2", before=_ENQUEUE)
    applications = [world.application(), world.application()]
    world.await_workers(count=2)
    for number, application in enumerate(applications):
        application.send(f"enqueue({number})", is_expression=True)

    chance = random.Random(SEED)
    killed: List[int] = []
    ends_at = time.monotonic() + CHAOS_SECONDS
    while time.monotonic() < ends_at:
        # A moment of chaos, not a wait for something.
        time.sleep(chance.uniform(0.02, 0.4))
        alive = [pid for pid in (world.supervisor, *world.workers) if pid is not None]
        how_many = len(alive) if chance.random() < 0.1 else 1
        for pid in chance.sample(alive, min(how_many, len(alive))):
            end_by_force(pid)
            killed.append(pid)

    world.open_gate("stop")
    counts = [application.answer() for application in applications]
    # If the last kill has left nobody, then the next call starts them.
    assert applications[0].ask("tasks.work('last').get(60)") == "last"

    accepted: Dict[str, str] = {}
    for number in range(2):
        for line in (world.folder / f"accepted-{number}").read_text().splitlines():
            task_id, name = line.split()
            accepted[name] = task_id
    assert len(accepted) == sum(counts) > 50
    eventually(
        lambda: all(world.task(i).state.is_final for i in accepted.values()),
        "all accepted calls have ended",
        pause=0.2,
    )

    runs: Dict[str, List[int]] = defaultdict(list)
    latest_of: Dict[int, str] = {}
    for mark in world.marks("run"):
        runs[mark.words[1]].append(mark.pid)
        latest_of[mark.pid] = mark.words[1]
    lost = [name for name in accepted if name not in runs]
    repeated = {name: pids for name, pids in runs.items() if len(pids) > 1}
    victims: Set[int] = set(killed)
    print(
        f"accepted {len(accepted)}, lost {len(lost)}, repeated {len(repeated)}, "
        f"kills {len(killed)}, seed {SEED}"
    )
    assert not lost
    for name, pids in repeated.items():
        for pid in pids[:-1]:
            assert pid in victims, f"{name} was run again although nobody killed {pid}"
            assert latest_of[pid] == name, f"{name} had ended when {pid} was killed"
    # Nothing failed, but what was so unlucky as to lose three workers.
    for name, task_id in accepted.items():
        task = world.task(task_id)
        assert task.state.value == "succeeded" or task.deaths == 2, (name, task)
    assert len(killed) > 10
