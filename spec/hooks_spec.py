"""Hooks: functions of the application that are told what happens to its tasks.

``@autocron.on("failed", …)`` makes a function a hook. It is given a ``TaskEvent``, once what
happened is stored: ``enqueued``, ``started`` (before the function runs), ``succeeded``, ``failed``
(for good), ``retried`` (it failed, and is tried again), ``lost`` (its worker died; it runs again)
and ``cancelled`` (also what has expired, was discarded, or stood behind a failure).

A hook runs in the process where it happens. Whatever it does, it never harms the task: what it
raises is logged. A function that is decorated a second time, as its module is imported again,
stays one hook.
"""

from __future__ import annotations

import logging

import pytest

from autocron import testing
from autocron.app import App
from autocron.core.arguments import dump_call
from autocron.core.errors import InvalidTask, StoreError
from autocron.core.task import Message, TaskState
from autocron.core.values import changed
from autocron.hooks import KINDS
from autocron.testing.runner import name_of
from spec.benches import FailingStore, work
from spec.zones import at

NOW = "2026-03-01 12:00"


@pytest.fixture
def app():
    return App()


@pytest.fixture
def told(app):
    told = []

    @app.on(*KINDS)
    def listen(event):
        told.append(event)

    return told


@pytest.fixture
def session(app):
    with testing.session(now=NOW, tz="UTC", app=app) as session:
        yield session


def a_call(function):
    return Message(name=name_of(function), payload=dump_call((1,), {}, ()))


def kinds(told):
    return [event.kind for event in told]


class DescribeAHook:
    def it_is_told_in_order(self, app, told, session):
        @app.delay
        def send(to, *, copy=False):
            assert kinds(told) == ["enqueued", "started"]

        result = send("ada", copy=True)
        session.run_pending()
        assert kinds(told) == ["enqueued", "started", "succeeded"]
        event = told[-1]
        assert (event.task_id, event.name) == (result.id, f"{__name__}:{send.__qualname__}")
        assert (event.args, event.kwargs, event.queue) == (("ada",), {"copy": True}, "default")
        assert (event.attempt, event.error_message, event.traceback) == (1, "", "")
        assert event.enqueued_at == event.run_at == event.started_at == at(NOW)
        assert event.finished_at == at(NOW)

    def it_is_told_of_failures_and_retries(self, app, told, session):
        @app.delay(retries=1, backoff=60)
        def send():
            raise ValueError("no")

        send()
        session.travel(minutes=1, raise_errors=False)
        assert kinds(told) == ["enqueued", "started", "retried", "started", "failed"]
        assert [event.error_message for event in told] == ["", "", "ValueError: no", "",
                                                           "ValueError: no"]  # fmt: skip
        assert "ValueError: no" in told[-1].traceback

    def it_is_told_of_what_was_cancelled_discarded_and_expired(self, app, told, session):
        @app.delay
        def send(): ...

        send().cancel()
        send.options(expires=60, queue="slow")()
        session.jump(minutes=2)
        session.run_pending()
        assert kinds(told) == ["enqueued", "cancelled", "enqueued", "cancelled"]
        assert "TaskExpired: it had not begun" in told[-1].error_message

    def it_is_told_without_arguments_where_they_can_not_be_loaded(self, bench, told, app, caplog):
        @bench.app.delay
        def send(one): ...

        message = changed(a_call(send), payload='{"$pickle":"gASMAWEu"}')
        bench.engine(observer=app.hooks).enqueue(message)
        (ended,) = work(bench.engine(observer=app.hooks))
        assert ended.state is TaskState.FAILED
        assert kinds(told) == ["enqueued", "started", "failed"]
        assert {(event.args, tuple(event.kwargs)) for event in told} == {((), ())}
        assert 'start(serializer="pickle")' in told[-1].error_message
        assert f"({ended.name}) without its arguments: the stored arg" in caplog.messages[0]

    def it_is_told_of_what_was_lost(self, app, told, session):
        @app.delay
        def send(): ...

        send()
        session.crash_next(send)
        session.run_pending()
        assert kinds(told) == ["enqueued", "started", "lost", "started", "succeeded"]

    def it_is_told_of_occurrences_and_of_what_stands_behind_a_failure(self, app, told, session):
        @app.delay
        def first():
            raise ValueError

        @app.delay
        def second(given): ...

        @app.cron("30 12 * * *")
        def nightly(): ...

        first.then(second)()
        session.travel(hours=1, raise_errors=False)
        assert kinds(told) == ["enqueued", "enqueued", "started", "failed", "cancelled",
                               "enqueued", "started", "succeeded"]  # fmt: skip

    def it_is_told_nothing_of_a_task_that_is_released(self, app, told, session):
        @app.delay
        def first(): ...

        @app.delay
        def second(given): ...

        first.then(second)()
        session.run_pending()
        assert kinds(told) == ["enqueued"] * 2 + ["started", "succeeded"] * 2

    def it_is_not_told_of_many_calls_what_it_does_not_listen_to(self, bench):
        class Listener:
            def __init__(self, *kinds):
                self.kinds = kinds
                self.told = []

            def listens_to(self, kind):
                return kind in self.kinds

            def __call__(self, kind, task):
                self.told.append((kind, task))

        listens, listens_not = Listener("enqueued"), Listener("started")
        message = Message("m:f", "[[],{}]")
        for listener in (listens, listens_not):
            tasks, chain = bench.engine(observer=listener).enqueue_all([message] * 2, [message])
            assert listener is listens_not or listener.told == [
                ("enqueued", task) for task in (*tasks, *chain)
            ]
        assert listens_not.told == []

    def it_has_no_word_for_a_release_and_a_hand_back(self, bench):
        told = []
        engine = bench.engine(observer=lambda kind, task: told.append(kind))

        @bench.app.delay
        def send(given): ...

        bench.engine().enqueue_all([a_call(send)], [a_call(send)], group=False)
        engine.tick()
        engine.tick()
        engine.let_go()
        assert told == ["started", "succeeded"]

    def it_is_told_what_the_function_was_given(self, app, told, session):
        @app.delay
        def first():
            return "a"

        @app.delay
        def second(given, more): ...

        first.then(second, "b")()
        session.run_pending()
        assert [event.args for event in told if event.kind == "succeeded"] == [(), ("a", "b")]

    def it_is_told_in_place_too(self, app, told):
        @app.delay
        def send():
            raise ValueError("no")

        send()
        assert kinds(told) == ["enqueued", "started", "failed"]

    def it_hears_only_what_it_asked_for(self, app, session):
        heard = []

        @app.on("failed")
        def tell(event):
            heard.append(event.kind)

        @app.delay
        def send(fails):
            if fails:
                raise ValueError

        send(False)
        send(True)
        session.run_pending(raise_errors=False)
        assert heard == ["failed"]

    @pytest.mark.parametrize("raised", [ValueError("oh"), SystemExit(3), GeneratorExit()])
    def it_never_harms_the_task(self, app, session, caplog, raised):
        @app.on("enqueued", "started", "succeeded")
        def broken(event):
            raise raised

        @app.delay
        def send():
            return 1

        with caplog.at_level(logging.ERROR, "autocron"):
            result = send()
            session.run_pending()
        assert result.result == 1
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 3
        assert all("broken' for" in line and "failed" in line for line in said)

    def it_lets_a_keyboard_interrupt_pass(self, app):
        @app.on("enqueued")
        def interrupted(event):
            raise KeyboardInterrupt

        @app.delay
        def send(): ...

        with pytest.raises(KeyboardInterrupt):
            send()

    def it_is_told_once_it_is_stored(self, bench):
        @bench.app.delay
        def send(): ...

        told = []
        store = FailingStore(bench.store)
        bench.call(send)
        engine = bench.engine(store=store, observer=lambda kind, task: told.append(kind))
        engine.tick()
        store.failing = {"transaction", "swap"}
        assert engine.tick().trouble is not None
        assert told == ["started"]
        store.failing = set()
        work(engine)
        assert told == ["started", "succeeded"]

    def it_is_not_told_of_a_call_that_could_not_be_stored(self, bench):
        told = []
        store = FailingStore(bench.store)
        store.failing = {"add"}
        engine = bench.engine(store=store, observer=lambda kind, task: told.append(kind))
        from autocron.core.task import Message

        with pytest.raises(StoreError):
            engine.enqueue(Message("m:f", "[[],{}]"))
        assert told == []

    def it_is_not_told_twice_of_a_unique_call(self, app, told, session):
        @app.delay(unique=True)
        def send(): ...

        assert send().id == send().id
        assert kinds(told) == ["enqueued"]


class DescribeOn:
    @pytest.mark.parametrize("given", [(), ("done",), ("failed", "finished"), (len,)])
    def it_refuses_what_never_happens(self, app, given):
        with pytest.raises(InvalidTask, match="enqueued, started, succeeded, failed, retried"):
            app.on(*given)

    def it_leaves_the_function_as_it_is(self, app):
        def hook(event): ...

        assert app.on("failed")(hook) is hook

    def it_keeps_one_hook_of_a_module_that_is_imported_again(self, app, session):
        heard = []
        source = "def hook(event): heard.append(event.kind)"
        for _ in range(2):
            space = {"heard": heard, "__name__": "shop"}
            exec(source, space)
            app.on("enqueued")(space["hook"])

        @app.delay
        def send(): ...

        send()
        assert heard == ["enqueued"]

    def it_can_be_taken_out_again(self, app, told):
        def hook(event): ...

        app.on("lost")(hook)
        assert app.hooks.listens_to("lost")
        app.hooks.remove(hook)
        assert app.hooks.listens_to("lost")  # the other one
        assert not App().hooks.listens_to("lost")
