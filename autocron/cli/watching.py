"""``--watch``: a live view of the queue in the terminal, or line by line where there is none."""

from __future__ import annotations

import io
import sys
import time
from datetime import datetime
from typing import Any, Dict, NoReturn

from autocron.cli import as_json
from autocron.cli.formatting import Screen, to_line
from autocron.cli.listing import show_queues, show_unserved
from autocron.cli.pieces import (
    STYLES,
    local,
    outcome,
    progress_of,
    short,
    shown_progress,
    since,
)
from autocron.cli.terminal import Terminal
from autocron.core.task import ALL_QUEUES, Task, TaskState
from autocron.shell.admin import Admin
from autocron.shell.listing import ENDED
from autocron.shell.overview import Overview

_LATEST = 8
_LATEST_FAILED = 5


def run(admin: Admin, seconds: float, is_json: bool) -> int:
    """Show what goes on in a database until somebody ends it.

    Arguments:
        admin: The database.
        seconds: How often to look.
        is_json: Print each look as one line of JSON.

    Returns:
        The exit code; Ctrl-C is the way to end it, and so no failure.
    """
    try:
        if is_json or not sys.stdout.isatty():
            _repeat(admin, seconds, is_json)
        return _draw(admin, seconds)
    except KeyboardInterrupt:
        return 0


def _repeat(admin: Admin, seconds: float, is_json: bool) -> NoReturn:
    while True:
        now = admin.clock.now()
        if is_json:
            print(to_line(_document(admin, now)), flush=True)
        else:
            print(_picture(admin, now, seconds), flush=True)
        time.sleep(seconds)


def _draw(admin: Admin, seconds: float) -> int:
    with Terminal() as terminal:
        terminal.show(_picture(admin, admin.clock.now(), seconds))
        while terminal.pause(seconds):
            terminal.show(_picture(admin, admin.clock.now(), seconds))
    return 0 if terminal.ended_by is None else 128 + terminal.ended_by


def _document(admin: Admin, now: datetime) -> Dict[str, Any]:
    return {
        **as_json.head(admin.shown, now),
        "info": as_json.info(admin.overview(), now),
        "results": as_json.results(admin.listed(ENDED, _LATEST)),
        "ended_last_minute": admin.ended_within(60.0),
    }


def _picture(admin: Admin, now: datetime, seconds: float) -> str:
    text = io.StringIO()
    screen = Screen(text, terminal=sys.stdout)
    overview = admin.overview()
    counts, ended = overview.stats.counts, admin.ended_within(60.0)
    screen.say(f"{admin.shown}  {local(now)}", "bold")
    screen.say(f"every {seconds:g} s; q or Ctrl-C ends", "dim")
    screen.say()
    screen.say(
        f"{counts[TaskState.WAITING]} waiting, {counts[TaskState.RUNNING]} running; "
        f"in the last minute {ended['succeeded']} succeeded, {ended['failed']} failed"
    )
    _show_workers(screen, overview, now)
    screen.title("Queues")
    if overview.queues:
        show_queues(screen, overview.queues, now)
        show_unserved(screen, overview)
    else:
        screen.say("  nothing waits")
    if ALL_QUEUES in overview.paused:
        screen.say("  All queues are paused.", "bad")
    failed = admin.listed((TaskState.FAILED,), _LATEST_FAILED).tasks
    if failed:
        screen.title(f"Failed ({counts[TaskState.FAILED]})")
        screen.table(
            [[since(t.finished_at, now), short(t.id), t.name, outcome(t)] for t in failed],
            ("ago", "id", "task", "error"),
        )
    latest = admin.listed(ENDED, _LATEST).tasks
    if latest:
        screen.title("Ended")
        screen.table(
            [_ended_row(task, now) for task in latest],
            ("ago", "took", "state", "task", "result or error"),
            [STYLES.get(task.state, "") for task in latest],
        )
    return text.getvalue()


def _ended_row(task: Task, now: datetime) -> list[str]:
    took = since(task.started_at, task.finished_at)
    return [since(task.finished_at, now), took, task.state.value, task.name, outcome(task)]


def _show_workers(screen: Screen, overview: Overview, now: datetime) -> None:
    processes = overview.processes
    screen.title(f"Workers ({len(processes.workers)})")
    if not processes.workers:
        running = "running" if processes.is_application_running else "not running"
        screen.say(f"  none; the application is {running}")
        return
    rows = []
    for worker in processes.workers:
        task, queues = worker.task, ", ".join(worker.queues or ())
        if task is None:
            rows.append([str(worker.pid), queues, "", "idle", ""])
            continue
        progress = progress_of(task)
        told = "" if progress is None else shown_progress(progress)
        if task.cancel_asked_at is not None:
            told = f"asked to end {told}".rstrip()
        rows.append([str(worker.pid), queues, since(task.started_at, now), task.name, told])
    heading = ("pid", "queues", "since", "task", "progress")
    screen.table(rows, heading, idle={"progress": "", "queues": ""})
