"""Draw the life of a task from the table that the code follows.

What stands here is only where a state is drawn and how far an arrow swings; states, arrows and
labels come from ``TRANSITIONS``. A state without a place stops the build of the documentation.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

from autocron.core.machine import TRANSITIONS
from autocron.core.task import TaskState

WIDTH, HEIGHT = 910, 400
BOX_WIDTH, BOX_HEIGHT = 132, 50

Point = Tuple[float, float]

PLACES: Dict[TaskState, Point] = {
    TaskState.WAITING: (210, 150),
    TaskState.RUNNING: (500, 150),
    TaskState.SUCCEEDED: (790, 60),
    TaskState.FAILED: (790, 240),
    TaskState.CANCELLED: (160, 350),
}

# How far the middle of an arrow lies from the straight line, to the left of its direction. An arrow
# that has one in the other direction beside it swings by itself.
SWINGS: Dict[Tuple[TaskState, TaskState], float] = {
    (TaskState.FAILED, TaskState.WAITING): 115,
    (TaskState.RUNNING, TaskState.CANCELLED): 62,
}

# On which side of its state an arrow leaves that leads back to it.
LOOPS: Dict[TaskState, Point] = {
    TaskState.WAITING: (-1, 0),
    TaskState.RUNNING: (0, -1),
}


@dataclass(frozen=True)
class Theme:
    """The colours of one rendering; the background is the page's."""

    line: str
    text: str
    page: str
    open: str
    ended: str


THEMES = {
    "light": Theme(line="#5b6472", text="#1f2430", page="#ffffff", open="#dbeafe", ended="#e8eaed"),
    "dark": Theme(line="#9aa4b2", text="#e8eaf0", page="#131416", open="#1e3a5f", ended="#33373e"),
}


def write(target: Path) -> None:
    """Write the picture in a light and a dark version, and its content as a table.

    Arguments:
        target: The folder for ``lifecycle-light.svg``, ``lifecycle-dark.svg`` and
            ``lifecycle-table.md``.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name, theme in THEMES.items():
        (target / f"lifecycle-{name}.svg").write_text(draw(theme), encoding="utf-8")
    (target / "lifecycle-table.md").write_text(table(), encoding="utf-8")


def arrows() -> Dict[Tuple[TaskState, TaskState], List[str]]:
    """Which events lead from one state to another, for each pair that has any."""
    found: Dict[Tuple[TaskState, TaskState], List[str]] = {}
    for before, row in TRANSITIONS.items():
        for event, after in row.items():
            label = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event.__name__).lower()
            found.setdefault((before, after), []).append(label)
    return found


def table() -> str:
    """The same for readers that see no pictures."""
    lines = ["| state | event | state after |", "|---|---|---|"]
    for (before, after), events in arrows().items():
        lines += [f"| {before.value} | {event} | {after.value} |" for event in events]
    return "\n".join(lines) + "\n"


def draw(theme: Theme) -> str:
    """The picture as SVG."""
    found = arrows()
    parts = [_arrow(pair, labels, pair[::-1] in found, theme) for pair, labels in found.items()]
    parts.append(_start(theme))
    parts += [_box(state, theme) for state in TaskState]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="15">\n'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        f'markerHeight="8" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{theme.line}"/>'
        "</marker></defs>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _box(state: TaskState, theme: Theme) -> str:
    x, y = PLACES[state]
    fill = theme.ended if state.is_final else theme.open
    return (
        f'<rect x="{x - BOX_WIDTH / 2}" y="{y - BOX_HEIGHT / 2}" width="{BOX_WIDTH}" '
        f'height="{BOX_HEIGHT}" rx="10" fill="{fill}" stroke="{theme.line}" stroke-width="1.5"/>'
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" font-weight="600" fill="{theme.text}">'
        f"{state.value}</text>"
    )


def _start(theme: Theme) -> str:
    x, y = PLACES[TaskState.WAITING]
    tip = y - BOX_HEIGHT / 2
    return (
        f'<circle cx="{x}" cy="{tip - 70}" r="6" fill="{theme.line}"/>'
        f'<path d="M{x} {tip - 70} L{x} {tip - 2}" stroke="{theme.line}" stroke-width="1.5" '
        'fill="none" marker-end="url(#tip)"/>'
    ) + _label((x + 16, tip - 65), ["called, or fired by cron"], "start", theme)


def _arrow(
    pair: Tuple[TaskState, TaskState], labels: List[str], both_ways: bool, theme: Theme
) -> str:
    if pair[0] is pair[1]:
        return _loop(pair[0], labels, theme)
    here, there = PLACES[pair[0]], PLACES[pair[1]]
    swing = SWINGS.get(pair, 22 if both_ways else 0)
    length = math.dist(here, there)
    # To the left, seen in the arrow's direction, in a picture whose y points down.
    left = ((there[1] - here[1]) / length, (here[0] - there[0]) / length)
    middle = ((here[0] + there[0]) / 2, (here[1] + there[1]) / 2)
    bend = (middle[0] + 2 * swing * left[0], middle[1] + 2 * swing * left[1])
    start, end = _edge(here, bend), _edge(there, bend)
    path = f"M{_at(start)} Q{_at(bend)} {_at(end)}"
    top = tuple(0.25 * s + 0.5 * b + 0.25 * e for s, b, e in zip(start, bend, end))
    # Beside the line, on the outer side.
    side = left if swing >= 0 else (-left[0], -left[1])
    if abs(side[0]) > 0.7:
        anchor = "start" if side[0] > 0 else "end"
        at = (top[0] + 12 * side[0], top[1] + 5)
    else:
        anchor = "middle"
        # A slanted line must pass the corner of the text, not only its middle.
        half_width = 4 * max(map(len, labels))
        clear = abs((there[1] - here[1]) / (there[0] - here[0])) * half_width
        below, above = 20 + clear, -10 - clear - 18 * (len(labels) - 1)
        at = (top[0], top[1] + (below if side[1] > 0 else above))
    return (
        f'<path d="{path}" stroke="{theme.line}" stroke-width="1.5" fill="none" '
        'marker-end="url(#tip)"/>'
    ) + _label(at, labels, anchor, theme)


def _loop(state: TaskState, labels: List[str], theme: Theme) -> str:
    """An arrow from a state to itself, with its label on the outer side."""
    (x, y), (out_x, out_y) = PLACES[state], LOOPS[state]
    foot = (x + out_x * (BOX_WIDTH / 2 + 4), y + out_y * (BOX_HEIGHT / 2 + 4))
    # Along the edge it is as wide as it reaches out.
    along, reach = (abs(out_y) * 14, abs(out_x) * 10), 44
    points = [
        (foot[0] + side * along[0] + out * out_x, foot[1] + side * along[1] + out * out_y)
        for side, out in ((-1, 0), (-2, reach), (2, reach), (1, 0))
    ]
    start, first, second, end = map(_at, points)
    top = (foot[0] + 0.75 * reach * out_x, foot[1] + 0.75 * reach * out_y)
    if out_x:
        anchor, at = ("end" if out_x < 0 else "start"), (top[0] + 8 * out_x, top[1] + 5)
    else:
        rows = 18 * (len(labels) - 1)
        anchor, at = "middle", (top[0], top[1] + (20 if out_y > 0 else -10 - rows))
    return (
        f'<path d="M{start} C{first} {second} {end}" stroke="{theme.line}" stroke-width="1.5" '
        'fill="none" marker-end="url(#tip)"/>'
    ) + _label(at, labels, anchor, theme)


def _edge(centre: Point, towards: Point) -> Point:
    """Where the line from the centre of a box towards a point leaves the box."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    scale = min(
        (BOX_WIDTH / 2 + 4) / abs(dx) if dx else math.inf,
        (BOX_HEIGHT / 2 + 4) / abs(dy) if dy else math.inf,
    )
    return centre[0] + dx * scale, centre[1] + dy * scale


def _label(at: Point, lines: List[str], anchor: str, theme: Theme) -> str:
    # A rim in the colour of the page keeps lines that pass away from the letters.
    rows = "".join(
        f'<tspan x="{at[0]:.1f}" dy="{18 if row else 0}">{line}</tspan>'
        for row, line in enumerate(lines)
    )
    return (
        f'<text y="{at[1]:.1f}" text-anchor="{anchor}" fill="{theme.text}" stroke="{theme.page}" '
        f'stroke-width="5" paint-order="stroke">{rows}</text>'
    )


def _at(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"
