"""Who serves a database, and with what: values for people to read, and how they are found."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, tzinfo
from typing import FrozenSet, Mapping, Optional, Tuple

from autocron.core.cron import parse
from autocron.core.errors import AutocronError
from autocron.core.next_run import next_run
from autocron.core.schedule import Schedule
from autocron.core.settings import Settings
from autocron.core.task import Task, TaskState
from autocron.core.values import frozen
from autocron.ports import Stats
from autocron.shell.application import Application
from autocron.shell.counting import QueueInfo
from autocron.shell.kinds import Host, Kind
from autocron.shell.local import AskedStore
from autocron.shell.logbook import in_hand
from autocron.shell.moved import Mark
from autocron.shell.ownership import RunFolder, holder, is_shared, read_note
from autocron.zones import load_zone


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

    @property
    def unserved(self) -> Tuple[str, ...]:
        """The queues in which tasks wait, and of which no worker that lives takes any."""
        taken = [worker.queues for worker in self.processes.workers]
        if not taken or self.hosts or None in taken:
            return ()
        served = {queue for queues in taken for queue in queues or ()}
        return tuple(one.name for one in self.queues if one.waiting and one.name not in served)


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
