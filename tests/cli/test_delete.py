"""--delete-database: asks, refuses while anybody uses it, and leaves nothing behind."""

from __future__ import annotations

import os

from autocron.cli import main
from autocron.shell.ownership import RunFolder
from autocron.shell.wakeup import bind
from tests.processes.world import eventually


def test_takes_all_that_belongs_to_the_database(shop, capsys):
    shop.call("add", 1, 2)
    shop.store.close()
    folder = RunFolder(str(shop.path))
    folder.make()
    bind(folder.wake).close()
    assert main(["shop.db", "--delete-database", "--yes"]) == 0
    assert capsys.readouterr().out == f"Deleted {shop.path} with 1 waiting and 0 ended tasks.\n"
    assert list(shop.path.parent.iterdir()) == []


def test_takes_what_a_killed_process_left_in_the_log(shop, command):
    # The log is still there, since the connection is open; a copy of all is as after a crash.
    shop.call("add", 1, 2)
    copy = shop.path.with_name("copy.db")
    for end in ("", "-wal"):
        copy.with_name(f"copy.db{end}").write_bytes(
            shop.path.with_name(f"shop.db{end}").read_bytes()
        )
    done = command("copy.db", "--delete-database", "--yes")
    assert (done.returncode, "with 1 waiting" in done.stdout) == (0, True)
    assert [path.name for path in shop.path.parent.iterdir() if "copy" in path.name] == []


def test_asks_and_takes_yes_for_an_answer(shop, command):
    shop.store.close()
    done = command("shop.db", "--delete-database", input="Yes\n")
    assert done.stdout.startswith(f"Delete {shop.path} with 0 waiting and 0 ended tasks? [y/N]")
    assert (done.returncode, shop.path.exists()) == (0, False)


def test_any_other_answer_is_no(shop, command):
    shop.store.close()
    for answer in ("n\n", "\n", "sure\n", None):
        done = command("shop.db", "--delete-database", input=answer)
        assert done.returncode == 1
        assert done.stderr == "autocron: nothing is deleted (for scripts: --yes)\n"
        assert shop.path.exists()


def test_refuses_while_the_application_runs(serve, command):
    served = serve()

    def refused():
        done = command("shop.db", "--delete-database", "--yes")
        assert done.returncode == 1
        assert done.stderr.startswith(f"autocron: {served.database} is in use (supervisor ")
        return done.stderr.count("worker ") == 2

    # The second one comes when the first is ready.
    eventually(refused, "both workers are named")
    assert served.database.exists()
    served.stop()
    assert command("shop.db", "--delete-database", "--yes").returncode == 0
    assert os.listdir(served.database.parent) == []


def test_refuses_while_a_process_only_has_it_open(shop, command):
    shop.call("add", 1, 2)
    done = command("shop.db", "--delete-database", "--yes")
    assert done.returncode == 1
    assert f"{shop.path} is open in another process" in done.stderr
    assert shop.store.stats(shop.clock.now()).oldest_due_at is not None
    # The refusal changes nothing: it is still written, and read, as before.
    shop.call("add", 3, 4)
    shop.run_all()
    shop.store.close()
    assert command("shop.db", "--delete-database", "--yes").returncode == 0
