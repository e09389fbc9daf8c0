"""Sites for the tests: those that live side by side, and those that one test has for itself."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import sys
from pathlib import Path
from typing import Iterator, List

import pytest

from tests.frameworks.lives import LivesAtOnce
from tests.frameworks.plans import SERVERS, STANDARD
from tests.frameworks.site import Plan, Site
from tests.processes.world import eventually, is_alive

if not sys.platform.startswith("linux"):
    # Processes are found by what /proc says of them.
    collect_ignore_glob = ["test_*.py"]


def missing(plan: Plan) -> List[str]:
    """Return what is not installed of what a plan needs."""
    return [name for name in plan.needs if not _is_installed(name)]


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test, and say so, where one of these is not installed."""
    absent = [name for name in names if not _is_installed(name)]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


def _is_installed(name: str) -> bool:
    # uWSGI is a program, and no module that could be imported.
    script = Path(sys.executable).parent / name
    return script.exists() or importlib.util.find_spec(name) is not None


class Sites:
    """Makes sites, and sees that nothing is left of them."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders

    @contextlib.contextmanager
    def make(self, plan: Plan, is_quick: bool = False) -> Iterator[Site]:
        """Make a site, and at the end whatever is left of it go.

        Arguments:
            plan: Its plan; if something is missing for it, the test is skipped.
            is_quick: Have the tasks of the example not sleep.
        """
        if missing(plan):
            pytest.skip(f"not installed: {', '.join(missing(plan))}")
        site = Site(plan, self._folders.mktemp(plan.name))
        if is_quick:
            for path in site.code.rglob("*.py"):
                path.write_text(re.sub(r"time\.sleep\(\d\)", "time.sleep(0)", path.read_text()))
        try:
            yield site
        except BaseException:
            print(f"--- the log of {plan.name}:\n{site.said()}")
            raise
        finally:
            site.close()

    @contextlib.contextmanager
    def serve(self, plan: Plan, is_quick: bool = False) -> Iterator[Site]:
        """Make a site and start its server; see :meth:`make`."""
        with self.make(plan, is_quick) as site:
            site.start()
            yield site

    def kill(self, *pids: int) -> None:
        """Kill processes, all at once, and wait until they are gone."""
        # Stopped first, so that none of them sees another one die and does something about it.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        for pid in pids:
            eventually(lambda pid=pid: not is_alive(pid), f"the end of process {pid}")


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    return Sites(tmp_path_factory)


@pytest.fixture(scope="session")
def lives(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LivesAtOnce]:
    wanted = {
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "lives" in item.fixturenames
    }
    plans = [plan for plan in (*STANDARD, *SERVERS) if plan.name in wanted and not missing(plan)]
    lives = LivesAtOnce(
        {plan.name: Site(plan, tmp_path_factory.mktemp(plan.name)) for plan in plans}
    )
    yield lives
    lives.close()


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    # They take longest, and mostly wait: with `-n` the other files pass the time meanwhile.
    items.sort(key=lambda item: item.path.name != "test_lives.py")
