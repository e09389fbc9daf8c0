"""Each test gets a world of its own, and leaves nothing of it behind.

Tests that mostly wait, for a grace or for the next second of a schedule, are marked so; they are
run side by side, all of them when the first one's turn comes. (Under ``pytest -n`` each takes its
turn, since other processes go on meanwhile.)
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

import pytest

from tests.processes.world import World

# More would only wait for the processors.
_AT_ONCE = 6

_HAS_FAILED = pytest.StashKey[bool]()
_POOL = pytest.StashKey[ThreadPoolExecutor]()
_OUTCOME: pytest.StashKey[Future[Optional[str]]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mostly_waits: is run side by side with others like it")


@pytest.fixture
def world(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Optional[World]]:
    # A process of pytest-xdist knows only that it will be given some of them, and not which.
    is_alone = not hasattr(request.config, "workerinput")
    if is_alone and request.node.get_closest_marker("mostly_waits"):
        _begin_those_that_wait(request.session, tmp_path_factory)
        # It has its world already, and closes it in its own time.
        yield None
        return
    world = World(tmp_path)
    yield world
    has_failed = request.node.stash.get(_HAS_FAILED, True)
    if has_failed:
        print(_said(world))
    world.close(has_failed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when == "call":
        item.stash[_HAS_FAILED] = report.failed
    return report


def _begin_those_that_wait(
    session: pytest.Session, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if _POOL in session.stash:
        return
    session.stash[_POOL] = pool = ThreadPoolExecutor(_AT_ONCE)
    for item in session.items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("mostly_waits"):
            folder = Path(tmp_path_factory.mktemp("waits"))
            item.stash[_OUTCOME] = pool.submit(_run, item, World(folder))


def _run(item: pytest.Function, world: World) -> Optional[str]:
    """Run a test; return what its processes said if that is of interest."""
    parameters: Dict[str, Any] = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    try:
        item.obj(world=world, **parameters)
    except BaseException as error:
        said = _said(world)
        world.close(has_failed=True)
        raise AssertionError(said) from error
    world.close()
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Optional[bool]:
    if _OUTCOME not in pyfuncitem.stash:
        return None
    pyfuncitem.stash[_OUTCOME].result()
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _POOL in session.stash:
        for item in session.items:
            if _OUTCOME in item.stash:
                item.stash[_OUTCOME].cancel()
        session.stash[_POOL].shutdown()


def _said(world: World) -> str:
    return f"--- what {world.database} and its processes said:\n{world.said()}"
