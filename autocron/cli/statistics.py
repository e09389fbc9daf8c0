"""What ``--stats`` shows to people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, List, Optional

from autocron.cli.formatting import Screen, duration
from autocron.cli.listing import show_queues
from autocron.cli.pieces import since
from autocron.core.task import TaskState

if TYPE_CHECKING:
    from autocron.shell.statistics import Ended, Figures, Spread, Statistics

_WINDOWS = ("minute", "hour", "day")


def show_stats(screen: Screen, found: Statistics, now: datetime) -> None:
    """Show what ``--stats`` tells."""
    screen.title("Ended (of these failed) in the last")
    rows = [_row(name, one) for name, one in found.tasks.items()]
    if rows:
        screen.table(
            [*rows, _row("all", found.total)],
            ("task", *_WINDOWS, "waited", "95 %", "ran", "95 %"),
            [*("" for _ in rows), "bold"],
        )
        screen.say("  waited, ran: the median, and what 95 of 100 tasks did not exceed", "dim")
    else:
        screen.say("  nothing")
    if found.most_read is not None:
        screen.say(
            f"  More have ended; of each kind the latest {found.most_read:,} are in these figures "
            "(with --thorough all)."
        )
    kept = duration(found.result_ttl)
    if found.result_ttl < 86400:
        screen.say(f"  What succeeded more than {kept} ago is not kept (result-ttl), nor counted.")
    if found.failure_ttl < 86400:
        kept = duration(found.failure_ttl)
        screen.say(f"  What failed more than {kept} ago is not kept (failure-ttl), nor counted.")
    if found.queues:
        screen.title("Queues")
        show_queues(screen, found.queues, now)
    screen.title("Now")
    counts = found.stats.counts
    oldest = found.stats.oldest_due_at
    screen.table(
        [
            ["waiting", str(counts[TaskState.WAITING])],
            ["running", str(counts[TaskState.RUNNING])],
            ["oldest due", "none" if oldest is None else f"for {since(oldest, now)}"],
        ]
    )


def _row(name: str, one: Figures) -> List[str]:
    return [
        name,
        *(_ended(one.ended[window]) for window in _WINDOWS),
        *_spread(one.waited),
        *_spread(one.ran),
    ]


def _ended(ended: Ended) -> str:
    return f"{ended.count} ({ended.failed})" if ended.failed else str(ended.count)


def _spread(spread: Optional[Spread]) -> List[str]:
    if spread is None:
        return ["", ""]
    return [duration(spread.median_seconds), duration(spread.p95_seconds)]
