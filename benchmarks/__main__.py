"""Measures autocron beside its peers and SQLite's own limits, in one run, and prints tables.

::

    tox run -e bench                                  # all of it: about an hour
    tox run -e bench -- --quick --only enqueue,drain  # a first look, a few minutes
    tox run -e bench -- --json figures.json && python -m benchmarks.plot figures.json

In each round every peer is measured once, one after the other, each in a process and a folder of
its own. Ratios are taken within a round, and their median is printed: the machine may be shared,
its disk slow today. A peer that is not installed, or Redis where there is no ``redis-server``, is
left out, and that is said.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Optional

from benchmarks import subjects
from benchmarks.peers import NEEDS_REDIS
from benchmarks.redis_server import redis_server
from benchmarks.report import table
from benchmarks.workload import FOLDER, REDIS

_PACKAGES = ("huey", "litequeue", "celery", "rq", "redis", "croniter", "cronsim", "APScheduler")
_PATIENCE_SECONDS = 900


def machine() -> Dict[str, Any]:
    """Describe the machine and what is measured, without its name."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory, GB": round(pages * page / 2**30),
        "load average before": round(os.getloadavg()[0], 1),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        **versions,
    }


def measured(subject: str, peer: str, quick: bool, redis: Optional[str]) -> Dict[str, float]:
    """Measure one peer once, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="autocron-bench-") as folder:
        environment = {**os.environ, FOLDER: folder, REDIS: redis or ""}
        command = [sys.executable, "-m", "benchmarks.drive", subject, peer]
        done = subprocess.run(
            [*command, "quick" if quick else "full"],
            env=environment,
            stdout=subprocess.PIPE,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
    figures: Dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run(
    names: List[str],
    rounds: int,
    quick: bool,
    redis: Optional[str],
    peers: Optional[List[str]] = None,
) -> Dict[str, Dict[str, Dict[str, List[float]]]]:
    """Measure subjects; print each table as soon as it is complete."""
    results: Dict[str, Dict[str, Dict[str, List[float]]]] = {}
    for name in names:
        subject = subjects.subject(name)
        found: Dict[str, Dict[str, List[float]]] = {}
        left_out = {peer for peer in subject.peers if peers is not None and peer not in peers}
        if redis is None:
            left_out |= {peer for peer in subject.peers if peer in NEEDS_REDIS}
        for _ in range(rounds):
            for peer in subject.peers:
                if peer in left_out:
                    continue
                try:
                    figures = measured(name, peer, quick, redis)
                except (subprocess.SubprocessError, ValueError) as error:
                    left_out.add(peer)
                    print(f"({name}: {peer} is left out: {error})", file=sys.stderr, flush=True)
                    continue
                for figure, value in figures.items():
                    found.setdefault(peer, {}).setdefault(figure, []).append(value)
        results[name] = found
        print(f"### {subject.title}\n\n{table(found, subject.references)}\n", flush=True)
    return results


def main() -> None:
    """Measure, print, and leave nothing behind but what ``--json`` asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="autocron beside its peers.")
    parser.add_argument("--only", default=",".join(subjects.NAMES), help="enqueue,drain,...")
    parser.add_argument("--peers", help='some of them: autocron,floor,"huey, no sync"')
    parser.add_argument("--rounds", type=int, help="how many rounds (5; with --quick 2)")
    parser.add_argument("--quick", action="store_true", help="fewer tasks: a first look")
    parser.add_argument("--json", metavar="FILE", help="write all values there")
    options = parser.parse_args()
    names = options.only.split(",")
    for name in names:
        if name not in subjects.NAMES:
            parser.error(f"{name}: expected some of {', '.join(subjects.NAMES)}")
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()) + "\n", flush=True)
    rounds = options.rounds or (2 if options.quick else 5)
    with redis_server() as redis:
        if redis is None:
            print("(no redis-server: what needs Redis is left out)", file=sys.stderr)
        peers = None if options.peers is None else next(csv.reader([options.peers]))
        results = run(names, rounds, options.quick, redis, peers)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": about, "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
