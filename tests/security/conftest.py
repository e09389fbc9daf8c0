"""The worlds of `tests/processes`, with somebody in them who means no good."""

from tests.processes.conftest import (  # noqa: F401
    pytest_runtest_makereport,
    world,
)
