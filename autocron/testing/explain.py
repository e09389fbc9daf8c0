"""The state of a session as text, for whoever wonders why a test goes as it does."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, List

from autocron import zones
from autocron.core.cron import parse
from autocron.core.next_run import next_run
from autocron.core.schedule import Schedule
from autocron.core.task import TaskState
from autocron.testing.clock import ManualClock
from autocron.testing.queue_asserts import show_call
from autocron.testing.runner import Run

if TYPE_CHECKING:
    from autocron.testing.sessions import Session

LAST_RUNS = 10


def explain(session: Session) -> str:
    """Return the clock, the queue, the schedules, the plans and the last runs of a session.

    Arguments:
        session: The session; it is open.

    Returns:
        Some lines of text.
    """
    now = session.now()
    kind = "the test moves it" if isinstance(session.clock, ManualClock) else "the system's"
    schedules = session.backend.store.schedules()
    runs = session.runs()
    running = session.backend.list(state=TaskState.RUNNING)
    sections = [
        ("clock", [f"{now.astimezone(session.zone)}  ({kind})"]),
        ("waiting", str(session).splitlines()[1:]),
        ("running", [f"    {task.name}  [{task.id}]" for task in running]),
        ("schedules", [f"    {line}" for line in _schedules(schedules, now)]),
        ("planned to go wrong", [f"    {text}" for text in session.planned()]),
        (
            f"runs, the last {LAST_RUNS} of {len(runs)}" if len(runs) > LAST_RUNS else "runs",
            [f"    {_run(run)}" for run in runs[-LAST_RUNS:]],
        ),
    ]
    lines: List[str] = []
    for title, content in sections:
        if title == "clock":
            lines.append(f"clock: {content[0]}")
        elif content or title in ("waiting", "runs", "schedules"):
            lines += [f"{title}:", *(content or ["    (nothing)"])]
    return "\n".join(lines)


def _schedules(schedules: List[Schedule], now: datetime) -> List[str]:
    lines = []
    for schedule in schedules:
        zone = zones.load_zone(schedule.zone)
        start = ", at the start" if schedule.at_start else ""
        if schedule.text is None:
            lines.append(f"{schedule.name}  at the start only")
            continue
        after = max(now, schedule.watermark_at)
        next_at = next_run(parse(schedule.text), after, zone)
        shown = "never" if next_at is None else f"{next_at.astimezone(zone)}"
        lines.append(
            f"{schedule.name}  {schedule.text}  in {schedule.zone}{start}; next run {shown}; "
            f"missed={schedule.missed!r}, overlap={schedule.overlap!r}"
        )
    return lines


def _run(run: Run) -> str:
    if run.crashed:
        how = "its worker died, as planned"
    elif run.error is not None:
        how = f"{type(run.error).__name__}: {run.error}"
    else:
        how = f"returned {run.result!r}"
    again = "" if run.retry_at is None else f"; again at {run.retry_at.astimezone(run.zone)}"
    call = show_call(run.name, run.args, run.kwargs)
    attempt = f"attempt {run.attempt}, " if run.attempt > 1 else ""
    return f"{run.started_at.astimezone(run.zone)}  {call}  {attempt}{how}{again}"
