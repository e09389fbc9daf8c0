"""What ``start()`` comes to in a process, and what it says about that.

There are three modes. *Serve*: calls go to workers, which are started if none run. *Attach*: calls
are stored, and no workers are started for them. *In place*: a call runs at once in the process that
makes it, and nothing is stored. ``start()`` decides by what the process can be seen to be, and logs
the mode and the reason in one line. The first rule that fits holds:

1. A process that a task has started attaches: the workers of its task are there.
2. ``start(workers=0)`` attaches.
3. ``AUTOCRON_START=1`` serves, ``AUTOCRON_START=0`` attaches. Any other word is an error that
   changes nothing; an empty one is as if there were none.
4. A test run (pytest, with its helpers of pytest-xdist; unittest; ``manage.py test``) is in place:
   what a test does is not to be found, and run, in the database of the application.
5. ``manage.py`` and ``flask`` serve where the command is a server. The process that only watches
   for changes, and starts the server anew, attaches; so do all other commands.
6. What imports an application only to look at it attaches: ``alembic``, ``sphinx-build``, the tools
   of Pyramid, ``gunicorn --check-config``.
7. Anything else serves: whatever runs an application need not be known here.

A process that attaches has to agree with the workers that will run its calls, as far as that can be
seen when it starts: see ``DescribeAProcessThatAttaches``.

The lock flag of the database comes before all of this: where it is on, calls run in place.
"""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from autocron.core.errors import StartError
from autocron.shell.agreement import Attached, check_agreement
from autocron.shell.application import Application
from autocron.shell.mode import Mode, Process, decide
from spec.tables import table

DATABASE = "/home/site/project.db"


def process(line="", environ="", modules=()):
    pairs = (word.partition("=") for word in shlex.split(environ))
    return Process(shlex.split(line), {name: value for name, _, value in pairs}, set(modules))


def decision(*args, workers=None, **others):
    return decide(DATABASE, workers, process(*args, **others))


class DescribeServers:
    @table("""
    line
    app.py
    /usr/bin/gunicorn site.wsgi -w 4
    gunicorn --preload site.wsgi
    uvicorn app:app --workers 2 --reload
    waitress-serve app:app
    /x/lib/uvicorn/__main__.py app:app
    pserve development.ini
    hypercorn app:app
    -c
    ''
    manage.py runserver --noreload
    manage.py testserver fixture.json
    flask run
    flask --app shop run --port 80
    flask -A shop run
    /x/lib/flask/__main__.py --app shop run
    flask --app shop --debug run --no-reload
    flask run --debug --no-debug
    """)
    def it_serves(self, line):
        assert decision(line).mode is Mode.SERVE

    @table("""
    line                              | environ
    manage.py runserver               | RUN_MAIN=true
    manage.py runserver_plus          | WERKZEUG_RUN_MAIN=true
    /x/django/__main__.py runserver   | RUN_MAIN=true
    flask --app shop --debug run      | WERKZEUG_RUN_MAIN=true
    flask --app shop run --reload     | WERKZEUG_RUN_MAIN=true
    flask run                         | FLASK_DEBUG=0
    flask run                         | FLASK_DEBUG=false
    flask run --no-debug              | FLASK_DEBUG=1
    """)
    def it_serves_where_a_reloader_has_started_it(self, line, environ):
        assert decision(line, environ).mode is Mode.SERVE

    @table("""
    line                              | environ
    manage.py runserver               | ''
    manage.py runserver 8000          | RUN_MAIN=
    manage.py runserver_plus          | ''
    django-admin runserver            | DJANGO_SETTINGS_MODULE=site.settings
    flask --app shop --debug run      | ''
    flask --app shop run --debug      | ''
    flask --app shop run --reload     | ''
    flask run                         | FLASK_DEBUG=1
    flask run --reload                | FLASK_DEBUG=0
    """)
    def it_attaches_in_the_process_that_watches_for_changes(self, line, environ):
        found = decision(line, environ)
        assert found.mode is Mode.ATTACH
        assert "only watches for changes" in found.reason


class DescribeCommands:
    @table("""
    line                                      | named
    manage.py migrate                         | 'manage.py migrate'
    ./manage.py shell                         | 'manage.py shell'
    manage.py makemigrations shop             | 'manage.py makemigrations'
    manage.py collectstatic --noinput         | 'manage.py collectstatic'
    manage.py check                           | 'manage.py check'
    manage.py --settings x.runserver migrate  | 'manage.py migrate'
    manage.py --pythonpath /y migrate         | 'manage.py migrate'
    manage.py --settings=x.local migrate      | 'manage.py migrate'
    manage.py                                 | 'manage.py help'
    manage.py --help                          | 'manage.py help'
    /x/django/__main__.py migrate             | '__main__.py migrate'
    django-admin migrate                      | 'django-admin migrate'
    flask shell                               | 'flask shell'
    flask db upgrade                          | 'flask db'
    flask --app run routes                    | 'flask routes'
    flask -e .env shell                       | 'flask shell'
    flask --app                               | 'flask help'
    """)
    def it_attaches_where_the_command_is_no_server(self, line, named):
        assert decision(line) == (Mode.ATTACH, f"'{named}' is no server")

    @table("""
    line                          | named
    alembic upgrade head          | alembic
    /x/bin/sphinx-build -b html . | sphinx-build
    /x/sphinx/__main__.py . _out  | sphinx
    pshell development.ini        | pshell
    gunicorn --check-config a:b   | gunicorn
    """)
    def it_attaches_where_the_application_is_only_looked_at(self, line, named):
        assert decision(line) == (Mode.ATTACH, f"'{named}' only looks at the application")


class DescribeTestRuns:
    @table("""
    line
    /x/bin/pytest tests
    py.test
    /x/pytest/__main__.py -q
    /x/lib/unittest/__main__.py
    'python3 -m unittest'
    manage.py test
    manage.py test shop --keepdb
    """)
    def it_is_in_place(self, line):
        # What unittest puts into argv[0] has blanks in it.
        words = [line] if line.startswith("python3 -m") else shlex.split(line)
        assert decide(DATABASE, None, Process(words, {}, ())).mode is Mode.IN_PLACE

    def it_names_the_runner(self):
        assert decision("pytest -q").reason == "this is a test run (pytest)"
        assert decision("manage.py test").reason == "this is a test run ('manage.py test')"
        assert decision("'python3 -m unittest' -q").reason == "this is a test run (unittest)"

    def it_is_in_place_in_the_helpers_of_a_test_run(self):
        """Those of pytest-xdist have another command line; what pytest loads they have, too."""
        found = decision("-c", modules={"autocron_pytest"})
        assert found == (Mode.IN_PLACE, "this is a test run (pytest)")

    def it_serves_in_an_application_that_a_test_has_started(self):
        found = decision("app.py", "PYTEST_CURRENT_TEST=x PYTEST_VERSION=8.2")
        assert found.mode is Mode.SERVE


class DescribeTheVariable:
    @pytest.mark.parametrize("line", ["app.py", "manage.py migrate", "pytest", "flask run"])
    def it_has_its_way(self, line):
        assert decision(line, "AUTOCRON_START=1") == (Mode.SERVE, "AUTOCRON_START is 1")
        assert decision(line, "AUTOCRON_START=0") == (Mode.ATTACH, "AUTOCRON_START is 0")

    @pytest.mark.parametrize("word", ["", " "])
    def it_may_be_empty(self, word):
        assert decision("app.py", f"AUTOCRON_START='{word}'") == decision("app.py")

    @pytest.mark.parametrize("word", ["2", "on", "true", "no", "01", "-1"])
    def it_is_0_or_1(self, word):
        with pytest.raises(StartError) as caught:
            decision("app.py", f"AUTOCRON_START={word}")
        assert str(caught.value).startswith(f"AUTOCRON_START: '{word}' is not one of 0, 1")

    def it_is_looked_at_wherever_start_is_called(self):
        """So a slip is not found only where it would have mattered."""
        with pytest.raises(StartError):
            decision("app.py", "AUTOCRON_START=yes", workers=0)


class DescribeWhatComesBeforeTheVariable:
    def it_attaches_with_no_workers(self):
        expected = (Mode.ATTACH, "start() was called with workers=0")
        assert decision("app.py", workers=0) == expected
        assert decision("app.py", "AUTOCRON_START=1", workers=0) == expected

    def it_serves_with_workers_for_some_queues(self):
        assert decision("app.py", workers={"mail": 2}).mode is Mode.SERVE

    def it_attaches_in_a_process_that_a_task_has_started(self):
        """It has the environment of the application, and with it what that was told."""
        environ = f"AUTOCRON_WORKER={DATABASE} AUTOCRON_START=1"
        assert decision("app.py", environ) == (Mode.ATTACH, "this process was started by a task")

    def it_serves_in_one_that_a_task_of_another_application_has_started(self):
        assert decision("app.py", "AUTOCRON_WORKER=/elsewhere.db").mode is Mode.SERVE


class DescribeAProcessThatAttaches:
    """Workers that are run apart have been told serializer and zone for themselves."""

    @pytest.fixture
    def shop(self, tmp_path):
        (tmp_path / "shop").mkdir()
        for name in ("shop/__init__.py", "shop/tasks.py", "jobs.py"):
            (tmp_path / name).touch()
        return Application(
            str(tmp_path), str(tmp_path), (str(tmp_path),), "python", is_apart=True, tz="UTC"
        )

    @staticmethod
    def agree(served, serializer="json", tz="UTC", default="local", **files):
        names = {name.replace("_", "."): str(file) for name, file in files.items()}
        return check_agreement(DATABASE, Attached(serializer, tz, names), served, default)

    def it_agrees_if_both_say_the_same(self, shop):
        assert self.agree(shop) == []

    def it_is_refused_if_workers_could_not_load_what_it_stores(self, shop):
        with pytest.raises(StartError, match=r"start them with .*--serializer pickle"):
            self.agree(shop, serializer="pickle")

    def it_is_warned_if_it_could_not_load_what_workers_store(self, shop):
        (warning,) = self.agree(replace(shop, serializer="pickle"))
        assert "serializer='json' here, and the workers have 'pickle'" in warning

    @table("""
    here          | workers       | is_warned
    Europe/Berlin | UTC           | yes
    Europe/Berlin |               | yes
    Europe/Berlin | Europe/Berlin | no
    local         |               | no
    UTC           | UTC           | no
    """)
    def it_is_warned_of_another_zone(self, shop, here, workers, is_warned):
        warnings = self.agree(replace(shop, tz=workers or None), tz=here)
        assert [f"--tz {here}" in text for text in warnings] == [True] * (is_warned == "yes")

    def it_is_told_nothing_of_that_by_workers_that_the_application_starts(self, shop):
        """What they take is said in one place; new code may say it anew, before it serves."""
        own = replace(shop, is_apart=False)
        assert self.agree(own, serializer="pickle", tz="Europe/Berlin") == []

    @pytest.mark.parametrize("is_apart", [True, False])
    def it_is_refused_if_workers_would_run_another_module_of_the_name(self, shop, is_apart):
        served = replace(shop, is_apart=is_apart)
        for name, file in (("jobs", "/blog/jobs.py"), ("shop_tasks", "/blog/shop/tasks.py")):
            with pytest.raises(StartError, match=f"another application, in '{shop.root}'"):
                self.agree(served, **{name: file})

    def it_is_not_refused_for_what_workers_may_learn_to_find(self, shop):
        """A module that they find nowhere may be installed otherwise; an unknown task waits."""
        root = shop.root
        assert self.agree(shop, jobs=f"{root}/jobs.py", shop_tasks=f"{root}/shop/tasks.py") == []
        assert self.agree(shop, blog_tasks="/blog/blog/tasks.py", shop_x="/blog/shop/x.py") == []
