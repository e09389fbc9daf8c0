"""What ``--json`` prints; the shape is documented in docs/command-line.md, and only grows."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, Optional

from autocron.cli.formatting import instant
from autocron.core.task import Task, TaskState
from autocron.ports import Stats

if TYPE_CHECKING:
    from autocron.shell.admin import Overview, Planned, ResultList, TaskList, WorkerProcess
    from autocron.shell.application import Application

Document = Dict[str, Any]


def head(path: str, now: datetime) -> Document:
    """Return what every document begins with."""
    return {"database": path, "at": instant(now)}


def info(overview: Overview, now: datetime) -> Document:
    """Return what ``--info`` tells."""
    processes, oldest = overview.processes, overview.stats.oldest_due_at
    return {
        "settings": asdict(overview.settings),
        "application": _application(overview),
        "supervisor": None if processes.supervisor is None else {"pid": processes.supervisor},
        "workers": [_worker(worker) for worker in processes.workers],
        "schedules": [_planned(one) for one in overview.schedules],
        "counts": _counts(overview.stats),
        "oldest_due_at": instant(oldest),
        "oldest_due_seconds": None if oldest is None else (now - oldest).total_seconds(),
    }


def tasks(found: TaskList) -> Document:
    """Return what ``--tasks`` tells."""
    return {
        "running": [_task(task) for task in found.running],
        "waiting": [_task(task) for task in found.waiting],
        "schedules": [_planned(one) for one in found.schedules],
        "running_count": found.stats.counts[TaskState.RUNNING],
        "waiting_count": found.stats.counts[TaskState.WAITING],
    }


def results(found: ResultList) -> Document:
    """Return what ``--results`` tells."""
    return {"ended": [_ended(task) for task in found.tasks], "ended_count": found.count}


def _application(overview: Overview) -> Optional[Document]:
    application: Optional[Application] = overview.application
    if application is None:
        return None
    return {
        "root": application.root,
        "directory": application.directory,
        "executable": application.executable,
        "django": application.django,
        "serializer": application.serializer,
        "durability": application.durability,
        "tz": application.tz,
        "workers": application.workers,
        "modules": list(overview.modules),
        "is_running": overview.processes.is_application_running,
    }


def _worker(worker: WorkerProcess) -> Document:
    return {
        "name": worker.name,
        "pid": worker.pid,
        "task": None if worker.task is None else _task(worker.task),
    }


def _planned(one: Planned) -> Document:
    schedule = one.schedule
    return {
        "key": schedule.key,
        "name": schedule.name,
        "expression": schedule.text,
        "zone": schedule.zone,
        "missed": schedule.missed,
        "overlap": schedule.overlap,
        "grace_seconds": schedule.grace_seconds,
        "at_start": schedule.at_start,
        "watermark_at": instant(schedule.watermark_at),
        "next_at": instant(one.next_at),
        "problem": one.problem or None,
    }


def _counts(stats: Stats) -> Document:
    return {state.value: stats.counts[state] for state in TaskState}


def _task(task: Task) -> Document:
    return {
        "id": task.id,
        "name": task.name,
        "state": task.state.value,
        "enqueued_at": instant(task.enqueued_at),
        "run_at": instant(task.run_at),
        "started_at": instant(task.started_at),
        "priority": task.priority,
        "unique": task.unique,
        "lock": task.lock,
        "schedule": task.schedule,
        "occurrence_at": instant(task.occurrence_at),
        "attempt": task.attempt,
        "deaths": task.deaths,
        "worker": task.worker,
    }


def _ended(task: Task) -> Document:
    failure = task.failure if task.state is TaskState.FAILED else None
    both = task.started_at is not None and task.finished_at is not None
    return {
        **_task(task),
        "finished_at": instant(task.finished_at),
        "seconds": (task.finished_at - task.started_at).total_seconds() if both else None,  # type: ignore[operator]
        "result": None if task.result is None else json.loads(task.result),
        "error_message": None if failure is None else failure.error_message,
        "traceback": None if failure is None else failure.traceback,
    }
