"""Calls that are held until something else is certain: the commit of a transaction.

An integration may put a *route* between a call and the engine (``App.router``). The one for
transactions holds a call until everything that it waits for is certain. Until then nobody else sees
the task; its ``TaskResult`` has its id, and it waits. When the last thing is certain, the call is
stored as if it were made then: a delay begins, ``unique`` is judged. If the task that takes the key
is another one, the result is of that. If one of the things is let go of, uncalled, as a rollback
does, the task is cancelled and was never stored.

To wait for a held task in the thread in which it was called would be for ever, and is an error.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading

import pytest

import autocron
from autocron import testing
from autocron.core.errors import InvalidTask, ResultNotReady, StoreError, TaskCancelled
from autocron.held import HeldCalls


class Transactions:
    """Things that become certain, or do not; as many as there are lists."""

    def __init__(self, count=1):
        self.lists = [[] for _ in range(count)]
        self._ids = itertools.count(1)

    def route(self, taker, clock, on_commit):
        if on_commit is False:
            return None
        new_id = lambda: f"held-{next(self._ids)}"  # noqa: E731
        return HeldCalls(taker, clock, new_id, [one.append for one in self.lists])

    def commit(self, place=0):
        callbacks, self.lists[place][:] = list(self.lists[place]), []
        for callback in callbacks:
            callback()

    def roll_back(self, place=0):
        self.lists[place].clear()
        gc.collect()  # for an interpreter that does not count references


@pytest.fixture
def transactions(app):
    transactions = Transactions()
    app.router = transactions.route
    return transactions


def stored(session):
    return [task.id for task in session.service.backend.list()]


class DescribeAHeldCall:
    def it_is_stored_when_it_is_certain_under_the_id_that_it_had(
        self, transactions, session, note, ran
    ):
        result = note(1)
        assert (result.id, result.status, result.is_waiting) == ("held-1", "waiting", True)
        assert stored(session) == []
        assert session.run_pending().succeeded == 0
        transactions.commit()
        assert (stored(session), result.status) == (["held-1"], "waiting")
        session.run_pending()
        assert (ran, result.result) == ([1], 1)

    def it_can_be_retried_once_it_is_stored(self, transactions, session, note, ran):
        result, dropped = note(1), note(2)
        assert (dropped.cancel(), dropped.retry()) == (True, False)
        transactions.commit()
        assert (result.cancel(), result.retry(), result.status) == (True, True, "waiting")
        assert dropped.retry() is False

    def it_is_cancelled_by_a_rollback_and_was_never_stored(self, transactions, session, note, ran):
        result = note(1)
        transactions.roll_back()
        assert (result.status, result.is_ready, stored(session)) == ("cancelled", True, [])
        said = "RolledBack: the transaction in which it was called was rolled back"
        assert result.error_message == said
        with pytest.raises(TaskCancelled, match="was cancelled before it ran: RolledBack"):
            result.get()
        session.run_pending()
        assert ran == []

    def it_is_dropped_with_a_result_that_nobody_keeps(self, transactions, session, note):
        note(1)
        transactions.commit()
        assert stored(session) == ["held-1"]

    def it_waits_for_all_that_is_around_it(self, app, session, note):
        transactions = Transactions(2)
        app.router = transactions.route
        first, second = note(1), note(2)
        transactions.commit(1)
        assert (first.status, stored(session)) == ("waiting", [])
        transactions.commit(0)
        assert stored(session) == [first.id, second.id]

    def it_is_cancelled_if_one_of_these_is_rolled_back_whatever_comes_then(
        self, app, session, note
    ):
        transactions = Transactions(2)
        app.router = transactions.route
        result = note(1)
        transactions.roll_back(1)
        transactions.commit(0)
        assert (result.status, stored(session)) == ("cancelled", [])

    def it_may_be_told_not_to_wait(self, transactions, session, note):
        result = note.options(on_commit=False)(1)
        assert stored(session) == [result.id]

    def it_begins_its_delay_when_it_is_stored(self, transactions, session, note, ran):
        note.options(minutes=10)(1)
        session.advance(minutes=30)
        transactions.commit()
        session.travel(minutes=9)
        assert ran == []
        session.travel(minutes=1)
        assert ran == [1]

    def it_may_be_cancelled_and_is_not_stored_then(self, transactions, session, note):
        result = note(1)
        assert (result.cancel(), result.cancel()) == (True, False)
        transactions.commit()
        assert (result.status, result.error_message, stored(session)) == ("cancelled", "", [])

    def it_may_be_cancelled_afterwards_as_any(self, transactions, session, note):
        result = note(1)
        transactions.commit()
        assert result.cancel()
        assert (result.status, stored(session)) == ("cancelled", [result.id])

    def it_is_checked_at_the_call_as_any(self, transactions, note):
        with pytest.raises(autocron.NotStorable):
            note(object())
        with pytest.raises(TypeError):
            note(1, 2, 3)
        assert transactions.lists == [[]]

    def it_is_cancelled_if_it_can_not_be_stored_and_that_is_raised(
        self, transactions, session, note, monkeypatch
    ):
        result = note(1)

        def full(task):
            raise StoreError("the disk is full")

        monkeypatch.setattr(session.service.backend.operations.store, "add", full)
        with pytest.raises(StoreError, match="the disk is full"):
            transactions.commit()
        assert (result.status, result.error_message) == (
            "cancelled",
            "StoreError: the disk is full",
        )


class DescribeUnique:
    def it_is_judged_when_the_call_is_stored(self, transactions, session, note):
        unique = note.options(unique=True)
        first, second = unique(1), unique(2)
        assert first.id != second.id
        transactions.commit()
        assert (first.status, second.status) == ("waiting", "waiting")
        assert stored(session) == [first.id] == [second.id]

    def it_counts_for_nothing_what_was_rolled_back(self, transactions, session, note):
        unique = note.options(unique=True)
        unique(1)
        transactions.roll_back()
        second = unique(2)
        transactions.commit()
        assert stored(session) == [second.id]


class DescribeSeveralAtOnce:
    def it_holds_a_group_with_what_follows_it(self, app, transactions, session, note):
        @app.delay
        def add(results):
            return sum(results)

        group = note.map([1, 2, 3], then=add)
        assert (len(group), group.is_ready, group.callback.status) == (3, False, "waiting")
        assert group.progress.done == 0
        assert stored(session) == []
        transactions.commit()
        assert len(stored(session)) == 4
        session.run_pending()
        assert (group.results, group.callback.result) == ([1, 2, 3], 6)
        assert app.get_group(group.id).results == [1, 2, 3]

    def it_holds_a_chain(self, app, transactions, session, note, ran):
        @app.delay
        def double(value):
            return 2 * value

        result = note.then(double)(4)
        assert (result.status, stored(session)) == ("waiting", [])
        transactions.commit()
        session.run_pending()
        assert result.result == 8

    def it_drops_all_of_them_together(self, app, transactions, session, note):
        group = note.map([1, 2])
        transactions.roll_back()
        assert [result.status for result in group] == ["cancelled", "cancelled"]
        assert (group.is_ready, stored(session)) == (True, [])

    def it_leaves_out_what_was_cancelled(self, app, transactions, session, note):
        group = note.map([1, 2, 3])
        assert group[1].cancel()
        transactions.commit()
        session.run_pending()
        assert [result.status for result in group] == ["succeeded", "cancelled", "succeeded"]
        assert stored(session) == [group[0].id, group[2].id]

    def it_keeps_the_place_of_what_was_cancelled_for_what_follows(
        self, app, transactions, session, note, ran
    ):
        @app.delay
        def look(results):
            return [str(result) for result in results]

        group = note.map([1, 2, 3], then=look)
        assert group[1].cancel()
        transactions.commit()
        session.run_pending()
        assert (ran, group.callback.result) == ([1, 3], ["1", "it was cancelled", "3"])

    def it_stores_nothing_of_a_group_that_was_cancelled(self, app, transactions, session, note):
        @app.delay
        def add(results): ...

        group = note.map([1, 2], then=add)
        assert group.cancel() == 2
        transactions.commit()
        assert (group.callback.status, stored(session)) == ("cancelled", [])

    def it_cancels_the_end_of_a_chain_that_was_cancelled(self, app, transactions, session, note):
        @app.delay
        def double(value): ...

        result = note.then(double)(4)
        assert result.cancel()
        transactions.commit()
        assert session.run_pending().succeeded == 1
        assert result.status == "cancelled"

    def it_has_a_group_of_nothing(self, app, transactions, session, note):
        @app.delay
        def add(results):
            return len(results)

        group = note.map([], then=add)
        transactions.commit()
        session.run_pending()
        assert (group.results, group.callback.result) == ([], 0)


class DescribeWaitingForIt:
    def it_is_an_error_inside_of_the_transaction(self, transactions, session, note):
        result, group = note(1), note.map([1])
        for wait in (result.wait, group.wait, result.get, group.get):
            with pytest.raises(ResultNotReady, match=r"would be for ever.*on_commit=False"):
                wait(timeout=60)

        async def waits():
            await result

        with pytest.raises(ResultNotReady, match="would be for ever"):
            asyncio.run(waits())

    def it_says_what_is_said_of_any_task_to_others(self, transactions, session, note):
        result = note(1)
        raised = []

        def wait():
            with pytest.raises(autocron.WaitTimeout) as caught:
                result.get(timeout=0.01)
            raised.append(str(caught.value))

        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
        assert "in a test nobody runs it" in raised[0]
        transactions.commit()
        with pytest.raises(autocron.WaitTimeout):
            result.get(timeout=0.01)
        assert result.wait(timeout=0.01) is False


class DescribeACallInPlace:
    """Where autocron is not started, or locked, a call runs here: when it is certain."""

    def it_runs_when_it_is_certain(self, transactions, note, ran):
        result = note(1)
        assert (result.id, result.status, ran) == ("held-1", "waiting", [])
        transactions.commit()
        assert (result.status, result.result, ran) == ("succeeded", 1, [1])

    def it_never_runs_if_that_is_rolled_back(self, transactions, note, ran):
        result = note(1)
        transactions.roll_back()
        assert (result.status, ran) == ("cancelled", [])

    def it_runs_at_once_if_it_is_not_to_wait(self, transactions, note, ran):
        assert (note.options(on_commit=False)(1).result, ran) == (1, [1])

    def it_is_so_for_several_at_once(self, app, transactions, note, ran):
        @app.delay
        def add(results):
            return sum(results)

        group, chain = note.map([1, 2], then=add), note.then(add.options())
        assert (group.is_ready, group.callback.status, ran) == (False, "waiting", [])
        last = chain([3, 4])
        transactions.commit()
        assert (group.is_ready, group.results, group.callback.result) == (True, [1, 2], 3)
        assert (last.result, ran) == (7, [1, 2, [3, 4]])


class DescribeTheOption:
    def it_needs_somebody_who_knows_of_transactions(self, session, note):
        assert note.options(on_commit=False)(1).is_waiting
        for on_commit in (True, "other"):
            with pytest.raises(InvalidTask, match=r"autocron.contrib.django.*INSTALLED_APPS"):
                note.options(on_commit=on_commit)(1)

    @pytest.mark.parametrize("value", [1, "", [True], 0.5])
    def it_is_a_yes_or_no_or_an_alias(self, note, value):
        with pytest.raises(InvalidTask, match=r"on_commit: .* is not True, False, nor the alias"):
            note.options(on_commit=value)

    def it_is_handed_to_the_router(self, app, session, note):
        seen = []
        app.router = lambda taker, clock, on_commit: seen.append(on_commit)
        note(1)
        note.options(on_commit="other")(1)
        note.options(on_commit=True).map([1])
        assert seen == [None, "other", True]

    def it_is_not_asked_for_in_a_session_without_integration(self, app, note):
        with testing.session(app=app):
            assert note(1).is_waiting
