"""How values look on a screen: durations, moments, tables, and colours where there are any."""

from __future__ import annotations

import os
from datetime import datetime, timezone, tzinfo
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Optional, Sequence, TextIO, Tuple

from autocron.shell.printable import one_line

_STYLES = {"bold": "1", "good": "32", "bad": "31", "dim": "2"}
_INDENT, _GAP = 2, "  "
# Less of a column would say nothing.
_NARROWEST = 6
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Screen:
    """Writes lines to a stream: in colour, and cut to its width, if that is a terminal.

    Nothing that it is given can control the terminal: what does not print is written as in Python.

    Arguments:
        stream: Where to write.
        terminal: The terminal on which it will be seen; None is the stream itself.
    """

    def __init__(self, stream: TextIO, terminal: Optional[TextIO] = None) -> None:
        self._stream = stream
        is_terminal = (terminal or stream).isatty()
        self.width: Optional[int] = _columns() if is_terminal else None
        self.is_coloured = (
            is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def say(self, text: str = "", style: str = "") -> None:
        """Write one line.

        Arguments:
            text: The line; it is cut if the screen is a terminal and too narrow.
            style: ``"bold"``, ``"good"``, ``"bad"``, ``"dim"`` or nothing.
        """
        text = one_line(text)
        if self.width is not None:
            text = cut(text, self.width)
        if style and text and self.is_coloured:
            text = f"\033[{_STYLES[style]}m{text}\033[0m"
        print(text, file=self._stream, flush=self.width is not None)

    def document(self, value: Dict[str, Any]) -> None:
        """Write a value as JSON, whole; it has no character that could control a terminal."""
        print(to_json(value), file=self._stream)

    def title(self, text: str) -> None:
        """Write an empty line, and the title of what follows."""
        self.say()
        self.say(text, "bold")

    def table(
        self,
        rows: Sequence[Sequence[str]],
        heading: Sequence[str] = (),
        styles: Sequence[str] = (),
        idle: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Write rows in columns; on a terminal that is too narrow the widest are cut.

        Arguments:
            rows: The cells, as many in each row.
            heading: The names of the columns; none for a table without.
            styles: The style of each row; none for plain ones.
            idle: The columns that are left out if each of their cells is this one, by name.
        """
        heading, rows = _without_idle(heading, rows, idle)
        both = [[one_line(cell) for cell in row] for row in ([heading, *rows] if heading else rows)]
        widths = [max(width_of(row[column]) for row in both) for column in range(len(both[0]))]
        if self.width is not None:
            widths = fitting(widths, self.width - _INDENT)
        for place, row in enumerate(both, start=0 if heading else 1):
            cells = [_padded(_cut_cell(c, w), w) for c, w in zip(row, widths)]
            line = (" " * _INDENT + _GAP.join(cells)).rstrip()
            if place == 0:
                self.say(line.upper(), "dim")
            else:
                self.say(line, styles[place - 1] if styles else "")


# What one output needs, and most do not, is imported with it: half of a short command are imports.


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _without_idle(
    heading: Sequence[str], rows: Sequence[Sequence[str]], idle: Mapping[str, str]
) -> Tuple[Sequence[str], Sequence[Sequence[str]]]:
    kept = [
        place
        for place, name in enumerate(heading)
        if name not in idle or any(row[place] != idle[name] for row in rows)
    ]
    if len(kept) == len(heading):
        return heading, rows
    return [heading[place] for place in kept], [[row[place] for place in kept] for row in rows]


def fitting(widths: Sequence[int], room: int) -> List[int]:
    """Return the widths of columns that fit into so many characters; the widest ones give way.

    Arguments:
        widths: The widths that the columns would like to have.
        room: The characters that there are, with the gaps between the columns.
    """
    found = list(widths)
    excess = sum(found) + len(_GAP) * (len(found) - 1) - room
    while excess > 0 and max(found) > _NARROWEST:
        widest = max(found)
        following = max([_NARROWEST, *(width for width in found if width < widest)])
        places = [place for place, width in enumerate(found) if width == widest]
        # Down to the next one, or as far as is needed; what can not be shared goes to the last.
        step = min(widest - following, -(-excess // len(places)))
        for place in reversed(places):
            less = min(step, max(excess, 0))
            found[place] -= less
            excess -= less
    return found


def _cut_cell(text: str, width: int) -> str:
    """Cut a cell; of the name of a function the end says more than the beginning."""
    if ":" in text and " " not in text and width_of(text) > width:
        module, _, name = text.rpartition(":")
        rest = width - width_of(name) - 4
        return f"{module[:rest]}...:{name}" if rest > 0 else cut(name, width)
    return cut(text, width)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes; Chinese letters take two."""
    if text.isascii():
        return len(text)
    return sum(_width_of_char(char) for char in text)


def _width_of_char(char: str) -> int:
    import unicodedata

    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return a text that takes at most ``width`` columns of a terminal."""
    if width_of(text) <= width:
        return text
    room = max(width - 3, 0)
    kept = ""
    for char in text:
        room -= _width_of_char(char)
        if room < 0:
            break
        kept += char
    return kept + "..."[: max(width, 0)]


def duration(seconds: float) -> str:
    """Return a duration with at most two units: ``"12 ms"``, ``"3.2 s"``, ``"2 h 5 min"``."""
    seconds = max(seconds, 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    return _two(whole, _DAY, "d", _HOUR, "h")


def _two(seconds: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = seconds % large // small
    return f"{seconds // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def offset(at: datetime) -> str:
    """Return the offset from UTC of an aware datetime: ``"+02:00"``."""
    # isoformat() writes seconds of an offset only where there are some, as before 1900.
    return at.isoformat(timespec="microseconds")[26:]


def moment(at: datetime, zone: tzinfo, seconds: bool = True) -> str:
    """Return an instant on the clock of a zone: ``"Sun 2026-03-29 03:00:00 +02:00"``."""
    local = at.astimezone(zone)
    return f"{weekday(local)} {wall(local, seconds)} {offset(local)}"


def wall(local: datetime, seconds: bool = True) -> str:
    """Return what a wall clock shows, without its zone."""
    # Not strftime: its weekday has the language of the locale, and its year loses zeros.
    return local.replace(tzinfo=None).isoformat(" ", "seconds" if seconds else "minutes")


def weekday(at: datetime) -> str:
    """Return the short English name of the weekday."""
    return ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.weekday()]


def instant(at: Optional[datetime]) -> Optional[str]:
    """Return an instant for JSON: ISO 8601 in UTC, with microseconds; None stays None."""
    return None if at is None else at.astimezone(timezone.utc).isoformat(timespec="microseconds")


def bar(fraction: float, width: int = 10) -> str:
    """Return how much is done as a bar: ``"[###.......]"``."""
    done = int(fraction * width)
    return f"[{'#' * done}{'.' * (width - done)}]"


def to_json(value: Dict[str, Any]) -> str:
    """Return a value as JSON, for people as well as programs."""
    import json

    return json.dumps(value, indent=2)


def to_line(value: Dict[str, Any]) -> str:
    """Return a value as JSON on one line."""
    import json

    return json.dumps(value)


def spread(words: Sequence[str]) -> List[str]:
    """Return lines of a text wrapped for a screen of 80 columns, all but the first indented."""
    import textwrap

    return textwrap.wrap(" ".join(words), 78, subsequent_indent="  ", break_long_words=False)
