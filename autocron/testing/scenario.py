"""What is to be simulated: what a caller gives, checked, and brought into one form."""

from __future__ import annotations

import difflib
import importlib
import random
import re
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from types import ModuleType
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from autocron import zones
from autocron.app import App, default_app
from autocron.core.errors import AutocronError
from autocron.core.task import Task
from autocron.registry import TaskFunction
from autocron.schedule_options import CronOptions
from autocron.testing.clock import Instant
from autocron.testing.faults import Faults, Period
from autocron.testing.runner import name_of
from autocron.testing.timeline import is_called

Named = Union[Callable[..., Any], str]
Duration = Union[timedelta, float, Callable[[random.Random, Task], Any]]
Queues = Optional[Tuple[str, ...]]
Chance = Union[float, Callable[[random.Random, Task], bool]]

DEFAULT_SECONDS = 1.0
FOREVER = datetime.max.replace(tzinfo=timezone.utc)


@dataclass
class Scenario:
    """A simulation to be played.

    Attributes:
        app: The App whose task functions they are.
        functions: The task functions, by name.
        schedules: Their schedules.
        zone_name: The zone of schedules that name none, and of what is shown.
        start_at: The first instant.
        end_at: The first instant that is not played any more.
        workers: How many workers there are.
        queues: The queues of each of them; None, or one beyond the end, is any.
        seed: The seed of all chance.
        durations: How long the functions run, by name; ``""`` is for all others.
        failures: Whether they fail, likewise.
        outages: When the machine is off.
        crashes: Instants at which a process is killed, and which: a worker's name, ``"worker"``
            for any that is busy, or ``"supervisor"``.
        crash_rate: How many times an hour a worker is killed.
        crash_attempts: How many of the first attempts of a task kill their worker, by name.
        clock_jumps: Instants at which the wall clock is set, and by how many seconds.
        calls: Calls of the application, by instant.
        faults: What else goes wrong.
        full_disk: When nothing can be written.
        power_cuts: Instants at which the power fails.
        power_cut_rate: How many times an hour it does.
        faults_until: From when on nothing goes wrong by rate or share.
        calls_functions: Whether the functions are really called.
    """

    app: App
    functions: Dict[str, TaskFunction]
    schedules: List[CronOptions]
    zone_name: str
    start_at: datetime
    end_at: datetime
    workers: int = 1
    seed: int = 0
    durations: Mapping[str, Duration] = field(default_factory=dict)
    failures: Mapping[str, Chance] = field(default_factory=dict)
    outages: Sequence[Period] = ()
    crashes: Sequence[Tuple[datetime, str]] = ()
    crash_rate: float = 0.0
    crash_attempts: Mapping[str, int] = field(default_factory=dict)
    clock_jumps: Sequence[Tuple[datetime, float]] = ()
    calls: Sequence[Tuple[datetime, Callable[[], Any]]] = ()
    faults: Faults = field(default_factory=Faults)
    full_disk: Sequence[Period] = ()
    power_cuts: Sequence[datetime] = ()
    power_cut_rate: float = 0.0
    faults_until: datetime = FOREVER
    calls_functions: bool = False
    queues: Sequence[Queues] = ()

    def queues_of(self, slot: int) -> Queues:
        """Return the queues of the worker in a place, counted from 1."""
        return self.queues[slot - 1] if slot <= len(self.queues) else None

    @property
    def zone(self) -> tzinfo:
        """The zone of schedules that name none, and of what is shown."""
        return zones.load_zone(self.zone_name)


class Reader:
    """Reads what a caller gives about an App.

    Arguments:
        tasks: A module, its name, an App, or task functions.
        tz: The zone of schedules that name none; None is the App's.
    """

    def __init__(self, tasks: Any, tz: Union[str, tzinfo, None]) -> None:
        self.app, self.functions = _application(tasks)
        self.zone_name = self.app.zone_name if tz is None else zones.zone_name(tz)
        self.zone = zones.load_zone(self.zone_name)

    @property
    def schedules(self) -> List[CronOptions]:
        """The schedules of the functions."""
        return [one for one in self.app.schedules.values() if one.name in self.functions]

    # -- instants -----------------------------------------------------------------------------

    def instant(self, what: str, given: Instant) -> datetime:
        """Return an instant in UTC.

        Raises:
            AutocronError: It is none.
        """
        moment: Any = given
        if isinstance(given, str):
            try:
                # Python 3.8 does not know the Z of ISO 8601.
                moment = datetime.fromisoformat(
                    given[:-1] + "+00:00" if given[-1:] == "Z" else given
                )
            except ValueError:
                moment = None
        if not isinstance(moment, datetime):
            raise AutocronError(
                f"{what}: {given!r} is no instant; expected a datetime, or ISO 8601 text such as "
                "'2026-10-24 02:30' (on the clock of the zone) or '2026-10-24T02:30+02:00'"
            )
        try:
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self.zone)
            found: datetime = moment.astimezone(timezone.utc)
            return found
        except (OverflowError, ValueError, OSError):
            raise AutocronError(f"{what}: {given!r} is out of the range of times") from None

    def end(self, start_at: datetime, days: Optional[float], end: Optional[Instant]) -> datetime:
        """Return the end of the span: so many days later on the wall clock, or what is given."""
        if (days is None) == (end is None):
            raise AutocronError("days and end: give one of them, to say how long to simulate")
        if end is not None:
            end_at = self.instant("end", end)
        elif isinstance(days, bool) or not isinstance(days, (int, float)) or not 0 < days < 4e6:
            raise AutocronError(f"days: {days!r} is not a number of days above 0")
        else:
            # A day is one of the calendar: of 23 or 25 hours where the clock changes.
            wall = start_at.astimezone(self.zone).replace(tzinfo=None, fold=0)
            try:
                wall += timedelta(days=days)
            except OverflowError:
                raise AutocronError(f"days: {days!r} days end after the year 9999") from None
            end_at = self.instant("days", wall)
        if end_at <= start_at:
            raise AutocronError(
                f"end: {end_at.isoformat(' ')} is not after start, {start_at.isoformat(' ')}"
            )
        return end_at

    def periods(self, what: str, given: Iterable[Any]) -> List[Period]:
        """Return periods in order."""
        periods = []
        for period in _list(what, given, "pairs of instants"):
            begin, end = _pair(what, period, "(from, to)")
            begin_at, end_at = self.instant(what, begin), self.instant(what, end)
            if end_at <= begin_at:
                raise AutocronError(f"{what}: {end!r} is not after {begin!r}")
            periods.append((begin_at, end_at))
        return sorted(periods)

    def rate_or_instants(self, what: str, given: Any) -> Tuple[float, List[datetime]]:
        """Return how many times an hour something happens, or when: one of the two is given."""
        if isinstance(given, (int, float)):
            return number(f"{what} (times an hour)", given, 0.0, 3600.0), []
        return 0.0, sorted(self.instant(what, at) for at in _list(what, given, "instants"))

    def jumps(self, given: Iterable[Any]) -> List[Tuple[datetime, float]]:
        """Return when the clock is set, and by how many seconds."""
        jumps = []
        for jump in _list("clock_jumps", given, "pairs of an instant and seconds"):
            at, seconds = _pair("clock_jumps", jump, "(at, seconds)")
            jumps.append((self.instant("clock_jumps", at), _seconds("clock_jumps", seconds, None)))
        return sorted(jumps)

    # -- tasks --------------------------------------------------------------------------------

    def name(self, what: str, given: Named) -> str:
        """Return the name of a task function: given itself, by its name, or the end of it.

        Raises:
            AutocronError: It is none of the application's.
        """
        name = given if isinstance(given, str) else name_of(given, what)
        if name in self.functions:
            return name
        short = [known for known in self.functions if is_called(known, name)]
        if len(short) == 1:
            return short[0]
        if short:
            raise AutocronError(f"{what}: {name!r} may be {' or '.join(short)}; write which")
        words = [*self.functions, *(re.split("[.:]", known)[-1] for known in self.functions)]
        close = difflib.get_close_matches(name, words, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}?" if close else "known are " + _some(self.functions)
        raise AutocronError(f"{what}: no task function {name!r} is simulated; {hint}")

    def by_name(self, what: str, given: Any, check: Callable[[str, Any], Any]) -> Dict[str, Any]:
        """Return what is given for each task function, or, under ``""``, for all."""
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            return {"": check(what, given)}
        return {
            self.name(what, key): check(f"{what} of {key!r}", value) for key, value in given.items()
        }

    def calls(self, given: Any, chance: random.Random) -> List[Tuple[datetime, Callable[[], Any]]]:
        """Return calls in order: of ``(at, function, args)`` each, or what a callable gives."""
        if callable(given):
            given = given(chance)
        calls = []
        for call in _list("enqueue", given, "(at, function, args)"):
            if not isinstance(call, (tuple, list)) or not 2 <= len(call) <= 4:
                raise AutocronError(f"enqueue: {call!r} is not (at, function, args)")
            padded: Any = (*call, *((), {})[len(call) - 2 :])
            at, function, args, kwargs = padded
            calls.append((self.instant("enqueue", at), self._call(function, args, kwargs)))
        calls.sort(key=lambda call: call[0])
        return calls

    def _call(self, function: Any, args: Any, kwargs: Any) -> Callable[[], Any]:
        if isinstance(args, str) or not isinstance(args, Iterable) or not isinstance(kwargs, dict):
            raise AutocronError(f"enqueue: the arguments {args!r} are no tuple of arguments")
        args = tuple(args)
        if isinstance(function, str):
            function = _decorated(self.name("enqueue", function))
        plain = getattr(function, "__wrapped__", None)
        if plain is None:
            raise AutocronError(
                f"enqueue: {function!r} is not decorated with @delay; only a delayed function is "
                "stored when it is called"
            )
        self.name("enqueue", plain)
        return lambda: function(*args, **kwargs)


def _decorated(name: str) -> Any:
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for attribute in qualname.split("."):
        found = getattr(found, attribute, None)
    if found is None:
        raise AutocronError(f"enqueue: {name!r} is not found by its name; give the function itself")
    return found


def _application(tasks: Any) -> Tuple[App, Dict[str, TaskFunction]]:
    if isinstance(tasks, str):
        module, _, attribute = tasks.partition(":")
        try:
            tasks = importlib.import_module(module)
        except ImportError as error:
            raise AutocronError(f"tasks: can not import {module!r}: {error}") from error
        for name in filter(None, attribute.split(".")):
            if not hasattr(tasks, name):
                raise AutocronError(f"tasks: module {module!r} has no {attribute!r}")
            tasks = getattr(tasks, name)
    if isinstance(tasks, App):
        return tasks, {known.name: known for known in tasks.registry.all()}
    if isinstance(tasks, ModuleType):
        return _of_module(tasks)
    functions = [tasks] if callable(tasks) else _list("tasks", tasks, "task functions")
    names = [one if isinstance(one, str) else name_of(one, "tasks") for one in functions]
    found = {name: default_app.registry.get(name) for name in names}
    for name, known in found.items():
        if known is None:
            raise AutocronError(
                f"tasks: {name!r} is no task function of the default App; decorate it with "
                "@cron or @delay, or give the App it belongs to"
            )
    return default_app, {name: known for name, known in found.items() if known is not None}


def _of_module(module: ModuleType) -> Tuple[App, Dict[str, TaskFunction]]:
    apps = [value for value in vars(module).values() if isinstance(value, App)]
    app = apps[0] if apps else default_app
    found = {
        known.name: known
        for known in app.registry.all()
        if apps or f"{known.module}.".startswith(f"{module.__name__}.")
    }
    if not found:
        # A module of an application that imports its tasks from others.
        values = {id(getattr(value, "function", value)) for value in vars(module).values()}
        found = {one.name: one for one in app.registry.all() if id(one.function) in values}
    if not found:
        raise AutocronError(
            f"tasks: module {module.__name__!r} has no task functions; expected a module with "
            "functions under @cron or @delay"
        )
    return app, found


# -- checks -------------------------------------------------------------------------------------


def check_duration(what: str, given: Any) -> Duration:
    """Check a duration: a timedelta, seconds, or a callable giving either."""
    if callable(given):
        return given  # type: ignore[no-any-return]
    return _seconds(what, given, 0.0)


def check_chance(what: str, given: Any) -> Chance:
    """Check a chance: a number from 0 to 1, or a callable that says yes or no."""
    if callable(given):
        return given  # type: ignore[no-any-return]
    return number(what, given, 0.0, 1.0)


def merged(periods: Sequence[Period]) -> List[Period]:
    """Return periods, in order, with those that touch drawn together."""
    found: List[Period] = []
    for begin, end in periods:
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def number(what: str, given: Any, least: float, most: float) -> float:
    """Check a number.

    Raises:
        AutocronError: It is none within its bounds.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not least <= given <= most:
        raise AutocronError(f"{what}: {given!r} is not a number from {least:g} to {most:g}")
    return float(given)


def _seconds(what: str, given: Any, least: Optional[float]) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    most = 1000 * 366 * 86400.0
    return number(f"{what} (seconds, or a timedelta)", seconds, -most if least is None else 0, most)


def _list(what: str, given: Any, expected: str) -> List[Any]:
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise AutocronError(f"{what}: {given!r} is no list of {expected}")
    return list(given)


def _pair(what: str, given: Any, expected: str) -> Tuple[Any, Any]:
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise AutocronError(f"{what}: {given!r} is not {expected}")
    return given[0], given[1]


def _some(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
