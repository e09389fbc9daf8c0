"""A Django project in a folder of its own, and its ``manage.py`` in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("django")

ROOT = str(Path(__file__).resolve().parents[3])

PROJECT = {
    "manage.py": """
        import os, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
        from django.core.management import execute_from_command_line
        if __name__ == "__main__":
            execute_from_command_line(sys.argv)
    """,
    "site_settings.py": """
        import os
        from pathlib import Path

        HERE = Path(__file__).parent
        SECRET_KEY = "for tests, and long enough for those who look at its length"
        DEBUG = True
        ALLOWED_HOSTS = ["*"]
        ROOT_URLCONF = "urls"
        INSTALLED_APPS = [
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "autocron.contrib.django",
            "shop",
        ]
        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ]
        TEMPLATES = [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ]
        DATABASES = {
            alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(HERE / f"{alias}.db")}
            for alias in ("default", "other")
        }
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        STATIC_URL = "static/"
        TIME_ZONE = "Europe/Berlin"
        USE_TZ = True
        AUTOCRON = {"DATABASE": "shop.db"}
        exec(os.environ.get("MORE_SETTINGS", ""))
    """,
    "urls.py": """
        from django.contrib import admin
        from django.urls import path

        urlpatterns = [path("admin/", admin.site.urls)]
    """,
    "shop/__init__.py": "",
    "shop/tasks.py": """
        import autocron
        from django.contrib.auth.models import User
        from django.db import connection

        @autocron.delay
        def welcome(name):
            return f"Welcome, {name}, one of {User.objects.count()}"

        @autocron.delay
        def connected():
            return connection.connection is not None

        @autocron.delay
        async def connected_in_loop():
            was = connection.connection is not None
            await User.objects.acount()
            return was

        @autocron.delay
        def fail(text):
            raise ValueError(text)

        @autocron.cron("30 2 * * *")
        def nightly(): ...
    """,
}


class Project:
    """A project in a folder, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.write(PROJECT)

    @property
    def database(self) -> Path:
        return self.home / ".autocron" / "shop.db"

    def write(self, files):
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"))

    def environ(self, settings="", **more):
        environ = {**os.environ, "PYTHONPATH": ROOT, "HOME": str(self.home), **more}
        environ.pop("DJANGO_SETTINGS_MODULE", None)
        return {**environ, "MORE_SETTINGS": textwrap.dedent(settings)}

    def run(self, *words, settings="", code=0, script="manage.py", **more):
        """Run a script; return what it says, once its exit code is as expected."""
        done = subprocess.run(
            [sys.executable, script, *words],
            cwd=str(self.folder),
            env=self.environ(settings, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def server(self, script, settings="", **more):
        """Run a script as a server does it, with Django set up; return what it says."""
        head = """
            import os
            os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
            import django
            django.setup()
        """
        self.write({"serve.py": head})
        with (self.folder / "serve.py").open("a") as file:
            file.write(textwrap.dedent(script))
        return self.run(script="serve.py", settings=settings, **more)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)
