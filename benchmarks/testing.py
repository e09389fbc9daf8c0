"""How long tests take: a session, and 30 days of an application played in one.

Run it with ``python benchmarks/testing.py``. It asserts what it promises: a test that plays 30 days
of an application with ten schedules, retries and one crash takes under half a second.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Tuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from autocron import testing
from autocron.app import App

SCHEDULES = (
    "0 * * * *",  # hourly: 720 occurrences in 30 days
    "0 */6 * * *",
    "30 2 * * *",
    "0 3 * * *",
    "15 3 * * *",
    "0 6 * * mon-fri",
    "0 7 * * mon",
    "0 0 1 * *",
    "0 12 * * *",
    "45 23 * * *",
)
LONGEST_SECONDS = 0.5


def application() -> App:
    """Return an App with ten schedules, one of which makes a call that is delayed."""
    app = App()

    @app.delay(retries=3, backoff=60)
    def send_report(number: int) -> int:
        return number

    def run() -> None: ...

    for number, text in enumerate(SCHEDULES):

        def scheduled(number: int = number) -> None:
            if number == 2:
                send_report.options(minutes=10)(number)

        scheduled.__qualname__ = f"scheduled_{number}"
        app.cron(text, tz="Europe/Berlin")(scheduled)
    app.send_report = send_report  # type: ignore[attr-defined]
    return app


def thirty_days(app: App, engine: str) -> int:
    """Play 30 days, with two failed attempts and a crash; return the number of runs."""
    session = testing.session("2026-03-15 12:00", "Europe/Berlin", app=app, engine=engine)
    with session:
        session.fail_next(app.send_report, ConnectionError("down"), times=2)  # type: ignore[attr-defined]
        session.crash_next(app.send_report)  # type: ignore[attr-defined]
        report = session.travel(days=30)
        assert report.crashed == 1
        assert report.failed == 3
        assert report.count(app.send_report) == 33  # type: ignore[attr-defined]
        return len(report.runs)


def main() -> None:
    """Print the figures."""
    logging.getLogger("autocron").addHandler(logging.NullHandler())
    app = application()
    for engine in testing_engines():
        began = time.perf_counter()
        for _ in range(100):
            with testing.session("2026-03-15", app=app, engine=engine):
                pass
        print(f"a session, {engine}: {(time.perf_counter() - began) * 10:.2f} ms")
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            runs = thirty_days(app, engine)
            best = min(best, time.perf_counter() - began)
        print(
            f"30 days, 10 schedules, {runs} runs, {engine}: {best:.3f} s, "
            f"{best / runs * 1e6:.0f} µs a run"
        )
        if engine == "memory":
            assert best < LONGEST_SECONDS, f"expected under {LONGEST_SECONDS} s"


def testing_engines() -> Tuple[str, ...]:
    """Return the engines that a session can have."""
    from autocron.testing.rehearsal import ENGINES

    return ENGINES


if __name__ == "__main__":
    main()
