"""Operations on a system that runs: its workers act at once, long before they look unasked."""

from __future__ import annotations

import json

import pytest

from autocron.core.task import TaskState
from autocron.shell.clock import SystemClock
from autocron.shell.sqlite import SQLiteStore

# An idle worker looks for work unasked after 30 seconds; what takes longer was not told of it.
AT_ONCE_SECONDS = 15


@pytest.fixture
def store(serve):
    served = serve(", workers=1")
    store = SQLiteStore(str(served.database))
    store.open(create=False)
    yield store
    store.close()


def call(command, store, *, queue="default", seconds=0.0, path=None):
    """Let a process that is not the application call a task, as any other may."""
    from autocron.core import arguments
    from autocron.core.task import Message, new_task
    from autocron.shell.chance import new_id

    name, args = ("add", (1, 2)) if path is None else ("wait_for", (path,))
    payload = arguments.dump_call(args, {})
    message = Message(f"shop_tasks:{name}", payload, queue=queue, delay_seconds=seconds)
    task = new_task(message, new_id(), SystemClock().now())
    store.add(task)
    return task


def done(command, *words):
    ended = command("shop.db", *words, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


def wait_until(store, task, state):
    deadline = SystemClock().monotonic() + AT_ONCE_SECONDS
    while store.get(task.id).state is not state:
        assert SystemClock().monotonic() < deadline, store.get(task.id)
    return store.get(task.id)


def test_what_is_cancelled_and_retried_runs_at_once(store, command):
    task = call(command, store, seconds=3600.0)
    assert done(command, "--cancel", task.id)["cancelled"] == [task.id]
    assert store.get(task.id).state is TaskState.CANCELLED
    assert done(command, "--retry", task.id)["retried"] == [task.id]
    assert wait_until(store, task, TaskState.SUCCEEDED).result == "3"


def test_a_paused_queue_rests_until_it_is_resumed(store, command):
    done(command, "--pause", "mail")
    paused, other = call(command, store, queue="mail"), call(command, store)
    # The other one is called later, and runs: a worker has looked, and passed the first one over.
    done(command, "--resume", "other")
    wait_until(store, other, TaskState.SUCCEEDED)
    assert store.get(paused.id).state is TaskState.WAITING
    (queue,) = done(command, "--info")["info"]["queues"]
    assert (queue["name"], queue["is_paused"], queue["waiting"], queue["due"]) == (
        "mail", True, 1, 1,
    )  # fmt: skip
    done(command, "--resume", "mail")
    wait_until(store, paused, TaskState.SUCCEEDED)


def test_a_running_task_is_ended_and_its_worker_replaced(store, command, tmp_path):
    gate = tmp_path / "never"
    task = call(command, store, path=gate)
    done(command, "--resume")
    wait_until(store, task, TaskState.RUNNING)
    assert command("shop.db", "--retry", task.id).returncode == 1
    assert done(command, "--cancel", task.id, "--kill")["asked_to_end"] == [task.id]
    wait_until(store, task, TaskState.CANCELLED)
    after = call(command, store)
    done(command, "--resume")
    wait_until(store, after, TaskState.SUCCEEDED)
