"""The backend for Django's own Tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import django
import pytest

if django.VERSION < (6, 0):
    pytest.importorskip("django_tasks")
API = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"

TASKS = f"""
    from {API} import task

    @task
    def double(value):
        return 2 * value

    @task(queue_name="mail", priority=7)
    async def later(value):
        return [value]

    @task(takes_context=True)
    def context_of(context, value):
        return [context.attempt, context.task_result.id, str(context.task_result.status), value]

    class Refused(Exception): ...

    @task
    def refuse(value):
        raise Refused(value)
"""
SETTINGS = """
    TASKS = {
        "default": {
            "BACKEND": "autocron.contrib.django.AutocronBackend",
            "QUEUES": ["default", "mail"],
            "OPTIONS": {"database": "shop.db"%s},
        }
    }
"""
if django.VERSION < (6, 0):  # else the package's system checks are not registered
    SETTINGS += "    INSTALLED_APPS.append('django_tasks')\n"
BOTH = SETTINGS
ALONE = SETTINGS + "    del AUTOCRON; INSTALLED_APPS.remove('autocron.contrib.django')"

WAIT = """
    import time
    def wait(result):
        for _ in range(600):
            result.refresh()
            if result.is_finished:
                return result
            time.sleep(0.05)
        raise TimeoutError(result)
"""


@pytest.fixture
def project(project):
    project.write({"shop/tasks.py": TASKS, "waiting.py": WAIT})
    return project


@pytest.mark.parametrize("settings", [BOTH, ALONE], ids=["with the app", "alone"])
def test_tasks_run_in_workers(project, settings):
    told = project.server(
        """
        import asyncio, datetime, sys, autocron
        from django.utils import timezone
        from shop.tasks import double, later, context_of, refuse, Refused
        from waiting import wait

        def tell(*values):  # in one piece, since others write to the same place
            sys.stdout.write(" ".join(map(str, ("=", *values))) + "\\n")

        first = double.enqueue(4)
        tell(first.status, first.attempts, first.args, first.task == double)
        tell(wait(first).status, first.return_value, first.attempts)
        tell(wait(asyncio.run(later.aenqueue(1))).return_value)
        context = wait(context_of.enqueue("x"))
        tell(context.return_value == [1, context.id, "RUNNING", "x"])
        refused = wait(refuse.enqueue("no"))
        tell(refused.status, refused.errors[0].exception_class is Refused)
        tell(refused.errors[0].traceback.splitlines()[-1])
        at = timezone.now() + datetime.timedelta(days=1)
        put_off = double.using(run_after=at, priority=-5).enqueue(1)
        again = double.get_result(put_off.id)
        tell(again == put_off, again.task.run_after == at, again.task.priority, again.status)
        tell(asyncio.run(double.aget_result(first.id)).return_value)
        stored = autocron.default_app.service.backend.get(put_off.id)
        tell(stored.name, stored.queue, stored.priority, stored.run_at == at)
        autocron.stop()
        """,
        settings % "",
    )
    # Django logs between them.
    assert [line[2:] for line in told.splitlines() if line.startswith("= ")] == [
        "READY 0 [4] True",
        "SUCCESSFUL 8 1",
        "[1]",
        "True",
        "FAILED True",
        "shop.tasks.Refused: no",
        "True True -5 READY",
        "8",
        "shop.tasks:double default -5 True",
    ], told


IN_SESSION = f"""
    import datetime
    import autocron
    from autocron import testing
    from {API} import default_task_backend, signals
    from django.db import transaction
    from django.test import TransactionTestCase, override_settings
    from shop.tasks import context_of, double, later, refuse

    class InSession(testing.SessionMixin, TransactionTestCase):
        autocron_now = "2026-03-28 12:00"

        def test_the_signals_are_sent(self):
            heard = []
            def hear(name):
                def receiver(sender, task_result, **more):
                    value = task_result._return_value
                    heard.append((name, sender.__name__, str(task_result.status), value))
                return receiver
            receivers = [hear(name) for name in ("enqueued", "started", "finished")]
            for name, receiver in zip(("enqueued", "started", "finished"), receivers):
                getattr(signals, "task_" + name).connect(receiver)
            double.enqueue(2)
            refuse.enqueue("no")
            self.autocron.run_pending(raise_errors=False)
            self.assertEqual(heard, [
                ("enqueued", "AutocronBackend", "READY", None),
                ("enqueued", "AutocronBackend", "READY", None),
                ("started", "AutocronBackend", "RUNNING", None),
                ("finished", "AutocronBackend", "SUCCESSFUL", 4),
                ("started", "AutocronBackend", "RUNNING", None),
                ("finished", "AutocronBackend", "FAILED", None),
            ])

        def test_it_does_not_wait_for_a_commit_as_django_documents(self):
            with transaction.atomic():
                double.enqueue(1)
                self.autocron.assert_enqueued("shop.tasks:double")

        def test_it_does_with_the_option(self):
            with override_settings(TASKS=OPTIONAL):
                with transaction.atomic():
                    result = double.enqueue(1)
                    self.assertEqual(str(result.status), "READY")
                    self.autocron.assert_not_enqueued()
                self.autocron.assert_enqueued("shop.tasks:double")
            self.assertEqual(double.get_result(result.id).id, result.id)

        def test_run_after_is_kept(self):
            at = datetime.datetime(2026, 3, 28, 12, tzinfo=datetime.timezone.utc)
            result = double.using(run_after=at).enqueue(1)
            self.autocron.travel(minutes=59)
            result.refresh()
            self.assertEqual(str(result.status), "READY")
            self.autocron.travel(minutes=1)
            result.refresh()
            self.assertEqual((result.return_value, result.started_at), (2, at))

        def test_arguments_are_refused_at_the_call(self):
            with self.assertRaises(TypeError):
                double.enqueue(object())
            with self.assertRaises(TypeError):
                double.enqueue(1, 2)
            self.autocron.assert_not_enqueued()

        def test_retries_are_an_option_of_the_backend(self):
            with override_settings(TASKS=RETRIED):
                result = refuse.enqueue("no")
            self.autocron.travel(minutes=1, raise_errors=False)
            result.refresh()
            self.assertEqual((result.attempts, len(result.errors)), (3, 3))

        def test_a_cancelled_task_has_failed(self):
            result = double.enqueue(1)
            autocron.get_result(result.id).cancel()
            result.refresh()
            self.assertEqual(str(result.status), "FAILED")
            self.assertIs(result.errors[0].exception_class, autocron.TaskCancelled)

    def options(**more):
        return {{"default": {{"BACKEND": "autocron.contrib.django.AutocronBackend",
                             "OPTIONS": {{"database": "shop.db", **more}}}}}}

    OPTIONAL, RETRIED = options(on_commit=True), options(retries=2, backoff=1)
"""


def test_tasks_in_the_tests_of_a_project(project):
    project.write({"shop/tests.py": IN_SESSION})
    told = project.run("test", settings="    import autocron.testing" + SETTINGS % "")
    assert "Ran 7 tests" in told, told


@pytest.mark.parametrize(
    ("more", "number", "says"),
    [
        ('}, "X": {', "", ""),
        (
            ', "workes": 2',
            "E010",
            "an unknown option 'workes'\n\tHINT: did you mean 'workers'?",
        ),
        (', "retries": -1', "E010", "retries: -1 is not a whole number"),
        (', "backoff": 5', "E010", "backoff= is about retries"),
        (', "on_commit": 5', "E010", "on_commit: 5 is not True, False"),
    ],
)
def test_its_options_are_checked(project, more, number, says):
    told = project.run("check", settings=BOTH % more, code=1 if number else 0)
    assert number in told
    assert says in told


def test_a_backend_without_a_database_says_so(project):
    settings = SETTINGS.replace('{"database": "shop.db"%s}', "{}") + "    del AUTOCRON"
    told = project.run("check", settings=settings, code=1)
    assert "(autocron.E011) TASKS['default']['OPTIONS'] names no database" in told
    told = project.server("from shop.tasks import double; double.enqueue(1)", settings, code=1)
    assert "InvalidTaskBackend" in told
    assert '"OPTIONS": {"database": "project.db"}' in told


def test_two_databases_are_refused(project):
    told = project.run("check", settings=(BOTH % "").replace("shop.db", "other.db"), code=1)
    assert "(autocron.E009) TASKS['default'] names the database 'other.db', and 'shop.db'" in told


def test_a_naive_run_after_and_a_task_of_the_script_are_refused(project):
    told = project.server(
        f"""
        import datetime
        from {API} import task
        from shop.tasks import double
        try:
            double.using(run_after=datetime.datetime(2026, 1, 1))
        except Exception as error:
            print(type(error).__name__, error)

        @task
        def here(): ...

        try:
            here.enqueue()
        except Exception as error:
            print(type(error).__name__, error)
        """,
        BOTH % "",
        AUTOCRON_START="0",
    )
    first, second = told.splitlines()
    assert "run_after must be an aware datetime." in first
    assert "here is defined in the script that runs (__main__)" in second


@pytest.mark.skipif(django.VERSION < (6, 0), reason="these are the tests of Django 6 and later")
def test_it_passes_the_tests_of_django(tmp_path):
    source = os.environ.get("DJANGO_SOURCE")
    if source is None:
        pytest.skip("DJANGO_SOURCE is not set to a folder with, or for, the source of Django")
    script = Path(__file__).with_name("own_suite.py")
    root = str(script.parents[3])
    done = subprocess.run(
        [sys.executable, str(script), source],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("\nOK\n") == 4, done.stdout
