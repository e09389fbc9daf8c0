"""The mixin for ``unittest`` and Django, with a runner of their own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

import autocron
from autocron import testing
from autocron.testing import SessionMixin

ROOT = str(Path(__file__).resolve().parents[2])


@autocron.delay
def send(what):
    return what


def outcome(case):
    """Run the tests of a case, quietly; return the result."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(suite)


def test_each_test_has_a_session_of_its_own_from_set_up_to_the_last_clean_up():
    seen = []

    class MailTest(SessionMixin, unittest.TestCase):
        autocron_now = "2026-03-28 12:00"
        autocron_tz = "UTC"

        def setUp(self):  # without super(), as many are written
            send("set-up")
            self.addCleanup(lambda: seen.append(len(self.autocron.enqueued())))

        def tearDown(self):
            send("tear-down")

        def test_1(self):
            assert testing.current() is self.autocron
            assert str(autocron.now()) == "2026-03-28 12:00:00+00:00"
            assert self.autocron.run_pending().succeeded == 1

        def test_2(self):
            self.autocron.assert_enqueued(send, args=("set-up",), count=1)
            self.autocron.assert_enqueued(send, count=1)

    result = outcome(MailTest)
    assert (result.testsRun, result.errors, result.failures) == (2, [], [])
    assert seen == [1, 2]
    testing.current().assert_not_enqueued(send)


def test_a_plan_in_vain_fails_its_test_and_hides_no_failure():
    class PlanTest(SessionMixin, unittest.TestCase):
        def test_in_vain(self):
            self.autocron.crash_next(send)

        def test_that_fails(self):
            self.autocron.crash_next(send)
            self.fail("its own reason")

    result = outcome(PlanTest)
    told = [text.strip().splitlines()[-1] for _, text in result.failures + result.errors]
    assert sorted(line.partition(":")[0].rpartition(".")[2] for line in told) == [
        "AssertionError",
        "UnusedPlan",
    ]


def test_what_is_skipped_leaves_nothing_open():
    before = testing.current()

    @unittest.skip("not today")
    class SkippedTest(SessionMixin, unittest.TestCase):
        def test_it(self): ...

    assert len(outcome(SkippedTest).skipped) == 1
    assert testing.current() is before


def test_async_test_cases_have_it_too():
    class AsyncTest(SessionMixin, unittest.IsolatedAsyncioTestCase):
        autocron_now = "2026-03-28 12:00"
        autocron_tz = "UTC"

        async def asyncSetUp(self):
            send("set-up")

        async def test_it(self):
            assert str(autocron.now()) == "2026-03-28 12:00:00+00:00"
            assert testing.run_pending().succeeded == 1

    result = outcome(AsyncTest)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


DJANGO = """
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    TIME_ZONE="Europe/Berlin", USE_TZ=True,
)
django.setup()

import autocron
from autocron import testing
from django.contrib.auth.models import User
from django.db import transaction
from django.test import TestCase

@autocron.delay
def welcome(user_id):
    return User.objects.get(pk=user_id).username

class SignUpTest(testing.SessionMixin, TestCase):
    autocron_now = "2026-03-28 12:00"

    def test_the_task_sees_what_the_test_has_stored(self):
        user = User.objects.create(username="ada")
        result = welcome(user.pk)
        testing.run_pending()
        self.assertEqual(result.result, "ada")

    def test_the_zone_is_that_of_django(self):
        self.assertEqual(str(autocron.now()), "2026-03-28 11:00:00+00:00")
        self.assertEqual(User.objects.count(), 0)

    def test_a_call_after_the_commit(self):
        user = User.objects.create(username="ada")
        with self.captureOnCommitCallbacks(execute=True):
            transaction.on_commit(lambda: welcome(user.pk))
        self.autocron.assert_enqueued(welcome, args=(user.pk,), count=1)

    @classmethod
    def setUpTestData(cls):
        cls.made = True

from django.test.utils import get_runner
import sys
runner = get_runner(settings)(verbosity=0)
suite = runner.test_loader.loadTestsFromTestCase(SignUpTest)
runner.setup_test_environment()
databases = runner.setup_databases()
result = runner.run_suite(suite)
runner.teardown_databases(databases)
print(result.testsRun, len(result.errors), len(result.failures))
"""


def test_django_test_cases_have_it_too(tmp_path):
    pytest.importorskip("django")
    script = tmp_path / "django_tests.py"
    script.write_text(DJANGO)
    environ = {**os.environ, "PYTHONPATH": ROOT}
    found = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env=environ,
        cwd=str(tmp_path),
        check=False,
    )
    assert (found.stdout.strip(), found.returncode) == ("3 0 0", 0), found.stderr
