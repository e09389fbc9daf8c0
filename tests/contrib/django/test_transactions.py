"""Calls inside atomic blocks: in a server, and in the tests of a project."""

from __future__ import annotations

TESTS = """
    import unittest

    import autocron
    from autocron import testing
    from django.contrib.auth.models import User
    from django.db import connection, transaction
    from django.test import TestCase, TransactionTestCase, override_settings
    from django.utils.safestring import mark_safe
    from django.utils.translation import gettext_lazy
    from shop.tasks import echo, welcome


    class Rollback(Exception): ...


    def queue():
        return len(autocron.default_app.service.backend.list())


    class Committed(testing.SessionMixin, TransactionTestCase):
        databases = ["default", "other"]

        def test_a_call_is_enqueued_when_the_block_is_committed(self):
            with transaction.atomic():
                result = welcome("ada")
                self.assertEqual((result.status, queue()), ("waiting", 0))
                self.assertTrue(0 < len(result.id) < 64)
                with self.assertRaisesMessage(autocron.ResultNotReady, "would be for ever"):
                    result.get(timeout=60)
            self.assertEqual((result.status, queue()), ("waiting", 1))
            self.autocron.run_pending()
            self.assertEqual(result.result, "Welcome, ada, one of 0")
            self.assertEqual(autocron.get_result(result.id).result, result.result)

        def test_it_is_never_if_that_is_rolled_back(self):
            with self.assertRaises(Rollback), transaction.atomic():
                result = welcome("ada")
                raise Rollback
            self.assertEqual((result.status, queue()), ("cancelled", 0))
            self.assertIn("RolledBack", result.error_message)
            with self.assertRaises(autocron.TaskCancelled):
                result.result

        def test_a_savepoint_that_is_rolled_back_takes_its_calls_with_it(self):
            with transaction.atomic():
                kept = welcome("kept")
                try:
                    with transaction.atomic():
                        lost = welcome("lost")
                        raise Rollback
                except Rollback:
                    pass
                with transaction.atomic():
                    inner = welcome("inner")
                self.assertEqual((kept.status, lost.status, inner.status),
                                 ("waiting", "cancelled", "waiting"))
                self.assertEqual(queue(), 0)
            self.assertEqual(queue(), 2)

        def test_set_rollback_counts_too(self):
            with transaction.atomic():
                result = welcome("ada")
                transaction.set_rollback(True)
            self.assertEqual((result.status, queue()), ("cancelled", 0))

        def test_outside_of_a_block_it_is_enqueued_at_once(self):
            welcome("ada")
            self.assertEqual(queue(), 1)

        def test_it_may_be_told_not_to_wait(self):
            with self.assertRaises(Rollback), transaction.atomic():
                welcome.options(on_commit=False)("ada")
                self.assertEqual(queue(), 1)
                raise Rollback
            self.assertEqual(queue(), 1)

        def test_the_setting_is_for_all(self):
            for setting, enqueued in ((False, 1), ("other", 2), (True, 2)):
                with override_settings(AUTOCRON={"DATABASE": "shop.db", "ON_COMMIT": setting}):
                    with transaction.atomic():
                        welcome("ada")
                        self.assertEqual(queue(), enqueued)
            with override_settings(AUTOCRON={"DATABASE": "shop.db", "ON_COMMIT": False}):
                with transaction.atomic():
                    welcome.options(on_commit=True)("ada")
                    self.assertEqual(queue(), 3)

        def test_it_waits_for_the_blocks_of_all_databases(self):
            with transaction.atomic("other"):
                with transaction.atomic("default"):
                    first = welcome("ada")
                    second = welcome.options(on_commit="default")("bob")
                self.assertEqual(queue(), 1)
            self.assertEqual(queue(), 2)
            with transaction.atomic("other"):
                with self.assertRaises(Rollback), transaction.atomic("default"):
                    third = welcome("cy")
                    raise Rollback
            self.assertEqual((third.status, queue()), ("cancelled", 2))

        def test_a_database_that_is_not_there_is_refused(self):
            with self.assertRaisesMessage(autocron.InvalidTask, "no database 'third' in DATABASES"):
                welcome.options(on_commit="third")("ada")

        def test_transactions_by_hand_are_refused(self):
            transaction.set_autocommit(False)
            try:
                with self.assertRaisesMessage(autocron.InvalidTask, "are managed by hand"):
                    welcome("ada")
            finally:
                transaction.rollback()
                transaction.set_autocommit(True)

        def test_many_and_chains_wait_too(self):
            with transaction.atomic():
                group = echo.map([1, 2], then=echo.options())
                last = echo.then(welcome)("x")
                self.assertEqual(queue(), 0)
            self.assertEqual(queue(), 5)
            self.autocron.run_pending()
            self.assertEqual((group.results, group.callback.result), ([1, 2], [1, 2]))
            self.assertEqual(last.result, "Welcome, x, one of 0")
            self.assertEqual(autocron.get_group(group.id).results, [1, 2])

        def test_unique_is_judged_at_the_commit(self):
            with transaction.atomic():
                first, second = (welcome.options(unique=True)("ada") for _ in range(2))
            self.assertEqual((first.status, second.status), ("waiting", "waiting"))
            self.assertEqual((queue(), first.id), (1, second.id))

        def test_it_may_be_taken_back(self):
            with transaction.atomic():
                result = welcome("ada")
                self.assertTrue(result.cancel())
            self.assertEqual((result.status, queue()), ("cancelled", 0))

        def test_texts_of_templates_and_translations_become_plain(self):
            result = echo([mark_safe("<b>"), gettext_lazy("Yes"), {"a": mark_safe("x")}])
            self.autocron.run_pending()
            self.assertEqual(result.result, ["<b>", "Yes", {"a": "x"}])
            self.assertIs(type(result.result[0]), str)

        def test_an_instance_of_a_model_is_refused_with_the_way_out(self):
            user = User.objects.create(username="ada")
            with self.assertRaisesMessage(autocron.NotStorable, "(.pk of a Django model)"):
                echo(user)


    class Held(testing.SessionMixin, TestCase):
        def test_what_the_test_calls_itself_is_enqueued_at_once(self):
            User.objects.create(username="ada")
            result = welcome("ada")
            self.autocron.run_pending()
            self.assertEqual(result.result, "Welcome, ada, one of 1")

        def test_captured_callbacks_enqueue_what_a_block_holds(self):
            with self.captureOnCommitCallbacks(execute=True) as callbacks:
                with transaction.atomic():
                    result = welcome("ada")
                self.assertEqual((result.status, queue()), ("waiting", 0))
            self.assertEqual((len(callbacks), queue()), (1, 1))
            self.autocron.run_pending()
            self.assertEqual(result.result, "Welcome, ada, one of 0")

        def test_callbacks_that_are_not_executed_enqueue_nothing(self):
            with self.captureOnCommitCallbacks() as callbacks:
                with transaction.atomic():
                    result = welcome("ada")
            self.assertEqual((len(callbacks), queue(), result.status), (1, 0, "waiting"))
            callbacks[0]()
            self.assertEqual(queue(), 1)

        def test_a_call_that_need_not_wait_is_seen_too(self):
            with self.captureOnCommitCallbacks(execute=True) as callbacks:
                welcome("ada")
            self.assertEqual((len(callbacks), queue()), (1, 1))

        def test_a_block_that_is_rolled_back(self):
            with self.captureOnCommitCallbacks(execute=True) as callbacks:
                with self.assertRaises(Rollback), transaction.atomic():
                    result = welcome("ada")
                    raise Rollback
            self.assertEqual((len(callbacks), queue(), result.status), (0, 0, "cancelled"))
"""

IN_PLACE = """
    from django.db import transaction
    from django.test import TestCase, TransactionTestCase
    from shop.tasks import echo

    ran = []

    class Committed(TransactionTestCase):
        def test_a_call_runs_when_the_block_is_committed(self):
            self.assertEqual(echo(1).result, 1)
            with transaction.atomic():
                result = echo(2)
                self.assertTrue(result.is_waiting)
            self.assertEqual(result.result, 2)

    class Held(TestCase):
        def test_a_call_runs_when_the_callbacks_do(self):
            self.assertEqual(echo(1).result, 1)
            with self.captureOnCommitCallbacks(execute=True):
                with transaction.atomic():
                    result = echo(2)
                    self.assertTrue(result.is_waiting)
            self.assertEqual(result.result, 2)
"""

TASKS = """
    import autocron
    from django.contrib.auth.models import User

    @autocron.delay
    def welcome(name):
        return f"Welcome, {name}, one of {User.objects.count()}"

    @autocron.delay
    def echo(value):
        return value
"""


def test_the_tests_of_a_project_see_what_production_does(project):
    project.write({"shop/tasks.py": TASKS, "shop/tests.py": TESTS})
    told = project.run("test", settings="import sys, autocron.testing")
    assert "Ran 20 tests" in told, told
    assert not project.database.exists()


def test_calls_in_place_run_at_the_commit(project):
    project.write({"shop/tasks.py": TASKS, "shop/tests.py": IN_PLACE})
    told = project.run("test")
    assert "Ran 2 tests" in told, told


def test_a_server_enqueues_what_is_committed_and_nothing_else(project):
    told = project.server(
        """
        import autocron
        from django.contrib.auth.models import User
        from django.core.management import call_command
        from django.db import transaction
        from shop.tasks import welcome

        call_command("migrate", verbosity=0)
        with transaction.atomic():
            User.objects.create(username="ada")
            result = welcome("ada")
            print(result.status, len(autocron.default_app.service.backend.list()))
        print(result.get(30))
        try:
            with transaction.atomic():
                lost = welcome("bob")
                1 / 0
        except ZeroDivisionError:
            print(lost.status)
        with transaction.atomic():
            cancelled = welcome("cy")
            cancelled.cancel()
        print(len(autocron.default_app.service.backend.list()))
        autocron.stop()
        """
    )
    assert told.splitlines() == ["waiting 0", "Welcome, ada, one of 1", "cancelled", "1"]
