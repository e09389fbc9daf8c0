"""Every step of application, supervisor and worker can be cut; here a few of the cuts are made."""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import autocron
from tests.crash_points import processes, steps

# `python -m tests.crash_points --processes` makes all.
CUTS, AT_ONCE, SEED = 6, 3, 6
PACKAGE = Path(autocron.__file__).parent


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NOT TESTED: there is no /proc")
def test_what_is_cut_is_repaired_or_goes_on_after_the_next_start(tmp_path):
    chance = random.Random(SEED)
    (tmp_path / "steps").mkdir()
    passed = processes.steps(tmp_path / "steps")
    assert {step.role for step in passed} == {"application", "supervisor", "worker"}
    cuts = []
    # One process alone, and all of them with it; what each process surely comes to again.
    for number in range(CUTS):
        role = ("worker", "supervisor", "application")[number % 3]
        firsts = [step for step in passed if step.role == role and step.place == 1]
        cuts.append(chance.choice(firsts)._replace(all=number >= CUTS // 2))

    def cut(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        return processes.cut(cuts[number], folder)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(cut, range(CUTS)))
    assert [why for each in found for why in each.broken] == []
    assert any(each.was_reached for each in found)


def test_what_makes_no_steps_stands_in_the_shell():
    modules = {f"shell.{path.stem}" for path in (PACKAGE / "shell").glob("*.py")}
    assert modules >= set(steps.APART)
    assert all((PACKAGE / f"{name}.py").exists() for name in steps.ENGINE)
    assert steps.makes_steps("shell.supervisor")
    assert steps.makes_steps("engine")
    assert not steps.makes_steps("core.task")
