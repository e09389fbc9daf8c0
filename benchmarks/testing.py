"""How long tests take: a session, and 30 days of an application played in one.

Run it with ``python benchmarks/testing.py``. Two applications are played, each with ten schedules,
retries and one crash: one whose schedules are daily or rarer, about 230 runs, and one with an
hourly and a six-hourly schedule among them, about 1,050 runs. It asserts that both take under half
a second of CPU on every engine in memory; the rest is printed. Machines differ and are noisy: the
best of five counts, and its CPU time, which neighbours disturb less.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any, Sequence, Tuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from autocron import testing
from autocron.app import App
from autocron.testing.rehearsal import ENGINES

DAILY = (
    "30 2 * * *",
    "0 3 * * *",
    "15 3 * * *",
    "0 6 * * mon-fri",
    "0 7 * * mon",
    "0 0 1 * *",
    "0 12 * * *",
    "45 23 * * *",
    "0 18 * * fri",
    "0 9 L * *",
)
HOURLY = ("0 * * * *", "0 */6 * * *", *DAILY[:8])
LONGEST_SECONDS = 0.5
PROMISED = ("memory", "plain")


def application(schedules: Sequence[str]) -> Tuple[App, Any]:
    """Return an App, and its delayed function, which one of its schedules calls every night."""
    app = App()

    @app.delay(retries=3, backoff=60)
    def send_report(text: str) -> str:
        return text

    for number, text in enumerate(schedules):

        def scheduled(text: str = text) -> None:
            if text == DAILY[0]:
                send_report.options(minutes=10)(text)

        scheduled.__qualname__ = f"scheduled_{number}"
        app.cron(text, tz="Europe/Berlin")(scheduled)
    return app, send_report


def thirty_days(app: App, send_report: Any, engine: str) -> int:
    """Play 30 days, with two failed attempts and a crash; return the number of runs."""
    with testing.session("2026-03-15 12:00", "Europe/Berlin", app=app, engine=engine) as session:
        session.fail_next(send_report, ConnectionError("down"), times=2)
        session.crash_next(send_report)
        report = session.travel(days=30)
    assert (report.crashed, report.failed, report.count(send_report)) == (1, 3, 33)
    return len(report.runs)


def main() -> None:
    """Print the figures, and hold them against what is promised."""
    logging.getLogger("autocron").addHandler(logging.NullHandler())
    broken = []
    for engine in ENGINES:
        began = time.perf_counter()
        for _ in range(20):
            with testing.session("2026-03-15", engine=engine):
                pass
        print(f"a session, {engine}: {(time.perf_counter() - began) * 50:.2f} ms")
    for name, schedules in (("daily", DAILY), ("hourly", HOURLY)):
        app, send_report = application(schedules)
        for engine in ENGINES:
            best = cpu = float("inf")
            for _ in range(5):
                began, cpu_began = time.perf_counter(), time.process_time()
                runs = thirty_days(app, send_report, engine)
                best = min(best, time.perf_counter() - began)
                cpu = min(cpu, time.process_time() - cpu_began)
            is_promised = engine in PROMISED
            print(
                f"30 days, {name}, {runs} runs, {engine}: {best:.3f} s, {cpu:.3f} s of CPU, "
                f"{cpu / runs * 1e6:.0f} µs a run"
                + (f"  (promised: under {LONGEST_SECONDS} s)" if is_promised else "")
            )
            if is_promised and cpu >= LONGEST_SECONDS:
                broken.append((name, engine))
    assert not broken, f"{broken} took {LONGEST_SECONDS} s or more"


if __name__ == "__main__":
    main()
