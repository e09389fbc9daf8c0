"""Play an application's schedules and calls through the real engine, on virtual time.

::

    plan = testing.simulate("shop.tasks", start="2026-10-24", days=3, tz="Europe/Berlin",
                            durations={"nightly": timedelta(hours=2)},
                            outages=[("2026-10-25 01:00", "2026-10-25 05:00")])
    assert plan.overlaps() == [] and len(plan.runs("nightly")) == 3

A supervisor and workers, each an :class:`~autocron.engine.Engine` as in production, share one store
and one clock, and time goes from event to event. All chance comes from the seed, so that the same
scenario gives the same timeline, on every store.
"""

from __future__ import annotations

import os
import random
import threading
from datetime import datetime, tzinfo
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple, Union, cast

from autocron.app import App
from autocron.core.errors import AutocronError
from autocron.core.task import Message, Task
from autocron.core.workforce import Group, InvalidWorkers, check_workers, groups, parse_workers
from autocron.engine import Engine
from autocron.ports import Store
from autocron.registry import TaskFunction
from autocron.schedule_options import CronOptions
from autocron.serving import Rehearsal
from autocron.shell.local import LocalBackend
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.clock import Instant
from autocron.testing.faults import Faults
from autocron.testing.machine import Machine
from autocron.testing.mishaps import MachineInTrouble
from autocron.testing.plain_tables import PlainTables
from autocron.testing.recorder import Recorder
from autocron.testing.scenario import (
    FOREVER,
    Reader,
    Scenario,
    check_chance,
    check_duration,
    merged,
    number,
)
from autocron.testing.timeline import Timeline
from autocron.testing.unserved import UnservedService

PLAIN, MEMORY = "plain", ":memory:"


def simulate(
    tasks: Any,
    *,
    start: Instant,
    days: Optional[float] = None,
    end: Optional[Instant] = None,
    tz: Union[str, tzinfo, None] = None,
    workers: Union[int, Mapping[str, int], str] = 1,
    seed: int = 0,
    durations: Any = None,
    failures: Any = None,
    outages: Iterable[Tuple[Instant, Instant]] = (),
    crashes: Any = None,
    clock_jumps: Iterable[Tuple[Instant, float]] = (),
    enqueue: Any = (),
    faults: Optional[Faults] = None,
    store: Union[str, os.PathLike[str]] = PLAIN,
    call: bool = False,
) -> Timeline:
    """Play what an application does in the background, over days or years, in a moment.

    An instant is an aware datetime, a naive one on the clock of ``tz``, or either as ISO 8601 text.
    A task is named by its function, by its full name, or by the end of it: ``"nightly"``.

    Arguments:
        tasks: A module, its name, an App, or a list of task functions of the default App.
        start: The first instant; what is due just then is played.
        days: How many days to play, on the calendar of ``tz``.
        end: Instead of ``days``, the instant up to which to play.
        tz: The zone of schedules that name none; None is the App's.
        workers: How many workers there are; or how many for which queues, as for
            :func:`autocron.start`: ``{"mail": 1, "*": 2}``, or as text, ``"mail=1,*=2"``.
        seed: The seed of all chance.
        durations: How long tasks run: seconds, a timedelta, or a callable that is given the
            ``random.Random`` of the simulation and the Task and returns either; or a dictionary of
            these by task. One second if not given.
        failures: Whether attempts fail: a probability, or a callable that is given the same and
            returns True for a failure; or a dictionary of these by task. None do if not given.
        outages: When the machine is off, as pairs of instants.
        crashes: When workers are killed: a list of instants, or of ``(instant, which)`` with
            ``"supervisor"`` or ``"worker-2"``; a number, how many times an hour; or a dictionary of
            how many of a task's first attempts kill their worker.
        clock_jumps: When somebody sets the machine's clock, as pairs of an instant and by how many
            seconds. The instants of all arguments are those of a clock that is always right.
        enqueue: Calls of delayed functions: a list of ``(instant, function, args)``, or a callable
            that is given the Random and returns one.
        faults: What else goes wrong; see :class:`autocron.testing.faults.Faults`.
        store: ``"plain"``, ``":memory:"`` for SQLite in memory, or the absolute path of a new
            database. The timeline is the same on all of them.
        call: True really calls the functions, when their virtual duration is over; an exception
            is a failed attempt. Otherwise they are not called.

    Returns:
        What ran when, and what did not.

    Raises:
        AutocronError: An argument can not be used; the message says which and why.
    """
    reader = Reader(tasks, tz)
    scenario = read_scenario(
        reader, start, days, end, workers, seed, durations, failures, outages, crashes,
        clock_jumps, enqueue, faults, call,
    )  # fmt: skip
    return play(scenario, store)


def read_scenario(
    reader: Reader,
    start: Instant,
    days: Optional[float],
    end: Optional[Instant],
    workers: Union[int, Mapping[str, int], str],
    seed: int,
    durations: Any,
    failures: Any,
    outages: Iterable[Any],
    crashes: Any,
    clock_jumps: Iterable[Any],
    enqueue: Any,
    faults: Optional[Faults],
    call: bool,
) -> Scenario:
    """Check the arguments of :func:`simulate`; they are described there."""
    start_at = reader.instant("start", start)
    end_at = reader.end(start_at, days, end)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise AutocronError(f"seed: {seed!r} is no whole number")
    wanted = _workers(workers)
    faults = Faults() if faults is None else faults
    rate, instants, attempts = _crashes(reader, crashes)
    until = faults.until
    for name in ("stalls", "supervisor_crashes", "second_supervisors", "restarts"):
        number(f"faults.{name}", getattr(faults, name), 0.0, 3600.0)
    for name in ("lost_commits", "hangs", "races"):
        number(f"faults.{name}", getattr(faults, name), 0.0, 1.0)
    power_cut_rate, power_cuts = reader.rate_or_instants("faults.power_cuts", faults.power_cuts)
    return Scenario(
        app=reader.app,
        functions=reader.functions,
        schedules=reader.schedules,
        zone_name=reader.zone_name,
        start_at=start_at,
        end_at=end_at,
        workers=sum(group.size for group in wanted),
        queues=[group.queues for group in wanted for _ in range(group.size)],
        seed=seed,
        durations=reader.by_name("durations", durations, check_duration),
        failures=reader.by_name("failures", failures, check_chance),
        outages=merged(reader.periods("outages", outages)),
        crashes=instants,
        crash_rate=rate,
        crash_attempts=attempts,
        clock_jumps=reader.jumps(clock_jumps),
        calls=reader.calls(enqueue, random.Random(f"calls {seed}")),
        faults=faults,
        full_disk=reader.periods("faults.full_disk", faults.full_disk),
        power_cuts=power_cuts,
        power_cut_rate=power_cut_rate,
        faults_until=FOREVER if until is None else reader.instant("faults.until", until),
        calls_functions=call,
    )


def play(scenario: Scenario, store: Union[str, os.PathLike[str]] = PLAIN) -> Timeline:
    """Play a scenario that was read.

    Arguments:
        scenario: The scenario.
        store: As for :func:`simulate`.
    """
    simulation = Simulation(scenario, store)
    try:
        while simulation.machine.step():
            pass
        return simulation.timeline()
    finally:
        simulation.close()


class Simulation:
    """A scenario that is being played; the calls of its App go to it until it is closed.

    Arguments:
        scenario: The scenario.
        store: As for :func:`simulate`.

    Attributes:
        machine: What plays it, step by step.
        store: Its store.
    """

    def __init__(self, scenario: Scenario, store: Union[str, os.PathLike[str]] = PLAIN) -> None:
        self.scenario = scenario
        self.store = _make_store(store)
        self.machine: Machine = MachineInTrouble(scenario, self.store, Recorder())
        self._app = scenario.app
        self._rehearsal = _Rehearsal(_service(self.machine), scenario.zone_name, scenario.app)
        self._thread = threading.get_ident()
        # Those of this thread alone: a test beside it has its own session.
        self._before = self._app.rehearsals
        self._app.rehearsals = self._find_rehearsal

    def _find_rehearsal(self, app: App) -> Optional[Rehearsal]:
        if threading.get_ident() == self._thread:
            return self._rehearsal
        return None if self._before is None else self._before(app)

    @property
    def backend(self) -> LocalBackend:
        """The backend of the application's own process."""
        return self._rehearsal.service.backend

    def timeline(self) -> Timeline:
        """Return what was shown, up to the end."""
        self.machine.finish()
        recorder, scenario = self.machine.recorder, self.scenario
        # Stable, so that what began at one instant stays in the order of its ends.
        entries = sorted(recorder.entries, key=lambda entry: entry.started_at)
        return Timeline(
            entries=entries,
            start_at=scenario.start_at,
            end_at=scenario.end_at,
            zone_name=scenario.zone_name,
            workers=scenario.workers,
            seed=scenario.seed,
            names=list(scenario.functions),
            schedules=scenario.schedules,
            outages=merged(sorted([*scenario.outages, *recorder.outages])),
            marks=recorder.marks,
            skips=recorder.skipped,
            fired=recorder.fired,
        )

    def close(self) -> None:
        """Give the calls of the App back."""
        self._app.rehearsals = self._before
        self.store.close()


def _service(machine: Machine) -> UnservedService[LocalBackend]:
    store, caller = cast(SQLiteStore, machine.store), cast(Engine, _Caller(machine))
    return UnservedService(LocalBackend(store, caller), machine.clock)


class _Rehearsal:
    """What a simulation puts in the place of a service; see :class:`autocron.app.Rehearsal`."""

    def __init__(self, service: UnservedService[LocalBackend], zone: str, app: App) -> None:
        self.service = service
        self.default_zone = zone
        self._app = app

    def find(self, name: str) -> Union[TaskFunction, str]:
        """Return the task function of a name."""
        return self._app.registry.get(name) or f"no task function {name} is known"

    def add(self, known: TaskFunction) -> None:
        """Do nothing: what is decorated while a simulation is played is no part of it."""

    def add_schedule(self, options: CronOptions) -> None:
        """Do nothing, for the same reason."""

    def forget(self, name: str) -> None:
        """Do nothing."""

    def start(
        self, database: Union[str, os.PathLike[str]], tz: Optional[str], serializer: str
    ) -> None:
        """Do nothing: the simulation is what runs."""


class _Caller(Engine):
    """The engine of the application's own process."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(
            machine.used_store,
            machine.clock,
            zones=_no_zone,
            new_id=machine.new_id,
            waker=machine,
        )
        self._accepted = machine.accepted

    def enqueue(self, message: Message) -> Task:
        task = super().enqueue(message)
        self._accepted.append(task.id)
        return task

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[Sequence[Task], List[Task]]:
        tasks, chain = super().enqueue_all(messages, then, group=group)
        self._accepted += [task.id for task in (*tasks, *chain)]
        return tasks, chain


def _no_zone(name: str) -> tzinfo:
    raise AutocronError("the engine of a caller fires nothing")


def _make_store(given: Union[str, os.PathLike[str]]) -> Store:
    if given == PLAIN:
        return PlainTables()
    if isinstance(given, (str, os.PathLike)):
        path = os.fspath(given)
        made = SQLiteStore(path, durability="normal")
        made.open()
        if made.find(limit=1) or made.schedules():
            made.close()
            raise AutocronError(
                f"store: the database {path} is an application's; give the name of a new one"
            )
        return made
    raise AutocronError(
        f"store: {given!r} is none of 'plain', ':memory:' and the absolute path of a new database"
    )


def _workers(given: Union[int, Mapping[str, int], str]) -> List[Group]:
    """Return the wanted workers; there is no simulation without one."""
    try:
        wanted = groups(parse_workers(given) if isinstance(given, str) else check_workers(given))
    except InvalidWorkers as error:
        raise InvalidWorkers(f"workers: {error}") from None
    if not wanted[0].size:
        raise InvalidWorkers("workers: 0 would run nothing; expected at least 1")
    return wanted


def _crashes(
    reader: Reader, given: Any
) -> Tuple[float, List[Tuple[datetime, str]], Mapping[str, int]]:
    """Return a rate per hour, instants with whom they hit, and attempts by task."""
    if given is None:
        return 0.0, [], {}
    if isinstance(given, Mapping):
        attempts = {}
        for task, count in given.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise AutocronError(f"crashes of {task!r}: {count!r} is no number of attempts")
            attempts[reader.name("crashes", task)] = count
        return 0.0, [], attempts
    if isinstance(given, (int, float)):
        return number("crashes (times an hour)", given, 0.0, 3600.0), [], {}
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise AutocronError(
            f"crashes: {given!r} is neither a list of instants, nor a number of times an hour, nor "
            "a dictionary of attempts by task"
        )
    instants: List[Tuple[datetime, str]] = []
    for crash in given:
        at, whom = crash if isinstance(crash, (tuple, list)) and len(crash) == 2 else (crash, "")
        if whom not in ("", "supervisor") and not str(whom).startswith("worker"):
            raise AutocronError(f"crashes: {whom!r} is neither 'supervisor' nor 'worker-1' or so")
        instants.append((reader.instant("crashes", at), whom or "worker"))
    return 0.0, sorted(instants), {}
