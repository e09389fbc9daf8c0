"""autocron on PostgreSQL beside procrastinate alone: ``python -m benchmarks.postgres``.

Both in one run, in turn, on a server of its own (Debian: ``postgresql``), which syncs as by
default: what a call takes, how many tasks that do nothing one worker process runs, and how soon an
idle one begins. Needs ``pip install "autocron[postgres]"``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List

import procrastinate
import psycopg

from tests.contrib.procrastinate import postgres_server
from tests.processes.world import eventually

ROOT = Path(__file__).resolve().parents[1]
WORKER = """
import os, sys, time
import procrastinate
app = procrastinate.App(connector=procrastinate.{connector}(conninfo=os.environ["URL"]))

@app.task(name="stamp")
def stamp():
    with open(os.environ["STAMPS"], "a") as file:
        print(time.time(), file=file)

@app.task(name="nothing")
def nothing():
    pass

if __name__ == "__main__":
    app.run_worker(concurrency=1, install_signal_handlers=False)
"""
TASKS = """
import os, time
import autocron

@autocron.delay
def stamp():
    with open(os.environ["STAMPS"], "a") as file:
        print(time.time(), file=file)

@autocron.delay
def nothing():
    pass
"""


class Measured:
    """One of the two.

    Arguments:
        folder: A folder for what it writes.
        url: Its database.
    """

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir()
        self.folder, self.url = folder, url
        self.stamps = folder / "stamps"
        self.stamps.touch()
        self.environment = {
            **os.environ,
            "URL": url,
            "STAMPS": str(self.stamps),
            "HOME": str(folder),
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        }

    def left(self) -> int:
        """Return how many tasks wait or run."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(self.count.encode()).fetchone()
        assert row is not None
        return int(row[0])

    count = ""


class Plain(Measured):
    """procrastinate alone, with its synchronous connector and its worker."""

    count = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        for name, connector in (("work", "PsycopgConnector"), ("call", "SyncPsycopgConnector")):
            (folder / f"{name}.py").write_text(WORKER.replace("{connector}", connector))
        self.app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url))
        self.app.open()
        self.app.schema_manager.apply_schema()
        self.calls: Dict[str, Any] = {
            name: self.app.configure_task(name).defer for name in ("stamp", "nothing")
        }
        self.process: Any = None

    def start(self) -> None:
        """Have one worker."""
        self.process = subprocess.Popen(
            [sys.executable, str(self.folder / "work.py")],
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End all."""
        self.app.close()


class Own(Measured):
    """autocron, with one worker, results stored."""

    count = "SELECT count(*) FROM autocron_tasks WHERE state IN ('waiting', 'running')"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        (folder / "jobs.py").write_text(TASKS)
        sys.path.insert(0, str(folder))
        os.environ.update({name: self.environment[name] for name in ("HOME", "STAMPS", "URL")})
        import jobs  # type: ignore[import-not-found]

        import autocron

        self.autocron = autocron
        autocron.start(url, workers=0)
        self.calls = {"stamp": jobs.stamp, "nothing": jobs.nothing}
        self.process: Any = None

    def start(self) -> None:
        """Have one worker."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autocron", self.url, "--run", "jobs"],
            env=self.environment,
            stderr=subprocess.DEVNULL,
            cwd=str(self.folder),
        )

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()

    def close(self) -> None:
        """End all."""
        self.autocron.stop()


def _p50_ms(call: Callable[[], object], count: int) -> float:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return 1e3 * statistics.median(taken)


def _pickup_ms(measured: Any, count: int) -> float:
    taken = []
    for turn in range(count):
        time.sleep(0.02 + 0.02 * (turn * 7 % 10) / 10)
        before = len(measured.stamps.read_text().splitlines())
        measured.calls["stamp"]()
        returned = time.time()
        lines: List[str] = eventually(
            lambda before=before: measured.stamps.read_text().splitlines()[before:], "it begins"
        )
        taken.append(float(lines[0]) - returned)
    return 1e3 * statistics.median(taken)


def _round(measured: Any, tasks: int) -> Dict[str, float]:
    found = {"enqueue p50, ms": _p50_ms(measured.calls["nothing"], tasks)}
    began = time.perf_counter()
    measured.start()
    # From the first one that has ended, so without the start of the process.
    eventually(lambda: measured.left() < tasks, "the first", pause=0.002)
    began, left = time.perf_counter(), measured.left()
    eventually(lambda: not measured.left(), "the last", 300, pause=0.02)
    found["one worker, tasks/s"] = left / (time.perf_counter() - began)
    found["idle to start p50, ms"] = _pickup_ms(measured, 40)
    measured.stop()
    return found


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=1000)
    options = parser.parse_args()
    # Here the disk counts.
    synced = postgres_server._OPTIONS.replace("-c fsync=off -c full_page_writes=off ", "")
    postgres_server._OPTIONS = synced
    folder = Path(tempfile.mkdtemp(prefix="autocron-bench-")).resolve()
    folder.chmod(0o711)
    server = postgres_server.Server(folder / "server")
    server.create()
    server.start()
    both: List[Any] = []
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            for name in ("plain", "own"):
                connection.execute(f"CREATE DATABASE {name}".encode())
        both.append(Plain(folder / "plain", server.url("plain")))
        both.append(Own(folder / "own", server.url("own")))
        rounds = []
        for number in range(options.rounds):
            rounds.append([_round(measured, options.tasks) for measured in both])
            print(f"round {number + 1}: {rounds[-1]}", flush=True)
        for name in rounds[0][0]:
            plain, own = (statistics.median(r[n][name] for r in rounds) for n in (0, 1))
            ratio = statistics.median(r[1][name] / r[0][name] for r in rounds)
            print(f"{name:24} procrastinate {plain:8.2f}  autocron {own:8.2f}  ratio {ratio:.2f}")
    finally:
        for measured in both:
            with suppress(Exception):
                measured.close()
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
