"""Search for what must not happen: ``python -m tests.fuzz --seconds 60 [TARGET…]``.

Each target has its share of the time, in a process of its own. Where atheris is installed it
follows which lines are reached; else hypothesis draws, each time anew. What is found is printed,
and belongs into ``cases.py``, with a name.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from typing import Optional, Sequence


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Fuzz all targets, or some; return how many have failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="which of them; all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all of them (60)")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.one:
        _search(asked.targets[0], asked.seconds)
        return 0
    names = asked.targets or _names()
    share = max(1.0, asked.seconds / len(names))
    failed = []
    for name in names:
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz", "--one", name, "--seconds", str(share)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = ended.stdout.decode(errors="replace")
        took = time.monotonic() - began
        if ended.returncode:
            failed.append(name)
            print(said[-6000:])
        else:
            print(f"{name}: nothing found in {took:.0f} s; {_summary(said)}", flush=True)
    print(f"{len(failed)} of {len(names)} targets fail: {failed}" if failed else "nothing found")
    return len(failed)


def _names() -> Sequence[str]:
    from tests.fuzz.targets import TARGETS

    return list(TARGETS)


def _summary(said: str) -> str:
    lines = [line for line in said.splitlines() if "Done " in line or "drawn" in line]
    return lines[-1] if lines else said[-200:].strip()


def _search(name: str, seconds: float) -> None:
    if importlib.util.find_spec("atheris") is not None:
        _search_with_atheris(name, seconds)
    else:
        _search_with_hypothesis(name, seconds)


def _search_with_atheris(name: str, seconds: float) -> None:
    import atheris

    with atheris.instrument_imports(include=["autocron"]):
        from tests.fuzz.cases import known
        from tests.fuzz.targets import TARGETS
    folder = tempfile.mkdtemp(prefix="autocron-fuzz-")
    for number, data in enumerate(known(name).values()):
        with open(os.path.join(folder, f"known-{number}"), "wb") as file:
            file.write(data)
    options = [f"-max_total_time={seconds:.0f}", f"-artifact_prefix={folder}/", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options, folder], TARGETS[name])
    atheris.Fuzz()


def _search_with_hypothesis(name: str, seconds: float) -> None:
    from hypothesis import HealthCheck, given, seed, settings

    from tests.fuzz.drawn import inputs
    from tests.fuzz.targets import TARGETS

    ends_at, count, batch = time.monotonic() + seconds, 0, 50
    while time.monotonic() < ends_at:

        @seed(time.monotonic_ns())
        @settings(
            max_examples=batch,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs(name))
        def search(data: bytes) -> None:
            TARGETS[name](data)

        search()
        count += batch
    print(f"{count:,} inputs were drawn")


if __name__ == "__main__":
    sys.exit(main())
