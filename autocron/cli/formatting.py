"""How values look on a screen: durations, moments, tables, and colours where there are any."""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime, timezone, tzinfo
from typing import Any, Dict, List, Optional, Sequence, TextIO

_STYLES = {"bold": "1", "good": "32", "bad": "31", "dim": "2"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Screen:
    """Writes lines to a stream: in colour, and cut to its width, if that is a terminal.

    Arguments:
        stream: Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        is_terminal = stream.isatty()
        self.width: Optional[int] = shutil.get_terminal_size().columns if is_terminal else None
        self.is_coloured = (
            is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def say(self, text: str = "", style: str = "") -> None:
        """Write one line.

        Arguments:
            text: The line; it is cut if the screen is a terminal and too narrow.
            style: ``"bold"``, ``"good"``, ``"bad"``, ``"dim"`` or nothing.
        """
        if self.width is not None:
            text = cut(text, self.width)
        if style and text and self.is_coloured:
            text = f"\033[{_STYLES[style]}m{text}\033[0m"
        print(text, file=self._stream, flush=self.width is not None)

    def table(
        self,
        rows: Sequence[Sequence[str]],
        heading: Sequence[str] = (),
        styles: Sequence[str] = (),
    ) -> None:
        """Write rows in columns.

        Arguments:
            rows: The cells, as many in each row.
            heading: The names of the columns; none for a table without.
            styles: The style of each row; none for plain ones.
        """
        both = [heading, *rows] if heading else list(rows)
        widths = [max(len(row[column]) for row in both) for column in range(len(both[0]))]

        def line(row: Sequence[str]) -> str:
            return ("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths))).rstrip()

        if heading:
            self.say(line([name.upper() for name in heading]), "dim")
        for place, row in enumerate(rows):
            self.say(line(row), styles[place] if styles else "")


def cut(text: str, width: int) -> str:
    """Return a text of at most ``width`` characters."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


def one_line(text: str) -> str:
    """Return a text that stays on its line and does nothing to a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


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


def to_json(value: Dict[str, Any]) -> str:
    """Return a value as JSON, for people as well as programs."""
    return json.dumps(value, indent=2)


def spread(words: Sequence[str]) -> List[str]:
    """Return lines of a text wrapped for a screen of 80 columns, all but the first indented."""
    import textwrap

    return textwrap.wrap(" ".join(words), 78, subsequent_indent="  ", break_long_words=False)
