"""What the pages of the admin site show, read from the database; texts are left as they are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Iterator, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import urlencode

from autocron.cli.pieces import (
    outcome,
    progress_of,
    shown_call,
    shown_progress,
    shown_result,
    since,
)
from autocron.core.task import Task, TaskState
from autocron.shell.admin import Admin
from autocron.shell.listing import ENDED, UNFINISHED, Filter
from autocron.shell.operating import POSSIBLE_STATES
from autocron.shell.printable import one_line

PER_PAGE = 50
_LONGEST_CELL = 200
_STATES = (*UNFINISHED, *ENDED)
# Not every page of many has a link, as in the lists of the admin site.
_NEIGHBOURS = 3


class Choice(NamedTuple):
    """One choice of a filter: what it says, where it leads, and whether it is chosen."""

    text: str
    link: str
    is_chosen: bool


class ListFilter(NamedTuple):
    """A filter of the list."""

    title: str
    choices: List[Choice]


@dataclass(frozen=True)
class Row:
    """A task as the list shows it."""

    task: Task
    arguments: str
    outcome: str
    state: str

    @classmethod
    def of(cls, task: Task) -> Row:
        """Return the row of a task; long texts are cut."""
        return cls(
            task, _cut(shown_call(task.payload)), _cut(one_line(outcome(task))), task.state.value
        )


class Page:
    """One page of the list of tasks.

    Arguments:
        database: The database.
        asked: What was asked for: ``state``, ``task``, ``queue``, ``q`` and ``p``; whatever is
            none of what there is counts as not asked for.
    """

    def __init__(self, database: Admin, asked: Mapping[str, str]) -> None:
        names = database.names()
        queues = [queue.name for queue in database.overview().queues]
        self._asked = {
            "state": _one_of([state.value for state in _STATES], asked.get("state")),
            "task": _one_of(names, asked.get("task")),
            "queue": _one_of(queues, asked.get("queue")),
            "q": (asked.get("q") or "").strip().replace("\0", ""),
        }
        self.search = self._asked["q"]
        only = Filter(
            task=self._asked["task"] or None,
            queue=self._asked["queue"] or None,
            search=self.search or None,
        )
        chosen = self._asked["state"]
        states = [state for state in _STATES if chosen in ("", state.value)]
        counts = {state: database.listed([state], 0, only).count for state in states}
        self.count = sum(counts.values())
        self.last = max(1, -(-self.count // PER_PAGE))
        self.number = min(self.last, max(1, _number(asked.get("p"))))
        self.rows = [Row.of(task) for task in self._tasks(database, counts, only)]
        self.filters = [
            self._filter("state", "state", [state.value for state in _STATES]),
            self._filter("function", "task", names),
            self._filter("queue", "queue", queues),
        ]

    def _tasks(
        self, database: Admin, counts: Mapping[TaskState, int], only: Filter
    ) -> Iterator[Task]:
        """Return the tasks of the page: what runs, what waits, what has ended, latest first."""
        first = (self.number - 1) * PER_PAGE
        groups: List[Tuple[TaskState, ...]] = [
            *((state,) for state in UNFINISHED if state in counts),
            tuple(state for state in ENDED if state in counts),
        ]
        end = first + PER_PAGE
        found: List[Task] = []
        for group in filter(None, groups):
            if len(found) < end:
                found += database.listed(group, end - len(found), only).tasks
        return itertools.islice(found, first, end)

    def _filter(self, title: str, key: str, values: List[str]) -> ListFilter:
        chosen = self._asked[key]
        choices = [Choice("All", self._link(**{key: ""}), not chosen)]
        choices += [Choice(value, self._link(**{key: value}), value == chosen) for value in values]
        return ListFilter(title, choices)

    def _link(self, **changed: str) -> str:
        asked = {key: value for key, value in {**self._asked, **changed}.items() if value}
        return f"?{urlencode(asked)}"

    @property
    def is_filtered(self) -> bool:
        """Whether not all tasks are meant."""
        return any(self._asked.values())

    @property
    def kept(self) -> List[Tuple[str, str]]:
        """What a search keeps of what was asked for."""
        return [(key, value) for key, value in self._asked.items() if value and key != "q"]

    @property
    def links(self) -> List[Choice]:
        """The links to the pages of the list; one without a link stands for those left out."""
        near = range(self.number - _NEIGHBOURS, self.number + _NEIGHBOURS + 1)
        shown = sorted({1, self.last, *(n for n in near if 1 <= n <= self.last)})
        links: List[Choice] = []
        for before, number in zip([0, *shown], shown):
            if number > before + 1:
                links.append(Choice("…", "", False))
            links.append(Choice(str(number), self._link(p=str(number)), number == self.number))
        return links


class Attempt(NamedTuple):
    """An attempt that was made."""

    number: int
    started_at: datetime
    took: str
    came: str


class Detail:
    """The page of one task.

    Arguments:
        database: The database.
        task_id: Its id.

    Raises:
        Unknown: There is none.
    """

    def __init__(self, database: Admin, task_id: str) -> None:
        self.task = task = database.operator.task(task_id)
        self.state = task.state.value
        self.actions = [verb for verb, states in POSSIBLE_STATES.items() if task.state in states]
        progress = progress_of(task)
        self.facts: List[Tuple[str, str]] = [
            (name, value)
            for name, value in (
                ("Function", task.name),
                ("Arguments", shown_call(task.payload)),
                ("Queue", task.queue),
                ("Priority", str(task.priority)),
                ("Schedule", task.schedule or ""),
                ("Worker", task.worker or ""),
                ("Waits for", task.after or ""),
                ("Group", task.group or ""),
                ("Unique key", task.unique or ""),
                ("Progress", "" if progress is None else shown_progress(progress)),
                ("Result", "" if task.result is None else shown_result(task.result)),
                ("Error", self._error()),
            )
            if value
        ]
        self.times: List[Tuple[str, Optional[datetime]]] = [
            (name, at)
            for name, at in (
                ("Called", task.enqueued_at),
                ("Due", task.run_at),
                ("Began", task.started_at),
                ("Ended", task.finished_at),
                ("Expires", task.expires_at),
            )
            if at is not None
        ]
        self.traceback = "" if task.failure is None else task.failure.traceback
        self.attempts = [
            Attempt(
                past.number,
                past.started_at,
                since(past.started_at, past.ended_at),
                past.error_message,
            )
            for past in task.history
        ]

    def _error(self) -> str:
        return "" if self.task.failure is None else one_line(self.task.failure.error_message)


def _one_of(known: List[str], word: Optional[str]) -> str:
    return word if word is not None and word in known else ""


def _number(word: Optional[str]) -> int:
    try:
        return int(word or "1")
    except ValueError:
        return 1


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
