"""What ``--info``, ``--tasks``, ``--results`` and ``--failed`` show to people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, List, Sequence

from autocron.cli.formatting import Screen, duration, moment
from autocron.cli.pieces import (
    STYLES,
    attempt,
    due,
    lasting,
    local,
    outcome,
    progress_of,
    short,
    shown_progress,
    since,
)
from autocron.core.settings import AUTOCRON_LOCK, MAX_WORKERS, NAMES, NUMBERS, Settings
from autocron.core.task import ALL_QUEUES, DEFAULT_QUEUE, TaskState
from autocron.core.workforce import total

if TYPE_CHECKING:
    from autocron.shell.admin import TaskList
    from autocron.shell.counting import QueueInfo
    from autocron.shell.looking import Listed
    from autocron.shell.overview import HostInfo, Overview, Planned

# Columns that are left out where they would say the same in each row.
_IDLE = {"queue": DEFAULT_QUEUE, "priority": "0", "attempt": "1", "progress": "", "note": ""}


def setting(settings: Settings, name: str) -> str:
    """Return the value of a setting as people read it.

    Arguments:
        settings: All settings.
        name: The name of one.
    """
    value = getattr(settings, name)
    if name == AUTOCRON_LOCK:
        return "on" if value else "off"
    if name == MAX_WORKERS:
        return "1 (default)" if value is None else str(value)
    unit = NUMBERS[name][2]
    if unit != "seconds":
        return f"{value:.10g} {unit}" if value else "never"
    text = f"{value:.10g} s"
    return f"{text} ({duration(value)})" if value >= 60 else text


# -- info -------------------------------------------------------------------------------------


def show_info(screen: Screen, overview: Overview, now: datetime) -> None:
    """Show what ``--info`` tells."""
    if overview.moved is not None:
        what = "is moved" if overview.moved.is_complete else "IS BEING MOVED"
        screen.say(f"{what} to {overview.moved.url}; nothing is stored or run here", "bad")
    screen.title("Settings")
    settings = overview.settings
    screen.table([[name.replace("_", "-"), setting(settings, name)] for name in NAMES])
    screen.title("Processes")
    screen.table(_process_rows(overview, now))
    if overview.queues or overview.paused:
        screen.title("Queues")
        show_queues(screen, overview.queues, now)
        if ALL_QUEUES in overview.paused:
            screen.say("  All queues are paused: no task begins before --resume.", "bad")
        show_unserved(screen, overview)
    _show_schedules(screen, overview.schedules, now)
    screen.title("Tasks")
    counts = overview.stats.counts
    screen.table([[state.value, f"{counts[state]:>6}"] for state in TaskState])
    oldest = overview.stats.oldest_due_at
    if oldest is not None:
        screen.say(f"  The oldest due task has waited for {since(oldest, now)}.")


def _process_rows(overview: Overview, now: datetime) -> List[List[str]]:
    processes = overview.processes
    rows = []
    # Of a machine that serves nothing, where others do, there is nothing to tell.
    if processes.is_anyone_there or not overview.hosts:
        rows = _local_rows(overview, now)
    for one in overview.hosts:
        rows += _host_rows(one, now)
    held = sum(worker.claimed for worker in processes.workers)
    held += sum(len(one.tasks) for one in overview.hosts if not one.host.is_this)
    lost = overview.stats.counts[TaskState.RUNNING] - held
    if lost > 0:
        rows.append(["", f"{lost} running of a worker that is gone: taken back by a supervisor"])
    return rows


def _local_rows(overview: Overview, now: datetime) -> List[List[str]]:
    """Tell of the processes of this machine."""
    processes, application = overview.processes, overview.application
    rows = [["application", _running(overview)]]
    if application is not None:
        rows.append(["", f"in {application.root}"])
        if application.django is not None:
            rows.append(["", f"Django with {application.django}"])
    pid = processes.supervisor
    rows.append(["supervisor", "none" if pid is None else f"pid {pid}"])
    wanted = total(overview.settings.max_workers or 1)
    why = ""
    if application is not None and application.workers is not None:
        wanted = total(application.workers)
        why = f", as start(workers={application.workers!r}) asks"
    count = len(processes.workers)
    rows.append(["workers", f"{count} of {wanted}{why}" if processes.is_anyone_there else "none"])
    for worker in processes.workers:
        task = worker.task
        doing = "idle" if task is None else f"{task.name} {lasting(task.started_at, now)}"
        if worker.claimed > 1:
            doing += f", {worker.claimed - 1} more behind it"
        where = "" if worker.queues is None else f" (queues {', '.join(worker.queues)})"
        rows.append(["", f"pid {worker.pid}{where}  {doing}".rstrip()])
    return rows


def _host_rows(one: HostInfo, now: datetime) -> List[List[str]]:
    """Tell of one of several hosts, and what its workers do; of this one's more is said above."""
    host = one.host
    count = f"{len(host.workers)} worker{'' if len(host.workers) == 1 else 's'}"
    rows = [["host", f"{host.name}  {count}{', this host' if host.is_this else ''}"]]
    if not host.is_this:
        for name, task in one.tasks.items():
            rows.append(["", f"{name}  {task.name} {lasting(task.started_at, now)}".rstrip()])
    return rows


def _running(overview: Overview) -> str:
    if overview.processes.is_application_running:
        return "running"
    return "locked: calls run in place" if overview.settings.autocron_lock else "not running"


def show_unserved(screen: Screen, overview: Overview) -> None:
    """Tell of queues whose tasks nobody takes."""
    if overview.unserved:
        screen.say(
            f"  No worker takes tasks of {', '.join(overview.unserved)}: name them in "
            "start(workers={…}), or --set-max-workers.",
            "bad",
        )


def show_queues(screen: Screen, queues: Sequence[QueueInfo], now: datetime) -> None:
    """Show the queues, and what is in them."""
    if not queues:
        return
    rows = [
        [
            one.name,
            str(one.waiting),
            str(one.due),
            str(one.held),
            str(one.running),
            since(one.oldest_due_at, now),
            "paused" if one.is_paused else "",
        ]
        for one in queues
    ]
    heading = ["queue", "waiting", "due", "held", "running", "oldest due", ""]
    styles = ["bad" if one.is_paused else "" for one in queues]
    screen.table(rows, heading, styles)


def _show_schedules(screen: Screen, schedules: Sequence[Planned], now: datetime) -> None:
    if not schedules:
        return
    screen.title("Schedules")
    rows = [
        [
            one.schedule.name,
            one.schedule.text or "at start",
            one.schedule.zone,
            next_of(one, now),
            one.schedule.key if one.schedule.is_dynamic else "",
        ]
        for one in schedules
    ]
    heading = ("task", "cron", "zone", "next run", "made at run time as")
    screen.table(rows, heading, idle={"made at run time as": ""})


def next_of(one: Planned, now: datetime) -> str:
    """Return when a schedule fires next, or why it does not."""
    if not one.schedule.is_enabled:
        return "disabled"
    if one.problem:
        return one.problem
    if one.next_at is None or one.zone is None:
        return "when the application starts" if one.schedule.at_start else "never again"
    has_seconds = len((one.schedule.text or "").split()) == 6
    return f"{moment(one.next_at, one.zone, has_seconds)} (in {since(now, one.next_at)})"


# -- tasks ------------------------------------------------------------------------------------


def show_tasks(screen: Screen, found: TaskList, now: datetime) -> None:
    """Show what ``--tasks`` tells."""
    screen.title("Running")
    show_running(screen, found.running, now)
    screen.title("Waiting")
    if found.waiting.tasks:
        rows = [
            [
                short(t.id),
                local(t.run_at),
                due(t, now),
                attempt(t),
                t.name,
                t.queue,
                str(t.priority),
            ]
            for t in found.waiting.tasks
        ]
        heading = ("id", "local time", "due", "attempt", "task", "queue", "priority")
        screen.table(rows, heading, idle=_IDLE)
    else:
        screen.say("  nothing")
    _show_more(screen, found.waiting)
    _show_schedules(screen, found.schedules, now)


def show_running(screen: Screen, found: Listed, now: datetime) -> None:
    """Show tasks that run."""
    rows = []
    for task in found.tasks:
        progress = progress_of(task)
        note = "" if task.cancel_asked_at is None else "asked to end"
        told = "" if progress is None else shown_progress(progress)
        since_start = lasting(task.started_at, now)
        rows.append([short(task.id), since_start, attempt(task), task.name, task.queue, note, told])
    if rows:
        heading = ("id", "since", "attempt", "task", "queue", "note", "progress")
        screen.table(rows, heading, idle=_IDLE)
    else:
        screen.say("  nothing")
    _show_more(screen, found)


# -- results ----------------------------------------------------------------------------------


def show_results(screen: Screen, found: Listed) -> None:
    """Show what ``--results`` tells."""
    screen.title("Ended")
    rows = [
        [
            short(task.id),
            local(task.finished_at),
            since(task.started_at, task.finished_at),
            task.state.value,
            task.name,
            outcome(task),
        ]
        for task in found.tasks
    ]
    if rows:
        styles = [STYLES.get(task.state, "") for task in found.tasks]
        heading = ("id", "local time", "took", "state", "task", "result or error")
        screen.table(rows, heading, styles)
    else:
        screen.say("  nothing")
    _show_more(screen, found)


def show_failed(screen: Screen, found: Listed, now: datetime) -> None:
    """Show what ``--failed`` tells."""
    screen.title("Failed")
    rows = [
        [
            short(task.id),
            since(task.finished_at, now),
            str(task.attempt),
            task.name,
            task.queue,
            outcome(task),
        ]
        for task in found.tasks
    ]
    if rows:
        heading = ("id", "ago", "attempts", "task", "queue", "error")
        screen.table(rows, heading, idle=_IDLE)
        screen.say("  --show ID tells all of one, --retry ID tries it again", "dim")
    else:
        screen.say("  nothing")
    _show_more(screen, found)


def _show_more(screen: Screen, found: Listed) -> None:
    more = found.count - len(found.tasks)
    if more > 0:
        screen.say(f"  and {more} more; --limit N lists more of them", "dim")
    if found.most_read is not None:
        most = f"{found.most_read:,}"
        screen.say(f"  The first {most} in this order were looked at; --thorough looks at all.")
