"""The mixin for ``unittest`` and Django, with a runner of their own."""

from __future__ import annotations

import io
import unittest

import autocron
from autocron import testing
from autocron.testing import SessionMixin


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
