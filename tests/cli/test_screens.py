"""Narrow terminals and hostile texts; and the details of what is shown and operated on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
from datetime import timedelta

import pytest

from autocron.cli import main
from autocron.cli.formatting import cut, fitting, width_of
from autocron.core import pickled
from autocron.core.events import Cancelled
from autocron.core.machine import apply
from autocron.core.task import Message, TaskState

EVERY_LOOK = ("--info", "--tasks", "--results", "--failed", "--stats", "--watch")
_ESCAPE = re.compile(r"\033\[[0-9;?]*[A-Za-z]")


def run(capsys, *words):
    code = main(["shop.db", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def document(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


class Seen:
    """A command on a real terminal, and what it has written there."""

    def __init__(self, command, *words, columns=80, lines=30):
        self._ours, theirs = pty.openpty()
        self._resize(theirs, columns, lines)
        self.before = termios.tcgetattr(theirs)
        environment = {**command.environment(TERM="xterm"), "NO_COLOR": ""}
        environment.pop("COLUMNS", None)
        environment.pop("LINES", None)
        self.process = subprocess.Popen(
            command.words(*words),
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # As a shell does. Nothing else can be stopped by a terminal.
            preexec_fn=os.setpgrp,
        )
        self._theirs = theirs
        self.text = ""

    def _resize(self, descriptor, columns, lines):
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self._resize(self._theirs, columns, lines)
        # The kernel tells the foreground of a controlling terminal; this one controls nobody.
        self.process.send_signal(signal.SIGWINCH)

    def read_until(self, *pieces):
        """Wait until these were written after what was there before."""
        start = len(self.text)
        while not all(piece in self.text[start:] for piece in pieces):
            assert select.select([self._ours], [], [], 60)[0], self.text
            self.text += os.read(self._ours, 65536).decode()
        return self.text[start:]

    def type(self, keys):
        os.write(self._ours, keys)

    def is_as_before(self):
        return termios.tcgetattr(self._theirs) == self.before

    def end(self):
        code = None
        while code is None or select.select([self._ours], [], [], 0)[0]:
            if select.select([self._ours], [], [], 0.01)[0]:
                self.text += os.read(self._ours, 65536).decode()
            code = self.process.poll()
        self.after = termios.tcgetattr(self._theirs)
        os.close(self._theirs)
        os.close(self._ours)
        return code


def hostile(shop):
    """Put texts into the database that would do things to a terminal."""
    evil = "\x1b[31m\x1b]0;owned\x07漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字\u202e\r\n"
    shop.call("fail", evil)
    shop.run_all()
    shop.call("add", 1, 2, priority=5)
    store = shop.store
    store.write("name", "UPDATE tasks SET name = ? WHERE state = 'waiting'", (f"m:{evil}",))
    shop.engine.put_schedule(_dynamic(shop, evil))
    return evil


def _dynamic(shop, key):
    from dataclasses import replace

    return replace(shop.plan(), key=key, is_dynamic=True)


class TestTerminal:
    @pytest.mark.parametrize("columns", [40, 80])
    @pytest.mark.parametrize("look", [look for look in EVERY_LOOK if look != "--watch"])
    def test_lists_fit_and_stored_text_controls_nothing(self, shop, command, look, columns):
        hostile(shop)
        seen = Seen(command, "shop.db", look, columns=columns)
        assert seen.end() == 0
        plain = re.sub(r"\033\[[0-9]*m", "", seen.text)
        lines = plain.replace("\r\n", "\n").split("\n")
        assert max(map(width_of, lines)) <= columns
        assert all(char.isprintable() for line in lines for char in line), lines

    def test_json_is_whole_on_a_narrow_terminal(self, shop, command):
        hostile(shop)
        seen = Seen(command, "shop.db", "-r", "--json", columns=40)
        assert seen.end() == 0
        assert json.loads(seen.text)["results"]["ended_count"] == 1

    def test_errors_control_nothing_either(self, shop, command):
        evil = hostile(shop)
        (task,) = shop.store.find(state=TaskState.WAITING)
        done = command("shop.db", "--retry", task.id)
        assert done.returncode == 1
        assert "\x1b" not in done.stderr
        assert done.stderr.count("\n") == 1
        done = command("shop.db", "--enable", evil.replace("\x07", ""))
        assert "\x1b" not in done.stderr


class TestColumns:
    def test_the_widest_give_way_and_all_fit(self):
        assert fitting([4, 30, 10], 40) == [4, 22, 10]
        assert fitting([4, 30, 30], 40) == [4, 16, 16]
        assert fitting([4, 8], 40) == [4, 8]
        for room in range(20, 90):
            widths = fitting([3, 16, 19, 40, 25], room)
            assert sum(widths) + 8 <= max(room, sum(min(w, 6) for w in [3, 16, 19, 40, 25]) + 8)

    def test_chinese_letters_take_two_columns_and_accents_none(self):
        assert width_of("漢字") == 4
        assert width_of("e\u0301") == 1
        assert cut("漢字漢字", 7) == "漢字..."
        assert cut("漢字漢字", 8) == "漢字漢字"


class TestWatch:
    def test_follows_the_size_and_gives_the_terminal_back_on_sigterm(self, shop, command):
        hostile(shop)
        # It looks again only after an hour, so that what comes, comes by the signal.
        seen = Seen(command, "shop.db", "--watch", "1h", columns=80)
        picture = seen.read_until("\033[?1049h", "ValueError", "\033[J")
        assert _width(picture) <= 80
        seen.resize(40, 12)
        picture = seen.read_until("\033[H", "\033[J")
        assert _width(picture) <= 40
        assert picture.count("\r\n") <= 11
        seen.process.send_signal(signal.SIGTERM)
        assert seen.end() == 128 + signal.SIGTERM
        assert seen.text.endswith("\033[?25h\033[?1049l")
        assert seen.after == seen.before

    @pytest.mark.parametrize("how", ["q", "ctrl-c"])
    def test_ends_well_by_a_key_and_by_ctrl_c(self, shop, command, how):
        seen = Seen(command, "shop.db", "--watch", "1h")
        seen.read_until("\033[J")
        if how == "q":
            seen.type(b"q")
        else:
            seen.process.send_signal(signal.SIGINT)
        assert seen.end() == 0
        assert seen.text.endswith("\033[?25h\033[?1049l")
        assert seen.after == seen.before

    def test_gives_the_terminal_back_while_it_is_stopped(self, shop, command):
        seen = Seen(command, "shop.db", "--watch", "1h")
        seen.read_until("\033[J")
        seen.process.send_signal(signal.SIGTSTP)
        seen.read_until("\033[?1049l")
        _, status = os.waitpid(seen.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert seen.is_as_before()
        seen.process.send_signal(signal.SIGCONT)
        seen.read_until("\033[?1049h", "nothing waits", "\033[J")
        seen.type(b"q")
        assert seen.end() == 0
        assert seen.after == seen.before

    def test_shows_progress_as_a_bar(self, shop, command):
        shop.call("add", 1, 2)
        shop.engine.tick()
        shop.engine.hand.tell_progress('[3, 10, "rows"]')
        done = command("shop.db", "--tasks")
        assert "[###.......] 30 % (3 of 10) rows" in done.stdout

    def test_whoever_has_seen_enough_is_no_trouble(self, shop, command):
        with subprocess.Popen(
            command.words("shop.db", "--watch", "0.1"),
            env=command.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stdout.readline()
            process.stdout.close()
            assert (process.wait(60), process.stderr.read()) == (0, b"")


def _width(picture):
    return max(width_of(line) for line in _ESCAPE.sub("", picture).split("\r\n"))


class TestDetails:
    def test_pickled_arguments_are_not_loaded(self, shop, capsys, tmp_path):
        proof = tmp_path / "proof"
        task = shop.call("add", 1, 2)
        payload = pickled.dump_call((Trap(str(proof)),), {})
        shop.store.write("pickle", "UPDATE tasks SET payload = ? WHERE id = ?", (payload, task.id))
        assert "arguments  (pickled)" in run(capsys, "--show", task.id)[1]
        assert set(document(capsys, "--show", task.id)["task"]["arguments"]) == {"$pickle"}
        assert not proof.exists()

    def test_damaged_texts_are_shown_as_they_are(self, shop, capsys):
        task = shop.call("add", 1, 2)
        sql = "UPDATE tasks SET payload = '{bad', progress = '[bad', given = '[]' WHERE id = ?"
        shop.store.write("damage", sql, (task.id,))
        assert "arguments  {bad" in run(capsys, "--show", task.id)[1]
        assert document(capsys, "--show", task.id)["task"]["arguments"] == "{bad"
        assert document(capsys, "--tasks")["tasks"]["waiting"][0]["progress"] is None

    def test_statistics_are_exact(self, shop, capsys):
        now = shop.clock.now()
        for number in range(20):
            task = shop.call("add", number, 0)
            began = now - timedelta(seconds=30 if number < 15 else 1800)
            sql = (
                "UPDATE tasks SET state = 'succeeded', run_at = ?, started_at = ?, finished_at = ? "
                "WHERE id = ?"
            )
            at = round(began.timestamp() * 1e6)
            waited, ran = number * 1_000_000, (number + 1) * 1000
            shop.store.write("end", sql, (at - waited, at, at + ran, task.id))
        shop.call("fail", "oh")
        shop.run_all()
        stats = document(capsys, "--stats")["stats"]
        (add, fail) = stats["tasks"]
        assert (add["name"], fail["name"]) == ("shop:add", "shop:fail")
        counts = [add["ended"][window]["succeeded"] for window in ("minute", "hour", "day")]
        assert counts == [15, 20, 20]
        assert fail["ended"]["minute"] == {"succeeded": 0, "failed": 1, "cancelled": 0}
        assert add["waited"] == {"median_seconds": 9.0, "p95_seconds": 18.0}
        assert add["ran"] == {"median_seconds": 0.010, "p95_seconds": 0.019}
        assert stats["total"]["ended"]["day"]["succeeded"] == 20
        assert (stats["result_ttl"], stats["failure_ttl"]) == (1800.0, 2592000.0)
        assert document(capsys, "--stats", "--task", "fail")["stats"]["tasks"] == [fail]

    def test_a_member_of_an_unfinished_group_is_not_discarded(self, shop, capsys):
        bad = Message("shop:fail", '[["no"],{}]')
        later = Message("shop:add", "[[1,2],{}]", delay_seconds=3600.0)
        (failed, waiting), _ = shop.engine.enqueue_all([bad, later])
        shop.run_all()
        code, _, err = run(capsys, "--discard", failed.id)
        assert (code, "a group of which others wait or run" in err) == (1, True)
        left = document(capsys, "--discard", "all", "--yes")
        assert left["discarded"] == []
        assert [one["count"] for one in left["left"]] == [1]
        shop.engine.cancel(waiting.id)
        assert document(capsys, "--discard", failed.id)["discarded"] == [failed.id]

    def test_a_unique_key_that_is_kept_for_a_time_is_kept(self, shop, capsys):
        task = shop.call("fail", "no", unique="k", unique_seconds=3600.0)
        shop.run_all()
        code, _, err = run(capsys, "--discard", task.id)
        assert (code, "keeps its unique key" in err) == (1, True)
        assert shop.store.get(task.id) is not None

    def test_a_forerunner_and_its_follower_are_retried_together(self, shop, capsys):
        bad, add = Message("shop:fail", '[["no"],{}]'), Message("shop:add", "[[1,2],{}]")
        (first,), (second,) = shop.engine.enqueue_all([bad], [add], group=False)
        shop.run_all()
        assert shop.store.get(second.id).state is TaskState.CANCELLED
        assert document(capsys, "--retry", second.id, first.id)["retried"] == [second.id, first.id]
        assert shop.store.get(second.id).after == first.id
        assert "after " + first.id[:16] in run(capsys, "--tasks")[1]

    def test_a_forerunner_and_its_follower_are_cancelled_together(self, shop, capsys):
        add = Message("shop:add", "[[1,2],{}]")
        (first,), (second,) = shop.engine.enqueue_all([add], [add], group=False)
        found = document(capsys, "--cancel", first.id, second.id)
        assert found["cancelled"] == [first.id, second.id]

    def test_one_that_was_to_follow_what_has_ended_can_not_come_back(self, shop, capsys):
        add = Message("shop:add", "[[1,2],{}]")
        (first,), (second,) = shop.engine.enqueue_all([add], [add], group=False)
        shop.store.swap(second, apply(second, Cancelled(shop.clock.now())))
        shop.run_all()
        code, _, err = run(capsys, "--retry", second.id)
        assert (code, f"{first.id} (shop:add), which has succeeded without it" in err) == (1, True)
        shop.store.write("purge", "DELETE FROM tasks WHERE id = ?", (first.id,))
        assert "is not there any more" in run(capsys, "--retry", second.id)[2]

    def test_an_id_has_enough_characters_and_names_one_task(self, shop, capsys):
        tasks = [shop.call("add", number, 1) for number in range(2)]
        common = os.path.commonprefix([task.id for task in tasks])  # noqa: RUF071
        code, _, err = run(capsys, "--cancel", common)
        assert (code, "several tasks begin with" in err) == (1, True)
        assert "the first 4 characters at least" in run(capsys, "--cancel", common[:3])[2]
        typo = tasks[0].id[:-1] + "x"
        assert (
            f"there is no task '{typo}'; did you mean {tasks[0].id}?"
            in (run(capsys, "--cancel", typo)[2])
        )
        assert len(shop.store.find(state=TaskState.WAITING)) == 2
        # The same task twice is one.
        words = (tasks[0].id, tasks[0].id)
        assert document(capsys, "--cancel", *words)["cancelled"] == [tasks[0].id]

    @pytest.mark.parametrize("word", ["retry", "discard", "cancel", "show", "pause", "unschedule"])
    def test_a_missing_database_is_not_made(self, home, capsys, word):
        words = ("--pause",) if word == "pause" else (f"--{word}", "abcd")
        code, out, err = run(capsys, *words)
        assert (code, out) == (1, "")
        assert "there is no database" in err
        assert list(home.iterdir()) == []

    def test_a_locked_database_is_told_and_nothing_is_changed(self, shop, command):
        task = shop.call("fail", "no")
        shop.run_all()
        other = sqlite3.connect(str(shop.path), isolation_level=None)
        with contextlib.closing(other):
            other.execute("BEGIN IMMEDIATE")
            # Looking waits for nobody.
            assert command("shop.db", "--failed").returncode == 0
            script = (
                "import sys; from autocron.shell.sqlite import SQLiteStore as Store; "
                "Store.__init__.__kwdefaults__['timeout_seconds'] = 0.1; "
                "from autocron.cli import main; sys.exit(main(sys.argv[1:]))"
            )
            done = subprocess.run(
                [sys.executable, "-c", script, "shop.db", "--retry", task.id],
                env=command.environment(),
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 1
            assert done.stderr.startswith("autocron: can not ")
            assert done.stderr.count("\n") == 1
            other.execute("ROLLBACK")
        assert shop.store.get(task.id).state is TaskState.FAILED


class Trap:
    """Leaves a proof when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")
