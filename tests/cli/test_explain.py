"""autocron explain: in words, with what looks like a slip, and on the clock of a zone."""

from __future__ import annotations

import json
import sys

import pytest

from autocron.cli import main

needs_zones = pytest.mark.skipif(
    sys.version_info < (3, 9), reason="the zone database came with Python 3.9"
)
BERLIN = ("--tz", "Europe/Berlin")


def run(capsys, *words):
    code = main(["explain", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def document(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_says_what_it_means_and_when_it_runs(capsys):
    code, out, err = run(
        capsys, "*/15 9-17 * * mon-fri", "--tz", "UTC", "--after", "2026-03-27T17:40", "-n", "2"
    )
    assert (code, err) == (0, "")
    assert out == (
        "*/15 9-17 * * mon-fri\n"
        "  every 15 minutes from 09:00 to 17:45, Monday to Friday\n"
        "\n"
        "  zone    UTC\n"
        "  kind    wildcard, since minute or hour starts with *: it runs whenever the\n"
        "          clock shows its time, also twice, and never for a time that the\n"
        "          clock skips\n"
        "  missed  skip (default): if nobody was there at its time, nothing is made up\n"
        "\n"
        "Next runs\n"
        "  Fri 2026-03-27 17:45 +00:00\n"
        "  Mon 2026-03-30 09:00 +00:00\n"
    )


def test_takes_the_fields_one_by_one(capsys):
    one = run(capsys, "0 9 * * 1", "--tz", "UTC", "--after", "2026-01-01")
    assert run(capsys, "0", "9", "*", "*", "1", "--tz", "UTC", "--after", "2026-01-01") == one
    assert one[0] == 0


def test_shows_seconds_where_there_are_some(capsys):
    out = run(capsys, "*/2 * * * * *", "--tz", "UTC", "--after", "2026-01-01T00:00")[1]
    assert "Thu 2026-01-01 00:00:02 +00:00\n" in out


def test_begins_now_and_in_the_local_zone_if_nothing_is_said(capsys):
    out = run(capsys, "* * * * *")[1]
    assert "zone    the local one of this machine\n" in out
    assert "  in " in out
    assert len(out.partition("Next runs\n")[2].splitlines()) == 5
    assert document(capsys, "* * * * *")["zone"] == "local"


def test_warns_of_a_slip(capsys):
    out = run(capsys, "* 2 * * *")[1]
    assert "Warning: '* 2 * * *' runs every minute from 02:00 to 02:59" in out
    assert "'0 2 * * *'" in " ".join(out.split())


@needs_zones
def test_shows_a_gap(capsys):
    out = run(capsys, "30 2 * * *", *BERLIN, "--after", "2026-03-28T00:00", "-n", "3")[1]
    assert out.endswith(
        "  Sat 2026-03-28 02:30 +01:00\n"
        "  Sun 2026-03-29 03:00 +02:00  (clock change: its time is skipped)\n"
        "  Mon 2026-03-30 02:30 +02:00\n"
    )


@needs_zones
def test_shows_a_fold(capsys):
    out = run(capsys, "30 2 * * *", *BERLIN, "--after", "2026-10-24T12:00", "-n", "2")[1]
    assert out.endswith(
        "  Sun 2026-10-25 02:30 +02:00  (clock change: shown twice, runs once)\n"
        "  Mon 2026-10-26 02:30 +01:00  (clock change)\n"
    )
    found = document(capsys, "*/30 2 * * *", *BERLIN, "--after", "2026-10-25T00:00", "-n", "5")
    assert [one["clock_change"] for one in found["next"]] == [
        "clock change: first pass",
        "clock change: first pass",
        "clock change: second pass",
        "clock change: second pass",
        None,
    ]


def test_has_a_stable_shape_as_json(capsys):
    words = ("0 9 * * 1", "--tz", "+05:30", "--after", "2026-01-01T00:00Z", "-n", "1")
    assert document(capsys, *words) == {
        "expression": "0 9 * * 1",
        "description": "at 09:00 on Mondays",
        "warnings": [],
        "zone": "+05:30",
        "is_fixed_time": True,
        "missed": "once",
        "next": [
            {
                "at": "2026-01-05T03:30:00.000000+00:00",
                "local": "2026-01-05T09:00:00+05:30",
                "weekday": "Mon",
                "clock_change": None,
            }
        ],
    }


def test_puts_a_caret_under_the_slip(capsys):
    code, out, err = run(capsys, "*/15 9-17 * * foo")
    assert (code, out) == (2, "")
    first, *rest = err.splitlines()
    assert first.startswith("autocron: day-of-week: 'foo' is no value of this field")
    assert rest == ["  */15 9-17 * * foo", "                ^"]
    assert run(capsys, "1 2 3")[2].splitlines()[1:] == ["  1 2 3", "       ^"]


def test_keeps_the_caret_in_place_below_what_can_not_be_shown(capsys):
    lines = run(capsys, "0\t9\n* * 1")[2].splitlines()
    assert lines[1:] == ["  0 9 * * 1", "     ^"]


def test_guesses_that_the_shell_has_replaced_a_star(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").touch()
    code, _, err = run(capsys, "0", "9", "app.py", "app.py", "1")
    assert code == 2
    assert "put the expression in quotes" in err


@needs_zones
def test_refuses_an_unknown_zone(capsys):
    code, _, err = run(capsys, "0 9 * * *", "--tz", "Europe/Brelin")
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith("; did you mean Europe/Berlin?\n")


@pytest.mark.skipif(sys.version_info >= (3, 9), reason="for Python 3.8, without its zone database")
def test_says_in_one_line_where_zones_come_from(capsys):
    try:
        import backports.zoneinfo  # noqa: F401
    except ImportError:
        code, _, err = run(capsys, "0 9 * * *", *BERLIN)
        assert (code, err.count("\n")) == (2, 1)
        assert 'pip install "autocron[zones]"' in err


@pytest.mark.parametrize("text", ["soon", "", "2026-02-30", "0001-01-01T00:00+14:00"])
def test_refuses_a_time_that_is_none(capsys, text):
    code, _, err = run(capsys, "0 9 * * *", "--after", text)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"autocron: --after: {text!r} is no time; expected one such as 2026-")


def test_says_when_the_calendar_is_over(capsys):
    code, out, _ = run(capsys, "0 9 * * *", "--tz", "UTC", "--after", "9999-12-31T12:00")
    assert code == 0
    assert out.endswith("No run is left in the calendar, which ends in 9999.\n")
    # The last run in UTC is in the year 10000 there.
    out = run(capsys, "0 * * * *", "--tz", "+05:00", "--after", "9999-12-31T16:00Z", "-n", "9")[1]
    assert out.endswith("Fri 9999-12-31 23:00 +05:00\n")
