"""Texts of tasks and of the database, made harmless for who reads them in a terminal or a log."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Return a text that stays on its line and does nothing to a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def lines(text: str) -> str:
    """Return a text that does nothing to a terminal but begin new lines."""
    return text if text.isprintable() else "\n".join(map(one_line, text.split("\n")))
