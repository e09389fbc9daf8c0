"""The setting AUTOCRON, what the app does with it, and what ``manage.py check`` says."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("setting", "number", "says"),
    [
        ("['shop.db']", "E001", "AUTOCRON is ['shop.db'], and has to be a dictionary"),
        (
            "{'DATABASE': 'shop.db', 'WORKER': 2}",
            "E002",
            "AUTOCRON has an unknown key 'WORKER'\n\tHINT: did you mean 'WORKERS'?",
        ),
        ("{'DATABASE': 'shop.db', 'workers': 2}", "E002", "did you mean 'WORKERS'?"),
        ("{'DATABASE': 'shop.db', 'WORKERS': -1}", "E003", "AUTOCRON['WORKERS']: -1 is"),
        ("{'DATABASE': 'shop.db', 'TZ': 'Moon'}", "E003", "AUTOCRON['TZ']: "),
        ("{'DATABASE': 'shop.db', 'START': 1}", "E003", "1 is neither True nor False"),
        ("{'DATABASE': 'shop.db', 'STOP_GRACE': 'x'}", "E003", "AUTOCRON['STOP_GRACE']: "),
        (
            "{'DATABASE': 'shop.db', 'SERIALIZER': 'yaml'}",
            "E003",
            "AUTOCRON['SERIALIZER']: 'yaml' is not one of json, pickle",
        ),
        (
            "{'DATABASE': 'shop.db', 'ON_COMMIT': 'third'}",
            "E003",
            "'third' is neither True, False, nor the alias of a database (default, other)",
        ),
        ("{}", "E004", "AUTOCRON names no DATABASE"),
        ("{'DATABASE': '/nowhere/at/all.db'}", "E005", "the folder '/nowhere/at' of"),
        ("{'DATABASE': 5}", "E005", "5 is no file name"),
    ],
)
def test_what_is_wrong_is_said_by_a_check_and_nothing_is_started(project, setting, number, says):
    told = project.run("check", settings=f"AUTOCRON = {setting}", code=1)
    assert f"(autocron.{number})" in told
    assert says in told
    assert "Traceback" not in told
    assert not project.database.exists()


def test_what_is_wrong_stops_a_server_at_once(project):
    told = project.run("runserver", "--noreload", "0", settings="AUTOCRON = {}", code=1)
    assert "autocron.E004" in told
    told = project.server("", settings="AUTOCRON = {'DATABASE': 'shop.db', 'X': 1}", code=1)
    assert "ImproperlyConfigured: AUTOCRON has an unknown key 'X' (there are: DATABASE," in told


def test_a_right_project_has_nothing_to_complain_of(project):
    assert "no issues" in project.run("check", "--fail-level", "WARNING")
    told = project.run("makemigrations", "--check", "--dry-run")
    assert "No changes detected" in told


def test_without_the_setting_nothing_is_started(project):
    project.run("check", settings="del AUTOCRON")
    told = project.server("from shop.tasks import welcome; print(welcome('a'))", "del AUTOCRON")
    assert "<TaskResult inplace-" in told
    assert not project.database.exists()


def test_a_slip_in_a_schedule_is_warned_of(project):
    project.write(
        {"shop/tasks.py": "import autocron\n@autocron.cron('* 2 * * *')\ndef nightly(): ...\n"}
    )
    told = project.run("check")
    assert "(autocron.W001) the schedule of shop.tasks:nightly: " in told
    assert "0 2 * * *" in told


def test_a_schedule_that_never_fires_is_an_error(project):
    project.write(
        {"shop/tasks.py": "import autocron\n@autocron.cron('0 0 31 2 *')\ndef never(): ...\n"}
    )
    told = project.run("check", code=1)
    assert "(autocron.E006) shop.tasks can not be used: InvalidSchedule: " in told
    assert "Traceback" not in told
    told = project.server("", code=1)
    assert "InvalidSchedule: " in told


def test_a_task_called_at_import_is_an_error(project):
    project.write(
        {"shop/tasks.py": "import autocron\n@autocron.delay\ndef task(): ...\n\ntask()\n"}
    )
    told = project.run("check", code=1)
    assert "(autocron.E006) shop.tasks can not be used: StartError: a delayed function is" in told
    assert "StartError: a delayed function is called at the top level" in project.server("", code=1)


def test_a_task_that_no_worker_can_find_is_an_error(project):
    project.write(
        {
            "shop/tasks.py": """
                import autocron, types, sys
                def outer():
                    @autocron.delay
                    def inner(): ...
                outer()
                made = types.ModuleType("made_up")
                sys.modules["made_up"] = made
                exec("import autocron\\n@autocron.delay\\ndef task(): ...", vars(made))
            """
        }
    )
    told = project.run("check", settings="AUTOCRON['START'] = False", code=1)
    assert told.count("(autocron.E007)") == 2
    assert "outer.<locals>.inner in module shop.tasks is defined inside a function" in told
    assert "made_up:task is in a module that a worker can not import by that name" in told


@pytest.mark.parametrize("command", ["check", "migrate", "showmigrations"])
def test_a_command_starts_no_workers(project, command):
    told = project.run(command)
    assert "serving" not in told
    assert not (project.home / ".autocron" / "shop.db.run" / "supervisor.lock").exists()


def test_start_before_django_is_configured_is_no_error(project):
    told = project.server(
        "",
        settings="""
            import autocron
            autocron.start("early.db", workers=0)
            del AUTOCRON
        """,
    )
    assert told == ""


def test_a_server_serves_with_what_the_setting_says(project):
    told = project.server(
        """
        import autocron
        from shop.tasks import welcome, connected, connected_in_loop
        from django.core.management import call_command
        call_command("migrate", verbosity=0)
        print(welcome("ada").get(30))
        print([connected().get(30) for _ in range(2)])
        print([connected_in_loop().get(30) for _ in range(2)])
        print(sorted((one.name, one.tz) for one in autocron.schedules()))
        call_command("autocron", "--info", "--json")
        autocron.stop()
        """,
        settings="AUTOCRON['WORKERS'] = 2; AUTOCRON['MAX_MEMORY_MB'] = 500",
    )
    assert "Welcome, ada, one of 0" in told
    assert "[False, False]\n[False, False]" in told
    assert "Europe/Berlin" in told
    assert '"workers": 2' in told
