"""What a simulation has shown: which task ran when, and what did not run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from autocron import zones
from autocron.core.cron import CronExpression, parse
from autocron.core.errors import AutocronError
from autocron.core.next_run import between

if TYPE_CHECKING:
    from autocron.schedule_options import CronOptions
    from autocron.testing.scenario import Named

_MICROSECOND = timedelta(microseconds=1)


class Entry(NamedTuple):
    """One attempt of a task.

    Attributes:
        task_id: The id of the task: ``"task-1"`` and so on, in the order of being stored.
        name: The name of the task function, ``"module:qualname"``.
        schedule: The key of its schedule; None for a call.
        scheduled_at: When it was to run: the occurrence, or the instant for which the call, or the
            retry, was put off. In UTC, as the others.
        started_at: When a worker began.
        finished_at: When it ended; None if it was still running at the end.
        worker: Which worker ran it: ``"worker-1"``, or ``"worker-1.2"`` for the second process in
            that place.
        attempt: Which attempt it was, from 1.
        outcome: ``"succeeded"``, ``"failed"``, ``"failed, to be retried"``, ``"worker died"``,
            ``"machine off"``, ``"lost"`` (another worker had the task by then), ``"handed back"``
            or ``"running"``.
    """

    task_id: str
    name: str
    schedule: Optional[str]
    scheduled_at: datetime
    started_at: datetime
    finished_at: Optional[datetime]
    worker: str
    attempt: int
    outcome: str

    @property
    def late_seconds(self) -> float:
        """How many seconds after its time it began."""
        return (self.started_at - self.scheduled_at).total_seconds()


class Occurrence(NamedTuple):
    """One instant of a schedule.

    Attributes:
        schedule: The key of the schedule.
        name: The name of its task function.
        at: The instant, in UTC.
    """

    schedule: str
    name: str
    at: datetime


@dataclass(frozen=True)
class Timeline:
    """What a simulation has shown.

    Attributes:
        entries: The attempts, in the order in which they began.
        start_at: The first instant.
        end_at: The first instant that was not played any more.
        zone_name: The zone in which it is shown, and of schedules that name none.
        workers: How many workers there were.
        seed: The seed of all chance.
        names: The task functions, in the order of their decoration.
        schedules: Their schedules.
        outages: When the machine was off.
        marks: What else happened to the machine: when, and ``"clock"`` (it was set, by how many
            seconds), ``"supervisor"`` (it was killed), ``"power cut"`` (how many claims and ends of
            tasks were lost), ``"second supervisor"`` (for how many seconds there were two) or
            ``"restart"`` (of the application).
    """

    entries: Sequence[Entry]
    start_at: datetime
    end_at: datetime
    zone_name: str
    workers: int
    seed: int
    names: Sequence[str]
    schedules: Sequence[CronOptions]
    outages: Sequence[Tuple[datetime, datetime]]
    marks: Sequence[Tuple[datetime, str, float]]
    skips: Sequence[Occurrence]
    fired: Mapping[str, Sequence[datetime]]

    @property
    def zone(self) -> tzinfo:
        """The zone in which it is shown."""
        return zones.load_zone(self.zone_name)

    # -- questions ----------------------------------------------------------------------------

    def runs(self, task: Optional[Named] = None) -> List[Entry]:
        """Return the attempts, in the order in which they began.

        Arguments:
            task: A task function, its name, or the end of its name; None is all of them.

        Raises:
            AutocronError: No such task function was simulated.
        """
        name = self._name(task)
        return [entry for entry in self.entries if name in (None, entry.name)]

    def overlaps(self) -> List[Tuple[Entry, Entry]]:
        """Return the pairs of attempts of one task function that ran at the same time."""
        pairs: List[Tuple[Entry, Entry]] = []
        running: Dict[str, List[Entry]] = {}
        for entry in self.entries:
            before = [
                other
                for other in running.get(entry.name, ())
                if (other.finished_at or self.end_at) > entry.started_at
            ]
            pairs += [(other, entry) for other in before]
            running[entry.name] = [*before, entry]
        return pairs

    def missed(self, task: Optional[Named] = None) -> List[Occurrence]:
        """Return the occurrences that nobody was there for, and that were not made up.

        Arguments:
            task: As for :meth:`runs`.
        """
        name = self._name(task)
        missed: List[Occurrence] = []
        for one in self.schedules:
            if name in (None, one.name) and one.text is not None:
                dealt_with = set(self.fired.get(one.key, ()))
                dealt_with.update(skip.at for skip in self.skips if skip.schedule == one.key)
                missed += [found for found in self._all(one) if found.at not in dealt_with]
        return sorted(missed, key=lambda found: (found.at, found.schedule))

    def skipped(self, task: Optional[Named] = None) -> List[Occurrence]:
        """Return the occurrences that came while an earlier run was still in hand.

        Arguments:
            task: As for :meth:`runs`.
        """
        name = self._name(task)
        return [skip for skip in self.skips if name in (None, skip.name)]

    def late(self, than: Union[timedelta, float] = 60.0) -> List[Entry]:
        """Return the attempts that began late.

        Arguments:
            than: By more than this: a timedelta, or seconds.
        """
        seconds = than.total_seconds() if isinstance(than, timedelta) else than
        return [entry for entry in self.entries if entry.late_seconds > seconds]

    def busy(self) -> Dict[str, float]:
        """Return for each worker which share of the span it was running tasks, from 0 to 1."""
        seconds = {f"worker-{slot}": 0.0 for slot in range(1, self.workers + 1)}
        for entry in self.entries:
            ran = (entry.finished_at or self.end_at) - entry.started_at
            seconds[entry.worker.partition(".")[0]] += max(ran.total_seconds(), 0.0)
        span_seconds = (self.end_at - self.start_at).total_seconds()
        return {name: ran / span_seconds for name, ran in seconds.items()}

    def never_fired(self) -> List[CronOptions]:
        """Return the schedules that have no occurrence in the span."""
        return [
            one
            for one in self.schedules
            if one.text is not None and next(iter(self._all(one)), None) is None
        ]

    def _name(self, task: Optional[Named]) -> Optional[str]:
        if task is None:
            return None
        name = task if isinstance(task, str) else _name_of(task)
        short = [known for known in self.names if is_called(known, name)]
        if len(short) != 1:
            raise AutocronError(
                f"task: no task function {name!r} was simulated; known are {', '.join(self.names)}"
                if not short
                else f"task: {name!r} may be {' or '.join(short)}; write which"
            )
        return short[0]

    def expression(self, one: CronOptions) -> CronExpression:
        """Return the expression of a schedule that has one."""
        return parse(one.text or "")

    def zone_of(self, one: CronOptions) -> tzinfo:
        """Return the zone of a schedule."""
        return zones.load_zone(one.zone or self.zone_name)

    def _all(self, one: CronOptions) -> Any:
        begin, end = self.start_at - _MICROSECOND, self.end_at - _MICROSECOND
        found = between(self.expression(one), begin, end, self.zone_of(one))
        return (Occurrence(one.key, one.name, at) for at in found)

    def occurrences(self, one: CronOptions) -> List[datetime]:
        """Return all occurrences of a schedule in the span, run or not."""
        return [found.at for found in self._all(one)] if one.text is not None else []

    # -- showing ------------------------------------------------------------------------------

    def odd(self) -> List[str]:
        """Return what is odd, a sentence each: overlaps, skips, pile-ups, clock changes and so on.

        Returns:
            Sentences; none if all is as it looks.
        """
        from autocron.testing.odd import odd

        return odd(self)

    def to_text(self, width: int = 100) -> str:
        """Return a picture in characters: a row a task, a column a slot of time.

        Arguments:
            width: How many columns it may take.
        """
        from autocron.testing.report_text import to_text

        return to_text(self, width)

    def to_html(self) -> str:
        """Return one page of HTML that needs nothing else, for light and dark screens."""
        from autocron.testing.report_html import to_html

        return to_html(self)

    def to_svg(self) -> str:
        """Return the picture of the page alone."""
        from autocron.testing.report_html import to_svg

        return to_svg(self)

    def to_json(self) -> str:
        """Return all of it as JSON; instants are ISO 8601 in UTC, named ``…_at``."""
        places = {id(entry): place for place, entry in enumerate(self.entries)}
        return json.dumps(
            {
                "start_at": _instant(self.start_at),
                "end_at": _instant(self.end_at),
                "zone": self.zone_name,
                "workers": self.workers,
                "seed": self.seed,
                "runs": [
                    {
                        name: _instant(value) if isinstance(value, datetime) else value
                        for name, value in entry._asdict().items()
                    }
                    for entry in self.entries
                ],
                "overlaps": [[places[id(a)], places[id(b)]] for a, b in self.overlaps()],
                "skipped": [_plain(one) for one in self.skips],
                "missed": [_plain(one) for one in self.missed()],
                "busy": {name: round(share, 6) for name, share in self.busy().items()},
                "outages": [[_instant(begin), _instant(end)] for begin, end in self.outages],
                "marks": [[_instant(at), what, seconds] for at, what, seconds in self.marks],
                "odd": self.odd(),
            },
            indent=1,
        )

    def __repr__(self) -> str:
        return (
            f"<Timeline {len(self.entries)} runs of {len(self.names)} tasks, "
            f"{self.start_at.astimezone(self.zone).isoformat(' ')} to "
            f"{self.end_at.astimezone(self.zone).isoformat(' ')}>"
        )


def is_called(name: str, given: str) -> bool:
    """Tell whether a task function may be called like this: by its name, or the end of it."""
    return given == name or (bool(given) and name.endswith((f":{given}", f".{given}")))


def _name_of(task: Callable[..., Any]) -> str:
    from autocron.testing.runner import name_of

    return name_of(task, "task")


def _instant(at: datetime) -> str:
    return at.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _plain(one: Occurrence) -> Dict[str, str]:
    return {"schedule": one.schedule, "name": one.name, "at": _instant(one.at)}
