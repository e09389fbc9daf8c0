"""What is odd about a timeline, in sentences: what a person would want to be told of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple

from autocron.core.clock_change import clock_change, clock_changes
from autocron.core.cron import CronExpression
from autocron.core.next_run import between
from autocron.schedule_options import CronOptions
from autocron.testing.timeline import Timeline, is_called

LATE_SECONDS = 60.0
# So many different tasks at one minute are a pile, if there are not as many workers.
PILE = 3
_MOST_PILES = 3
UTC = timezone.utc
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def odd(timeline: Timeline) -> List[str]:
    """Return what is odd about a timeline.

    Arguments:
        timeline: The timeline.

    Returns:
        A sentence for each kind of oddity of each task; none if nothing is odd.
    """
    found: List[str] = []
    for look in (_overlaps, _skipped, _missed, _late, _failed, _piles, _changes, _never):
        found += look(timeline)
    return found


def moment(at: datetime, zone: tzinfo) -> str:
    """Return an instant on the clock of a zone: ``"Sun 2026-03-29 03:00 +02:00"``."""
    local = at.astimezone(zone)
    clock = local.replace(tzinfo=None)
    unit = "seconds" if clock.second else "minutes"
    offset = local.isoformat(timespec="microseconds")[26:]
    return f"{_WEEKDAYS[local.weekday()]} {clock.isoformat(' ', unit)} {offset}"


def seconds_in_words(seconds: float) -> str:
    """Return a duration in words: ``"90 s"``, ``"12 min"``, ``"2 h 5 min"``, ``"3 d 4 h"``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d" + (f" {hours % 24} h" if hours % 24 else "")
    return f"{hours} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def short_names(timeline: Timeline) -> Dict[str, str]:
    """Return how each task function is called: without its module, where that is clear."""
    found = {}
    for name in timeline.names:
        qualname = name.partition(":")[2]
        forms = (qualname.rpartition(".")[2], qualname)
        found[name] = next((form for form in forms if _is_clear(timeline, form)), name)
    return found


def _is_clear(timeline: Timeline, form: str) -> bool:
    return sum(is_called(name, form) for name in timeline.names) == 1


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _by_name(timeline: Timeline, items: Iterable[Any], name: Callable[[Any], str]) -> Any:
    """Return short names and their items, in the order of the task functions."""
    of: Dict[str, List[Any]] = defaultdict(list)
    for item in items:
        of[name(item)].append(item)
    short = short_names(timeline)
    known = [*timeline.names, *(other for other in of if other not in short)]
    return [(short.get(one, one), of[one]) for one in known if of[one]]


def _overlaps(timeline: Timeline) -> List[str]:
    return [
        f"{name} overlaps with itself {_times(len(pairs))}, first at "
        f"{moment(pairs[0][1].started_at, timeline.zone)}"
        for name, pairs in _by_name(timeline, timeline.overlaps(), lambda pair: str(pair[0].name))
    ]


def _skipped(timeline: Timeline) -> List[str]:
    return [
        f"{name} skips {_plural(len(skips), 'occurrence')}, as an earlier run was still waiting or "
        f"running, first at {moment(skips[0].at, timeline.zone)}"
        for name, skips in _by_name(timeline, timeline.skips, lambda skip: str(skip.name))
    ]


def _missed(timeline: Timeline) -> List[str]:
    return [
        f"{name} misses {_plural(len(missed), 'occurrence')} that nobody was there for, first at "
        f"{moment(missed[0].at, timeline.zone)}"
        for name, missed in _by_name(timeline, timeline.missed(), lambda one: str(one.name))
    ]


def _late(timeline: Timeline) -> List[str]:
    found = []
    late = [entry for entry in timeline.late(LATE_SECONDS) if entry.attempt == 1]
    for name, entries in _by_name(timeline, late, lambda entry: str(entry.name)):
        worst = max(entries, key=lambda entry: entry.late_seconds)
        found.append(
            f"{name} begins more than a minute late {_times(len(entries))}, at most "
            f"{seconds_in_words(worst.late_seconds)}, "
            f"for {moment(worst.scheduled_at, timeline.zone)}"
        )
    return found


def _failed(timeline: Timeline) -> List[str]:
    found = []
    bad = [entry for entry in timeline.entries if entry.outcome not in ("succeeded", "running")]
    for name, entries in _by_name(timeline, bad, lambda entry: str(entry.name)):
        counts = Counter(entry.outcome for entry in entries)
        words = ", ".join(f"{outcome} {_times(count)}" for outcome, count in sorted(counts.items()))
        found.append(f"{name}: {words}")
    return found


def _piles(timeline: Timeline) -> List[str]:
    minutes: Dict[datetime, List[str]] = defaultdict(list)
    for one in timeline.schedules:
        for at in timeline.fired.get(one.key, ()):
            names = minutes[at.replace(second=0, microsecond=0)]
            if one.name not in names:
                names.append(one.name)
    least = max(PILE, timeline.workers + 1)
    zone, short = timeline.zone, short_names(timeline)
    piles: Dict[Tuple[str, Tuple[str, ...]], int] = Counter()
    for at in sorted(minutes):
        if len(minutes[at]) >= least:
            local = at.astimezone(zone)
            tasks = tuple(short[name] for name in minutes[at])
            piles[f"{local.hour:02}:{local.minute:02}", tasks] += 1
    # The highest first, then the most frequent.
    ordered = sorted(piles.items(), key=lambda pile: (-len(pile[0][1]), -pile[1]))
    found = [
        f"{len(names)} tasks pile up at {at} ({_times(count)}): {_list(names)}"
        for (at, names), count in ordered[:_MOST_PILES]
    ]
    more = len(ordered) - len(found)
    if more:
        found.append(
            f"{_plural(more, 'smaller or rarer pile')} of {least} tasks or more at one minute"
        )
    return found


def _list(names: Sequence[str]) -> str:
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")


def _changes(timeline: Timeline) -> List[str]:
    found = []
    short = short_names(timeline)
    for one in timeline.schedules:
        zone = timeline.zone_of(one)
        changes = clock_changes(zone, timeline.start_at, timeline.end_at)
        if one.text is None or not changes:
            continue
        expression, named = timeline.expression(one), f"{short[one.name]} '{one.text}'"
        if expression.is_fixed_time:
            before = timeline.start_at
            for at in timeline.occurrences(one):
                # Far from any change nothing has to be looked at.
                if any(abs(at - change) < timedelta(days=1) for change, _ in changes):
                    words = clock_change(expression, at.astimezone(zone), before)
                    if words not in ("", "clock change"):
                        words = words.partition(": ")[2]
                        change = min(changes, key=lambda change: abs(change[0] - at))
                        found.append(f"{named} at {moment(at, zone)}: {words}, {_told(change)}")
                before = at
        elif not expression.hour.is_full:
            # One of every hour is not odd: it follows elapsed time.
            found += [
                f"{named}: {words}, {_told(change)} at {moment(change[0], zone)}"
                for change in changes
                for words in _of_wildcard(expression, change, zone)
            ]
    return found


def _of_wildcard(
    expression: CronExpression, change: Tuple[datetime, int], zone: tzinfo
) -> List[str]:
    """Tell what a change of the clock does to times of a wildcard schedule."""
    at, seconds = change
    # On the wall clock, taken for UTC: all that it would show, whether it does or not.
    after = at.astimezone(zone).replace(tzinfo=UTC)
    before = after - timedelta(seconds=seconds)
    first, last = min(after, before), max(after, before)
    microsecond = timedelta(microseconds=1)
    count = sum(1 for _ in between(expression, first - microsecond, last - microsecond, UTC))
    if not count:
        return []
    if seconds > 0:
        return [f"{_plural(count, 'time')} on that day {'is' if count == 1 else 'are'} skipped"]
    return [f"{_plural(count, 'time')} on that day {'runs' if count == 1 else 'run'} twice"]


def _told(change: Tuple[datetime, int]) -> str:
    seconds = change[1]
    direction = "forward" if seconds > 0 else "back"
    return f"as the clock goes {direction} {seconds_in_words(abs(seconds))}"


def _never(timeline: Timeline) -> List[str]:
    short = short_names(timeline)
    return [
        f"{short[one.name]} '{one.text}' has no occurrence in the span"
        for one in timeline.never_fired()
    ]


def about(one: CronOptions) -> str:
    """Return a schedule in a few words."""
    return one.text or "at the start"
