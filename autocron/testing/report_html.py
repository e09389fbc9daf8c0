"""A timeline as one page of HTML with a picture in it, which needs nothing from outside."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from typing import Dict, List, Set, Tuple

from autocron.core.clock_change import clock_changes
from autocron.testing.odd import about, moment, seconds_in_words, short_names
from autocron.testing.timeline import Entry, Timeline

WIDTH, LABEL, ROW, TOP = 1080, 190, 26, 58
_RIGHT = 64
# Beyond this a picture shows pixels instead of runs, which nobody could point at anyway.
_MOST_RUNS = 3000
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_COLOURS = """
.tl{--ink:#1d2733;--soft:#5c6b7a;--line:#d9e0e7;--band:#f5f7fa;--ground:#fff;
--good:#2b7de0;--bad:#d1372f;--skip:#a86c00;--miss:#8b3fc0;--off:#c3ccd6;--change:#087a5a}
@media (prefers-color-scheme:dark){.tl{--ink:#e6ebf1;--soft:#9aa8b6;--line:#313c48;--band:#1a222b;
--ground:#12181f;--good:#5aa5ff;--bad:#ff6f66;--skip:#f0b64a;--miss:#c78bf5;--off:#3c4855;
--change:#3fd3a4}}
.tl text{font:12px system-ui,sans-serif;fill:var(--ink)}
.tl .soft{fill:var(--soft);font-size:11px}.tl .end{text-anchor:end}
.tl .ground{fill:var(--ground)}.tl .band{fill:var(--band)}
.tl .day{stroke:var(--line)}.tl .change{stroke:var(--change);stroke-dasharray:4 3}
.tl text.changes{fill:var(--change);font-size:11px}
.tl .succeeded{fill:var(--good)}.tl .bad{fill:var(--bad)}
.tl .running{fill:var(--good);fill-opacity:.45;stroke:var(--good)}
.tl .off{fill:var(--off);fill-opacity:.5;stroke:var(--soft);stroke-width:.7}
.tl .skipped{fill:var(--ground);stroke:var(--skip);stroke-width:1.5}
.tl .missed{stroke:var(--miss);stroke-width:1.5}
"""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
content="default-src 'none';style-src 'unsafe-inline';img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
:root{{color-scheme:light dark;-webkit-text-size-adjust:100%;text-size-adjust:100%}}
body{{font:15px/1.5 system-ui,sans-serif;margin:0;padding:28px;background:#fff;color:#1d2733}}
main{{max-width:1080px;margin:auto}}
h1{{font-size:21px;margin:0}}h2{{font-size:16px;margin:26px 0 8px}}
p.span{{margin:2px 0 18px;color:#5c6b7a}}
dl{{display:flex;flex-wrap:wrap;gap:10px;margin:0 0 18px}}
dl div{{border:1px solid #d9e0e7;border-radius:8px;padding:7px 16px;min-width:74px}}
dt{{font-size:12px;color:#5c6b7a}}dd{{margin:0;font-size:19px;font-weight:600}}
svg{{width:100%;height:auto;display:block}}
.scroll{{overflow-x:auto}}.scroll svg{{min-width:1000px}}
.scroll:focus-visible{{outline:2px solid #2b7de0;outline-offset:3px}}
ul{{margin:0;padding-left:20px}}
table{{border-collapse:collapse;font-size:14px}}
th,td{{padding:4px 18px 4px 0;text-align:left;border-bottom:1px solid #d9e0e7}}
thead th,tbody th{{white-space:nowrap}}tbody th{{font-weight:400}}
td.n,th.n{{text-align:right}}code{{font-size:13px;white-space:nowrap}}
@media (max-width:640px){{
body{{padding:18px}}
tbody th{{white-space:normal;overflow-wrap:anywhere;min-width:9em}}}}
@media (prefers-color-scheme:dark){{
body{{background:#12181f;color:#e6ebf1}}p.span,dt{{color:#9aa8b6}}
dl div,th,td{{border-color:#313c48}}}}
</style></head>
<body><main>
<h1>{title}</h1>
<p class="span">{span}</p>
<dl>{tiles}</dl>
<div class="scroll" role="region" aria-label="The picture" tabindex="0">{svg}</div>
<h2>What is odd</h2>
{odd}
<h2>Tasks</h2>
<div class="scroll" role="region" aria-label="The tasks" tabindex="0">{table}</div>
</main></body></html>
"""


def to_html(timeline: Timeline) -> str:
    """Return the page; see :meth:`autocron.testing.timeline.Timeline.to_html`."""
    zone = timeline.zone
    busy = timeline.busy()
    tiles = [
        ("runs", str(len(timeline.entries))),
        ("skipped", str(len(timeline.skips))),
        ("missed", str(len(timeline.missed()))),
        ("late", str(len(timeline.late()))),
        ("workers", str(timeline.workers)),
        ("busiest worker", f"{max(busy.values()):.1%}"),
    ]
    found = timeline.odd()
    return _PAGE.format(
        title="autocron: a simulated timeline",
        span=escape(
            f"{moment(timeline.start_at, zone)} to {moment(timeline.end_at, zone)}, "
            f"{timeline.zone_name}, seed {timeline.seed}"
        ),
        tiles="".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles),
        svg=to_svg(timeline),
        odd="<ul>" + "".join(f"<li>{escape(one)}</li>" for one in found) + "</ul>"
        if found
        else "<p>Nothing.</p>",
        table=_table(timeline),
    )


def _table(timeline: Timeline) -> str:
    rows = []
    of: Dict[str, List[str]] = {name: [] for name in timeline.names}
    for one in timeline.schedules:
        of[one.name].append(f"{about(one)} ({one.zone or timeline.zone_name})")
    for name in timeline.names:
        runs = timeline.runs(name)
        late = max((entry.late_seconds for entry in runs), default=0.0)
        numbers = [
            len(runs),
            len(timeline.skipped(name)),
            len(timeline.missed(name)),
            sum(_kind(entry) == "bad" for entry in runs),
            seconds_in_words(late) if runs else "-",
        ]
        schedules = "<br>".join(f"<code>{escape(text)}</code>" for text in of[name]) or "calls"
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td>{schedules}</td>'
            + "".join(f'<td class="n">{number}</td>' for number in numbers)
            + "</tr>"
        )
    names = ("runs", "skipped", "missed", "went wrong", "latest by")
    heading = '<th scope="col">task</th><th scope="col">runs at</th>' + "".join(
        f'<th scope="col" class="n">{name}</th>' for name in names
    )
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def to_svg(timeline: Timeline) -> str:
    """Return the picture; see :meth:`autocron.testing.timeline.Timeline.to_svg`."""
    return _Picture(timeline).draw()


class _Picture:
    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.short = short_names(timeline)
        self.seconds = (timeline.end_at - timeline.start_at).total_seconds()
        self.slots = [f"worker-{slot}" for slot in range(1, timeline.workers + 1)]
        self.rows = [*timeline.names, *self.slots]
        self.workers_top = TOP + ROW * len(timeline.names) + 22
        self.bottom = self.workers_top + ROW * len(self.slots)
        self.height = self.bottom + 34

    def x(self, at: datetime) -> float:
        share = (at - self.timeline.start_at).total_seconds() / self.seconds
        return LABEL + (WIDTH - LABEL - _RIGHT) * min(max(share, 0.0), 1.0)

    def y(self, row: str) -> float:
        if row in self.slots:
            return self.workers_top + ROW * self.slots.index(row)
        return TOP + ROW * self.rows.index(row)

    def draw(self) -> str:
        parts = [
            f'<svg class="tl" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} '
            f'{self.height}" role="img" aria-label="{self._in_words()}"><style>{_COLOURS}</style>'
            f'<rect class="ground" width="{WIDTH}" height="{self.height}" rx="8"/>',
            *self._bands(),
            *self._outages(),
            *self._days(),
            *self._changes(),
            *self._runs(),
            *self._marks(),
            self._legend(),
            "</svg>",
        ]
        return "\n".join(parts)

    def _in_words(self) -> str:
        """Say what is in the picture to who does not see it; the page has the rest as text."""
        timeline = self.timeline
        return escape(
            f"Timeline of {len(timeline.names)} tasks and {timeline.workers} workers from "
            f"{moment(timeline.start_at, timeline.zone)} to "
            f"{moment(timeline.end_at, timeline.zone)}: {len(timeline.entries)} runs, "
            f"{len(timeline.skips)} skipped, {len(timeline.missed())} missed"
        )

    def _bands(self) -> List[str]:
        parts = []
        busy = self.timeline.busy()
        for place, row in enumerate(self.rows):
            y = self.y(row)
            if place % 2 == 0:
                width = WIDTH - 16
                parts.append(f'<rect class="band" x="8" y="{y}" width="{width}" height="{ROW}"/>')
            label = self.short.get(row, row)
            label = label if len(label) <= 26 else label[:24] + "…"
            count = f"{busy[row]:.0%}" if row in busy else str(len(self.timeline.runs(row)))
            parts.append(f'<text x="16" y="{y + 17}">{escape(label)}</text>')
            parts.append(f'<text class="soft end" x="{WIDTH - 16}" y="{y + 17}">{count}</text>')
        parts.append(f'<text class="soft" x="16" y="{TOP - 8}">task</text>')
        parts.append(f'<text class="soft end" x="{WIDTH - 16}" y="{TOP - 8}">runs</text>')
        parts.append(f'<text class="soft" x="16" y="{self.workers_top - 6}">worker</text>')
        parts.append(
            f'<text class="soft end" x="{WIDTH - 16}" y="{self.workers_top - 6}">busy</text>'
        )
        return parts

    def _outages(self) -> List[str]:
        return [
            f'<rect class="off" x="{self.x(begin):.1f}" y="{TOP}" width="'
            f'{self.x(end) - self.x(begin):.1f}" height="{self.bottom - TOP}">'
            f"<title>machine off</title></rect>"
            for begin, end in self.timeline.outages
        ]

    def _days(self) -> List[str]:
        """Return a line for each local midnight, or hour, or month, whichever is about right."""
        parts = []
        taken_to = 0.0
        for at, label in self._ticks():
            x = self.x(at)
            parts.append(f'<path class="day" d="M{x:.1f} {TOP - 4}V{self.bottom}"/>')
            if x >= taken_to and x < WIDTH - _RIGHT - 20:
                parts.append(f'<text class="soft" x="{x + 3:.1f}" y="{TOP - 8}">{label}</text>')
                taken_to = x + 7 * len(label) + 6
        return parts

    def _ticks(self) -> List[Tuple[datetime, str]]:
        timeline, zone = self.timeline, self.timeline.zone
        days = self.seconds / 86400
        wall = timeline.start_at.astimezone(zone).replace(tzinfo=None, fold=0)
        hours = 1 if days <= 1 else 6 if days <= 4 else 24
        wall = wall.replace(hour=0, minute=0, second=0, microsecond=0)
        ticks: List[Tuple[datetime, str]] = []
        while True:
            at = wall.replace(tzinfo=zone).astimezone(timeline.start_at.tzinfo)
            if at >= timeline.end_at:
                return ticks
            first = days <= 62 or wall.day == 1
            if at >= timeline.start_at and first:
                label = f"{wall.hour:02}"
                if wall.hour == 0:
                    label = f"{_WEEKDAYS[wall.weekday()]} {wall.day}"
                if days > 62:
                    label = f"{wall.month}/{wall.year % 100:02}"
                ticks.append((at, label))
            wall += timedelta(hours=hours)

    def _changes(self) -> List[str]:
        parts = []
        timeline = self.timeline
        for at, seconds in clock_changes(timeline.zone, timeline.start_at, timeline.end_at):
            x = self.x(at)
            words = f"clock {'forward' if seconds > 0 else 'back'} {seconds_in_words(abs(seconds))}"
            side = ' text-anchor="end"' if x > WIDTH - 190 else ""
            # In two pieces, for the name of a day that may stand in between.
            lines = f"M{x:.1f} {TOP - 36}v14M{x:.1f} {TOP - 4}V{self.bottom}"
            parts.append(f'<path class="change" d="{lines}"/>')
            parts.append(
                f'<text class="changes"{side} x="{x + (-4 if side else 4):.1f}" y="{TOP - 26}">'
                f"{words}</text>"
            )
        return parts

    def _runs(self) -> List[str]:
        parts = []
        entries = self.timeline.entries
        shows_each = len(entries) <= _MOST_RUNS
        seen: Set[Tuple[str, int, str]] = set()
        for entry in entries:
            left = self.x(entry.started_at)
            right = self.x(entry.finished_at or self.timeline.end_at)
            width = max(right - left, 1.6)
            kind = _kind(entry)
            for row in (entry.name, entry.worker.partition(".")[0]):
                if not shows_each:
                    key = (row, int(left), kind)
                    if width < 2 and key in seen:
                        continue
                    seen.add(key)
                title = f"<title>{escape(self._tip(entry))}</title>" if shows_each else ""
                parts.append(
                    f'<rect class="{kind}" x="{left:.1f}" y="{self.y(row) + 6}" width="{width:.1f}"'
                    f' height="{ROW - 12}" rx="1">{title}</rect>'
                )
        return parts

    def _tip(self, entry: Entry) -> str:
        zone = self.timeline.zone
        end = "still running" if entry.finished_at is None else moment(entry.finished_at, zone)
        late = f", {seconds_in_words(entry.late_seconds)} late" if entry.late_seconds > 1 else ""
        return (
            f"{self.short.get(entry.name, entry.name)}, {moment(entry.started_at, zone)} to {end}, "
            f"{entry.worker}, attempt {entry.attempt}, {entry.outcome}{late}"
        )

    def _marks(self) -> List[str]:
        parts = []
        zone = self.timeline.zone
        seen: Set[Tuple[str, str, int]] = set()
        for what, ones in (("skipped", self.timeline.skips), ("missed", self.timeline.missed())):
            for one in ones:
                x, y = self.x(one.at), self.y(one.name) + ROW / 2
                if (what, one.name, int(x / 6)) in seen:
                    continue  # so near to another one that it could not be told from it
                seen.add((what, one.name, int(x / 6)))
                tip = f"<title>{what}: {escape(moment(one.at, zone))}</title>"
                parts.append(_sign(what, x, y, tip))
        return parts

    def _legend(self) -> str:
        y = self.bottom + 20
        parts, x = [], float(LABEL)
        for kind, words in (
            ("succeeded", "runs"),
            ("bad", "fails, or its worker dies"),
            ("skipped", "skipped: an earlier run in hand"),
            ("missed", "missed"),
            ("off", "machine off"),
        ):
            if kind in ("skipped", "missed"):
                parts.append(_sign(kind, x + 6, y - 4, ""))
            else:
                parts.append(f'<rect class="{kind}" x="{x}" y="{y - 9}" width="12" height="10"/>')
            parts.append(f'<text class="soft" x="{x + 17}" y="{y}">{words}</text>')
            x += 17 + 5.7 * len(words) + 22
        return "".join(parts)


def _kind(entry: Entry) -> str:
    return entry.outcome if entry.outcome in ("succeeded", "running") else "bad"


def _sign(what: str, x: float, y: float, tip: str) -> str:
    if what == "skipped":
        return f'<circle class="skipped" cx="{x:.1f}" cy="{y}" r="3.5">{tip}</circle>'
    path = f"M{x - 3.5:.1f} {y - 3.5}l7 7m0 -7l-7 7"
    return f'<path class="missed" d="{path}">{tip}</path>'
