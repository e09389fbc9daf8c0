"""Nothing that a user may write is missing in the pages that list it."""

from __future__ import annotations

import contextlib
import inspect
import re
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

import autocron
from autocron import cli, testing
from autocron.delayed import TaskOptions
from autocron.schedule_options import RUN_OPTIONS

DOCS = Path(__file__).parent.parent / "docs"
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")
COMMAND_LINE = (DOCS / "command-line.md").read_text(encoding="utf-8")

# What other parts of autocron call, and users need not.
NOT_FOR_USERS = {
    "TaskResult": {"see"},
    "Session": {
        *("add", "add_schedule", "all_schedules", "begin", "check_begun", "close", "declare"),
        *("default_zone", "find", "forget", "functions", "instant", "known", "line", "load_call"),
        *("shown", "start", "app", "at_work", "backend", "is_open", "outer", "registry", "service"),
    },
    "Capture": {"line", "shown"},
    "SessionMixin": {"run"},
}
TABLES = {
    "Report": "What it tells",
    "Run": "What it tells",
    "Enqueued": "What it tells",
    "ManualClock": "What it tells",
    "Timeline": "What it tells",
    "Entry": "What it tells",
    "Occurrence": "What it tells",
    "Faults": "What it tells",
    "Capture": "Session",
    "TaskEvent": "on",
    "ScheduleInfo": "schedule",
    "SessionMixin": "In test frameworks",
    "Retry": "CurrentTask",
    "Discard": "CurrentTask",
}


def section(title: str) -> str:
    """Return what stands under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", REFERENCE, re.M | re.S)
    assert found, f"reference.md has no section {title!r}"
    return found[1]


def names_in(text: str) -> List[str]:
    """Return the names in what is written as code."""
    return [name for code in re.findall(r"`([^`\n]+)`", text) for name in re.findall(r"\w+", code)]


def option_rows(title: str) -> Dict[str, List[str]]:
    """Return the rows of the table of options in a section, by option."""
    rows = {}
    for line in section(title).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 5:
            rows.update(dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells))
    return rows


def public(kind: type) -> List[str]:
    """Return what a user finds at an object of a class."""
    found = {name for name in dir(kind) if not name.startswith("_")}
    for one in kind.__mro__:
        if one.__module__.startswith("autocron"):
            found |= set(getattr(one, "__annotations__", ())) if is_dataclass(one) else set()
            found |= set(re.findall(r"self\.([a-z]\w*)(?:: \w+)? = ", inspect.getsource(one)))
    of_python = {name for one in kind.__mro__ if one.__module__ == "builtins" for name in dir(one)}
    return sorted(found - of_python - NOT_FOR_USERS.get(kind.__name__, set()))


def parameters(function: Any) -> Dict[str, Optional[object]]:
    """Return the parameters of a function, by name, with their defaults."""
    return {
        name: None if one.default is one.empty else one.default
        for name, one in inspect.signature(function).parameters.items()
        if one.kind is not one.VAR_KEYWORD
    }


OPTIONS = {
    "cron": parameters(autocron.cron),
    "delay": dict.fromkeys(TaskOptions.__annotations__),
    "start": parameters(autocron.start),
    "schedule": {**parameters(autocron.schedule), **dict.fromkeys(RUN_OPTIONS)},
    "Testing": parameters(testing.session),
}


def test_every_name_is_listed():
    testing_part = REFERENCE[REFERENCE.index("\n## Testing\n") :]
    assert set(autocron.__all__) - set(names_in(REFERENCE)) == set()
    assert set(testing.__all__) - set(names_in(testing_part)) == set()


@pytest.mark.parametrize(
    ("title", "option"), [(title, option) for title, known in OPTIONS.items() for option in known]
)
def test_every_option_has_its_unit_its_default_and_an_example(title, option):
    rows = option_rows(title)
    assert option in rows, f"{option}= is missing in the section {title!r}"
    _, unit, default, _, example = rows[option]
    real = OPTIONS[title][option]
    assert example
    assert unit or '"' in default or isinstance(real, bool) or option == "dow"
    if real is not None:
        shown = {'"' + real + '"'} if isinstance(real, str) else {repr(real)}
        assert any(f"`{text}`" in default for text in shown), f"{option}={real!r}"


@pytest.mark.parametrize("title", OPTIONS)
def test_no_option_is_listed_that_there_is_not(title):
    assert set(option_rows(title)) - {"option"} == set(OPTIONS[title])


CLASSES = [
    kind
    for place in (autocron, testing)
    for kind in (getattr(place, name) for name in place.__all__)
    if inspect.isclass(kind)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_everything_that_an_object_has_is_listed(kind):
    is_error = issubclass(kind, BaseException) and kind.__name__ not in TABLES
    title = "Errors" if is_error else TABLES.get(kind.__name__, kind.__name__)
    assert set(public(kind)) - set(names_in(section(title))) == set()


@pytest.mark.parametrize("command", ["", *cli.commands()])
def test_every_option_of_the_command_line_is_listed(command, capsys):
    with contextlib.suppress(SystemExit):
        cli.main([command, "--help"] if command else ["--help"])
    known = re.findall(r"^  (?:(-\w), )?(--[a-z][a-z-]*)", capsys.readouterr().out, re.M)
    page = COMMAND_LINE
    if command:
        page = re.split(rf"^## `autocron {command}`\n", page, flags=re.M)[1].split("\n## ")[0]
    options = {word for pair in known for word in pair if word} - {"-h", "--help", "--version"}
    assert options or command == "demo"
    assert [word for word in options if not re.search(rf"{word}(?![\w-])", page)] == []
