"""Two versions of an application at once, as during a deployment: what one does not know waits."""

from __future__ import annotations

import pytest

from tests.contrib.procrastinate.host import Host

_OLD = """
import autocron
from shared import mark

@autocron.delay
def known(): mark("known")
"""
_NEW = (
    _OLD
    + """
@autocron.delay
def fresh(): mark("fresh")
"""
)


@pytest.fixture
def make_host(tmp_path, make_url):
    url, hosts = make_url(), []

    def make(tasks):
        folder = tmp_path / f"host-{len(hosts)}"
        folder.mkdir()
        hosts.append(Host(folder, url))
        hosts[-1].write("tasks.py", tasks)
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


def test_a_task_that_old_workers_do_not_know_is_run_by_a_new_one_and_keeps_nothing_up(make_host):
    old, new = make_host(_OLD), make_host(_NEW)
    old.application()
    # It only calls, as web processes that are updated first.
    new.write_app("workers=0", name="caller.py")
    caller = new.application(str(new.folder / "caller.py"))
    fresh = caller.ask("tasks.fresh().id")
    known = caller.ask("tasks.known().id")
    old.await_task(known, "succeeded")
    assert old.task(fresh).state.value == "waiting"
    # They come by chance: the more there are of them, the sooner.
    new.write_app("workers=3")
    new.application()
    task = new.await_task(fresh, "succeeded")
    assert (task.attempt, task.failures, task.deaths) == (1, 0, 0)
    assert (len(new.marks("fresh")), old.marks("fresh")) == (1, [])
