"""Many calls at once, and calls that follow one another: ``map``, ``starmap`` and ``then``.

``task.map(items)`` calls the function once with each item, ``starmap`` with the arguments in each,
as the built-in and ``itertools`` do. All are enqueued in one transaction: all, or none. They come
back as a ``TaskGroup``: a sequence of their TaskResults, in order, with ``results``, ``wait``,
``progress``, ``failed`` and ``cancel``.

``first.then(second)`` is a chain, to be called like the first of them; all its tasks are enqueued
in one transaction, and the call returns the result of the last one. The second is given what the
first returned as its first argument; arguments given to ``then`` stand behind it. A task whose
forerunner fails, or is cancelled, never runs: it is cancelled, and so are those behind it. Who
retries the forerunner gets them back.

``map(items, then=gather)`` runs ``gather`` when all of the group have ended, whatever became of
them, with the list of their results, in order: where a task did not succeed, an exception stands
in it (``TaskFailed``, ``TaskCancelled``), as ``asyncio.gather(return_exceptions=True)`` does it.

What waits for others is *held*: it is not claimed, whatever the time. Its own delay begins when it
is released. A chain is a value that has an end: a function that would stand in it twice is
refused, and so there are no cycles.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from autocron import testing
from autocron.app import App
from autocron.core.errors import (
    Discard,
    InvalidTask,
    NotStorable,
    ResultNotReady,
    TaskCancelled,
    TaskFailed,
    TaskNotFound,
    WaitTimeout,
)
from autocron.core.given import given_by_group, load_given
from autocron.core.progress import Progress
from autocron.core.task import Message, TaskState, new_task
from autocron.core.values import Alike
from autocron.operations import Operations
from spec.benches import work
from spec.tables import table

NOW = "2026-03-01 12:00"


@pytest.fixture
def app():
    return App()


@pytest.fixture
def session(app):
    with testing.session(now=NOW, tz="UTC", app=app) as session:
        yield session


@pytest.fixture
def fetch(app):
    @app.delay
    def fetch(url, times=1):
        if url == "bad":
            raise ValueError(url)
        return url * times

    return fetch


@pytest.fixture
def shrink(app):
    @app.delay
    def shrink(text, *, by=1):
        return text[:-by]

    return shrink


@pytest.fixture
def store(app):
    @app.delay
    def store(text):
        return f"stored {text}"

    return store


@pytest.fixture
def gather(app):
    @app.delay
    def gather(results, word="of"):
        return [
            result if isinstance(result, str) else f"{type(result).__name__}: {result}"
            for result in results
        ]

    return gather


class DescribeMap:
    def it_calls_the_function_once_with_each_item(self, session, fetch):
        group = fetch.map(["a", "b", "c"])
        assert len(group) == 3
        assert [result.status for result in group] == ["waiting"] * 3
        assert (group.is_ready, group.progress) == (False, Progress(0, 3))
        with pytest.raises(ResultNotReady):
            _ = group.results
        session.run_pending()
        assert group.results == ["a", "b", "c"]
        assert group[1].result == "b"
        assert (group.is_ready, group.progress) == (True, Progress(3, 3))
        assert group.get() == ["a", "b", "c"]

        async def wait():
            return await group

        assert asyncio.run(wait()) == ["a", "b", "c"]

    def it_has_one_result_for_each_task(self, session, fetch):
        group = fetch.map(["a", "b"])
        assert len({result.id for result in group}) == 2
        assert [*group][1] is group[1] is group[-1]
        assert group[0].cancel()
        assert [result.status for result in group] == ["cancelled", "waiting"]

    def it_says_what_it_is_called_with(self, session, fetch):
        with pytest.raises(InvalidTask, match="map: 5 is not iterable; expected what the function"):
            fetch.map(5)
        with pytest.raises(InvalidTask, match="starmap: 5 is not iterable; expected the arguments"):
            fetch.starmap([("a",), 5])
        assert session.backend.list() == []

    def it_takes_the_arguments_of_each_from_starmap(self, session, fetch):
        group = fetch.starmap([("a", 2), ("b",)])
        session.run_pending()
        assert group.results == ["aa", "b"]

    def it_has_the_options_of_its_function(self, session, fetch):
        group = fetch.options(minutes=5).map("ab")
        session.run_pending()
        assert group.progress == Progress(0, 2)
        session.travel(minutes=5)
        assert group.results == ["a", "b"]

    def it_enqueues_all_of_them_or_none(self, session, fetch):
        with pytest.raises(NotStorable):
            fetch.map(["a", object()])
        with pytest.raises(TypeError, match="too many positional arguments"):
            fetch.starmap([("a",), ("b", 1, 2)])
        assert session.enqueued() == []

    def it_is_stored_in_one_transaction(self, bench):
        @bench.app.delay
        def note(item): ...

        message = Message("m:f", "[[],{}]")
        bench.store.add_count = 0

        class Failing:
            def __init__(self, store):
                self._store = store

            def __getattr__(self, name):
                return getattr(self._store, name)

            def add_all(self, tasks):
                self._store.add_all(tasks[:2])
                raise OSError("power cut")

        with pytest.raises(OSError, match="power cut"):
            bench.engine(store=Failing(bench.store)).enqueue_all([message] * 3)
        assert bench.store.find() == []
        tasks, _ = bench.engine().enqueue_all([message] * 3)
        assert {task.group for task in tasks} == {tasks[0].group} != {None}

    def it_draws_the_ids_of_calls_that_are_alike_at_once(self, bench):
        operations = Operations(
            bench.store,
            bench.clock,
            new_id=iter(["group"]).__next__,  # no other one is needed
            new_ids=lambda count: [f"of-{count}-{number}" for number in range(count)],
        )
        calls = Alike(Message("m:f", "[[],{}]"), payload=["[[1],{}]", "[[2],{}]"])
        tasks, _ = operations.enqueue_all(calls)
        assert [(task.id, task.group) for task in tasks] == [
            ("of-2-0", "group"),
            ("of-2-1", "group"),
        ]
        assert bench.store.find() == list(tasks)

    def it_may_have_calls_with_a_unique_key_and_without(self, bench):
        told = []
        engine = bench.engine(observer=lambda kind, task: told.append((kind, task)))
        unique, plain = (Message("m:f", "[[],{}]", unique=key) for key in ("k", None))
        tasks, _ = engine.enqueue_all([unique, plain, unique, plain])
        assert tasks[2] == tasks[0]
        stored = [tasks[0], tasks[1], tasks[3]]
        assert bench.store.find() == stored
        assert told == [("enqueued", task) for task in stored]

    def it_may_be_empty(self, session, fetch):
        group = fetch.map([])
        assert (list(group), group.results, group.is_ready) == ([], [], True)
        assert group.progress == Progress(0, 0)

    def it_tells_which_have_failed(self, session, fetch):
        group = fetch.map(["a", "bad", "c"])
        session.run_pending(raise_errors=False)
        assert [result.error_message for result in group.failed] == ["ValueError: bad"]
        with pytest.raises(TaskFailed, match="ValueError: bad"):
            _ = group.results
        assert group.progress == Progress(3, 3)

    def it_is_cancelled_as_far_as_it_waits(self, session, fetch):
        group = fetch.map("abc")
        group[0].cancel()
        assert group.cancel() == 2
        assert group.cancel() == 0
        with pytest.raises(TaskCancelled):
            _ = group.results

    def it_is_found_again_by_its_id(self, app, session, fetch):
        group = fetch.map("ab")
        session.run_pending()
        assert app.get_group(group.id).results == ["a", "b"]
        assert repr(group) == f"<TaskGroup {group.id} of 2 tasks>"
        with pytest.raises(TaskNotFound, match=r"no group 'task-99' is stored"):
            app.get_group("task-99")
        with pytest.raises(
            TaskNotFound, match=r"get_group: <TaskGroup .* is no id.*: give its .id"
        ):
            app.get_group(group)

    def it_says_in_a_test_that_nobody_works_while_one_waits(self, session, fetch):
        with pytest.raises(
            WaitTimeout, match="a group of 2 tasks is ready in 0 of 2, and in a test"
        ):
            fetch.map("ab").get(timeout=1)
        with pytest.raises(WaitTimeout):
            fetch.map("ab").wait()

    def it_tells_whether_all_have_ended_in_time(self, session, fetch):
        group = fetch.map(["a", "bad"])
        assert (group.wait(timeout=60), group.wait(timedelta(minutes=1))) == (False, False)
        session.run_pending(raise_errors=False)
        assert (group.wait(), group.wait(0)) == (True, True)
        with pytest.raises(InvalidTask, match="timeout: '5' is not a number of seconds"):
            group.get(timeout="5")

    def it_gives_back_what_is_unique_and_waits(self, session, fetch):
        one = fetch.options(unique="args")
        first = one("a")
        group = one.map("ab")
        assert group[0].id == first.id
        assert len(session.enqueued()) == 2
        session.run_pending()
        assert group.results == ["a", "b"]

    def it_runs_in_place_where_autocron_is_not_started(self, fetch, gather):
        group = fetch.map(["a", "bad"], then=gather)
        assert [result.status for result in group] == ["succeeded", "failed"]
        assert (group.id, group.is_ready, group.progress) == (None, True, Progress(2, 2))
        assert group.callback.result[0] == "a"
        assert group.callback.result[1].startswith("TaskFailed: ValueError: bad")
        assert fetch.map("ab").get(timeout=0) == ["a", "b"]
        assert fetch.map("ab").wait() is True


class DescribeAGroupWithAFollower:
    def it_runs_it_when_all_have_ended(self, session, fetch, gather):
        group = fetch.map("ab", then=gather)
        assert group.callback.status == "waiting"
        session.run_pending(tasks=[fetch])
        session.run_pending()
        assert group.callback.result == ["a", "b"]

    def it_gives_an_exception_for_what_did_not_succeed(self, session, fetch, gather):
        group = fetch.options(minutes=1).map(["a", "bad", "c"], then=gather)
        group[2].cancel()
        assert group.callback.status == "waiting"
        session.travel(minutes=2, raise_errors=False)
        first, failed, cancelled = group.callback.result
        assert (first, cancelled) == ("a", "TaskCancelled: it was cancelled")
        assert failed.startswith("TaskFailed: ValueError: bad\n\nTraceback")

    def it_gives_one_for_what_failed_without_a_word(self):
        """Nothing of ours does, but a row like that can be written, and others wait for it."""
        mute = replace(
            new_task(Message("m:f", ""), "t", datetime(2026, 3, 1, tzinfo=timezone.utc)),
            state=TaskState.FAILED,
        )
        (error,) = load_given(given_by_group([mute]), str)
        assert isinstance(error, TaskFailed)
        assert (error.error_message, error.traceback) == ("it failed", "")

    def it_says_why_one_was_discarded(self, app, session, gather):
        @app.delay
        def picky(item):
            raise Discard("nobody wants it")

        group = picky.map("a", then=gather)
        session.run_pending()
        assert group.callback.result == ["TaskCancelled: Discard: nobody wants it"]

    def it_runs_it_when_the_last_one_was_cancelled(self, session, fetch, gather):
        group = fetch.options(minutes=1).map("ab", then=gather)
        group.cancel()
        session.run_pending()
        assert group.callback.result == ["TaskCancelled: it was cancelled"] * 2

    def it_runs_it_at_once_for_a_group_of_nothing(self, session, fetch, gather):
        group = fetch.map([], then=gather)
        session.run_pending()
        assert group.callback.result == []

    def it_may_be_a_chain(self, app, session, fetch, gather):
        @app.delay
        def count(results):
            return len(results)

        group = fetch.map("abc", then=gather.then(count))
        session.run_pending()
        assert group.callback.result == 3

    def it_keeps_results_until_all_have_ended(self, app, session, fetch, gather):
        group = fetch.starmap([("a",)], then=gather)
        session.run_pending()
        slow = fetch.options(hours=5)
        pair = slow.map("xy", then=gather)
        early = fetch.map("z")
        session.travel(hours=5)
        assert pair.callback.result == ["x", "y"]
        assert group.callback.status == "expired"
        assert early[0].status == "expired"

    def it_is_refused_together_with_unique(self, session, fetch, gather):
        with pytest.raises(InvalidTask, match="then= waits for all of a group, and with unique="):
            fetch.options(unique=True).map("ab", then=gather)

    def it_is_held_while_one_of_them_still_runs_in_another_worker(self, bench):
        @bench.app.delay
        def step(*given): ...

        message = Message(bench.app.registry.all()[0].name, "[[],{}]")
        _, (last,) = bench.engine().enqueue_all([message] * 2, [message])
        engine, other = bench.engine("one"), bench.engine("other")
        engine.tick()
        other.tick()
        assert engine.tick().finished.state is TaskState.SUCCEEDED
        assert bench.task(last).after is not None
        assert other.tick().finished.state is TaskState.SUCCEEDED
        assert bench.task(last).after is None


class DescribeAChain:
    def it_has_others_wait_for_all_but_its_last_task(self, bench):
        message = Message("m:f", "[[],{}]")
        (first,), others = bench.engine().enqueue_all([message], [message] * 2, group=False)
        assert [task.feeds for task in (first, *others)] == [True, True, False]

    def it_gives_each_what_the_one_before_returned(self, session, fetch, shrink, store):
        result = fetch.then(shrink, by=2).then(store)("abc", times=2)
        assert result.status == "waiting"
        report = session.run_pending()
        assert result.result == "stored abca"
        assert [run.args for run in report.runs] == [("abc",), ("abcabc",), ("abca",)]
        assert [run.name.rpartition(".")[2] for run in report.runs] == ["fetch", "shrink", "store"]

    def it_is_a_value_that_can_be_called_often(self, session, fetch, shrink, store):
        chain = fetch.then(shrink)
        longer = chain.then(store)
        first, second, third = chain("ab"), chain("cd"), longer("ef")
        session.run_pending()
        assert (first.result, second.result, third.result) == ("a", "c", "stored e")
        names = " -> ".join(f"{__name__}:{f.__qualname__}" for f in (fetch, shrink))
        assert repr(chain) == f"<Chain {names}>"

    def it_can_be_made_of_chains(self, session, fetch, shrink, store):
        result = fetch.then(shrink.then(store))("ab")
        session.run_pending()
        assert result.result == "stored a"

    def it_cancels_what_is_behind_a_failure(self, session, fetch, shrink, store):
        result = fetch.then(shrink).then(store)("bad")
        report = session.run_pending(raise_errors=False)
        assert len(report.runs) == 1
        with pytest.raises(TaskCancelled, match=r"the task before it, task-2 \(.*shrink\), was c"):
            _ = result.result

    def it_says_what_became_of_the_one_before(self, session, fetch, shrink):
        result = fetch.then(shrink)("bad")
        session.run_pending(raise_errors=False)
        name = f"{__name__}:{fetch.__qualname__}"
        assert result.error_message == (
            f"ForerunnerFailed: the task before it, task-1 ({name}), failed"
        )

    def it_cancels_what_is_behind_a_cancelled_task(self, app, session, fetch, store):
        result = fetch.options(minutes=5).then(store)("a")
        (waiting,) = session.enqueued(fetch)
        assert app.get_result(waiting.task_id).cancel()
        assert result.status == "cancelled"
        assert "the task before it" in result.error_message

    @pytest.mark.parametrize("days", [0, 29])
    def it_goes_on_when_somebody_retries_the_failure(self, app, session, shrink, store, days):
        """Failures are kept for 30 days, results for half an hour; a chain is kept as a whole."""
        fails = [True]

        @app.delay
        def flaky(text):
            if fails.pop():
                raise ValueError(text)
            return text

        result = flaky.then(shrink).then(store)("ab")
        session.run_pending(raise_errors=False)
        assert result.status == "cancelled"
        session.travel(days=days)
        fails.append(False)
        (first,) = [t for t in session.backend.list() if t.state is TaskState.FAILED]
        assert session.backend.retry(first.id)
        result = app.get_result(result.id)
        assert result.status == "waiting"
        session.run_pending()
        assert result.result == "stored a"

    def it_comes_back_alone_and_only_where_its_own_forerunner_is_retried(
        self, session, fetch, store
    ):
        results = [fetch.then(store)("bad") for _ in range(3)]
        by_hand = results[1]
        assert by_hand.cancel()
        session.run_pending(raise_errors=False)
        failed = [task for task in session.backend.list() if task.state is TaskState.FAILED]
        before = {session.backend.get(result.id).after: result for result in results}
        for result in results[:2]:
            (task,) = [task for task in failed if before[task.id] is result]
            assert session.backend.retry(task.id)
        assert [session.backend.get(result.id).state.value for result in results] == [
            "waiting",
            "cancelled",
            "cancelled",
        ]

    def it_stays_cancelled_if_somebody_cancels_it(self, session, fetch, store):
        result = fetch.then(store)("a")
        assert result.cancel()
        assert len(session.run_pending().runs) == 1
        assert result.status == "cancelled"

    def it_may_be_retried_while_its_forerunner_waits_or_runs(self, app, session, store):
        @app.delay
        def first(text):
            assert result.cancel()
            assert session.backend.retry(result.id)
            return text

        result = first.then(store)("a")
        assert result.cancel()
        assert session.backend.retry(result.id)
        session.run_pending()
        assert app.get_result(result.id).result == "stored a"

    def it_may_be_retried_until_its_group_has_ended(self, app, session, fetch, gather):
        group = fetch.map("ab", then=gather)
        callback = group.callback
        assert callback.cancel()
        assert session.backend.retry(callback.id)
        assert callback.cancel()
        session.run_pending()
        fetch.options(minutes=5)("what waits elsewhere has no say")
        assert session.backend.retry(callback.id) is False
        assert callback.status == "cancelled"

    def it_ends_when_its_forerunner_does(self, session, fetch, shrink, store):
        result = fetch.options(minutes=5).then(shrink).then(store)("bad")
        session.travel(minutes=5, raise_errors=False)
        assert session.backend.get(result.id).finished_at == session.now()

    def it_is_not_retried_itself_while_its_forerunner_has_failed(self, session, fetch, store):
        result = fetch.then(store)("bad")
        session.run_pending(raise_errors=False)
        assert session.backend.retry(result.id) is False
        assert result.status == "cancelled"

    def it_does_not_get_back_what_somebody_has_cancelled(self, app, session, store):
        @app.delay
        def flaky(text):
            if not fixed:
                raise ValueError(text)
            return text

        fixed = []
        result = flaky.then(store)("ab")
        assert result.cancel()
        session.run_pending(raise_errors=False)
        fixed.append(True)
        (failed,) = [t for t in session.backend.list() if t.state is TaskState.FAILED]
        assert session.backend.retry(failed.id)
        session.run_pending()
        assert app.get_result(result.id).status == "cancelled"

    def it_waits_again_if_it_is_retried_before_its_group_has_ended(
        self, app, session, fetch, gather
    ):
        group = fetch.options(minutes=1).map("ab", then=gather)
        group.callback.cancel()
        assert session.backend.retry(group.callback.id)
        session.travel(minutes=1)
        assert app.get_result(group.callback.id).result == ["a", "b"]

    def it_goes_on_after_the_retry_of_a_task(self, app, session, store):
        @app.delay(retries=1, backoff=60)
        def flaky(text):
            tries.append(text)
            if len(tries) == 1:
                raise ValueError(text)
            return text

        tries = []
        result = flaky.then(store)("ab")
        session.run_pending(raise_errors=False)
        assert result.status == "waiting"
        session.travel(minutes=1)
        assert result.result == "stored ab"

    def it_begins_a_delay_when_it_is_released(self, session, fetch, store):
        result = fetch.options(minutes=5).then(store.options(minutes=5))("a")
        session.travel(minutes=9)
        assert result.status == "waiting"
        session.travel(minutes=1)
        assert result.result == "stored a"

    def it_is_never_claimed_while_it_is_held(self, bench):
        @bench.app.delay
        def note(*args): ...

        message = Message(bench.app.registry.all()[0].name, "[[],{}]")
        (first,), (second,) = bench.engine().enqueue_all([message], [message], group=False)
        engine, other = bench.engine("one"), bench.engine("other")
        assert engine.tick().claimed.id == first.id
        assert other.tick().claimed is None
        assert other.tick().next_at is None
        ended = work(engine)
        assert [task.id for task in ended] == [first.id, second.id]

    @table("""
    count | is_leaving | wakes
    1     | no         | 0
    2     | no         | 1
    1     | yes        | 1
    """)
    def it_wakes_a_worker_for_what_its_own_does_not_take(self, bench, count, is_leaving, wakes):
        @bench.app.delay
        def note(*args): ...

        message = Message(bench.app.registry.all()[0].name, "[[],{}]")
        bench.engine().enqueue_all([message], [message], group=False)
        (held,) = [task for task in bench.store.find() if task.after is not None]
        for number in range(1, int(count)):
            bench.store.add(replace(held, id=f"another-{number}"))
        engine = bench.engine()
        engine.tick()
        before = bench.wakes.count
        engine.tick(claim=is_leaving == "no")
        assert bench.wakes.count - before == int(wakes)

    def it_wakes_a_worker_for_what_a_cancelled_task_releases(self, bench):
        message = Message("m:f", "[[],{}]")
        (task,), _ = bench.engine().enqueue_all([message], [message])
        before = bench.wakes.count
        assert bench.engine().cancel(task.id)
        assert bench.wakes.count == before + 1

    def it_runs_in_place_where_autocron_is_not_started(self, fetch, shrink, store):
        assert fetch.then(shrink).then(store)("ab").result == "stored a"
        result = fetch.then(shrink).then(store)("bad")
        assert result.status == "cancelled"
        assert "the task before it" in result.error_message

    @pytest.mark.parametrize("other", [len, None, "store", 5])
    def it_refuses_what_is_no_delayed_function(self, fetch, other):
        with pytest.raises(InvalidTask, match="is no delayed function, nor a chain of some"):
            fetch.then(other)

    def it_refuses_arguments_that_do_not_fit_where_they_are_written(self, fetch, store, shrink):
        with pytest.raises(TypeError, match="too many positional arguments"):
            fetch.then(store, "more")
        with pytest.raises(InvalidTask, match="the functions of a chain have their arguments"):
            fetch.then(shrink.then(store), 5)

    def it_refuses_to_come_back_to_a_function(self, fetch, shrink):
        for make in (lambda: fetch.then(fetch), lambda: fetch.then(shrink).then(fetch)):
            with pytest.raises(InvalidTask, match=r"stands in the chain twice .* a chain has an e"):
                make()
