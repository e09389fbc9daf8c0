"""Mutation testing: how many small changes of the code are noticed by the specification?

``tox run -e mutation`` runs mutmut on ``autocron/core`` and the engine, with ``spec/`` alone, and
judges what it found. A mutant that survives must be in ``survivors.md``, with the reason.

    python -m spec.mutation                 # all of it, some 50 minutes on two processors
    python -m spec.mutation core.retry      # one module
    python -m spec.mutation --judge         # only judge what the last run found
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Set

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

SURVIVORS = Path(__file__).with_name("survivors.md")
WANTED_PERCENT = 95.0
# How many random lives of the engine are played; an ordinary run plays 150.
SEEDS = "30"
NOT_TESTED = "not checked"
KILLED = {"killed", "timeout", "segfault"}


class Mutant(NamedTuple):
    """A change of the code, named by what it says: numbers and line numbers move."""

    function: str
    before: str
    after: str

    def __str__(self) -> str:
        sides = [("-", self.before), ("+", self.after)]
        lines = [sign + line for sign, text in sides for line in text.splitlines()]
        return "\n".join([self.function, *lines])


class Verdict(NamedTuple):
    module: str
    function: str
    key: str
    status: str


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m spec.mutation")
    parser.add_argument("pattern", nargs="*", help="core.retry, or core.cron.x__split*")
    parser.add_argument("--judge", action="store_true", help="run nothing, judge the last run")
    given = parser.parse_args(arguments)
    patterns = [_mutant_pattern(pattern) for pattern in given.pattern]
    if not given.judge:
        # The clauses may have changed, of which mutmut takes no note.
        shutil.rmtree("mutants", ignore_errors=True)
        children = str(min(2, os.cpu_count() or 1))
        subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", children, *patterns],
            env={**os.environ, "AUTOCRON_SEEDS": SEEDS},
            check=True,
        )
    return judge(list(verdicts()), accepted(SURVIVORS.read_text("utf-8")))


def _mutant_pattern(pattern: str) -> str:
    pattern = pattern if pattern.startswith("autocron.") else f"autocron.{pattern}"
    return pattern if "x_" in pattern or "*" in pattern else f"{pattern}.*"


def verdicts() -> Iterator[Verdict]:
    """Yield what mutmut has noted of each mutant."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        module = ".".join(path.with_suffix("").parts)
        for key, code in data.exit_code_by_key.items():
            function = key[len(module) + 1 :].partition("__mutmut_")[0]
            name = function.replace("x_", "", 1) if "ǁ" not in function else function[2:]
            yield Verdict(module, name.replace("ǁ", "."), key, status_by_exit_code[code])


def mutant_of(verdict: Verdict) -> Mutant:
    """Read what a mutant changed."""
    path = Path(*verdict.module.split(".")).with_suffix(".py")
    changed = get_diff_for_mutant(verdict.key, path=path).splitlines()[2:]
    before, after = (
        "\n".join(line[1:].strip() for line in changed if line.startswith(sign)) for sign in "-+"
    )
    return Mutant(f"{verdict.module}:{verdict.function}", before, after)


def accepted(text: str) -> Set[Mutant]:
    """Read the mutants in the fenced blocks of ``survivors.md``.

    A block names a function, and then, as in a diff, the lines before and after; several mutants of
    one function follow each other, and so may several functions.
    """
    found: Set[Mutant] = set()
    function, before, after = "", [], []  # type: str, List[str], List[str]

    def end() -> None:
        if before or after:
            found.add(Mutant(function, "\n".join(before), "\n".join(after)))
            before.clear()
            after.clear()

    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            end()
            inside = line == "```diff"
        elif inside and line.startswith("-"):
            if after:
                end()
            before.append(line[1:].strip())
        elif inside and line.startswith("+"):
            after.append(line[1:].strip())
        elif inside:
            end()
            function = line.strip()
    return found


def judge(found: List[Verdict], listed: Set[Mutant]) -> int:
    """Print the share that was killed and the survivors that are not listed; 1 if that is bad."""
    tested = [verdict for verdict in found if verdict.status != NOT_TESTED]
    if not tested:
        print("No mutant was tested.")
        return 1
    survived = [verdict for verdict in tested if verdict.status not in KILLED]
    mutants = {verdict.key: mutant_of(verdict) for verdict in survived}
    unlisted = [verdict for verdict in survived if mutants[verdict.key] not in listed]
    for verdict in unlisted:
        print(f"\n{verdict.status}: {verdict.key}\n{mutants[verdict.key]}")

    modules: Dict[str, List[Verdict]] = {}
    for verdict in tested:
        modules.setdefault(verdict.module, []).append(verdict)
    print(f"\n{'module':32}{'mutants':>8}{'killed':>8}{'listed':>8}{'not':>6}")
    for module, of_module in sorted(modules.items()):
        left = [verdict for verdict in of_module if verdict.status not in KILLED]
        bad = [verdict for verdict in left if verdict in unlisted]
        killed = len(of_module) - len(left)
        print(f"{module:32}{len(of_module):8}{killed:8}{len(left) - len(bad):8}{len(bad):6}")

    left_out = {verdict.module for verdict in found if verdict.status == NOT_TESTED}
    for mutant in sorted(listed - set(mutants.values())):
        if mutant.function.partition(":")[0] not in left_out:
            print(f"\nListed, but it does not survive:\n{mutant}")

    percent = 100.0 * (len(tested) - len(survived)) / len(tested)
    print(
        f"\n{len(tested) - len(survived)} of {len(tested)} mutants killed: {percent:.1f} % "
        f"(wanted: {WANTED_PERCENT:.0f} %); {len(survived)} survive, {len(unlisted)} of them not "
        f"listed in {SURVIVORS.name}"
    )
    # Of one module the share says little: it may have few mutants, and those that are equivalent.
    return 1 if unlisted or (percent < WANTED_PERCENT and not left_out) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
