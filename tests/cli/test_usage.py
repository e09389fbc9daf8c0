"""Bad use, help, streams: what holds for every command."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

import autocron
from autocron.cli import commands, main


def run(capsys, *words):
    code = main(list(words))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "a database or a command is missing: try 'autocron demo'"),
        (("--info",), "a database is missing"),
        (("shop.db", "--ifno"), "there is no option --ifno; did you mean --info?"),
        (("shop.db", "--set-max-worker=3"), "there is no option --set-max-worker; did you mean "),
        (("shop.db", "--nothing"), "there is no option --nothing (see"),
        (("shop.db", "other.db"), "the word 'other.db' is one too many"),
        (("shop.db", "--set-max-workers"), "--set-max-workers: expected one argument"),
        (("shop.db", "-t", "--limit", "0"), "--limit: '0' is not a whole number from 1 to"),
        (("shop.db", "-t", "--limit", "x"), "--limit: 'x' is not a whole number from 1 to"),
        (("shop.db", "--info", "--limit", "3"), "--limit goes with --tasks, --results or --failed"),
        (("shop.db", "--yes"), "--yes goes with --delete-database, --discard all or --cancel all"),
        (("shop.db", "--discard", "abcd", "--yes"), "--yes goes with"),
        (("shop.db", "--retry"), "--retry: expected at least one argument"),
        (("shop.db", "--retry", "all", "abcd"), "--retry: all, or ids, not both"),
        (("shop.db", "--retry", "abcd", "--task", "x"), "--task goes with --tasks, --results or"),
        (("shop.db", "--retry", "all", "--limit", "3"), "--limit goes with"),
        (("shop.db", "--retry", "all", "--discard", "all"), "--retry and --discard: one at a time"),
        (("shop.db", "--pause", "--resume"), "--pause and --resume: one at a time"),
        (("shop.db", "--pause", "--info"), "--pause and --info: one at a time"),
        (("shop.db", "--pause", "--set-defaults"), "--pause and --set-defaults: one at a time"),
        (("shop.db", "--pause", "a b"), "--pause: 'a b' is no name of a queue"),
        (("shop.db", "--pause", ""), "--pause: '' is no name of a queue"),
        (("shop.db", "--pause", "--state", "failed"), "--state goes with"),
        (("shop.db", "--retry", "all", "--state", "running"), "--state running: --retry is about "),
        (("shop.db", "--cancel", "all", "--state", "failed"), "--state failed: --cancel is about "),
        (("shop.db", "--tasks", "--state", "failed"), "--state failed: --tasks is about running"),
        (("shop.db", "--results", "--state", "waiting"), "--state waiting: --results is about "),
        (("shop.db", "--failed", "--state", "failed"), "--failed and --state: one of them"),
        (("shop.db", "--state", "faled"), "--state: 'faled' is not one of waiting, "),
        (("shop.db", "--state", "faled"), "; did you mean failed?"),
        (("shop.db", "--older-than", "soon"), "--older-than: 'soon' is no duration; expected sec"),
        (("shop.db", "--older-than", "-5"), "--older-than: "),
        (("shop.db", "--newer-than", "nan"), "--newer-than: 'nan' is no duration"),
        (("shop.db", "--older-than", "1h", "--newer-than", "30m"), "--older-than is to be less"),
        (("shop.db", "--stats", "--older-than", "1h"), "--older-than goes with --tasks"),
        (("shop.db", "--kill"), "--kill goes with --cancel"),
        (("shop.db", "--watch", "0"), "--watch: '0' is less than 0.1 seconds"),
        (("shop.db", "--watch", "x"), "--watch: 'x' is no duration"),
        (("shop.db", "--watch", "--info"), "--watch and --info: one at a time"),
        (("shop.db", "--watch", "--task", "x"), "--task goes with"),
        (("shop.db", "--show"), "--show: expected one argument"),
        (("shop.db", "--delete-database", "--retry", "all"), "--delete-database stands alone"),
        (("shop.db", "--delete-database", "-i"), "--delete-database stands alone"),
        (("shop.db", "--set-defaults", "--json"), "--json goes with --info, --tasks"),
        (("next",), "the following arguments are required: MODULE"),
        (("simulate",), "the following arguments are required: MODULE"),
        (("check",), "the following arguments are required: MODULE"),
        (("demo", "--fast"), "there is no option --fast (see autocron demo --help)"),
        (("help", "me"), "there is no command 'me' (see autocron --help)"),
        (("help", "chekc"), "there is no command 'chekc'; did you mean check? (see autocron"),
        (("explain",), "an expression is missing"),
        (("explain", "* * * * *", "-n", "0"), "-n: '0' is not a whole number from 1 to 10000"),
        ((":memory:",), "database: workers are other processes"),
        (("",), "database: '' is no file name"),
        (("../x.db", "--set-defaults"), "database: '../x.db' leads out of"),
    ],
)
def test_bad_use_is_one_clear_line(home, capsys, words, expected):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("autocron: ")
    assert err.count("\n") == 1
    assert expected in err
    assert list(home.iterdir()) == []


def test_help_and_version(home, capsys):
    code, out, err = run(capsys, "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for option in ("--info", "--set-autocron-lock", "--delete-database"):
        assert option in out
    usage, _, described = out.partition("commands:\n")
    for name in commands():
        assert f"       autocron {name} " in usage or f"       autocron {name}\n" in usage
        assert f"\n  autocron {name} " in f"\n{described}"
    for words in (("-h",), ("help",)):
        assert run(capsys, *words) == (code, out, err)
    assert run(capsys, "--version") == (0, f"autocron {autocron.__version__}\n", "")
    for command in commands():
        code, out, err = run(capsys, command, "--help")
        assert (code, err) == (0, "")
        assert run(capsys, "help", command) == (code, out, err)
        assert out.startswith(f"usage: autocron {command}")


def test_is_run_as_a_module_too(command):
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"autocron {autocron.__version__}\n")
    assert command("--nothing").returncode == 2


def test_a_closed_pipe_is_no_trouble(command):
    process = subprocess.Popen(
        command.words("explain", "* * * * *", "-n", "10000"),
        cwd=command.directory,
        env=command.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), errors) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told(command):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command.words("explain", "* * * * *"),
            env=command.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("autocron: ")
    assert "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


def test_output_without_any_stream(command):
    script = 'exec "$@" >&- 2>&-'
    words = ["sh", "-c", script, "sh", *command.words("explain", "* * * * *")]
    done = subprocess.run(words, env=command.environment(), timeout=60)
    assert done.returncode == 0


def test_a_screen_without_unicode_gets_what_it_can_show(shop, command):
    shop.call("fail", "käse")
    shop.run_all()
    done = command("shop.db", "-r", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"ValueError: k\xe4se" in done.stdout


def on_a_terminal(command, *words, **environ):
    """Run a command on a real terminal; return what it showed."""
    ours, theirs = pty.openpty()
    environment = {**command.environment(TERM="xterm"), "COLUMNS": "60", **environ}
    process = subprocess.Popen(
        command.words(*words), env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux tells the end of a terminal like this
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    return shown.decode()


def test_colours_are_for_terminals_that_want_them(shop, command):
    shop.call("fail", "x" * 100)
    shop.run_all()
    shown = on_a_terminal(command, "shop.db", "-r", NO_COLOR="")
    assert "\033[31m" in shown
    assert "...\033[0m" in shown  # cut to the width
    assert "\033" not in on_a_terminal(command, "shop.db", "-r", NO_COLOR="1")
    assert "\033" not in on_a_terminal(command, "shop.db", "-r", NO_COLOR="", TERM="dumb")
    piped = command("shop.db", "-r").stdout
    assert "\033" not in piped
    assert "x" * 100 in piped


def test_explain_loads_nothing_of_the_engine(command):
    # It is to start quickly, and on a machine that has no workers.
    script = (
        "import sys; from autocron.cli import main; main(['explain', '* * * * *']); "
        "print([name for name in sys.modules if 'sqlite' in name and 'autocron' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=command.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.endswith("\n[]\n")


def test_ctrl_c_is_no_traceback(home, monkeypatch, capsys):
    def interrupted(question):
        raise KeyboardInterrupt

    main(["shop.db", "--set-defaults"])
    monkeypatch.setattr("builtins.input", interrupted)
    assert main(["shop.db", "--delete-database"]) == 130
    assert (home / ".autocron" / "shop.db").exists()
