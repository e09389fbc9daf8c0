"""A timeline in characters: a row a task, a column a slot of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Dict, List, Sequence, Tuple

from autocron.core.clock_change import clock_changes
from autocron.testing.odd import moment, seconds_in_words, short_names
from autocron.testing.timeline import Timeline

_SLOTS = (
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200),
    *(86400, 2 * 86400, 7 * 86400, 14 * 86400, 28 * 86400),
)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONGEST_NAME = 30

# What a cell shows; of several the first.
_LEGEND = (
    ("!", "failed, or its worker died"),
    ("x", "overlaps with itself"),
    ("m", "misses an occurrence: nobody was there"),
    ("s", "skips an occurrence: an earlier run is in hand"),
    ("=", "runs on"),
    ("~", "machine off"),
)


def to_text(timeline: Timeline, width: int) -> str:
    """Draw a timeline; see :meth:`autocron.testing.timeline.Timeline.to_text`."""
    lines = [*_heading(timeline), "", *_Picture(timeline, width).lines()]
    found = timeline.odd()
    lines += ["", "What is odd" if found else "Nothing is odd."]
    lines += [f"  {sentence}" for sentence in found]
    return "\n".join(lines) + "\n"


def _heading(timeline: Timeline) -> List[str]:
    zone = timeline.zone
    busy = timeline.busy()
    share = max(busy.values())
    return [
        f"{moment(timeline.start_at, zone)} to {moment(timeline.end_at, zone)}  "
        f"{timeline.zone_name}",
        f"{len(timeline.entries)} runs, {len(timeline.skips)} skipped, "
        f"{len(timeline.missed())} missed, {len(timeline.late())} late; "
        f"{len(busy)} worker{'' if len(busy) == 1 else 's'}, busy up to {share:.1%}; "
        f"seed {timeline.seed}",
    ]


class _Picture:
    def __init__(self, timeline: Timeline, width: int) -> None:
        self.timeline = timeline
        self.short = short_names(timeline)
        self.label = min(max((len(name) for name in self.short.values()), default=4), _LONGEST_NAME)
        room = max(width - self.label - 10, 12)
        span_seconds = (timeline.end_at - timeline.start_at).total_seconds()
        fitting = [slot for slot in _SLOTS if span_seconds / slot <= room]
        self.slot = fitting[0] if fitting else -(-span_seconds // (room * 86400)) * 86400
        self.columns = max(1, int(-(-span_seconds // self.slot)))
        self.used: Dict[str, None] = {}

    def place(self, at: datetime) -> int:
        seconds = (at - self.timeline.start_at).total_seconds()
        return min(max(int(seconds // self.slot), 0), self.columns - 1)

    def lines(self) -> List[str]:
        rows = [self._row(name) for name in self.timeline.names]
        ruler = [" " * (self.label + 2) + line for line in self._ruler()]
        legend = [f"{sign} {words}" for sign, words in _LEGEND if sign in self.used]
        legend.insert(0, f"a column is {seconds_in_words(self.slot)}; a digit: so many runs begin")
        return [*ruler, *rows, "", *_wrapped(legend)]

    def _row(self, name: str) -> str:
        cells = [""] * self.columns
        timeline = self.timeline

        def mark(at: datetime, sign: str) -> None:
            place = self.place(at)
            cells[place] = min(cells[place] or sign, sign, key=_rank)

        begins = [0] * self.columns
        runs = timeline.runs(name)
        for entry in runs:
            first = self.place(entry.started_at)
            last = self.place((entry.finished_at or timeline.end_at) - timedelta(microseconds=1))
            begins[first] += 1
            for place in range(first + 1, last + 1):
                cells[place] = cells[place] or "="
            if entry.outcome not in ("succeeded", "running"):
                mark(entry.started_at, "!")
        for _, later in timeline.overlaps():
            if later.name == name:
                mark(later.started_at, "x")
        for skip in timeline.skipped(name):
            mark(skip.at, "s")
        for missed in timeline.missed(name):
            mark(missed.at, "m")
        for place, count in enumerate(begins):
            if count and cells[place] in ("", "="):
                cells[place] = str(count) if count < 10 else "+"
        for begin, end in timeline.outages:
            for place in range(self.place(begin), self.place(end - timedelta(microseconds=1)) + 1):
                cells[place] = cells[place] or "~"
        self.used.update(dict.fromkeys(cells))
        label = self.short[name]
        if len(label) > self.label:
            label = label[: self.label - 3] + "..."
        row = "".join(cell or "." for cell in cells)
        return f"{label:{self.label}}  {row}  {len(runs)}"

    def _ruler(self) -> List[str]:
        """Return the lines above: days, hours where there is room, and changes of the clock."""
        days, hours, changes = ([" "] * self.columns for _ in range(3))
        per_day = 86400 / self.slot
        free_from = 0
        before = None
        for place in range(self.columns):
            at = self.timeline.start_at + timedelta(seconds=place * self.slot)
            local = at.astimezone(self.timeline.zone)
            day = (local.year, local.month) if per_day < 1 else local.date()
            if day != before:
                before = day
                label = f"|{_WEEKDAYS[local.weekday()]} {local.day}"
                if per_day < 4:
                    label = f"|{local.day}.{local.month}."
                if place >= free_from and place + len(label) <= self.columns:
                    days[place : place + len(label)] = label
                    free_from = place + len(label) + 1
                elif days[place] == " ":
                    days[place] = "|"
            if per_day >= 24 and local.hour % 6 == 0 and local.minute * 60 < self.slot:
                text = f"{local.hour:02}"
                if place + 2 <= self.columns and hours[place - 1] == " ":
                    hours[place : place + 2] = text
        found = clock_changes(self.timeline.zone, self.timeline.start_at, self.timeline.end_at)
        for at, seconds in found:
            changes[self.place(at)] = ">" if seconds > 0 else "<"
        lines = ["".join(days).rstrip(), "".join(hours).rstrip()]
        if found:
            words = "; ".join(_change_in_words(change) for change in found[:2])
            line, place = "".join(changes).rstrip(), self.place(found[-1][0])
            fits = place + 3 + len(words) <= self.columns
            lines.append(f"{line} {words}" if fits else _before(line, words))
        return [line for line in lines if line]


def _change_in_words(change: Tuple[datetime, int]) -> str:
    seconds = change[1]
    direction = "forward" if seconds > 0 else "back"
    return f"the clock goes {direction} {seconds_in_words(abs(seconds))}"


def _before(line: str, words: str) -> str:
    """Put words before the first sign of a line if they fit, else after its last."""
    blank = len(line) - len(line.lstrip())
    return words.rjust(blank - 1) + line[blank - 1 :] if len(words) < blank else f"{line} {words}"


def _rank(sign: str) -> int:
    order = [known for known, _ in _LEGEND]
    return order.index(sign) if sign in order else len(order)


def _wrapped(words: Sequence[str]) -> List[str]:
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) > 90:
            lines.append(line)
            line = ""
        line = f"{line};  {word}" if line else word
    return [*lines, line]
