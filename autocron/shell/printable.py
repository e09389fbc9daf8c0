"""Texts of tasks and of the database, made harmless for who reads them in a terminal or a log."""

from __future__ import annotations

import logging


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


class Printable(logging.Filter):
    """Makes what autocron logs harmless, whatever handlers an application has set up.

    Names, errors and tracebacks may come from a database that somebody else has written.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record; it is always kept."""
        message = record.getMessage()
        if not message.isprintable():
            record.msg, record.args = lines(message), ()
        if record.exc_info and not record.exc_text:
            # What formatters show, once it is there.
            record.exc_text = lines(_FORMATTER.formatException(record.exc_info))
        return True


_FORMATTER = logging.Formatter()
_PRINTABLE = Printable()


def make_log_printable() -> None:
    """Let what autocron logs in this process do nothing to a terminal; once is enough."""
    # A logger knows its filters, and takes each only once.
    logging.getLogger("autocron").addFilter(_PRINTABLE)
