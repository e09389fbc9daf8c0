"""Where an application may be started, how often, and what ``start()`` refuses."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.world import TASKS, World, eventually, processes_naming

# Shows what start() says, which goes to the log.
_LOGGED = "import logging; logging.basicConfig(level='INFO')"


# -- the second time --------------------------------------------------------


def test_a_second_start_with_the_same_database_changes_nothing(world: World) -> None:
    application = world.application()
    worker = application.ask("tasks.pid().get(60)")
    background = world.background()
    assert application.ask(f"autocron.start({world.named!r})") is True
    assert application.ask(f"autocron.start({world.named!r}, workers=3)") is True
    assert application.ask("tasks.pid().get(60)") == worker
    assert world.background() == background


def test_a_second_start_with_another_database_is_refused_and_changes_nothing(world: World) -> None:
    application = world.application()
    other = str(world.folder / "other.db")
    application.do(f"""
try: autocron.start({other!r})
except autocron.StartError as error: refusal = str(error)
""")
    refusal = application.ask("refusal")
    assert world.named in refusal
    assert other in refusal
    assert not os.path.exists(other)
    assert application.ask("tasks.add(1, 1).get(60)") == 2


def test_another_application_on_the_same_database_is_refused_naming_the_first(
    world: World, tmp_path: Path
) -> None:
    first = world.application()
    first.ask("tasks.add(1, 1).get(60)")
    for name in ("shared.py", "obey.py", "tasks.py"):
        world.write(f"elsewhere/{name}", (world.folder / name).read_text())
    app = world.write(
        "elsewhere/app.py",
        f"""
import autocron, obey, tasks
try: autocron.start({world.named!r})
except autocron.StartError as error: refusal = str(error)
obey.obey(globals())
""",
    )
    second = world.application(str(app), cwd=world.folder / "elsewhere")
    refusal = second.ask("refusal")
    assert repr(str(world.folder)) in refusal
    assert str(world.folder / "elsewhere") in refusal
    # The first one is served on, by the code that it had.
    assert first.ask("tasks.__file__") == str(world.folder / "tasks.py")
    assert first.ask("tasks.add(2, 2).get(60)") == 4
    # When the first one has ended, the database is free.
    first.end()
    world.await_end()
    assert second.ask(f"autocron.start({world.named!r})") is True
    assert second.ask("tasks.add(3, 3).get(60)") == 6


def test_one_application_may_be_started_from_another_directory(world: World) -> None:
    first = world.application()
    worker = first.ask("tasks.pid().get(60)")
    second = world.application(cwd=world.folder.parent)
    assert second.ask("tasks.add(1, 1).get(60)") == 2
    assert first.ask("tasks.add(1, 1).get(60)") == 2
    assert worker not in (first.pid, second.pid)


def test_start_in_a_worker_does_nothing(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def start_here(database):
    return autocron.start(database), add(1, 1).id

import sys
if "autocron.shell.worker" in sys.modules:
    autocron.start("some-other.db")
""",
    )
    application = world.application()
    found, task_id = application.ask(f"tasks.start_here({world.named!r}).get(60)")
    assert found is True
    assert world.await_task(task_id, "succeeded").result == "2"
    assert not (world.folder / ".autocron").exists()
    assert len(world.background()) == 2


def test_a_program_that_a_task_runs_stores_its_calls_and_starts_nothing(world: World) -> None:
    world.write(
        "child.py",
        f"import autocron, tasks\n"
        f"print(autocron.start({world.named!r}), tasks.touch('by-a-child').id)\n",
    )
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def run_program():
    import subprocess, sys
    return subprocess.check_output([sys.executable, "child.py"]).decode().split()
""",
    )
    application = world.application()
    served, task_id = application.ask("tasks.run_program().get(60)")
    assert served == "False"
    world.await_task(task_id, "succeeded")
    assert len(world.background()) == 2


# -- modes ------------------------------------------------------------------


def test_a_locked_database_makes_calls_run_in_place(world: World) -> None:
    world.store.open()
    world.store.put_settings({"autocron_lock": "on"})
    world.write_app(before=_LOGGED)
    application = world.application()
    assert application.ask("served") is False
    assert application.ask("tasks.pid().result") == application.pid
    assert world.background() == []
    assert "locked" in world.said()


def test_with_no_workers_calls_are_stored_and_run_by_another_process(world: World) -> None:
    world.write_app("workers=0", before=_LOGGED, name="attached.py")
    attached = world.application(str(world.folder / "attached.py"))
    assert attached.ask("served") is False
    attached.do("result = tasks.pid()")
    assert attached.ask("result.status") == "waiting"
    assert world.background() == []
    assert "attached" in world.said()
    assert "workers=0" in world.said()
    served = world.application()
    worker = attached.ask("result.get(60)")
    assert worker not in (attached.pid, served.pid)
    # An attached process holds no share: it is no reason for workers to live.
    served.end()
    world.await_end()
    assert attached.process.poll() is None


def test_calls_before_the_start_run_in_place_and_later_ones_in_workers(world: World) -> None:
    world.write_app(before="early = tasks.pid()")
    application = world.application()
    assert application.ask("early.result") == application.pid
    assert application.ask("tasks.pid().get(60)") != application.pid


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'/no/such/folder/x.db'", "/no/such/folder"),
        ("':memory:'", "memory"),
        ("''", "file name"),
        ("'x.db', workers=-1", "workers"),
        ("'x.db', serializer='yaml'", "serializer"),
        ("'x.db', durability='never'", "durability"),
    ],
)
def test_a_start_that_is_refused_starts_and_leaves_nothing(
    tmp_path: Path, arguments: str, message: str
) -> None:
    world = World(tmp_path)
    world.write(
        "app.py",
        f"""
import autocron, obey, tasks
try: autocron.start({arguments})
except autocron.AutocronError as error: refusal = str(error)
obey.obey(globals())
""",
    )
    try:
        application = world.application()
        assert message in application.ask("refusal")
        assert application.ask("tasks.pid().result") == application.pid
        assert processes_naming(str(tmp_path)).keys() == {application.pid}
        assert not (tmp_path / ".autocron").exists()
    finally:
        world.close()


# -- where the tasks live ---------------------------------------------------


_MAIN = """
import os
import autocron

@autocron.delay
def double(number):
    return 2 * number, __name__, os.getpid()

if __name__ == "__main__":
    import obey
    served = autocron.start({database!r})
    obey.obey(globals())
"""


def test_tasks_of_a_script_run_under_its_name(world: World) -> None:
    world.write("script.py", _MAIN.format(database=world.named))
    application = world.application("script.py")
    value, name, worker = application.ask("double(21).get(60)")
    assert (value, name) == (42, "script")
    assert worker in world.workers


@pytest.mark.parametrize("name", ["my-script.py", "my-script.2.py", "serve"])
def test_tasks_of_a_script_whose_name_is_no_module_name_run_too(world: World, name: str) -> None:
    world.write(name, _MAIN.format(database=world.named))
    application = world.application(name)
    assert application.ask("double(21).get(60)")[0] == 42


def test_tasks_of_a_package_that_is_run_with_m_run_under_its_module_name(world: World) -> None:
    world.write("pkg/__init__.py", "")
    world.write("pkg/helpers.py", "FACTOR = 3\n")
    world.write(
        "pkg/__main__.py",
        _MAIN.format(database=world.named)
        .replace("import autocron\n", "import autocron\nfrom . import helpers\n", 1)
        .replace("2 * number", "helpers.FACTOR * number"),
    )
    application = world.application("-m", "pkg")
    value, name, worker = application.ask("double(14).get(60)")
    assert (value, name) == (42, "pkg.__main__")
    assert worker in world.workers
    world.write("pkg/web.py", (world.folder / "pkg" / "__main__.py").read_text())
    other = world.application("-m", "pkg.web")
    assert other.ask("double(14).get(60)")[:2] == [42, "pkg.web"]


def test_tasks_of_a_script_have_one_name_in_the_processes_that_it_spawns(world: World) -> None:
    """As ``uvicorn.run("script:app", workers=2)`` does, and multiprocessing on macOS."""
    world.write(
        "script.py",
        f"""
import multiprocessing, os
import autocron
from shared import mark

@autocron.delay
def double(number):
    return 2 * number, __name__

served = autocron.start({world.named!r})

def serve():
    mark("spawned", served, *double(21).get(60))

if __name__ == "__main__":
    import obey
    context = multiprocessing.get_context("spawn")
    obey.obey(globals())
""",
    )
    application = world.application("script.py")
    assert application.ask("double(1).get(60)") == [2, "script"]
    worker = world.workers
    application.do("child = context.Process(target=serve); child.start(); child.join()")
    assert application.ask("child.exitcode") == 0
    assert [mark.words for mark in world.marks("spawned")] == [("spawned", "True", "42", "script")]
    assert world.workers == worker


def test_a_script_that_starts_unguarded_is_imported_without_harm(world: World) -> None:
    """In the worker its ``start()`` does nothing; what follows it, if it returns, is repeated."""
    world.write(
        "script.py",
        f"""
import autocron, os
from shared import mark

@autocron.delay
def where():
    return os.getpid()

served = autocron.start({world.named!r})
mark("top-level", __name__)
if __name__ == "__main__":
    import obey
    obey.obey(globals())
""",
    )
    application = world.application("script.py")
    worker = application.ask("where().get(60)")
    assert [mark.pid for mark in world.marks("top-level", "__main__")] == [application.pid]
    assert [mark.pid for mark in world.marks("top-level", "script")] == [worker]
    assert len(world.background()) == 2


def test_a_script_that_would_serve_in_its_workers_is_told_to_guard_that(world: World) -> None:
    world.write(
        "script.py",
        f"""
import autocron, obey

class Server:
    def run(self):
        obey.obey(globals())

@autocron.delay
def work(): return 1

autocron.start({world.named!r})
Server().run()
""",
    )
    world.allows_tracebacks = True
    world.application("script.py")
    eventually(lambda: "script.py, line 12" in world.said(), "a warning that names the line")
    assert "if __name__ == '__main__':" in world.said()


def test_a_module_whose_name_is_not_its_own_is_warned_of(world: World) -> None:
    """As servers make them that load an application by the path of its file."""
    path = world.write(
        "application.wsgi",
        f"""
import autocron
@autocron.delay
def work(): return 1
autocron.start({world.named!r})
""",
    )
    world.write(
        "server.py",
        f"""
import sys, types
module = sys.modules["_wsgi_file"] = types.ModuleType("_wsgi_file")
module.__file__ = {str(path)!r}
exec(open(module.__file__).read(), vars(module))
import obey
obey.obey(globals())
""",
    )
    world.application("server.py")
    expected = f"tasks live in '_wsgi_file' ({path}), and no module of that name can be imported"
    assert expected in world.said()


def test_modules_with_names_of_their_own_are_not_warned_of(world: World) -> None:
    world.write("shop/__init__.py", "")
    world.write("shop/jobs.py", TASKS)
    world.write_app(before="import shop.jobs")
    world.application().ask("shop.jobs.add(1, 1).get(60)")
    assert "no module of that name" not in world.said()


def test_a_call_at_the_top_level_of_a_module_is_not_repeated_by_its_workers(world: World) -> None:
    world.allows_tracebacks = True
    world.write(
        "script.py",
        f"""
import autocron, obey
from shared import mark

@autocron.delay
def work(): mark("work")

autocron.start({world.named!r})
work()
if __name__ == "__main__":
    obey.obey(globals())
""",
    )
    application = world.application("script.py")
    eventually(lambda: "top level" in world.said(), "an explanation")
    assert "'__main__'" in world.said()
    assert len(world.marks("work")) <= 1
    application.end()


def test_a_module_whose_tasks_are_decorated_after_the_start_is_found(world: World) -> None:
    world.write(
        "late.py",
        """
import autocron, os

@autocron.delay
def late():
    return os.getpid()
""",
    )
    application = world.application()
    worker = application.ask("tasks.pid().get(60)")
    application.do("import late")
    assert application.ask("late.late().get(60)") == worker


def test_a_function_that_no_worker_could_find_is_refused_by_name(world: World) -> None:
    application = world.application()
    application.do("""
def outer():
    def inner(): pass
    return inner
try: autocron.delay(outer())
except autocron.InvalidTask as error: refusal = str(error)
""")
    assert "outer.<locals>.inner" in application.ask("refusal")


def test_tasks_find_the_import_path_and_directory_of_the_application(world: World) -> None:
    world.write("libraries/lib.py", "VALUE = 'from the library'\n")
    world.write("data.txt", "from the directory")
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def look():
    import lib
    return lib.VALUE, open("data.txt").read()
""",
    )
    world.write_app(before="sys.path.insert(0, 'libraries')")
    application = world.application()
    assert application.ask("tasks.look().get(60)") == ["from the library", "from the directory"]


def test_a_module_of_the_users_that_is_named_like_one_of_autocrons_is_the_users(
    world: World,
) -> None:
    for name in ("registry", "result", "engine", "worker", "clock", "boot", "shell"):
        world.write(f"{name}.py", f"NAME = 'my {name}'\n")
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def look():
    import boot, clock, engine, registry, result, shell, worker
    return [m.NAME for m in (boot, clock, engine, registry, result, shell, worker)]
""",
    )
    application = world.application()
    assert application.ask("tasks.look().get(60)")[0] == "my boot"


# -- where the database lives -----------------------------------------------


def test_a_relative_name_lies_in_the_home_folder_readable_by_its_owner_only(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, database=str(tmp_path / ".autocron" / "sites" / "project.db"))
    world.write_app()
    app = world.folder / "app.py"
    app.write_text(
        app.read_text()
        .replace(repr(world.database), "'sites/project.db'")
        .replace("import autocron", "import os; os.umask(0)\nimport autocron", 1)
    )
    try:
        application = world.application()
        assert application.ask("tasks.add(1, 1).get(60)") == 2
        for folder in (".autocron", ".autocron/sites", ".autocron/sites/project.db.run"):
            assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700, folder
        for file in (tmp_path / ".autocron" / "sites").iterdir():
            if file.is_file():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        for file in Path(world.run.path).iterdir():
            if file.is_file():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    finally:
        world.close()


def test_a_home_in_which_nothing_can_be_made_is_refused_naming_the_way_out(tmp_path: Path) -> None:
    (tmp_path / ".autocron").write_text("in the way")
    code = (
        "import autocron\n"
        "try: autocron.start('project.db')\n"
        "except autocron.StartError as error: print(error)\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
        timeout=60,
    )
    said = asked.stdout.decode()
    assert f"the folder of '{tmp_path}/.autocron/project.db' can not be made" in said
    assert "give an absolute path in a folder that exists" in said


def test_a_path_object_and_a_link_name_the_same_database(world: World) -> None:
    (world.folder / "link").symlink_to(world.folder)
    application = world.application()
    application.do("import pathlib")
    linked = str(world.folder / "link" / "project.db")
    assert application.ask(f"autocron.start(pathlib.Path({linked!r}))") is True


def test_a_database_of_another_application_is_refused_and_left_untouched(tmp_path: Path) -> None:
    import sqlite3

    world = World(tmp_path)
    connection = sqlite3.connect(world.database)
    connection.execute("CREATE TABLE theirs (value TEXT)")
    connection.commit()
    connection.close()
    before = Path(world.database).read_bytes()
    result = subprocess.run(
        [sys.executable, str(tmp_path / "app.py")],
        env={**world.environment, "TEST_ANSWERS": "1"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    assert result.returncode == 1
    assert b"ForeignDatabase" in result.stderr
    assert Path(world.database).read_bytes() == before
    assert processes_naming(str(tmp_path)) == {}


def test_a_refused_start_changes_nothing_in_the_process(world: World, tmp_path: Path) -> None:
    world.application()
    other = tmp_path / "other"
    other.mkdir()
    (other / "second.py").write_text(
        "import autocron\n"
        f"try: autocron.start({world.named!r}, tz='UTC', serializer='pickle')\n"
        "except autocron.StartError: print('refused', end=' ')\n"
        "app = autocron.default_app\n"
        "print(app.default_zone, app.serializer, app.is_active)\n"
    )
    asked = subprocess.run(
        [sys.executable, str(other / "second.py")],
        stdout=subprocess.PIPE,
        env=world.environment,
        check=True,
        timeout=60,
    )
    assert asked.stdout.decode().split() == ["refused", "None", "json", "False"]
