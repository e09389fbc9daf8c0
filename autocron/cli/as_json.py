"""What ``--json`` prints; the shape is documented in docs/command-line.md, and only grows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, FrozenSet, Optional, Sequence

from autocron.cli.formatting import instant
from autocron.cli.pieces import progress_of
from autocron.core.policy import Policy
from autocron.core.schedule import Schedule
from autocron.core.task import ALL_QUEUES, Task, TaskState
from autocron.ports import Stats

if TYPE_CHECKING:
    from autocron.shell.admin import TaskList
    from autocron.shell.application import Application
    from autocron.shell.counting import QueueInfo
    from autocron.shell.looking import Listed
    from autocron.shell.overview import HostInfo, Overview, Planned, WorkerProcess
    from autocron.shell.statistics import Figures, Statistics

Document = Dict[str, Any]


def _fields(value: object) -> Document:
    """Return the fields of a value, which has no other values in it."""
    return dict(vars(value))


def head(path: str, now: datetime) -> Document:
    """Return what every document begins with."""
    return {"database": path, "at": instant(now)}


def info(overview: Overview, now: datetime) -> Document:
    """Return what ``--info`` tells."""
    processes = overview.processes
    return {
        "settings": _fields(overview.settings),
        "application": _application(overview),
        "supervisor": None if processes.supervisor is None else {"pid": processes.supervisor},
        "workers": [_worker(worker) for worker in processes.workers],
        "hosts": [_host(one) for one in overview.hosts],
        "schedules": [_planned(one) for one in overview.schedules],
        "queues": [_queue(one, now) for one in overview.queues],
        "paused": paused(overview.paused),
        "unserved": list(overview.unserved),
        "moved_to": None if overview.moved is None else overview.moved.url,
        "counts": _counts(overview.stats),
        **_oldest(overview.stats.oldest_due_at, now),
    }


def tasks(found: TaskList) -> Document:
    """Return what ``--tasks`` tells."""
    return {
        "running": [_task(task) for task in found.running.tasks],
        "waiting": [_task(task) for task in found.waiting.tasks],
        "schedules": [_planned(one) for one in found.schedules],
        "running_count": found.running.count,
        "waiting_count": found.waiting.count,
        "waiting_most_read": found.waiting.most_read,
    }


def results(found: Listed) -> Document:
    """Return what ``--results`` tells."""
    return {
        "ended": [_ended(task) for task in found.tasks],
        "ended_count": found.count,
        "ended_most_read": found.most_read,
    }


def failed(found: Listed) -> Document:
    """Return what ``--failed`` tells."""
    return {
        "failed": [_ended(task) for task in found.tasks],
        "failed_count": found.count,
        "failed_most_read": found.most_read,
    }


def whole(task: Task) -> Document:
    """Return what ``--show`` tells of a task."""
    return {
        **_ended(task),
        "arguments": _loaded(task.payload),
        "given": _loaded(task.given),
        "policy": _policy(task.policy),
        "history": [
            {
                "attempt": past.number,
                "started_at": instant(past.started_at),
                "ended_at": instant(past.ended_at),
                "error_message": past.error_message,
            }
            for past in task.history
        ],
    }


def stats(found: Statistics, now: datetime) -> Document:
    """Return what ``--stats`` tells."""
    return {
        "total": _figures(found.total),
        "tasks": [{"name": name, **_figures(one)} for name, one in found.tasks.items()],
        "queues": [_queue(one, now) for one in found.queues],
        "counts": _counts(found.stats),
        **_oldest(found.stats.oldest_due_at, now),
        "result_ttl": found.result_ttl,
        "failure_ttl": found.failure_ttl,
        "most_read": found.most_read,
    }


def paused(queues: FrozenSet[str]) -> Document:
    """Return which queues are paused."""
    return {"all": ALL_QUEUES in queues, "queues": sorted(queues - {ALL_QUEUES})}


def schedule(found: Sequence[Schedule]) -> Optional[Document]:
    """Return a schedule that was changed; None if it is not there any more."""
    return {"key": found[0].key, "is_enabled": found[0].is_enabled} if found else None


def _host(one: HostInfo) -> Document:
    return {
        "name": one.host.name,
        "is_this": one.host.is_this,
        "silent_seconds": round(one.host.silent_seconds, 3),
        "workers": [
            {"name": name, "task": _task(one.tasks[name]) if name in one.tasks else None}
            for name in one.host.workers
        ],
    }


def _figures(one: Figures) -> Document:
    return {
        "ended": {window: _fields(ended) for window, ended in one.ended.items()},
        "waited": None if one.waited is None else _fields(one.waited),
        "ran": None if one.ran is None else _fields(one.ran),
    }


def _oldest(oldest: Optional[datetime], now: datetime) -> Document:
    return {
        "oldest_due_at": instant(oldest),
        "oldest_due_seconds": None if oldest is None else (now - oldest).total_seconds(),
    }


def _queue(one: QueueInfo, now: datetime) -> Document:
    return {
        "name": one.name,
        "is_paused": one.is_paused,
        "waiting": one.waiting,
        "due": one.due,
        "held": one.held,
        "running": one.running,
        **_oldest(one.oldest_due_at, now),
    }


def _policy(policy: Policy) -> Document:
    rate = policy.rate
    return {
        **_fields(policy),
        "rate": None if rate is None else {"count": rate.count, "seconds": rate.seconds},
    }


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
        "queues": None if worker.queues is None else list(worker.queues),
        "task": None if worker.task is None else _task(worker.task),
        "claimed": worker.claimed,
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
        "is_enabled": schedule.is_enabled,
        "is_dynamic": schedule.is_dynamic,
        "jitter_seconds": schedule.jitter_seconds,
        "queue": schedule.queue,
        "priority": schedule.priority,
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
        "queue": task.queue,
        "expires_at": instant(task.expires_at),
        "unique_until_at": instant(task.unique_until_at),
        "limit": task.limit,
        "rate_key": task.rate_key,
        "group": task.group,
        "after": task.after,
        "failures": task.failures,
        "progress": _progress(task),
        "cancel_asked_at": instant(task.cancel_asked_at),
    }


def _progress(task: Task) -> Optional[Document]:
    progress = progress_of(task)
    return None if progress is None else _fields(progress)


def _loaded(text: Optional[str]) -> Any:
    """Return what a stored text says; the text itself if it is no JSON."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _ended(task: Task) -> Document:
    # The latest failure of one that is to be tried again, too; and why one was cancelled.
    failure = task.failure
    both = task.started_at is not None and task.finished_at is not None
    return {
        **_task(task),
        "finished_at": instant(task.finished_at),
        "seconds": (task.finished_at - task.started_at).total_seconds() if both else None,  # type: ignore[operator]
        "result": _loaded(task.result),
        "error_message": None if failure is None else failure.error_message,
        "traceback": None if failure is None else failure.traceback,
    }
