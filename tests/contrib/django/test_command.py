"""``manage.py autocron``: the admin tool for the database of the project."""

from __future__ import annotations

import json
import signal
import subprocess
import sys


def test_it_shows_the_database_of_the_settings(project):
    assert "there is no database" in project.run("autocron", code=1)
    project.run("migrate")
    told = project.run("autocron")
    assert str(project.database) in told
    assert "shop.tasks:nightly" in told
    info = json.loads(project.run("autocron", "--info", "--json"))["info"]
    assert info["settings"]["autocron_lock"] is False


def test_it_sets_and_operates(project):
    project.run("autocron", "--set-autocron-lock", "on")
    assert "autocron-lock         on" in project.run("autocron", "--info")
    assert "no task" in project.run("autocron", "--retry", "unknown-id", code=1)


def test_it_hands_on_commands_and_help(project):
    assert "every day" in project.run("autocron", "explain", "0 2 * * *")
    told = project.run("autocron", "check")
    assert "shop.tasks: 5 task functions, 1 schedule, nothing wrong" in told
    assert "2 runs, 0 skipped" in project.run("autocron", "simulate", "--days", "2")
    assert "--set-max-workers" in project.run("autocron", "--help")
    assert "there is no option --bogus" in project.run("autocron", "--bogus", code=2)
    assert "manage.py autocron --info" in project.run("help", "autocron")


def test_it_says_what_the_settings_lack(project):
    told = project.run("autocron", "--info", settings="del AUTOCRON", code=1)
    assert 'the settings name no database; expected AUTOCRON = {"DATABASE":' in told


def test_it_may_be_called_from_code(project):
    project.run("migrate")
    told = project.server(
        """
        from django.core.management import call_command, CommandError
        call_command("autocron", "--info")
        try:
            call_command("autocron", "--show", "unknown-id")
        except CommandError as error:
            print(error)
        """,
        AUTOCRON_START="0",
    )
    assert "shop.tasks:nightly" in told
    assert "autocron ended with the code 1" in told


def test_it_runs_the_workers_of_an_application_that_only_enqueues(project):
    settings = "AUTOCRON['WORKERS'] = 0"
    project.run("migrate", settings=settings)
    with subprocess.Popen(
        [sys.executable, "manage.py", "autocron", "--run", "--workers", "1"],
        cwd=str(project.folder),
        env=project.environ(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            said = next(line for line in running.stderr if "ready" in line or "rror" in line)
            assert "ready" in said
            code = "from shop.tasks import welcome; print(welcome('ada').get(30))"
            assert project.server(code, settings) == "Welcome, ada, one of 0\n"
        finally:
            running.send_signal(signal.SIGTERM)
            running.stderr.read()
    assert running.returncode == 0
