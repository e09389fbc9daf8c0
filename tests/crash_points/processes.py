"""Cuts application, supervisor and worker at each of their steps, and lets them go on."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from autocron.core.task import Task, TaskState
from autocron.shell.sqlite import SQLiteStore
from tests.fresh_start import damage, repeated_occurrences, told
from tests.processes.world import DEADLINE_SECONDS, Application, World, eventually

_HERE = Path(__file__).parent
# What the application calls fails, or is cancelled, or else succeeds.
_ENDS = {"late": TaskState.FAILED, "cancelled": TaskState.CANCELLED}
_ATTEMPTS = {"flaky": 2}
_SCHEDULES = {"chores:tick", "chores:begin"}


class Step(NamedTuple):
    """A point at which a process is cut.

    Attributes:
        role: Whose: application, supervisor or worker.
        when: Before or after it.
        label: The function, or the statement.
        place: The how-manieth time that a process passes it.
        all: Whether every process dies there, at the same moment.
    """

    role: str
    when: str
    label: str
    place: int = 1
    all: bool = False

    def __str__(self) -> str:
        who = "everything" if self.all else self.role
        label = self.label if len(self.label) < 70 else self.label[:67] + "..."
        return f"{who}, {self.when} {self.place} of {self.role}: {label}"


class Cut(NamedTuple):
    """What came of a cut.

    Attributes:
        was_reached: Whether a process has come to that point, and died.
        broken: Which promises are broken, in words.
    """

    was_reached: bool
    broken: List[str]


def steps(folder: Path) -> List[Step]:
    """Let an application run, and return all that its processes have passed.

    Arguments:
        folder: An empty folder.
    """
    world = _world(folder, {"CUT_TRACE": str(folder / "trace")})
    _live(world)
    passed = (folder / "trace").read_text().splitlines()
    last: Dict[Tuple[str, str, str], int] = {}
    for role, when, label, place in map(json.loads, passed):
        if role:
            last[role, when, label] = max(place, last.get((role, when, label), 0))
    # The first time, the second, and one in the midst of it all.
    return [
        Step(role, when, label, place)
        for (role, when, label), most in sorted(last.items())
        for place in sorted({1, min(2, most), (most + 1) // 2})
    ]


def cut(step: Step, folder: Path) -> Cut:
    """Cut an application at one point, start again whoever is to be started, and judge.

    Arguments:
        step: The point.
        folder: An empty folder.
    """
    at = [step.role, step.when, step.label, step.place]
    world = _world(folder, {"CUT": json.dumps({"at": at, "all": step.all})})
    try:
        starts = _live(world)
    except AssertionError as error:
        return Cut((folder / "cut").exists(), [f"{step}: {error}: {world.said()}"])
    if not (folder / "cut").exists():
        return Cut(False, [])
    broken = _Judge(world, step, starts).broken()
    return Cut(True, [f"{step}: {why}" for why in broken])


def _world(folder: Path, environment: Dict[str, str]) -> World:
    world = World(folder.resolve())
    (folder / "seam").mkdir()
    for file in (_HERE / "site").glob("*.py"):
        shutil.copy(str(file), str(folder))
    for file in (_HERE / "statements.py", _HERE / "steps.py", folder / "sitecustomize.py"):
        shutil.copy(str(file), str(folder / "seam"))
    (folder / "sitecustomize.py").unlink()
    path = world.environment["PYTHONPATH"]
    world.environment.update(environment, PYTHONPATH=f"{folder.resolve() / 'seam'}:{path}")
    return world


def _live(world: World) -> int:
    """Keep the application alive until it is done, and end it; return how often it was started."""
    applications = [_start(world)]

    def is_done() -> bool:
        if applications[-1].process.poll() is not None:
            assert len(applications) < 3, "the application ends again and again"
            applications.append(_start(world))
        return (world.folder / "done").exists()

    has_failed = True
    try:
        eventually(is_done, "all that was called is done", DEADLINE_SECONDS)
        # Where it is cut at the very end, there may be nothing left to be ended.
        for application in applications:
            application.end()
        world.await_end()
        has_failed = False
    finally:
        world.close(has_failed)
    return len(applications)


def _start(world: World) -> Application:
    return world.launch(str(world.folder / "app.py"), world.database)


class _Judge:
    def __init__(self, world: World, step: Step, starts: int) -> None:
        self._world = world
        self._step = step
        self._starts = starts
        self._dead = set((world.folder / "cut").read_text().split()[1:])
        self._begun: Dict[str, List[str]] = defaultdict(list)
        self._ended: Set[str] = set()
        # Task and process of the attempts that have not come to any end.
        self._cut_off: Set[Tuple[str, str]] = set()
        for what, task_id, pid in self._lines("journal"):
            if what == "begin":
                self._begun[task_id].append(pid)
                self._cut_off.add((task_id, pid))
            else:
                self._cut_off.discard((task_id, pid))
            if what == "end":
                self._ended.add(task_id)

    def _lines(self, name: str) -> List[List[str]]:
        path = self._world.folder / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def broken(self) -> List[str]:
        with closing(SQLiteStore(self._world.database)) as store:
            broken = damage(store)
            tasks = {task.id: task for task in store.find()}
        now = datetime.now(timezone.utc)
        kinds = {task_id: kind for kind, *ids in self._lines("accepted") for task_id in ids}
        for task_id, kind in kinds.items():
            broken += self._look(kind, tasks.get(task_id), task_id)
        for task in tasks.values():
            broken += self._look_at_attempts(task)
            # An occurrence may have come while the last process left, and a call that was cut
            # before it returned may have stored what is for later.
            may_wait = task.schedule is not None or task.run_at > now
            if not task.state.is_final and not (may_wait and task.state is TaskState.WAITING):
                broken.append(f"stuck: {told(task)}")
        broken += repeated_occurrences(tasks.values())
        broken += self._look_at_schedules(list(tasks.values()))
        if "Traceback" in self._world.said():
            broken.append(f"a traceback: {self._world.said()}")
        return broken

    def _look(self, kind: str, task: Optional[Task], task_id: str) -> List[str]:
        if task is None:
            return [f"lost: {kind} {task_id} was accepted, and is not stored"]
        expected = _ENDS.get(kind, TaskState.SUCCEEDED)
        if task.state is not expected:
            return [f"expected {expected.value}: {told(task)}, {task.failure}"]
        if task.state is TaskState.SUCCEEDED and task_id not in self._ended:
            return [f"succeeded, and never came to its end: {told(task)}"]
        return []

    def _look_at_attempts(self, task: Task) -> List[str]:
        kind = task.name.partition(":")[2]
        begun = self._begun[task.id]
        # What a process has done to the end, but not stored when it died, is run again, too.
        may_again = sum(pid in self._dead for pid in begun)
        broken = []
        if len(begun) > _ATTEMPTS.get(kind, 1) + may_again:
            broken.append(f"run again, though nobody cut it: {told(task)}, by {begun}")
        # Only where a worker dies alone a supervisor sees it, and charges it to what it held.
        is_seen = self._step.role == "worker" and not self._step.all
        if task.deaths > is_seen:
            broken.append(f"{task.deaths} deaths are charged: {told(task)}")
        if is_seen and task.deaths == 0 and any(task.id == cut for cut, _ in self._cut_off):
            broken.append(f"its death is not charged: {told(task)}")
        return broken

    def _look_at_schedules(self, tasks: List[Task]) -> List[str]:
        broken = []
        names = Counter(task.name for task in tasks if task.schedule is not None)
        if set(names) != _SCHEDULES:
            broken.append(f"runs of schedules: {dict(names)}")
        if not 1 <= names["chores:begin"] <= self._starts:
            broken.append(f"{names['chores:begin']} runs at {self._starts} starts")
        seconds = sorted(task.occurrence_at for task in tasks if task.occurrence_at is not None)
        for before, after in zip(seconds, seconds[1:]):
            if after - before != timedelta(seconds=1):
                broken.append(f"no occurrence between {before} and {after}")
        return broken
