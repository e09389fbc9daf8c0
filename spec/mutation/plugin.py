"""What pytest does differently while mutants are tested: no cache hides one, none runs for ever.

``[tool.mutmut]`` in ``pyproject.toml`` has pytest load it. Mutants are tested in forks of a process
that has run the specification before, each with the clauses that reach the changed function.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import signal
import sys

import pytest
from hypothesis import HealthCheck, Phase, settings

# The same examples for each mutant, and the first that fails is enough.
settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=25,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

# Clauses that are not run.
LEFT_OUT = (
    # Mutated modules import mutmut.
    "spec/arguments_spec.py::DescribeLoading::it_is_light_to_import",
    # Slow, and about stores, which are not mutated.
    "spec/store_contract_spec.py::DescribeStoreHistory",
    "spec/store_contract_spec.py::DescribePlainStoreHistory",
    "spec/simulator_spec.py::it_explores_alike_on_every_store",
    "spec/simulator_spec.py::DescribeTheSameSeed::it_gives_the_same_timeline_on_every_store",
)
# Where mutmut notes how long each clause took without a mutant.
STATS = pathlib.Path("mutmut-stats.json")
MEMORY_BYTES = 4 << 30
# What mutmut reads as "timeout".
TIMEOUT_STATUS = 36

_seconds = {}


def pytest_configure(config):
    if STATS.exists():
        _seconds.update(json.loads(STATS.read_text())["duration_by_test"])
    # A mutant that never ends may also collect without end.
    with contextlib.suppress(ValueError, OSError):  # not every system knows this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # Not a failure: the engine, or hypothesis, would go on after an exception.
    signal.signal(signal.SIGPROF, lambda number, frame: os._exit(TIMEOUT_STATUS))


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.nodeid.startswith(LEFT_OUT)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    # pytest escapes the names that it remembers from an earlier run of this process once more.
    for mark in metafunc.definition.iter_markers("parametrize"):
        object.__setattr__(mark._param_ids_from or mark, "_param_ids_generated", None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    # Processor time, since the machine may have more to do.
    signal.setitimer(signal.ITIMER_PROF, 2.0 + 5.0 * _seconds.get(item.nodeid, 10.0))
    for name, module in list(sys.modules.items()):
        if name.startswith("autocron.core."):
            for value in list(vars(module).values()):
                clear = getattr(value, "cache_clear", None)
                if clear is not None:
                    clear()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    signal.setitimer(signal.ITIMER_PROF, 0)
