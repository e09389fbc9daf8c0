"""Each test gets a world of its own, and leaves nothing of it behind."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from tests.processes.world import World


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.stash[_HAS_FAILED] = report.failed
    return report


_HAS_FAILED = pytest.StashKey[bool]()


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    # Shown by pytest if the test fails.
    has_failed = request.node.stash.get(_HAS_FAILED, True)
    if has_failed:
        print(f"--- what {world.database} and its processes said:\n{world.said()}")
    world.close(has_failed)
