"""autocron simulate, next and check: a module's tasks, without starting anything."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap

import pytest

from autocron.cli import main

TASKS = """
import autocron

@autocron.cron("30 2 * * *", tz="UTC")
def nightly(): ...

@autocron.cron("0 * * * *", tz="UTC")
def hourly(): ...

@autocron.cron("0 0 29 2 *", tz="UTC")
def leap(): ...

@autocron.delay
def send_mail(address, message="hello"): ...

autocron.start("shop.db")
"""
BAD = """
import autocron

@autocron.cron("* 2 * * *")
def slip(): ...

@autocron.cron("0 3 * * *")
def needs(argument): ...

@autocron.delay
def hook(of=object()): ...
"""
HIDDEN = """
import autocron

def outer():
    @autocron.delay
    def inner(): ...

outer()
"""


@pytest.fixture
def module(tmp_path, monkeypatch, home):
    """Writes a module into the present directory, and forgets it at the end."""
    from autocron.app import default_app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    functions = {known.name for known in default_app.registry.all()}

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return name

    yield write
    for name in set(sys.modules) - before:
        if not name.startswith(("autocron", "_pytest")):
            del sys.modules[name]
    for known in default_app.registry.all():
        if known.name not in functions:
            default_app.forget(known.name)


def run(capsys, *words):
    code = main(list(words))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


SPAN = ("--from", "2026-10-24", "--days", "2", "--tz", "UTC")


class TestSimulate:
    def test_shows_a_row_for_each_task_and_what_is_odd(self, capsys, module):
        code, out, err = run(
            capsys, "simulate", module("shop_one", TASKS), *SPAN, "--durations", "nightly=2h"
        )
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0] == "Sat 2026-10-24 00:00 +00:00 to Mon 2026-10-26 00:00 +00:00  UTC"
        assert lines[1].startswith("48 runs, 2 skipped, 0 missed, 2 late; 1 worker, busy up to 8.")
        rows = {line.split()[0]: line.split()[1:] for line in lines if line[:1].islower()}
        assert rows["send_mail"][-1] == "0"
        assert rows["hourly"][-1] == "46"
        assert "  leap '0 0 29 2 *' has no occurrence in the span" in lines
        assert any(line.startswith("  hourly skips 2 occurrences") for line in lines)

    def test_says_nothing_of_a_start_that_starts_nothing(self, capsys, caplog, module, monkeypatch):
        for name in ("pytest", "unittest"):
            monkeypatch.delitem(sys.modules, name)
        assert run(capsys, "simulate", module("shop_eight", TASKS), *SPAN)[0] == 0
        assert caplog.messages == []

    def test_prints_json(self, capsys, module):
        code, out, _ = run(capsys, "simulate", module("shop_two", TASKS), *SPAN, "--json")
        told = json.loads(out)
        assert (code, len(told["runs"]), told["overlaps"]) == (0, 50, [])
        assert told["runs"][0]["outcome"] == "succeeded"

    def test_writes_a_page_that_needs_nothing_else(self, capsys, module, tmp_path):
        outage = ("--outage", "2026-10-24T01:00/2026-10-24T05:00")
        code, out, _ = run(
            capsys, "simulate", module("shop_three", TASKS), *SPAN, "--html", "r.html", *outage
        )
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert code == 0
        assert "The page is in" in out
        assert "<svg" in page
        assert "machine off" in page
        for word in ("<script", "src=", "@import", "url("):
            assert word not in page
        assert re.findall("href=[^>]*", page) == ['href="data:,"']
        assert set(re.findall(r"http\S*", page)) == {
            'http-equiv="Content-Security-Policy"',
            'http://www.w3.org/2000/svg"',
        }

    @pytest.mark.parametrize(
        ("words", "code", "expected"),
        [
            (("no_such_module",), 1, "can not import no_such_module: ModuleNotFoundError"),
            (("json",), 2, "module 'json' has no task functions"),
            (("shop_four", "--from", "soon"), 2, "--from: 'soon' is no instant"),
            (
                ("shop_four.py",),
                2,
                "no name of a module, such as shop.tasks; did you mean shop_four?",
            ),
            (("shop_four", "--days", "0"), 2, "'0' is not a number of days above 0, up to 36600"),
            (
                ("shop_four", "--days", "36601"),
                2,
                "'36601' is not a number of days above 0, up to ",
            ),
            (("shop_four", "--html", "none/x.html"), 2, "/none' for 'none/x.html'; create it, or "),
            (("shop_four", "--html", "."), 2, "--html: '.' is no name of a file, such as report.h"),
            (
                ("shop_four", "--html", ""),
                2,
                "--html: '' is no name of a file, such as report.html",
            ),
            (("shop_four", "--days", "1", "--to", "2030-01-01"), 2, "both say how long"),
            (("shop_four", "--to", "2020-01-01", "--from", "2021-01-01"), 2, "is not after start"),
            (("shop_four", "--durations", "nightli=2h"), 2, "did you mean 'nightly'"),
            (("shop_four", "--durations", "nightly=fast"), 2, "'fast' is no duration"),
            (("shop_four", "--durations", "2h,3h"), 2, "'2h' names no task"),
            (("shop_four", "--outage", "2026-10-24"), 2, "is not FROM/TO"),
            (("shop_four", "--tz", "Mars"), 2, "'Mars'"),
            (("shop_four", "--workers", "0"), 2, "'0' is not a whole number"),
        ],
    )
    def test_bad_use_is_one_clear_line(self, capsys, module, words, code, expected):
        module("shop_four", TASKS)
        found, out, err = run(capsys, "simulate", *words)
        assert (found, out) == (code, "")
        assert expected in err
        assert err.count("\n") == 1

    def test_a_page_that_can_not_be_written_is_told_before_anything_is_played(
        self, capsys, module, monkeypatch
    ):
        monkeypatch.setattr("os.access", lambda *_: False)
        words = ("simulate", "no_such_module", "--html", "x.html")
        code, out, err = run(capsys, *words)
        assert (code, out) == (2, "")
        assert err == "autocron: --html: 'x.html' can not be written; give a file that can\n"

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_a_disk_that_is_full_then_is_told(self, capsys, module):
        code, _, err = run(
            capsys, "simulate", module("shop_nine", TASKS), *SPAN, "--html", "/dev/full"
        )
        assert code == 1
        assert err.startswith("autocron: --html: '/dev/full' can not be written: No space left")

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90", 90), ("90s", 90), ("5min", 300), ("2h", 7200), ("1h30m", 5400), ("0.5d", 43200)],
    )
    def test_reads_durations(self, text, seconds):
        from autocron.cli.simulate import _seconds

        assert _seconds(text) == seconds


class TestNext:
    def test_shows_the_runs_of_all_tasks_in_order(self, capsys, module):
        code, out, err = run(
            capsys, "next", module("shop_five", TASKS), "-n", "3", "--after", "2026-10-24T01:30Z"
        )
        assert (code, err) == (0, "")
        assert [line.split()[4:5] for line in out.splitlines()[1:]] == [
            ["shop_five:hourly"],
            ["shop_five:nightly"],
            ["shop_five:hourly"],
        ]

    def test_shows_those_of_one_function(self, capsys, module):
        module("shop_six", TASKS)
        words = ("next", "shop_six:nightly", "--after", "2026-10-24T00:00Z", "-n", "2")
        told = json.loads(run(capsys, *words, "--json")[1])
        assert [one["at"][:16] for one in told["next"]] == ["2026-10-24T02:30", "2026-10-25T02:30"]
        code, _, err = run(capsys, "next", "shop_six:nightli")
        assert (code, "did you mean shop_six:nightly?" in err) == (2, True)


class TestCheck:
    @pytest.mark.parametrize("command", ["check", "next", "simulate"])
    @pytest.mark.parametrize(
        ("word", "meant"),
        [
            ("sched.py", "; did you mean sched?"),
            ("shop/tasks.py", "; did you mean shop.tasks?"),
            ("./sched.py", "; did you mean sched?"),
            ("shop/tasks", "; did you mean shop.tasks?"),
            ("/srv/sched.py", ""),
            ("shop:", ""),
            ("", ""),
        ],
    )
    def test_the_name_of_a_file_is_none_of_a_module(self, capsys, home, command, word, meant):
        said = f"autocron: {word!r} is no name of a module, such as shop.tasks{meant}\n"
        assert run(capsys, command, word) == (2, "", said)

    def test_says_that_nothing_is_wrong(self, capsys, module):
        code, out, err = run(capsys, "check", module("shop_seven", TASKS))
        assert (code, err) == (0, "")
        assert out.splitlines()[-1] == "shop_seven: 4 task functions, 3 schedules, nothing wrong"
        assert out.splitlines()[0].startswith("warning: shop_seven.py, line 10: '0 0 29 2 *'")

    def test_has_a_line_for_each_finding(self, capsys, module):
        code, out, err = run(capsys, "check", module("bad_one", BAD))
        assert (code, err) == (1, "")
        slip, needs, hook = out.splitlines()
        assert slip.startswith("warning: bad_one.py, line 4: '* 2 * * *' runs every minute")
        assert needs.startswith("bad_one:needs: it has a schedule, which gives no arguments")
        assert hook.startswith("bad_one:hook: the default of 'of' can not be stored")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('@autocron.cron("0 0 31 2 *")\ndef never(): ...', "InvalidSchedule: day-of-month"),
            ("1 / 0", "ZeroDivisionError: division by zero (bad_two.py, line 2)"),
            ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
            ("raise SystemExit(3)", "importing bad_two ends the process: 3"),
            ("def plain(): ...", "module 'bad_two' has no task functions"),
        ],
    )
    def test_names_what_is_wrong(self, capsys, module, text, expected):
        code, out, err = run(capsys, "check", module("bad_two", f"import autocron\n{text}\n"))
        assert (code, err) == (1, "")
        assert expected in out
        assert out.count("\n") == 1
        told = json.loads(run(capsys, "check", "bad_two", "--json")[1])
        assert len(told["findings"]) == 1

    def test_names_a_function_that_no_worker_could_find(self, command):
        # A process of its own: in this one the function would belong to this test's session.
        (command.directory / "bad_three.py").write_text(HIDDEN)
        asked = command("check", "bad_three")
        assert (asked.returncode, asked.stderr) == (1, "")
        assert "bad_three:outer.<locals>.inner: no worker could find it" in asked.stdout
