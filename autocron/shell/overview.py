"""Who serves a database, and with what: values for people to read, and how they are found."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, tzinfo
from typing import Dict, FrozenSet, List, Mapping, Optional, Tuple

from autocron.core.cron import parse
from autocron.core.errors import AutocronError
from autocron.core.next_run import next_run
from autocron.core.schedule import Schedule
from autocron.core.settings import Settings
from autocron.core.task import ALL_QUEUES, Task, TaskState
from autocron.core.values import frozen
from autocron.ports import Stats
from autocron.shell.application import Application
from autocron.shell.kinds import Host, Kind
from autocron.shell.listing import WALK
from autocron.shell.local import AskedStore
from autocron.shell.logbook import in_hand
from autocron.shell.moved import Mark
from autocron.shell.ownership import RunFolder, holder, is_shared, read_note
from autocron.shell.rows import instant, microseconds
from autocron.zones import load_zone

# Along `tasks_to_run`, which has all that it needs; then the few that are held, or run. To count
# twice takes half as long as to add up what is due.
_OF_A_LANE = "FROM tasks WHERE state = 'waiting' AND after_id IS NULL AND lane = walk.lane"
_WAITING = f"""{WALK}
SELECT substr(lane, 5), (SELECT count(*) {_OF_A_LANE} AND run_at > :now),
    (SELECT count(*) {_OF_A_LANE} AND run_at <= :now), (SELECT min(run_at) {_OF_A_LANE})
FROM walk WHERE lane IS NOT NULL"""
_HELD = """
SELECT queue, count(*) FROM tasks WHERE state = 'waiting' AND after_id IS NOT NULL GROUP BY queue"""
_RUNNING = "SELECT queue, count(*) FROM tasks WHERE state = 'running' GROUP BY queue"


@frozen
class WorkerProcess:
    """A worker that lives.

    Attributes:
        name: Its name, under which it claims tasks.
        pid: Its process id.
        task: The task in its hands, if any.
        queues: The queues of which it takes tasks; None is any.
        claimed: How many it has claimed, with the one in its hands.
    """

    name: str
    pid: int
    task: Optional[Task]
    queues: Optional[Tuple[str, ...]] = None
    claimed: int = 0


@frozen
class Processes:
    """Who serves a database now.

    Attributes:
        is_application_running: Whether a process that called ``start()`` lives.
        supervisor: The process id of the supervisor, if it lives.
        workers: The workers that live, by name.
    """

    is_application_running: bool
    supervisor: Optional[int]
    workers: Tuple[WorkerProcess, ...]

    @property
    def is_anyone_there(self) -> bool:
        """Whether any process of the application lives."""
        return self.is_application_running or self.supervisor is not None or bool(self.workers)


@frozen
class Planned:
    """A schedule and its next run.

    Attributes:
        schedule: The schedule.
        zone: Its time zone; None if this machine does not know it.
        next_at: Its next occurrence; None if there is none, or it is not enabled.
        problem: Why it can not run here; empty if it can.
    """

    schedule: Schedule
    zone: Optional[tzinfo]
    next_at: Optional[datetime]
    problem: str = ""


@frozen
class QueueInfo:
    """A queue, and what is in it.

    Attributes:
        name: Its name.
        is_paused: Whether it is paused, by itself or with all others.
        waiting: How many tasks wait in it, those that are held included.
        due: How many of them are due.
        held: How many of them wait for another task.
        running: How many of its tasks run.
        oldest_due_at: When the longest-waiting due task became due; None if nothing is due.
    """

    name: str
    is_paused: bool
    waiting: int = 0
    due: int = 0
    held: int = 0
    running: int = 0
    oldest_due_at: Optional[datetime] = None


@frozen
class HostInfo:
    """One of several hosts that serve a database, and what its workers do.

    Attributes:
        host: The host.
        tasks: The tasks in the hands of its workers, by the name of the worker.
    """

    host: Host
    tasks: Mapping[str, Task]


@frozen
class Overview:
    """All that is worth knowing of a database at one instant."""

    settings: Settings
    application: Optional[Application]
    modules: Tuple[str, ...]
    processes: Processes
    hosts: Tuple[HostInfo, ...]
    schedules: Tuple[Planned, ...]
    stats: Stats
    queues: Tuple[QueueInfo, ...]
    paused: FrozenSet[str]
    moved: Optional[Mark] = None


def processes(store: AskedStore, folder: RunFolder) -> Processes:
    """Return who serves the database now."""
    running = store.find(state=TaskState.RUNNING)
    claimed = Counter(task.worker for task in running)
    first = in_hand(folder, running)
    workers = []
    for name in folder.workers():
        pid = holder(folder.worker(name))
        if pid is not None:
            note = read_note(folder.worker(name))
            taken = tuple(note.split(",")) if note else None
            workers.append(WorkerProcess(name, pid, first.get(name), taken, claimed[name]))
    return Processes(
        is_application_running=is_shared(folder.application),
        supervisor=holder(folder.supervisor),
        workers=tuple(workers),
    )


def hosts(kind: Kind, store: AskedStore) -> Tuple[HostInfo, ...]:
    """Return the hosts that serve a database, if that may be several."""
    found = kind.hosts(store)
    running = {t.worker: t for t in store.find(state=TaskState.RUNNING)} if found else {}
    return tuple(
        HostInfo(host, {name: running[name] for name in host.workers if name in running})
        for host in found
    )


def schedules(store: AskedStore, now: datetime) -> Tuple[Planned, ...]:
    """Return the schedules with their next runs, the next one first."""
    planned = [_planned(schedule, now) for schedule in store.schedules()]
    planned.sort(key=lambda one: (one.next_at is None, one.next_at or now))
    return tuple(planned)


def queues(store: AskedStore, paused: FrozenSet[str], now: datetime) -> Tuple[QueueInfo, ...]:
    """Return the queues in which something waits or runs, and those that are paused, by name."""
    doing = "count the tasks of the queues"
    # Rows that are no tasks are in none; who claims, or lists, sets them aside.
    held = {name: count for name, count in store.ask(doing, _HELD) if type(name) is str}
    running = {name: count for name, count in store.ask(doing, _RUNNING) if type(name) is str}
    lanes: Dict[str, List[Tuple[int, int, int]]] = {}
    for name, *counted in store.ask(doing, _WAITING, {"now": microseconds(now)}):
        if type(name) is not str or type(counted[2]) is not int:
            continue
        later, due, first = counted
        lanes.setdefault(name, []).append((later + due, due, first))
    names = {*lanes, *held, *running, *paused} - {ALL_QUEUES}
    found = []
    for name in sorted(names):
        mine = lanes.get(name, [])
        due_since = [first for _, due, first in mine if due]
        found.append(
            QueueInfo(
                name=name,
                is_paused=name in paused or ALL_QUEUES in paused,
                waiting=sum(waiting for waiting, _, _ in mine) + held.get(name, 0),
                due=sum(due for _, due, _ in mine),
                held=held.get(name, 0),
                running=running.get(name, 0),
                oldest_due_at=instant(min(due_since)) if due_since else None,
            )
        )
    return tuple(found)


def _planned(schedule: Schedule, now: datetime) -> Planned:
    try:
        zone = load_zone(schedule.zone)
        if schedule.text is None or not schedule.is_enabled:
            return Planned(schedule, zone, None)
        # After a clock set back, nothing is run up to the watermark.
        after = max(now, schedule.watermark_at)
        return Planned(schedule, zone, next_run(parse(schedule.text), after, zone))
    except AutocronError as error:
        return Planned(schedule, None, None, problem=str(error))
