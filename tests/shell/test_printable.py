"""What autocron logs does nothing to a terminal, whatever a database or an error holds."""

from __future__ import annotations

import io
import logging

import pytest

from autocron.shell.printable import lines, one_line
from autocron.shell.printable_log import make_log_printable

HOSTILE = "\x1b]0;owned\x07\x9b2J\r\u202e"
HARMLESS = r"\x1b]0;owned\x07\x9b2J\r\u202e"


@pytest.fixture
def said():
    logger, stream = logging.getLogger("autocron"), io.StringIO()
    handler = logging.StreamHandler(stream)
    make_log_printable()
    make_log_printable()
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_a_text_stays_on_its_line_or_keeps_its_lines():
    assert one_line(f"a\n{HOSTILE}") == rf"a\n{HARMLESS}"
    assert lines(f"a\n{HOSTILE}\nb") == f"a\n{HARMLESS}\nb"
    assert lines("plain") == "plain"


def test_arguments_of_a_message_are_made_harmless(said):
    logging.getLogger("autocron").warning("task %s (%s)", HOSTILE, "m:f")
    assert said.getvalue() == f"task {HARMLESS} (m:f)\n"


def test_so_is_the_error_of_a_hook_with_its_traceback(said):
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("autocron").exception("the hook failed")
    assert "Traceback" in said.getvalue()
    assert f"ValueError: {HARMLESS}" in said.getvalue()
    assert "\x1b" not in said.getvalue()
