"""What is logged, made harmless too; apart from texts, since most commands log nothing."""

from __future__ import annotations

import logging

from autocron.shell.printable import lines


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
