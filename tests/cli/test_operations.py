"""Operations: ``--failed``, ``--retry``, ``--cancel``, ``--pause``, ``--show`` and so on."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from dataclasses import replace

import pytest

from autocron.cli import main
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import ALL_QUEUES, TaskState
from autocron.shell import listing, looking, operating, statistics


def run(capsys, *words):
    """Run the command in this process; return code, output and complaints."""
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def shown(capsys, *words):
    """Return what is printed as JSON."""
    code, out, err = run(capsys, "shop.db", *words, "--json")
    assert (code, err) == (0, ""), err
    return json.loads(out)


@pytest.fixture
def failed(shop):
    """Two tasks that have failed, and one that has succeeded."""
    tasks = [shop.call("fail", "no"), shop.call("fail", "never", queue="mail")]
    shop.call("add", 1, 2)
    shop.run_all()
    return tasks


def state(shop, task):
    found = shop.store.get(task.id)
    return None if found is None else found.state


class TestFailed:
    def test_lists_what_has_failed_the_latest_first(self, shop, failed, capsys):
        code, out, _ = run(capsys, "shop.db", "--failed")
        assert code == 0
        assert out.index("ValueError: never") < out.index("ValueError: no\n")
        assert "shop:add" not in out
        assert failed[0].id[:16] in out

    def test_can_be_narrowed(self, shop, failed, capsys):
        out = run(capsys, "shop.db", "--failed", "--queue", "mail")[1]
        assert ("never" in out, "ValueError: no\n" in out) == (True, False)
        for words in (("--task", "add"), ("--older-than", "1h"), ("--newer-than", "0")):
            assert "ValueError" not in run(capsys, "shop.db", "--failed", *words)[1]
        assert failed[0].id in json.dumps(shown(capsys, "--failed"))

    def test_says_that_there_is_none(self, shop, capsys):
        assert "nothing" in run(capsys, "shop.db", "--failed")[1]


class TestRetry:
    def test_lets_one_wait_again(self, shop, failed, capsys):
        code, out, _ = run(capsys, "shop.db", "--retry", failed[0].id[:18])
        assert (code, "retried" in out) == (0, True)
        assert state(shop, failed[0]) is TaskState.WAITING
        assert state(shop, failed[1]) is TaskState.FAILED

    def test_lets_all_wait_again_of_a_task_or_a_queue(self, shop, failed, capsys):
        assert shown(capsys, "--retry", "all", "--queue", "mail")["retried"] == [failed[1].id]
        run(capsys, "shop.db", "--retry", "all", "--task", "fail")
        assert [state(shop, task) for task in failed] == [TaskState.WAITING] * 2
        assert "There is no failed" in run(capsys, "shop.db", "--retry", "all")[1]
        assert "did you mean" in run(capsys, "shop.db", "--retry", "all", "--task", "fial")[1]

    def test_says_why_one_can_not_be_retried(self, shop, failed, capsys):
        waiting = shop.call("add", 1, 2)
        done = next(t for t in shop.store.find() if t.state is TaskState.SUCCEEDED)
        for task_id, says in (
            (waiting.id, "waits"),
            (done.id, "succeeded"),
            ("nobody", "no task"),
        ):
            code, _, err = run(capsys, "shop.db", "--retry", task_id)
            assert (code, says in err) == (1, True), err
        assert len(shop.store.find(state=TaskState.FAILED)) == 2

    def test_changes_nothing_if_one_of_several_is_wrong(self, shop, failed, capsys):
        assert run(capsys, "shop.db", "--retry", failed[0].id, "nobody")[0] == 1
        assert state(shop, failed[0]) is TaskState.FAILED

    def test_says_what_a_held_task_waits_for(self, shop, capsys):
        message = replace_message(shop)
        (first,), (second,) = shop.engine.enqueue_all([message], [message], group=False)
        shop.run_all()
        code, _, err = run(capsys, "shop.db", "--retry", second.id)
        assert code == 1
        assert first.id[:16] in err


def replace_message(shop):
    from autocron.core.task import Message

    return Message(name="shop:fail", payload='[["no"],{}]')


class TestDiscard:
    def test_removes_one_for_good(self, shop, failed, capsys):
        code, out, _ = run(capsys, "shop.db", "--discard", failed[0].id)
        assert (code, "discarded" in out, state(shop, failed[0])) == (0, True, None)

    def test_asks_before_all_are_removed(self, shop, failed, capsys, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda question: "n")
        code, _, err = run(capsys, "shop.db", "--discard", "all")
        assert (code, "nothing is discarded" in err) == (1, True)
        assert len(shop.store.find(state=TaskState.FAILED)) == 2
        assert len(shown(capsys, "--discard", "all", "--yes")["discarded"]) == 2
        assert shop.store.find(state=TaskState.FAILED) == []

    def test_refuses_what_has_not_failed(self, shop, capsys):
        waiting = shop.call("add", 1, 2)
        assert run(capsys, "shop.db", "--discard", waiting.id)[0] == 1
        assert state(shop, waiting) is TaskState.WAITING


class TestCancel:
    def test_cancels_what_waits_and_asks_what_runs(self, shop, capsys):
        running, waiting = shop.call("add", 1, 2), shop.call("add", 3, 4)
        shop.engine.tick()
        found = shown(capsys, "--cancel", running.id, waiting.id)
        assert (found["cancelled"], found["asked_to_end"]) == ([waiting.id], [running.id])
        assert shop.store.get(running.id).cancel_asked_at is not None
        out = run(capsys, "shop.db", "--cancel", running.id, "--kill")[1]
        assert "ended if it does not" in out
        assert shop.store.get(running.id).is_cut_short
        assert run(capsys, "shop.db", "--cancel", waiting.id)[0] == 1

    def test_cancels_all_that_wait(self, shop, capsys):
        for number in range(25):
            shop.call("add", number, 1)
        out = run(capsys, "shop.db", "--cancel", "all", "--yes")[1]
        assert "25 tasks: cancelled" in out


class TestPause:
    def test_pauses_and_resumes_one_queue(self, shop, capsys):
        shop.call("add", 1, 2, queue="mail")
        out = run(capsys, "shop.db", "--pause", "mail")[1]
        assert "Queue mail is paused: 1 task waits there." in out
        assert shop.store.paused() == {"mail"}
        assert "paused already" in run(capsys, "shop.db", "--pause", "mail")[1]
        assert "paused" in run(capsys, "shop.db", "--info")[1]
        assert "Queue mail goes on." in run(capsys, "shop.db", "--resume", "mail")[1]
        assert "was not paused" in run(capsys, "shop.db", "--resume", "mail")[1]
        assert shop.store.paused() == frozenset()

    def test_pauses_and_resumes_all(self, shop, capsys):
        assert shown(capsys, "--pause")["paused"]["all"] is True
        assert shop.store.paused() == {ALL_QUEUES}
        assert "All queues are paused" in run(capsys, "shop.db", "--resume", "mail")[1]
        assert "All queues go on." in run(capsys, "shop.db", "--resume")[1]
        assert "No queue was paused." in run(capsys, "shop.db", "--resume")[1]

    def test_guesses_what_was_meant(self, shop, capsys):
        shop.call("add", 1, 2, queue="mail")
        assert "mail" in run(capsys, "shop.db", "--pause", "mial")[1]
        assert run(capsys, "shop.db", "--pause", "a queue")[0] == 2

    def test_says_of_a_queue_that_nobody_names_that_it_is_none(self, shop, capsys):
        shop.call("add", 1, 2, queue="mail")
        shop.run_all()
        shop.plan(queue="reports")
        said = "No task is in a queue 'nope', and no worker or schedule names it.\n"
        assert run(capsys, "shop.db", "--pause", "nope")[1].endswith(f" wait there.\n{said}")
        for words in (("--tasks",), ("--failed",), ("--retry", "all"), ("--stats",), ()):
            assert run(capsys, "shop.db", *words, "--queue", "nope")[1].endswith(said)
        run(capsys, "shop.db", "--set-max-workers", "bulk=1,*=1")
        for queue in ("mail", "reports", "bulk", "default"):
            assert "names it" not in run(capsys, "shop.db", "--pause", queue)[1]
            assert "names it" not in run(capsys, "shop.db", "--failed", "--queue", queue)[1]
        meant = run(capsys, "shop.db", "--queue", "report")[1]
        assert meant.endswith("names it; did you mean reports?\n")


class TestSchedules:
    def test_are_disabled_enabled_and_taken_out(self, shop, capsys):
        (schedule,) = [replace(shop.plan(), key="ada's", is_dynamic=True)]
        shop.engine.put_schedule(schedule)
        assert "ada's is disabled" in run(capsys, "shop.db", "--disable", "ada's")[1]
        assert "disabled already" in run(capsys, "shop.db", "--disable", "ada's")[1]
        assert "ada's is enabled; next run" in run(capsys, "shop.db", "--enable", "ada's")[1]
        assert "ada's" in run(capsys, "shop.db", "--tasks")[1]
        assert "taken out" in run(capsys, "shop.db", "--unschedule", "ada's")[1]
        assert run(capsys, "shop.db", "--unschedule", "ada's")[0] == 1

    def test_in_the_code_are_left_to_the_code(self, shop, capsys):
        key = shop.plan().key
        code, _, err = run(capsys, "shop.db", "--disable", key)
        assert (code, "code" in err) == (1, True)
        for name in ("shop:nightly", "nightly"):
            assert run(capsys, "shop.db", "--disable", name) == (1, "", err)

    def test_are_found_by_their_function_if_it_has_one_only(self, shop, capsys):
        shop.engine.put_schedule(replace(shop.plan(), key="ada's", is_dynamic=True))
        for name in ("shop:nightly", "nightly"):
            assert run(capsys, "shop.db", "--disable", name)[1].startswith("ada's ")
            told = shown(capsys, "--enable", name)
            assert (told["schedule"]["key"], told["schedule"]["is_enabled"]) == ("ada's", True)
        shop.engine.put_schedule(replace(shop.plan(), key="bob's", is_dynamic=True))
        code, out, err = run(capsys, "shop.db", "--unschedule", "shop:nightly")
        assert (code, out) == (1, "")
        assert err == (
            'autocron: several schedules call shop:nightly: "ada\'s", "bob\'s"; give one of these '
            "names\n"
        )
        assert run(capsys, "shop.db", "--unschedule", "bob's")[0] == 0
        assert (
            "ada's (shop:nightly) is taken" in run(capsys, "shop.db", "--unschedule", "nightly")[1]
        )
        assert run(capsys, "shop.db", "--unschedule", "ightly")[0] == 1


class TestShow:
    def test_tells_all_of_a_task(self, shop, failed, capsys):
        out = run(capsys, "shop.db", "--show", failed[1].id[:20])[1]
        for piece in (failed[1].id, "failed", "shop:fail", "'never'", "mail", "Traceback", "Times"):
            assert piece in out
        assert shown(capsys, "--show", failed[1].id)["task"]["queue"] == "mail"

    def test_tells_what_it_was_asked_for_and_what_came_of_each_attempt(self, shop, capsys):
        policy = Policy(
            retries=2,
            backoff_seconds=0.0,
            retry_on=("builtins:ValueError",),
            no_retry_on=("builtins:KeyError",),
            timeout_seconds=9.0,
            rate=Rate(10, 60.0),
        )
        task = shop.call(
            "fail", "no", policy=policy, lock="k", limit=2, rate_key="r", unique="u", priority=5,
            expires_seconds=3600.0, unique_seconds=60.0,
        )  # fmt: skip
        shop.run_all()
        out = run(capsys, "shop.db", "--show", task.id)[1]
        assert out.count("ValueError: no") >= 3
        for piece in ("10", "ValueError", "KeyError", "priority", "5"):
            assert piece in out

    def test_tells_what_a_task_waits_for_and_what_it_was_given(self, shop, capsys):
        from autocron.core.task import Message

        add, then = Message("shop:add", "[[1,2],{}]"), Message("shop:add", "[[3],{}]")
        (first,), (second,) = shop.engine.enqueue_all([add], [then])
        assert first.group in run(capsys, "shop.db", "--show", second.id)[1]
        assert "1" in run(capsys, "shop.db", "--tasks")[1]
        shop.run_all()
        assert "3" in run(capsys, "shop.db", "--show", first.id)[1]
        running = shop.call("add", 1, 2)
        shop.engine.tick()
        shop.engine.hand.tell_progress('[1, 4, "reading"]')
        assert "25 %" in run(capsys, "shop.db", "--show", running.id)[1]
        assert shown(capsys, "--show", running.id)["task"]["progress"]["note"] == "reading"

    def test_says_that_an_id_is_unknown_or_is_that_of_several(self, shop, failed, capsys):
        assert run(capsys, "shop.db", "--show", "nobody")[0] == 1
        code, _, err = run(capsys, "shop.db", "--show", failed[0].id[:2])
        assert code == 1
        assert failed[0].id[:2] in err


class TestStats:
    def test_counts_what_has_ended_and_how_long_it_took(self, shop, failed, capsys):
        shop.call("add", 1, 2)
        out = run(capsys, "shop.db", "--stats")[1]
        for piece in ("shop:add", "shop:fail", "all", "oldest due"):
            assert piece in out
        found = shown(capsys, "--stats")
        assert "stats" in found

    def test_of_many_the_latest_are_looked_at(self, shop, capsys, monkeypatch):
        monkeypatch.setattr(statistics, "MOST_READ", 2)
        for number in range(3):
            shop.call("add", number, 2)
        shop.run_all()
        found = shown(capsys, "--stats")["stats"]
        assert (found["most_read"], found["total"]["ended"]["day"]["succeeded"]) == (2, 2)
        assert "the latest 2 are in these figures" in run(capsys, "shop.db", "--stats")[1]
        monkeypatch.setattr(statistics, "MOST_READ", 3)
        found = shown(capsys, "--stats")["stats"]
        assert (found["most_read"], found["total"]["ended"]["day"]["succeeded"]) == (None, 3)

    def test_of_all_of_them_if_that_is_asked_for(self, shop, capsys, monkeypatch):
        monkeypatch.setattr(statistics, "MOST_READ", 2)
        for number in range(3):
            shop.call("add", number, 2)
        shop.run_all()
        found = shown(capsys, "--stats", "--thorough")["stats"]
        assert (found["most_read"], found["total"]["ended"]["day"]["succeeded"]) == (None, 3)

    def test_of_one_function_among_the_latest(self, shop, capsys, monkeypatch):
        monkeypatch.setattr(statistics, "MOST_READ", 2)
        for name in ("add", "fail", "add", "add"):
            shop.call(name, "no") if name == "fail" else shop.call(name, 1, 2)
        shop.run_all()
        found = shown(capsys, "--stats", "--task", "fail")["stats"]
        assert (found["most_read"], [one["name"] for one in found["tasks"]]) == (2, ["shop:fail"])
        assert found["total"]["ended"]["day"] == {"succeeded": 0, "failed": 1, "cancelled": 0}
        assert shown(capsys, "--stats", "--queue", "none")["stats"]["tasks"] == []

    def test_of_nothing(self, shop, capsys):
        assert run(capsys, "shop.db", "--stats")[0] == 0


class TestMany:
    """Of a list that would take long, the first are looked at, and it says so."""

    @pytest.fixture
    def many(self, shop, monkeypatch):
        monkeypatch.setattr(looking, "MOST_READ", 4)
        for number in range(6):
            shop.call("fail", f"no {number}", queue="mail", priority=number % 2)
        shop.run_all()
        for number in range(6):
            shop.call("add" if number else "fail", number, 2, queue="mail", priority=number % 3)
        shop.call("add", 1, 2)
        return shop

    def test_of_one_function(self, many, capsys):
        found = shown(capsys, "--tasks", "--task", "add")["tasks"]
        assert (found["waiting_count"], found["waiting_most_read"]) == (3, 4)
        assert len(found["waiting"]) == 3
        assert found["waiting"] == sorted(found["waiting"], key=lambda one: one["run_at"])
        out = run(capsys, "shop.db", "--tasks", "--task", "add")[1]
        assert "The first 4 in this order were looked at; --thorough looks at all." in out
        found = shown(capsys, "--tasks", "--task", "add", "--limit", "1")["tasks"]
        assert (len(found["waiting"]), found["waiting_count"]) == (1, 3)

    def test_is_looked_at_whole_if_that_is_asked_for(self, many, capsys):
        found = shown(capsys, "--tasks", "--task", "add", "--thorough")["tasks"]
        assert (found["waiting_count"], found["waiting_most_read"]) == (6, None)
        found = shown(capsys, "--failed", "--queue", "mail", "--thorough")["failed"]
        assert (found["failed_count"], found["failed_most_read"]) == (6, None)

    def test_of_what_has_ended_the_latest(self, many, capsys):
        found = shown(capsys, "--results", "--task", "fail")["results"]
        assert (found["ended_count"], found["ended_most_read"]) == (4, 4)
        ended = [one["finished_at"] for one in found["ended"]]
        assert ended == sorted(ended, reverse=True)
        every = shown(capsys, "--results")["results"]
        assert found["ended"] == every["ended"][:4]
        assert (every["ended_count"], every["ended_most_read"]) == (6, None)
        assert shown(capsys, "--failed", "--queue", "mail")["failed"]["failed_count"] == 4

    def test_of_a_queue_all_that_waits(self, many, capsys):
        found = shown(capsys, "--tasks", "--queue", "mail")["tasks"]
        assert (found["waiting_count"], found["waiting_most_read"]) == (6, None)
        assert {one["queue"] for one in found["waiting"]} == {"mail"}
        assert shown(capsys, "--tasks", "--queue", "none")["tasks"]["waiting_count"] == 0

    def test_of_an_age(self, many, capsys):
        found = shown(capsys, "--tasks", "--newer-than", "1h")["tasks"]
        assert (found["waiting_count"], found["waiting_most_read"]) == (4, 4)
        found = shown(capsys, "--results", "--newer-than", "1h")["results"]
        assert (found["ended_count"], found["ended_most_read"]) == (6, None)

    def test_a_name_is_looked_for_among_the_latest(self, many, capsys, monkeypatch):
        assert "No task function is called 'ad'" in run(capsys, "shop.db", "--task", "ad")[1]
        monkeypatch.setattr(listing, "MOST_NAMES", 2)
        out = run(capsys, "shop.db", "--task", "ad")[1]
        assert "Of the latest 2 tasks none has a function called 'ad'; did you mean add?" in out
        out = run(capsys, "shop.db", "--failed", "--task", "nothing")[1]
        assert out.endswith("none has a function called 'nothing'\n")

    def test_goes_with_what_looks_at_tasks(self, many, capsys):
        code, _, err = run(capsys, "shop.db", "--info", "--thorough")
        assert (code, err.split(" goes")[0]) == (2, "autocron: --thorough")
        assert run(capsys, "shop.db", "--retry", "all", "--thorough")[0] == 2
        assert run(capsys, "shop.db", "--delete-database", "--thorough")[0] == 2


class TestFilters:
    @pytest.mark.parametrize("value", ["waiting", "running,succeeded", "failed", "cancelled"])
    def test_by_state(self, shop, failed, capsys, value):
        assert run(capsys, "shop.db", "--tasks", "--results", "--state", value)[0] in (0, 2)

    @pytest.mark.parametrize(
        "words",
        [
            ("--failed", "--older-than", "soon"),
            ("--failed", "--older-than", "-1"),
            ("--failed", "--state", "lost"),
            ("--kill",),
            ("--retry", "all", "--discard", "all"),
            ("--retry", "a", "--task", "send"),
            ("--watch", "0"),
            ("--task", "send", "--info"),
            ("--yes",),
            ("--pause", "x", "--set-max-workers", "2"),
        ],
    )
    def test_bad_use_is_refused(self, shop, failed, capsys, words):
        code, out, err = run(capsys, "shop.db", *words)
        assert (code, out) == (2, ""), out
        assert err.startswith("autocron: ")
        assert len(shop.store.find(state=TaskState.FAILED)) == 2


class TestWatch:
    def test_shows_a_live_view_and_leaves_the_terminal_as_it_was(self, shop, failed, command):
        shop.call("add", 1, 2, queue="mail")
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        process = subprocess.Popen(
            command.words("shop.db", "--watch", "0.1"),
            cwd=command.directory,
            env=command.environment(TERM="xterm", COLUMNS="80", LINES="40"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        seen, is_told = b"", False
        try:
            while select.select([ours], [], [], 30)[0]:
                try:
                    seen += os.read(ours, 1 << 16)
                except OSError:  # the other side is closed
                    break
                if b"1 waiting" in seen and not is_told:
                    is_told = True
                    os.write(ours, b"q")
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        assert b"\x1b[?1049h" in seen
        assert b"\x1b[?1049l" in seen
        assert b"ValueError: never" in seen

    @pytest.mark.parametrize("words", [(), ("--json",)])
    def test_prints_line_by_line_where_there_is_no_terminal(self, shop, failed, command, words):
        process = subprocess.Popen(
            command.words("shop.db", "--watch", "0.1", *words),
            cwd=command.directory,
            env=command.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            if words:
                for _ in range(2):
                    assert json.loads(process.stdout.readline())["info"]
            else:
                assert any("ValueError: never" in line for line in process.stdout)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


class TestTurns:
    def test_others_have_their_turn_between_two_batches(self, shop, capsys, monkeypatch):
        for number in range(7):
            shop.call("add", number, 2)
        called = []
        monkeypatch.setattr(operating, "_BATCH", 3)
        # As another process would; it is in none of the batches, and waits for none.
        monkeypatch.setattr(operating.time, "sleep", lambda _: called.append(shop.call("add", 1)))
        assert run(capsys, "shop.db", "--cancel", "all", "--yes")[0] == 0
        assert [state(shop, task) for task in called] == [TaskState.WAITING] * 2
        assert shop.store.stats(shop.clock.now()).counts[TaskState.CANCELLED] == 7
