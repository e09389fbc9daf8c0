"""The next occurrence of cron expressions: stateless, warm, in sequence and from random instants.

Each call is given an instant and gives the next one. What a peer can not say is left out for it.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
import timeit
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Callable, Dict, List, Optional

from zoneinfo import ZoneInfo

from benchmarks.subjects import Figures

TITLE = "Cron: the next occurrence"
PEERS = ["autocron", "croniter", "cronsim", "APScheduler"]
REFERENCES = {
    "UTC, µs": ("autocron", "UTC, µs"),
    "zone, µs": ("autocron", "zone, µs"),
}
EXPRESSIONS = [
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "0 9 * * 1-5",
    "*/15 9-17 * * mon-fri",
    "0 0 1 * *",
    "0 12 1,15 * *",
    "0 0 1 1 *",
    "0 0 29 2 *",
    "15 14 1 * *",
    "0 22 * * sun",
    "5 4 13 * *",
    "0 0,12 1 */2 *",
]
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)

Next = Callable[[datetime], Optional[datetime]]


def _autocron(text: str, zone: tzinfo) -> Next:
    from autocron.core.cron import parse
    from autocron.core.next_run import next_run

    expression = parse(text)
    return lambda after: next_run(expression, after, zone)


def _croniter(text: str, zone: tzinfo) -> Next:
    from croniter import croniter

    known = croniter(text)

    def following(after: datetime) -> datetime:
        found: datetime = known.get_next(datetime, start_time=after.astimezone(zone))
        return found

    return following


def _cronsim(text: str, zone: tzinfo) -> Next:
    from cronsim import CronSim

    # It keeps no parsed expression: an object is one search.
    return lambda after: next(CronSim(text, after.astimezone(zone)))


def _apscheduler(text: str, zone: tzinfo) -> Next:
    from apscheduler.triggers.cron import CronTrigger

    trigger = CronTrigger.from_crontab(text, timezone=zone)
    microsecond = timedelta(microseconds=1)

    def following(after: datetime) -> Optional[datetime]:
        found: Optional[datetime] = trigger.get_next_fire_time(None, after + microsecond)
        return found

    return following


_MAKERS: Dict[str, Callable[[str, tzinfo], Next]] = {
    "autocron": _autocron,
    "croniter": _croniter,
    "cronsim": _cronsim,
    "APScheduler": _apscheduler,
}


def _microseconds(following: Next, count: int, moments: Optional[List[datetime]]) -> float:
    """Return the time of one call, in sequence or from given instants: the best pass of three."""

    def walk() -> None:
        after: Optional[datetime] = _START
        if moments is None:
            for _ in range(count):
                after = following(after or _START)
        else:
            for moment in moments[:count]:
                following(moment)

    return 1e6 * min(timeit.repeat(walk, number=1, repeat=3)) / count


def measure(name: str, quick: bool) -> Figures:
    """Return the geometric mean over the expressions, and each of them."""
    make = _MAKERS[name]
    drawn = random.Random(7)
    minutes = 20 * 365 * 24 * 60
    moments = [_START + timedelta(minutes=drawn.randrange(minutes)) for _ in range(1000)]
    count = 100 if quick else 300
    if name != "autocron":
        count //= 10
    figures: Figures = {}
    for place, zone in (("UTC", timezone.utc), ("zone", ZoneInfo("Europe/Berlin"))):
        times: Dict[str, float] = {}
        for text in EXPRESSIONS:
            with contextlib.suppress(Exception):
                following = make(text, zone)
                one = _microseconds(following, count, None)
                other = _microseconds(following, count, moments)
                times[text] = math.sqrt(one * other)
        figures[f"{place}, µs"] = math.exp(sum(map(math.log, times.values())) / len(times))
        figures.update({f"{place}: {text}": value for text, value in times.items()})
    figures["parse, µs"] = _parse_microseconds(make)
    return figures


def _parse_microseconds(make: Any) -> float:
    seconds = []
    for _ in range(20):
        for text in EXPRESSIONS:
            began = time.perf_counter()
            make(text, timezone.utc)
            seconds.append(time.perf_counter() - began)
    return 1e6 * sorted(seconds)[len(seconds) // 2]
