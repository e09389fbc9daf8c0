"""A short search in each target, and what was found once; the long one is `tox run -e fuzz`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.cases import CASES, SEEDS
from tests.fuzz.drawn import inputs
from tests.fuzz.targets import TARGETS

# Those that open files are slower.
_EXAMPLES = {"database_file": 15, "command_line": 40, "datagrams": 25, "channel": 25}
_FEW, _MANY = 5, 120


@pytest.mark.parametrize(
    ("target", "data"),
    [
        pytest.param(target, data, id=f"{target}-{name}")
        for known in (CASES, SEEDS)
        for target, cases in known.items()
        for name, data in cases.items()
    ],
)
def test_what_was_found_once_is_handled(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_a_short_search_finds_nothing(target: str) -> None:
    is_brief = settings.default is not None and settings.default.max_examples < 100
    count = _FEW if is_brief else _EXAMPLES.get(target, _MANY)

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs(target))
    def search(data: bytes) -> None:
        TARGETS[target](data)

    search()
