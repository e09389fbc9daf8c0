"""What real processes do on SQLite they do on PostgreSQL: the same tests, with a URL.

Some of them; with ``AUTOCRON_TEST_POSTGRES=all`` many, which takes minutes.
"""

from __future__ import annotations

import os

import pytest

from tests.contrib.procrastinate.host import Host
from tests.processes.test_calls import *  # noqa: F403
from tests.processes.test_deaths import *  # noqa: F403

if os.environ.get("AUTOCRON_TEST_POSTGRES") == "all":
    from tests.processes.test_async import *  # noqa: F403
    from tests.processes.test_limits import *  # noqa: F403
    from tests.processes.test_start import *  # noqa: F403
    from tests.processes.test_told import *  # noqa: F403
    from tests.processes.test_workers import *  # noqa: F403

    # These are about files.
    del test_a_path_object_and_a_link_name_the_same_database  # noqa: F821
    del test_start_in_a_worker_does_nothing  # noqa: F821


@pytest.fixture
def world(tmp_path, make_url):
    host = Host(tmp_path, make_url())
    yield host
    host.close()
