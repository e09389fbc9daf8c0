"""What ``--info``, ``--tasks`` and ``--results`` show to people."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, List, Optional, Sequence

from autocron.cli.formatting import Screen, duration, moment, one_line, wall
from autocron.core import arguments
from autocron.core.errors import AutocronError
from autocron.core.settings import AUTOCRON_LOCK, MAX_WORKERS, NAMES, NUMBERS, Settings
from autocron.core.task import Task, TaskState
from autocron.core.workforce import total
from autocron.zones import LocalZone

if TYPE_CHECKING:
    from autocron.shell.admin import Overview, Planned, ResultList, TaskList

_STYLES = {TaskState.SUCCEEDED: "good", TaskState.FAILED: "bad", TaskState.CANCELLED: "dim"}
_PICKLED = '{"$pickle":'


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
    screen.say()
    screen.say("Settings", "bold")
    settings = overview.settings
    screen.table([[name.replace("_", "-"), setting(settings, name)] for name in NAMES])
    screen.say()
    screen.say("Processes", "bold")
    screen.table(_process_rows(overview, now))
    _show_schedules(screen, overview.schedules, now)
    screen.say()
    screen.say("Tasks", "bold")
    counts = overview.stats.counts
    screen.table([[state.value, f"{counts[state]:>6}"] for state in TaskState])
    oldest = overview.stats.oldest_due_at
    if oldest is not None:
        screen.say(f"  The oldest due task has waited for {_since(oldest, now)}.")


def _process_rows(overview: Overview, now: datetime) -> List[List[str]]:
    processes, application = overview.processes, overview.application
    rows = [["application", _running(overview)]]
    if application is not None:
        rows.append(["", f"in {one_line(application.root)}"])
        if application.django is not None:
            rows.append(["", f"Django with {application.django}"])
    pid = processes.supervisor
    rows.append(["supervisor", "none" if pid is None else f"pid {pid}"])
    wanted = total(overview.settings.max_workers or 1)
    why = ""
    if application is not None and application.workers is not None:
        wanted = total(application.workers)
        why = f", as start(workers={application.workers}) asks"
    count = len(processes.workers)
    rows.append(["workers", f"{count} of {wanted}{why}" if processes.is_anyone_there else "none"])
    for worker in processes.workers:
        task = worker.task
        doing = "idle" if task is None else f"{task.name} {_for(task.started_at, now)}"
        rows.append(["", f"pid {worker.pid}  {doing}".rstrip()])
    held = sum(1 for worker in processes.workers if worker.task is not None)
    lost = overview.stats.counts[TaskState.RUNNING] - held
    if lost > 0:
        rows.append(["", f"{lost} running of a worker that is gone: taken back by a supervisor"])
    return rows


def _running(overview: Overview) -> str:
    if overview.processes.is_application_running:
        return "running"
    return "locked: calls run in place" if overview.settings.autocron_lock else "not running"


def _show_schedules(screen: Screen, schedules: Sequence[Planned], now: datetime) -> None:
    if not schedules:
        return
    screen.say()
    screen.say("Schedules", "bold")
    rows = [
        [one.schedule.name, one.schedule.text or "at start", one.schedule.zone, _next(one, now)]
        for one in schedules
    ]
    screen.table(rows, ("task", "cron", "zone", "next run"))


def _next(one: Planned, now: datetime) -> str:
    if one.problem:
        return one_line(one.problem)
    if one.next_at is None or one.zone is None:
        return "when the application starts" if one.schedule.at_start else "never again"
    has_seconds = len((one.schedule.text or "").split()) == 6
    return f"{moment(one.next_at, one.zone, has_seconds)} (in {_since(now, one.next_at)})"


# -- tasks ------------------------------------------------------------------------------------


def show_tasks(screen: Screen, found: TaskList, now: datetime) -> None:
    """Show what ``--tasks`` tells."""
    running, waiting = found.running, found.waiting
    screen.say()
    screen.say("Running", "bold")
    if running:
        rows = [[_for(t.started_at, now), _attempt(t), t.name] for t in running]
        screen.table(rows, ("since", "attempt", "task"))
    else:
        screen.say("  nothing")
    _show_more(screen, found.stats.counts[TaskState.RUNNING] - len(running))
    screen.say()
    screen.say("Waiting", "bold")
    if waiting:
        rows = [[_local(t.run_at), _due(t, now), _attempt(t), t.name] for t in waiting]
        screen.table(rows, ("local time", "due", "attempt", "task"))
    else:
        screen.say("  nothing")
    _show_more(screen, found.stats.counts[TaskState.WAITING] - len(waiting))
    _show_schedules(screen, found.schedules, now)


def _due(task: Task, now: datetime) -> str:
    if task.run_at > now:
        return f"in {_since(now, task.run_at)}"
    return f"for {_since(task.run_at, now)}"


def _attempt(task: Task) -> str:
    # The attempt in hand, or the one to come.
    return str(task.attempt + (task.state is TaskState.WAITING))


# -- results ----------------------------------------------------------------------------------


def show_results(screen: Screen, found: ResultList) -> None:
    """Show what ``--results`` tells."""
    screen.say()
    screen.say("Ended", "bold")
    if found.tasks:
        rows = [
            [_local(task.finished_at), _took(task), task.state.value, task.name, _outcome(task)]
            for task in found.tasks
        ]
        styles = [_STYLES.get(task.state, "") for task in found.tasks]
        heading = ("local time", "took", "state", "task", "result or error")
        screen.table(rows, heading, styles)
    else:
        screen.say("  nothing")
    _show_more(screen, found.count - len(found.tasks))


def _took(task: Task) -> str:
    if task.started_at is None or task.finished_at is None:
        return ""
    return _since(task.started_at, task.finished_at)


def _outcome(task: Task) -> str:
    if task.state is TaskState.FAILED and task.failure is not None:
        return one_line(task.failure.error_message)
    return "" if task.result is None else one_line(shown_result(task.result))


def shown_result(text: str) -> str:
    """Return a stored result as Python writes it.

    What was pickled is not loaded: that could run code of whoever can write to the database.
    """
    if text.startswith(_PICKLED):
        return "(pickled)"
    try:
        return repr(arguments.load_result(text))
    except AutocronError:
        return text


# -- pieces -----------------------------------------------------------------------------------


def _show_more(screen: Screen, count: int) -> None:
    if count > 0:
        screen.say(f"  and {count} more; --limit N lists more of them", "dim")


def _local(at: Optional[datetime]) -> str:
    zone = LocalZone()
    return "" if at is None else wall((at.astimezone(timezone.utc)).astimezone(zone))


def _since(start: datetime, end: datetime) -> str:
    return duration((end - start).total_seconds())


def _for(start: Optional[datetime], now: datetime) -> str:
    return "" if start is None else f"for {_since(start, now)}"
