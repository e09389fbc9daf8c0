"""A server that takes up new code, by a signal or by watching files, has its workers run that."""

from __future__ import annotations

import signal
import time
from typing import Tuple

import pytest

from tests.frameworks.conftest import Sites
from tests.frameworks.site import Plan, Site
from tests.processes.world import eventually

# Longer than any reloader takes between two looks, and for what follows.
_LOOKS_SECONDS = 10.0

_FLASK, _DJANGO, _OF_UTILS = (
    ("application.py", "application.py"),
    ("djangoapp/view.py", "djangoapp/view.py"),
    ("utils.py", "application.py"),
)
_CASES = [
    (
        Plan(
            "gunicorn-hup",
            "examples/flask",
            "gunicorn --workers 2 --bind 127.0.0.1:{port} application:app",
            "the_flask_app.db",
            needs=("gunicorn", "flask"),
        ),
        _FLASK,
    ),
    (
        Plan(
            "gunicorn-reload",
            "examples/django",
            "gunicorn --reload --bind 127.0.0.1:{port} project.wsgi",
            "the_django_app.db",
            needs=("gunicorn", "django"),
        ),
        _DJANGO,
    ),
    (
        Plan(
            "uvicorn-reload",
            "examples/starlette",
            "uvicorn application:app --reload --port {port}",
            "the_starlette_app.db",
            needs=("starlette", "uvicorn"),
        ),
        _OF_UTILS,
    ),
    (
        Plan(
            "flask-reload",
            "examples/flask",
            "flask --app application run --reload --port {port}",
            "the_flask_app.db",
            needs=("flask",),
        ),
        _FLASK,
    ),
    (
        Plan(
            "flask-debug",
            "examples/flask",
            "flask --app application run --debug --port {port}",
            "the_flask_app.db",
            needs=("flask",),
        ),
        _FLASK,
    ),
    (
        Plan(
            "runserver",
            "examples/django",
            "python manage.py runserver 127.0.0.1:{port}",
            "the_django_app.db",
            needs=("django",),
        ),
        _DJANGO,
    ),
    (
        Plan(
            "uwsgi-hup",
            "examples/flask",
            "uwsgi --master --processes 2 --die-on-term --http-socket 127.0.0.1:{port} "
            "--module application:app",
            "the_flask_app.db",
            needs=("uwsgi", "flask"),
        ),
        _FLASK,
    ),
    (
        Plan(
            "bottle-reload",
            "examples/bottle",
            "python application.py",
            "the_bottle_app.db",
            path="/hello",
            port="8080",
            needs=("bottle",),
        ),
        _OF_UTILS,
    ),
    (
        # It replaces its process by another one of the same number.
        Plan(
            "tornado-reload",
            "examples/tornado",
            "python application.py",
            "the_tornado_app.db",
            port="8888",
            needs=("tornado",),
        ),
        _OF_UTILS,
    ),
]
# What has these two reload is no option of a command.
_RELOADING = {
    "bottle-reload": ("run(host", "run(reloader=True, host"),
    "tornado-reload": ("web.Application(", "web.Application(debug=True, handlers="),
}


@pytest.mark.parametrize(("plan", "files"), _CASES, ids=lambda value: getattr(value, "name", ""))
def test_after_a_reload_workers_run_the_new_code(
    plan: Plan, files: Tuple[str, str], sites: Sites
) -> None:
    with sites.make(plan, is_quick=True) as site:
        if plan.name in _RELOADING:
            site.edit("application.py", *_RELOADING[plan.name])
        site.start()
        assert "is waiting" in site.get_when_ready()
        site.await_succeeded("do_this_later", 1)
        servers = {*site.servers()}
        _change(site, *files)
        if plan.name.endswith("-hup"):
            site.signal(signal.SIGHUP)
        if plan.name == "bottle-reload":
            # It interrupts its main thread, and a request that is answered just then swallows that.
            eventually(lambda: servers - {*site.servers()}, "another process serves", pause=0.1)

        _await_new_page(site, files)
        # That page was the last one, and its task the first of the new code.
        *_, task = tasks = site.await_succeeded("do_this_later", len(site.tasks("do_this_later")))
        assert task.finished_at is not None
        seconds = (task.finished_at - task.enqueued_at).total_seconds()
        # Two are promised. How long that takes beside all the other tests is not tested.
        print(f"{plan.name}: the new code ran {seconds:.2f} seconds after the first new page")
        assert site.times_said("do this at once") >= 1
        assert {task.attempt for task in tasks} == {1}
        eventually(lambda: len(site.background()) == 2, "one supervisor, one worker")
        assert site.times_said("do this later") + site.times_said("do this at once") == len(tasks)

        site.signal(signal.SIGINT, group=True)
        site.await_end()


def _change(site: Site, tasks: str, page: str) -> None:
    """Change a task and the page that calls it; whoever has the new page has the new task."""
    site.edit(tasks, "do this later", "do this at once")
    site.edit(page, "is waiting", "is now waiting")


def _await_new_page(site: Site, files: Tuple[str, str]) -> None:
    """Wait until the server has taken the change up.

    A reloader that looks at files now and then does not see what was changed before its first look;
    nobody is told when that is, so the change is made anew from time to time.
    """
    again_at = [time.monotonic() + _LOOKS_SECONDS]

    def is_there() -> bool:
        if "now waiting" in site.get_when_ready():
            return True
        if time.monotonic() > again_at[0]:
            for file in files:
                site.touch(file)
            again_at[0] = time.monotonic() + _LOOKS_SECONDS
        return False

    eventually(is_there, "the new page", pause=0.1)


# -- a reloader and its child --------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [plan for plan, _ in _CASES if plan.name in ("runserver", "flask-debug")],
    ids=lambda plan: plan.name,
)
def test_a_server_outlives_its_reloader_and_the_workers_live_as_long(
    plan: Plan, sites: Sites
) -> None:
    with sites.serve(plan, is_quick=True) as site:
        site.get_when_ready()
        assert site.process is not None
        (child,) = (pid for pid in site.servers() if pid != site.process.pid)
        site.signal(signal.SIGKILL)
        site.await_server_end()
        site.get()
        site.await_succeeded("do_this_later", 2)
        sites.kill(child)
        site.await_end()


@pytest.mark.parametrize(
    "plan",
    [plan for plan, _ in _CASES if plan.name in ("runserver", "flask-debug")],
    ids=lambda plan: plan.name,
)
def test_the_parent_of_a_reloader_keeps_no_worker_alive(plan: Plan, sites: Sites) -> None:
    """It imports the application, too: Flask's, and Django's to check it."""
    with sites.serve(plan, is_quick=True) as site:
        site.get_when_ready()
        assert site.process is not None
        (child,) = (pid for pid in site.servers() if pid != site.process.pid)
        # Whether the parent ends with its child is its own affair; so it is held in between.
        site.signal(signal.SIGSTOP)
        sites.kill(child)
        eventually(lambda: not site.background(), "no worker is left", pause=0.1)
        site.signal(signal.SIGKILL)
        site.await_end()
