"""Hosts under chaos: ``python -m tests.contrib.procrastinate.chaos --seed 1``.

Three hosts, each with processes of an application, a supervisor and workers, share one PostgreSQL
server. By a seed their processes are killed, one or all of a host at once; hosts are frozen, also
for longer than they may be silent, and come back; the server is restarted. At the end each
accepted call has run, and each second has one occurrence of a schedule that fires each second.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

import psycopg

from autocron.core.task import Task, TaskState
from tests.contrib.procrastinate.host import Host
from tests.contrib.procrastinate.postgres_server import Server
from tests.processes.world import Application, end_by_force, eventually

HOSTS, WORKERS, WINDOW, REST_SECONDS = 3, 2, 60, 0.05
SITE = Path(__file__).resolve().parents[2] / "torture" / "site"
KINDS = {"worker": 60, "supervisor": 15, "host": 10, "freeze": 10, "long freeze": 3, "server": 2}
# A host is taken for dead after ten seconds; this is longer.
LONG_FREEZE_SECONDS = 14.0
PATIENCE_SECONDS = 240.0


class Site:
    """One host: its processes, and what they have noted."""

    def __init__(self, folder: Path, url: str, number: int, seed: int) -> None:
        self.host = Host(folder, url)
        self.host.allows_tracebacks = True
        for file in SITE.glob("*.py"):
            shutil.copy(str(file), str(folder))
        self._number = number
        self._seed = seed
        self._generation = 0
        self._application: List[Application] = []

    def keep_up(self) -> None:
        """Start the application if it is not there."""
        if self._application:
            if self._application[0].process.poll() is None:
                return
            self._application.pop().close()
        self._generation += 1
        seed = f"{self._seed}-{self._number}-{self._generation}"
        self._application.append(
            self.host.launch(
                str(self.host.folder / "app.py"),
                *(self.host.url, str(WORKERS), str(self._number), seed),
                *("torture", str(WINDOW), str(REST_SECONDS)),
            )
        )

    @property
    def pids(self) -> List[int]:
        """All processes of this host."""
        return [*self.host.background(), *(one.pid for one in self._application)]

    def lines(self, name: str) -> List[List[str]]:
        """Return the words of what was noted."""
        path = self.host.folder / name
        text = path.read_text(errors="replace") if path.exists() else ""
        return [line.split(" ") for line in text.splitlines()]

    def stop(self) -> None:
        """Let the application call no more."""
        (self.host.folder / "stop").touch()


class Chaos:
    """One run.

    Arguments:
        folder: An empty folder.
        seed: Of all chance.
        kills: How many processes, or hosts, are killed at least.
        tasks: How many calls are accepted at least.
    """

    def __init__(self, folder: Path, seed: int, kills: int, tasks: int) -> None:
        self._chance = random.Random(seed)
        self._kills, self._tasks = kills, tasks
        self.counts: Counter[str] = Counter()
        self.server = Server(folder / "server")
        self.server.create()
        self.server.start()
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE chaos")
        url = self.server.url("chaos")
        self.sites = []
        for number in range(HOSTS):
            (folder / str(number)).mkdir()
            self.sites.append(Site(folder / str(number), url, number, seed))
        self.store = self.sites[0].host.store

    @property
    def kills(self) -> int:
        """How often something was killed."""
        return sum(self.counts[kind] for kind in ("worker", "supervisor", "host"))

    def accepted(self) -> int:
        """Return how many calls have been accepted."""
        return sum(len(site.lines("accepted")) for site in self.sites)

    def run(self) -> List[str]:
        """Go on until it is enough, calm down, and return what is broken."""
        for site in self.sites:
            site.keep_up()
        eventually(lambda: self.accepted() > 50, "the first calls", PATIENCE_SECONDS)
        while self.kills < self._kills or self.accepted() < self._tasks:
            time.sleep(self._chance.uniform(0.05, 0.6))
            for site in self.sites:
                site.keep_up()
            # Kills come all the way to the last call.
            if self.kills * self._tasks <= self._kills * self.accepted():
                self._strike(self._chance.choices([*KINDS], [*KINDS.values()])[0])
        for site in self.sites:
            site.stop()
        eventually(self._has_calmed_down, "all tasks have ended", PATIENCE_SECONDS, pause=0.5)
        tasks = {task.id: task for task in self.store.find()}
        return [*self._why_lost(tasks), *_why_wrong(tasks)]

    def _has_calmed_down(self) -> bool:
        for site in self.sites:
            site.keep_up()
        left = self.store.find(state=TaskState.WAITING) + self.store.find(state=TaskState.RUNNING)
        return not [task for task in left if task.schedule is None]

    def _strike(self, kind: str) -> None:
        site = self._chance.choice(self.sites)
        if kind == "server":
            self.server.stop("immediate")
            time.sleep(self._chance.uniform(0.0, 3.0))
            self.server.start()
        elif "freeze" in kind:
            frozen = site.pids
            for pid in frozen:
                end_by_force(pid, signal.SIGSTOP)
            time.sleep(
                LONG_FREEZE_SECONDS if kind == "long freeze" else self._chance.uniform(0.1, 3.0)
            )
            for pid in frozen:
                end_by_force(pid, signal.SIGCONT)
        else:
            found: Dict[str, List[Any]] = {
                "worker": self._chance.sample(site.host.workers, min(1, len(site.host.workers))),
                "supervisor": [site.host.supervisor],
                "host": site.pids,
            }
            victims = [pid for pid in found[kind] if pid is not None and pid > 0]
            if not victims:
                return
            site.host.kill(*victims)
        self.counts[kind] += 1

    def _why_lost(self, tasks: Dict[str, Task]) -> List[str]:
        ended: Set[str] = set()
        for site in self.sites:
            ended.update(words[3] for words in site.lines("journal") if words[0] == "end")
        return [
            f"lost: {kind} {task_id}: {tasks.get(task_id)}"
            for site in self.sites
            for task_id, kind, _ in site.lines("accepted")
            if not _is_kept(tasks.get(task_id), task_id in ended)
        ]

    def close(self, has_failed: bool) -> None:
        """End all that was started."""
        try:
            for site in self.sites:
                # Else the first of them would wait for it.
                (site.host.folder / "probe").touch()
                site.host.close(has_failed)
        finally:
            self.server.stop("immediate")


def _is_kept(task: Any, has_ended: bool) -> bool:
    if task is None:
        return False
    if task.state is TaskState.SUCCEEDED:
        return has_ended
    return task.state is TaskState.FAILED and task.deaths == 3


def _why_wrong(tasks: Dict[str, Task]) -> List[str]:
    found: List[Tuple[Any, str]] = sorted(
        (task.occurrence_at, task.id) for task in tasks.values() if task.occurrence_at is not None
    )
    wrong = []
    for (before, one), (after, other) in zip(found, found[1:]):
        if before == after:
            wrong.append(f"occurrence {before} is there twice: {one}, {other}")
    # While the server is away, or nobody is there, none can be stored; all that are missing are
    # made up for, at most the latest of each gap.
    gaps = [after - before for (before, _), (after, _) in zip(found, found[1:])]
    if gaps and max(gaps) > timedelta(seconds=60):
        wrong.append(f"no occurrence for {max(gaps)}")
    return wrong


def main() -> int:
    """Do what the command line says; 1 is that a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.contrib.procrastinate.chaos")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=10_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="autocron-chaos-")).resolve()
    folder.chmod(0o711)
    began_at = time.monotonic()
    chaos = Chaos(folder, options.seed, options.kills, options.tasks)
    has_failed = True
    try:
        broken = chaos.run()
        accepted = chaos.accepted()
        has_failed = bool(broken)
    finally:
        chaos.close(has_failed)
    print(f"seed {options.seed}, {time.monotonic() - began_at:.0f} s, {HOSTS} hosts")
    print(f"  accepted {accepted}, kills {chaos.kills}: {dict(chaos.counts)}")
    lost = sum(why.startswith("lost") for why in broken)
    print(f"  lost {lost}, occurrences twice {sum('twice' in why for why in broken)}")
    for why in broken[:40]:
        print(f"    {why}")
    if not has_failed:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
