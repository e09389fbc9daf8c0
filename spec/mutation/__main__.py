"""Mutation testing: how many small changes of the code are noticed by the specification?

``tox run -e mutation`` changes ``autocron/core`` and the engine in thousands of places, one at a
time, and runs the clauses of ``spec/`` that reach the place. A change that none of them notices
must be in ``survivors.md``, with the reason. It plants the bugs of ``planted.md`` besides.

    python -m spec.mutation                        # all of it, some minutes on two processors
    python -m spec.mutation core.retry             # one module
    python -m spec.mutation 'core.cron.x__split*'  # one function
    python -m spec.mutation planted                # the bugs of planted.md
    python -m spec.mutation --again core           # also what is listed, to see whether it survives
    python -m spec.mutation --judge                # only judge what the last run found
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import List, Sequence, Set

from spec.mutation.judge import is_among, judge
from spec.mutation.mutants import FOLDER, Planted, listed, make_mutants, mutants, planted

SURVIVORS = Path(__file__).with_name("survivors.md")
PLANTED = Path(__file__).with_name("planted.md")
VERDICTS = FOLDER / "verdicts.json"
# How many random lives of the engine are played; an ordinary run plays 150.
SEEDS = "30"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m spec.mutation")
    parser.add_argument("pattern", nargs="*", help="core.retry, or 'core.cron.x__split*'")
    parser.add_argument("--again", action="store_true", help="test what is listed, too")
    parser.add_argument("--judge", action="store_true", help="run nothing, judge the last run")
    given = parser.parse_args(arguments)
    surviving = {change.stripped() for change in listed(SURVIVORS.read_text("utf-8"))}
    if not given.judge:
        make_mutants()
    bugs = list(planted(PLANTED.read_text("utf-8")))
    every = [*mutants(), *bugs]
    if not given.judge:
        patterns = [_mutant_pattern(pattern) for pattern in given.pattern or ["*"]]
        wanted = {
            one.name
            for one in every
            if any(fnmatch.fnmatch(one.name, pattern) for pattern in patterns)
            and (given.again or not is_among(one, surviving))
        }
        _run(wanted, bugs)
    return judge(every, json.loads(VERDICTS.read_text()), surviving, SURVIVORS.name)


def _mutant_pattern(pattern: str) -> str:
    if not pattern.startswith(("autocron.", "planted", "*")):
        pattern = f"autocron.{pattern}"
    is_one = pattern.startswith("planted.")
    return pattern if is_one or "x_" in pattern or "*" in pattern else f"{pattern}.*"


def _run(wanted: Set[str], bugs: List[Planted]) -> None:
    """Test mutants, in a process that knows nothing but the copy of the code with the mutants."""
    environment = {**os.environ, "AUTOCRON_SEEDS": SEEDS}
    if os.path.isdir("/dev/shm"):
        environment["TMPDIR"] = "/dev/shm"  # no clause is about a disk
    VERDICTS.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-m", "spec.mutation.runner", VERDICTS.name],
        cwd=FOLDER,
        env=environment,
        input=json.dumps([sorted(wanted), bugs]),
        encoding="utf-8",
        check=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
