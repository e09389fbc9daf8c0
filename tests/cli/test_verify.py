"""--verify: a sound database is called sound, in whatever use; each kind of damage is named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing

import pytest

from autocron.cli import main
from autocron.shell import findings
from autocron.shell import verify as verify_module
from autocron.shell.clock import SystemClock
from autocron.shell.schema import MIGRATIONS, PAGE_BYTES, VERSION
from tests.shell.sqlite_tools import in_child


def verify(path, capsys):
    """The lines that are printed, and the exit code."""
    code = main([str(path), "--verify"])
    said = capsys.readouterr()
    assert said.err == ""
    return said.out.splitlines(), code


@pytest.fixture
def found(shop, capsys):
    """The one finding after some damage done by SQL."""

    def found(*statements):
        shop.store.close()
        with closing(sqlite3.connect(shop.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
        *lines, verdict = verify("shop.db", capsys)[0]
        assert f"NOT SOUND, {len(lines)} finding" in verdict
        assert len(lines) == 1, lines
        return lines[0]

    return found


@pytest.fixture
def in_use(shop):
    """A database with something of everything."""
    shop.plan()
    shop.call("add", 1, 2, unique="u")
    shop.call("fail", "no")
    shop.run_all()
    shop.call("add", 3, 4, lock="k", rate_key="r")
    # Several wait with one key where one of them was handed back.
    for _ in range(2):
        shop.call("add", 5, 6)
    shop.store.write("share a key", "UPDATE tasks SET unique_key = 'u' WHERE state = 'waiting'")
    shop.store.put_settings({"max_workers": "3", "result_ttl": "60"})
    return shop


# -- sound ------------------------------------------------------------------------------------


def test_a_sound_database_is_called_sound(in_use, capsys):
    lines, code = verify("shop.db", capsys)
    assert code == 0
    (line,) = lines
    assert line.startswith(f"{in_use.path}: sound (")
    assert line.endswith(f"MB, schema {VERSION}, rows: schedules 1, settings 3, tasks 5)")


def test_a_database_in_use_is_sound(serve, command):
    served = serve()
    done = command("shop.db", "--verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert ": sound (" in done.stdout
    # It kept nobody from working.
    served.stop()
    assert command("shop.db", "--verify").returncode == 0


def test_nothing_is_changed_by_it_not_even_what_a_killed_process_has_left(home, capsys):
    path = home / "left.db"
    code = (
        "import os, signal, sys; from autocron.shell.sqlite import SQLiteStore\n"
        "store = SQLiteStore(sys.argv[1]); store.put_settings({'max_workers': '3'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    files = {name: path.with_name(name).read_bytes() for name in ("left.db", "left.db-wal")}
    lines, code = verify(path, capsys)
    assert code == 0
    assert "settings 1" in lines[0]
    assert {name: path.with_name(name).read_bytes() for name in files} == files


def test_a_copy_that_was_made_with_backup_is_sound(in_use, tmp_path, capsys):
    copy = tmp_path / "copy.db"
    assert main(["shop.db", "--backup", str(copy)]) == 0
    capsys.readouterr()
    assert verify(copy, capsys)[1] == 0
    assert not list(tmp_path.glob("copy.db-*"))


def test_a_database_of_an_older_autocron_is_checked_by_its_own_schema(tmp_path, capsys):
    path = tmp_path / "old.db"
    path.touch(0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.execute("PRAGMA application_id = 0x6163726E")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO settings VALUES ('max_workers', '0')")
    lines, code = verify(path, capsys)
    assert code == 1
    assert lines[0].startswith("setting max_workers: ")
    assert "schema 1, rows: settings 1)" in lines[1]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


# -- the file ---------------------------------------------------------------------------------


def test_damaged_pages_are_told(shop, capsys):
    for number in range(300):
        shop.call("add", number, number)
    shop.store.close()
    with open(shop.path, "r+b") as file:
        file.seek(PAGE_BYTES * 5)
        file.write(b"\xff" * PAGE_BYTES * 4)
    lines, code = verify("shop.db", capsys)
    assert code == 1
    pieces = ("the file is damaged: ", "can not be read to its end: ")
    assert all(any(piece in line for piece in pieces) for line in lines[:-1])
    assert all("; restore a copy of the database, or save" in line for line in lines[:-1])
    assert f"schema {VERSION}, rows: " in lines[-1]


def test_a_file_that_lost_its_end_is_told(shop, capsys):
    for number in range(300):
        shop.call("add", number, number)
    shop.store.close()
    os.truncate(shop.path, os.path.getsize(shop.path) - 3 * PAGE_BYTES)
    lines, code = verify("shop.db", capsys)
    assert code == 1
    assert str(shop.path) in lines[0]


@pytest.mark.parametrize("size", [100, 4096])
def test_what_is_damaged_beyond_opening_is_told_too(shop, capsys, size):
    shop.store.close()
    if size < 4096:
        os.truncate(shop.path, size)
    with open(shop.path, "r+b") as file:
        file.write(os.urandom(size))
    lines, code = verify("shop.db", capsys)
    assert code == 1
    assert "no SQLite database, or damaged at its beginning; name another file, or" in lines[0]
    assert "NOT SOUND, 1 finding (" in lines[1]


def test_a_schema_that_can_not_be_read_is_told(found):
    line = found(
        "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = 'odd' WHERE name = 'starts'"
    )
    assert "malformed database schema" in line


# -- files and their user ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "complaint"),
    [(0o666, "other users may write it (mode 0666)"), (0o644, "everybody may read it (mode 0644)")],
)
def test_files_that_others_may_use_are_told(shop, found, mode, complaint):
    os.chmod(shop.path, mode)
    line = found()
    assert line.startswith(f"{shop.path}: {complaint}")
    assert "'chmod " in line


def test_a_run_folder_that_others_may_write_is_told(shop, found):
    run = shop.path.with_name("shop.db.run")
    run.mkdir()
    run.chmod(0o770)
    assert found().startswith(f"{run}: other users may write it (mode 0770)")
    run.chmod(0o700)
    (run / "served.json").touch()
    (run / "served.json").chmod(0o606)
    assert found().startswith(f"{run / 'served.json'}: other users may write it")


def test_a_link_in_the_place_of_a_file_is_told(shop, found, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shop.path.with_name("shop.db.run").symlink_to(tmp_path / "elsewhere")
    assert "it is not a folder" in found()


@pytest.mark.skipif(os.getuid() != 0, reason="NOT TESTED that files of others are told: needs root")
def test_files_with_different_owners_are_told(shop, capsys, found):
    run = shop.path.with_name("shop.db.run")
    run.mkdir(mode=0o700)
    os.chown(run, 65534, 65534)
    assert f"{run}: it is owned by user 65534, and the database by user 0" in found()
    # Root may verify what another user's service has.
    os.chown(shop.path, 65534, 65534)
    assert verify("shop.db", capsys)[1] == 0


# -- the schema -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("DROP TABLE starts", None),
        ("DROP INDEX tasks_to_run", "index tasks_to_run: it is missing"),
        ("CREATE INDEX own ON tasks (name)", "index own: autocron did not make it"),
        ("CREATE TABLE own (x)", "table own: autocron did not make it"),
        ("CREATE VIEW own AS SELECT 1", "view own: autocron did not make it, and it can"),
        (
            "CREATE TRIGGER own AFTER INSERT ON tasks BEGIN DELETE FROM tasks; END",
            "trigger own: autocron did not make it, and it can change",
        ),
        ("ALTER TABLE tasks ADD COLUMN own", "table tasks: it was changed"),
    ],
)
def test_tables_that_autocron_did_not_make_are_told(shop, capsys, statement, complaint):
    shop.store.close()
    with closing(sqlite3.connect(shop.path)) as connection:
        connection.execute(statement)
    lines, code = verify("shop.db", capsys)
    assert code == 1
    if complaint is None:
        assert [line.partition(":")[0] for line in lines[:-1]] == [
            "index starts_of_key",
            "index starts_until",
            "table starts",
        ]
    else:
        assert lines[0].startswith(complaint)
        assert len(lines) == 2


def test_what_analyze_has_left_is_no_finding(shop, capsys):
    shop.call("add", 1, 2)
    shop.store.write("count", "ANALYZE")
    assert verify("shop.db", capsys)[1] == 0


# -- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("name = x'ff'", "name is bytes instead of a text"),
        ("payload = CAST(x'ff' AS TEXT)", "payload is no UTF-8 instead of a text"),
        ("run_at = 'soon'", "run_at is a text instead of a number"),
        ("attempt = 1.5", "attempt is a fraction instead of a number"),
        ("state = 'sleeping'", "it holds what autocron did not write"),
        ("run_at = 9000000000000000000", "it holds what autocron did not write"),
        ("policy = '{'", "it holds what autocron did not write"),
        ("history = '[[1]]'", "it holds what autocron did not write"),
        ("worker = 'w'", "it is waiting, and held by the worker w"),
        ("state = 'running'", "it is running, and no worker runs it"),
        ("finished_at = 1", "it is waiting, and has ended"),
        ("state = 'cancelled'", "it is cancelled, and has never ended"),
        ("lane = '100 mail'", "it waits in the lane '100 mail' instead of '100 default'"),
        ("priority = 1", "it waits in the lane '100 default' instead of '099 default'"),
        ("after_id = 'gone'", "it waits for gone, which neither waits nor runs"),
    ],
)
def test_a_row_that_is_wrong_is_told(shop, found, change, complaint):
    shop.call("add", 1, 2)
    other = shop.call("add", 1, 2)
    line = found(f"UPDATE tasks SET {change} WHERE id = '{other.id}'")
    assert line.startswith(f"task {other.id}: {complaint}")
    assert "; " in line


def test_each_column_is_looked_at(shop, found):
    shop.call("add", 1, 2)
    line = found("UPDATE tasks SET id = x'00', schedule = 1.5, deaths = 'x'")
    assert line.startswith("row 1 of tasks: id is bytes instead of a text, ")
    assert "schedule is a text" not in line  # SQLite has made a text of it
    assert "deaths is a text instead of a number" in line


def test_what_was_damaged_and_set_aside_is_no_finding(shop, capsys):
    task = shop.call("add", 1, 2)
    shop.store.write(
        "set aside",
        "UPDATE tasks SET state = 'failed', failure_type = 'DamagedRow', failure_message = 'odd', "
        "failure_traceback = '' WHERE id = ?",
        (task.id,),
    )
    assert verify("shop.db", capsys)[1] == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("grace_seconds = 'x'", "grace_seconds is a text instead of a fraction"),
        ("watermark_at = 9000000000000000000", "it holds what autocron did not write"),
        ("watermark_at = watermark_at + 86400000000 * 60", "it has been dealt with until 20"),
    ],
)
def test_a_schedule_that_is_wrong_is_told(shop, found, change, complaint):
    key = shop.plan().key
    assert found(f"UPDATE schedules SET {change}").startswith(f"schedule {key}: {complaint}")


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("max_workers", "many", "max_workers: "),
        ("result_ttl", "-1", "result_ttl: '-1' is not a number of seconds"),
        ("autocron_lock", "maybe", "'maybe' is neither on nor off"),
        ("schedules_version", "x", "'x' is no whole number"),
    ],
)
def test_a_setting_that_is_none_is_told(found, name, value, complaint):
    line = found(f"INSERT INTO settings VALUES ('{name}', '{value}')")
    assert line.startswith(f"setting {name}: {complaint}")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO starts VALUES ('r', 'x', 1)",
        "INSERT INTO busy_rates VALUES ('r', 1.5)",
        "INSERT INTO paused_queues VALUES (x'ff')",
    ],
)
def test_the_smaller_tables_are_read_too(found, statement):
    assert " instead of a " in found(statement)


def test_what_must_not_run_at_once_is_told(shop, found):
    for _ in range(2):
        shop.call("add", 1, 2, lock="k", limit=2)
    # Two may run with one key that allows two, also if another one allows less.
    runs = "UPDATE tasks SET state = 'running', started_at = 1, worker = 'w' || seq"
    shop.store.write("run them", runs)
    shop.store.write("allow one", "UPDATE tasks SET lock_limit = 1 WHERE seq = 1")
    assert found("UPDATE tasks SET worker = 'w'").startswith("worker w: it runs 2 tasks at once")
    line = found(runs, "UPDATE tasks SET lock_limit = 1")
    assert line.startswith("limit k: 2 tasks run at once, and at most 1 may")


def test_a_task_that_waits_for_a_group_in_hand_is_sound(shop, capsys):
    member, held = (shop.call("add", 1, 2) for _ in range(2))
    shop.store.write("join", "UPDATE tasks SET group_id = 'g' WHERE id = ?", (member.id,))
    shop.store.write("hold", "UPDATE tasks SET after_id = 'g' WHERE id = ?", (held.id,))
    assert verify("shop.db", capsys)[1] == 0


# -- what is printed --------------------------------------------------------------------------


def test_what_is_stored_does_not_control_the_terminal(shop, found):
    shop.call("add", 1, 2)
    line = found("UPDATE tasks SET id = 'a' || char(27) || '[2J' || char(10) || 'b', worker = 'w'")
    assert line.startswith("task a\\x1b[2J\\nb: it is waiting")


def test_prints_json(shop, capsys):
    task = shop.call("add", 1, 2)
    shop.store.write("damage", "UPDATE tasks SET worker = 'w'")
    assert main(["shop.db", "--verify", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["verify"]
    assert (told["is_sound"], told["count"], told["schema"]) == (False, 1, VERSION)
    assert told["rows"]["tasks"] == 1
    assert told["bytes"] == os.path.getsize(shop.path)
    (finding,) = told["findings"]
    assert finding["where"] == f"task {task.id}"
    assert set(finding) == {"where", "what", "remedy"}


def test_findings_without_end_are_counted(shop, capsys, monkeypatch):
    monkeypatch.setattr(findings, "MAX_FINDINGS", 3)
    for _ in range(5):
        shop.call("add", 1, 2)
    shop.store.write("damage", "UPDATE tasks SET worker = 'w'")
    lines, code = verify("shop.db", capsys)
    assert code == 1
    assert lines[3] == "... and 2 more"
    assert "NOT SOUND, 5 findings (" in lines[4]


# -- bad input --------------------------------------------------------------------------------


def test_a_newer_or_foreign_database_is_refused(shop, tmp_path, capsys):
    shop.store.close()
    with closing(sqlite3.connect(shop.path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert main(["shop.db", "--verify"]) == 1
    assert "was made by a newer autocron" in capsys.readouterr().err
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as connection:
        connection.execute("CREATE TABLE own (x)")
    assert main([str(tmp_path / "theirs.db"), "--verify"]) == 1
    assert "is a database of another application" in capsys.readouterr().err
    with closing(sqlite3.connect(tmp_path / "none.db")) as connection:
        connection.execute("VACUUM")
    assert main([str(tmp_path / "none.db"), "--verify"]) == 1
    assert "no tables yet" in capsys.readouterr().err


def test_what_is_no_file_is_refused(home, tmp_path, capsys):
    assert main(["none.db", "--verify"]) == 1
    assert "there is no database" in capsys.readouterr().err
    assert main([str(tmp_path), "--verify"]) == 1
    assert "is a folder" in capsys.readouterr().err
    (tmp_path / "empty.db").touch()
    assert main([str(tmp_path / "empty.db"), "--verify"]) == 1
    assert "is an empty file" in capsys.readouterr().err


def test_a_locked_database_says_nothing_of_its_soundness(shop, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(verify_module, "_TIMEOUT_SECONDS", 0.05)
    copy = tmp_path / "copy.db"
    assert main(["shop.db", "--backup", str(copy)]) == 0
    capsys.readouterr()
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert main([str(copy), "--verify"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "can not verify the database" in told.err
    assert "it was locked by another process" in told.err


def test_a_copy_on_a_disk_that_can_not_be_written_is_read(in_use):
    in_use.store.close()
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "copy.db")
    shutil.copy(in_use.path, path)
    os.chmod(path, 0o400)
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
    os.chmod(folder, 0o555)

    def verified():
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        return verify_module.verify(path, SystemClock().now()).findings

    told = in_child(verified)
    os.chmod(folder, 0o755)
    shutil.rmtree(folder)
    assert told == "()"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--verify", "--info"], "--verify and --info: one at a time"),
        (["--verify", "--backup", "x.db"], "--backup and --verify: one at a time"),
        (["--verify", "--run"], "--run and --verify: one at a time"),
        (["--verify", "--retry", "all"], "--verify and --retry: one at a time"),
        (["--verify", "--delete-database"], "--verify and --delete-database"),
        (["--verify", "--set-result-ttl", "5"], "--verify and --set-result-ttl"),
        (["--verify", "--limit", "5"], "--verify and --limit"),
    ],
)
def test_bad_use(shop, capsys, words, complaint):
    assert main(["shop.db", *words]) == 2
    assert complaint in capsys.readouterr().err
