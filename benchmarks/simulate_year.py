"""A year of an application with 100 hourly schedules, played by the simulator.

Run it with ``python benchmarks/simulate_year.py``; ``--days 30`` plays less. Each of the 876,000
occurrences goes the whole way through the real engine: it is fired, stored with its encoded
arguments, claimed, run (its arguments are read back), ended with its encoded result, and purged.
The steps are counted and compared with what they must be, and the first 5,000 runs are compared
with those on SQLite. The floor is croniter merely computing the same occurrences.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, timezone

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from autocron.app import App
from autocron.core import arguments
from autocron.testing import plain_tables, simulator
from autocron.testing.faults import Faults
from autocron.testing.scenario import Reader

SCHEDULES = 100
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SLICE = 5000


def an_application() -> App:
    """Return an App with a hundred tasks, each at a minute of its own choice."""
    app = App()
    for number in range(SCHEDULES):
        text = f"def task_{number}(): ..."
        scope: dict = {"__name__": "year"}
        exec(text, scope)
        app.cron(f"{number * 7 % 60} * * * *", tz="UTC")(scope[f"task_{number}"])
    return app


def a_simulation(app: App, days: float, store: str = "plain") -> simulator.Simulation:
    """Return the simulation of so many days of it."""
    reader = Reader(app, "UTC")
    end = START + timedelta(days=days)
    scenario = simulator.read_scenario(
        reader, START, None, end, 1, 0, 1.0, None, (), None, (), (), Faults(), False
    )
    return simulator.Simulation(scenario, store)


def play(simulation: simulator.Simulation) -> None:
    """Play a simulation to its end."""
    step = simulation.machine.step
    while step():
        pass


def count_steps(app: App, days: float) -> Counter:
    """Play a part of it once more, counting what is done for each occurrence."""
    simulation = a_simulation(app, days)
    counts: Counter = Counter()

    def counted(owner: object, name: str) -> None:
        inner = getattr(owner, name)

        def count(*values: object) -> object:
            result = inner(*values)
            # What was found, kept or removed; a look that finds nothing is no step.
            counts[name] += result if name == "purge" else result not in (None, False)
            return result

        setattr(owner, name, count)

    store = simulation.machine.store
    assert isinstance(store, plain_tables.PlainTables)
    added = store.add
    store.add = lambda task: (added(task), counts.update(["add"]))[0]  # type: ignore
    for name in ("swap", "purge", "swap_schedule"):
        counted(store, name)
    codec = {"load_call": arguments.load_call, "dump_result": arguments.dump_result}
    for name in codec:
        counted(arguments, name)
    try:
        play(simulation)
    finally:
        for name, function in codec.items():
            setattr(arguments, name, function)
        simulation.close()
    return counts


def main() -> None:
    """Measure, compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=365)
    parser.add_argument("--no-croniter", action="store_true")
    options = parser.parse_args()
    app = an_application()
    expected = round(SCHEDULES * 24 * options.days)

    simulation = a_simulation(app, options.days)
    began, cpu_began = time.perf_counter(), time.process_time()
    play(simulation)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    timeline = simulation.timeline()
    simulation.close()
    runs = len(timeline.entries)
    assert runs == expected, (runs, expected)
    assert not timeline.skips
    print(
        f"{options.days:g} days, {SCHEDULES} hourly schedules: {runs} runs in {seconds:.1f} s "
        f"({cpu_seconds:.1f} s of CPU), {seconds / runs * 1e6:.1f} µs each"
    )

    few = min(options.days, 3)
    occurrences = round(SCHEDULES * 24 * few)
    steps = count_steps(app, few)
    kept = 1800 / 3600 * SCHEDULES + SCHEDULES
    assert steps["add"] == occurrences, steps
    assert steps["swap_schedule"] == occurrences + SCHEDULES, steps  # the latter: declared
    assert steps["swap"] == 2 * occurrences, steps  # claimed and ended
    assert steps["load_call"] == steps["dump_result"] == occurrences, steps
    assert occurrences - kept <= steps["purge"] <= occurrences, steps
    print(
        "each is fired, stored, claimed, run, ended (arguments and result as text) and purged: "
        + ", ".join(f"{name} {count / occurrences:.2f}" for name, count in sorted(steps.items()))
    )

    on_sqlite = a_simulation(app, SLICE / SCHEDULES / 24, ":memory:")
    began = time.perf_counter()
    play(on_sqlite)
    sqlite_seconds = time.perf_counter() - began
    slice_ = on_sqlite.timeline().entries
    on_sqlite.close()
    assert len(slice_) == SLICE, len(slice_)
    assert slice_ == timeline.entries[:SLICE] or options.days * 2400 < SLICE
    print(
        f"the first {SLICE} runs are the same on SQLite in memory, which takes "
        f"{sqlite_seconds / SLICE * 1e6:.0f} µs each"
    )

    if options.no_croniter:
        return
    from croniter import croniter

    cpu_began = time.process_time()
    count = 0
    end = START + timedelta(days=options.days)
    for one in app.schedules.values():
        times = croniter(one.text, START - timedelta(seconds=1), ret_type=datetime)
        while times.get_next() < end:
            count += 1
    floor_seconds = time.process_time() - cpu_began
    assert count == expected, (count, expected)
    print(
        f"croniter computes the same occurrences, and no more, in {floor_seconds:.1f} s of "
        f"CPU: the simulation takes {cpu_seconds / floor_seconds:.2f} times as long"
    )


if __name__ == "__main__":
    main()
