"""A Django project with tasks, tested by its own ``manage.py test``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("django")

ROOT = str(Path(__file__).resolve().parents[2])

PROJECT = {
    "manage.py": """
        import os, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
    """,
    "site_settings.py": """
        import sys

        if "test" in sys.argv:
            import autocron.testing

        SECRET_KEY = "for tests"
        ROOT_URLCONF = "shop.urls"
        INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "shop"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
        TIME_ZONE = "Europe/Berlin"
        USE_TZ = True
    """,
    "shop/__init__.py": "",
    "shop/apps.py": """
        import autocron
        from django.apps import AppConfig

        class Shop(AppConfig):
            name = "shop"

            def ready(self):
                autocron.start("shop.db")
    """,
    "shop/tasks.py": """
        import autocron
        from django.contrib.auth.models import User
        from django.core.mail import send_mail
        from django.utils import timezone

        @autocron.delay(retries=2)
        def welcome(user_id):
            user = User.objects.get(pk=user_id)
            send_mail("Welcome", "Hello " + user.username, None, [user.email])
            return user.username

        @autocron.cron("30 2 * * *")
        def forget_inactive():
            User.objects.filter(is_active=False).delete()
    """,
    "shop/urls.py": """
        from django.contrib.auth.models import User
        from django.db import transaction
        from django.http import HttpResponse
        from django.urls import path
        from shop.tasks import welcome

        def sign_up(request):
            with transaction.atomic():
                name = request.POST["name"]
                user = User.objects.create(username=name, email=name + "@example.org")
                transaction.on_commit(lambda: welcome(user.pk))
            return HttpResponse(status=201)

        urlpatterns = [path("sign-up/", sign_up)]
    """,
    "shop/tests.py": """
        import autocron
        from autocron import testing
        from django.contrib.auth.models import User
        from django.core import mail
        from django.test import TestCase, TransactionTestCase
        from shop.tasks import forget_inactive, welcome

        class SignUpTest(testing.SessionMixin, TestCase):
            autocron_now = "2026-03-28 12:00"

            @classmethod
            def setUpTestData(cls):
                User.objects.create(username="old", email="o@example.org", is_active=False)

            def test_who_signs_up_is_welcomed(self):
                with self.captureOnCommitCallbacks(execute=True):
                    self.client.post("/sign-up/", {"name": "ada"})
                self.assertEqual(mail.outbox, [])
                self.assertEqual(self.autocron.run_pending().succeeded, 1)
                self.assertEqual([one.to for one in mail.outbox], [["ada@example.org"]])

            def test_the_task_is_inside_the_transaction_of_the_test(self):
                result = welcome(User.objects.create(username="bob", email="b@example.org").pk)
                testing.run_pending()
                self.assertEqual(result.result, "bob")

            def test_nothing_is_left_of_other_tests(self):
                self.autocron.assert_not_enqueued()
                self.assertEqual(User.objects.count(), 1)

            def test_the_zone_is_that_of_django(self):
                self.assertEqual(str(autocron.now()), "2026-03-28 11:00:00+00:00")
                self.autocron.travel(days=1)
                (run,) = self.autocron.runs(forget_inactive)
                self.assertEqual(str(run.scheduled_for), "2026-03-29 03:00:00+02:00")
                self.assertEqual(User.objects.count(), 0)

            def test_a_call_that_is_not_committed_is_none(self):
                with self.captureOnCommitCallbacks():
                    self.client.post("/sign-up/", {"name": "eve"})
                self.autocron.assert_not_enqueued(welcome)

            def test_a_mail_server_that_is_back_later(self):
                self.autocron.fail_next(welcome, ConnectionError("no route"))
                result = welcome(User.objects.get().pk)
                self.autocron.travel(minutes=1)
                self.assertEqual((result.result, len(mail.outbox)), ("old", 1))

        class CommittedTest(testing.SessionMixin, TransactionTestCase):
            def test_who_signs_up_is_welcomed_when_it_is_committed(self):
                self.client.post("/sign-up/", {"name": "ada"})
                self.autocron.run_pending()
                self.assertEqual(len(mail.outbox), 1)
    """,
    "shop/trouble.py": """
        from autocron import testing
        from django.test import TestCase
        from shop.tasks import welcome

        class TroubleTest(testing.SessionMixin, TestCase):
            def test_a_task_that_raises(self):
                welcome(4711)
                self.autocron.run_pending()

            def test_a_plan_in_vain(self):
                self.autocron.crash_next(welcome)

            def test_a_wrong_expectation(self):
                welcome(1)
                self.autocron.assert_enqueued(welcome, args=(2,))
    """,
}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
        path.write_text("\n".join(line[indent:] for line in lines) + "\n")


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def manage(tmp_path, home):
    """Writes the project and calls its ``manage.py``; returns the exit code and what it says."""
    write(tmp_path, PROJECT)
    environ = {**os.environ, "PYTHONPATH": ROOT, "HOME": str(home)}

    def manage(*arguments):
        found = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
            cwd=str(tmp_path),
            timeout=120,
            check=False,
        )
        return found.returncode, found.stdout

    return manage


def test_its_tests_pass_and_leave_nothing_behind(manage, home):
    code, told = manage("test")
    assert code == 0, told
    assert "Ran 7 tests" in told
    assert list(home.iterdir()) == []


def test_an_application_that_starts_before_its_tests_begin_opens_no_database(
    tmp_path, home, manage
):
    settings = tmp_path / "site_settings.py"
    settings.write_text(settings.read_text().replace("import autocron.testing", "pass"))
    code, told = manage("test")
    assert code == 0, told
    assert "Ran 7 tests" in told
    assert list(home.iterdir()) == []


def test_its_tests_pass_in_parallel(manage):
    code, told = manage("test", "--parallel", "2")
    assert code == 0, told
    assert "Ran 7 tests" in told


def test_what_fails_is_told_as_django_tells_it(manage):
    code, told = manage("test", "shop.trouble")
    assert code == 1
    assert "FAILED (failures=2, errors=1)" in told, told
    assert "User matching query does not exist" in told, told
    assert re.search(r"UnusedPlan: crash_next\(shop\.tasks:welcome\): planned, but", told)
    assert re.search(r"QueueAssertionError: expected one waiting, found 0:\n *shop\.tasks:", told)
