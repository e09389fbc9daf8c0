"""Setting: several in one call, all or none; and what the tool says about a change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autocron.cli import main
from autocron.core.settings import Settings
from autocron.firing import SCHEDULES_VERSION
from autocron.shell.sqlite import SQLiteStore


def run(capsys, *words):
    code = main(list(words))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def settings(path) -> Settings:
    store = SQLiteStore(str(path))
    store.open(create=False)
    try:
        return Settings.read(store.settings())
    finally:
        store.close()


@pytest.mark.parametrize(
    ("option", "word", "name", "value"),
    [
        ("--set-max-workers", "3", "max_workers", 3),
        ("--set-worker-idle-time", "0.5", "worker_idle_time", 0.5),
        ("--set-monitor-idle-time", "5", "monitor_idle_time", 5.0),
        ("--set-result-ttl", "60", "result_ttl", 60.0),
        ("--set-failure-ttl", "0", "failure_ttl", 0.0),
        ("--set-failure-ttl", "2d", "failure_ttl", 172800.0),
        ("--set-result-ttl", "1h30m", "result_ttl", 5400.0),
        ("--set-stop-grace", "2min", "stop_grace", 120.0),
        ("--set-worker-idle-time", "1.5s", "worker_idle_time", 1.5),
        ("--set-monitor-idle-time", "1m", "monitor_idle_time", 60.0),
        ("--set-autocron-lock", "on", "autocron_lock", True),
        ("--set-autocron-lock", "TRUE", "autocron_lock", True),
        ("--set-autocron-lock", "Off", "autocron_lock", False),
        ("--set-autocron-lock", "false", "autocron_lock", False),
    ],
)
def test_each_setting_is_stored_and_shown(home, capsys, option, word, name, value):
    code, out, err = run(capsys, "shop.db", option, word)
    assert (code, err) == (0, "")
    path = home / ".autocron" / "shop.db"
    assert out.splitlines()[0] == str(path)
    assert f"  {name.replace('_', '-')}  " in out
    assert getattr(settings(path), name) == value


def test_creates_a_missing_database_that_only_its_owner_reads(home, capsys):
    assert run(capsys, "apps/shop.db", "--set-max-workers", "2")[0] == 0
    path = home / ".autocron" / "apps" / "shop.db"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("option", "word", "expected"),
    [
        ("--set-autocron-lock", "maybe", "'maybe' is not one of on, off, true, false"),
        ("--set-max-workers", "0", "'0' is not a whole number of workers from 1 to 1000"),
        ("--set-max-workers", "-1", "'-1' is not a whole number of workers from 1 to 1000"),
        ("--set-max-workers", "2.5", "'2.5' is not a whole number"),
        ("--set-result-ttl", "soon", "'soon' is not a number of seconds from 0 to"),
        ("--set-result-ttl", "nan", "'nan' is not a number of seconds"),
        ("--set-worker-idle-time", "0", "'0' is not a number of seconds from 0.05"),
        ("--set-stop-grace", "2d", "'2d' is not a number of seconds from 0 to 86400, or such as 9"),
        ("--set-stop-grace", "soon", "'soon' is not a number of seconds from 0 to 86400, or such "),
        ("--set-max-memory-mb", "1h", "'1h' is not a number of megabytes from 0 to 1000000000; no"),
    ],
)
def test_a_bad_word_changes_nothing_and_creates_nothing(home, capsys, option, word, expected):
    code, out, err = run(capsys, "shop.db", "--set-failure-ttl", "60", option, word)
    assert (code, out) == (2, "")
    assert err.startswith(f"autocron: {option}: {expected}")
    assert err.endswith("; nothing is changed\n")
    assert not (home / ".autocron").exists()


def test_several_settings_and_a_list_in_one_call(home, capsys):
    words = ("--set-max-workers", "2", "--set-result-ttl", "90", "--info")
    _, out, _ = run(capsys, "shop.db", *words)
    assert "  max-workers  1 (default)      ->  2\n" in out
    assert "  result-ttl   1800 s (30 min)  ->  90 s (1 min 30 s)\n" in out
    assert "  max-workers           2\n" in out


def test_json_is_not_disturbed_by_what_is_said_about_a_change(home, capsys):
    _, out, err = run(capsys, "shop.db", "--set-max-workers", "2", "--info", "--json")
    assert out.startswith("{\n")
    assert "max-workers" in err


def test_defaults_reset_all_that_is_not_given(home, capsys):
    run(capsys, "shop.db", "--set-max-workers", "2", "--set-autocron-lock", "on")
    code, out, _ = run(capsys, "shop.db", "--set-defaults", "--set-result-ttl", "60")
    assert code == 0
    assert settings(home / ".autocron" / "shop.db") == Settings(result_ttl=60.0)
    assert "  autocron-lock         on " in out


def test_unlocking_lets_the_schedules_begin_now(shop, capsys):
    before = shop.plan("0 * * * *")
    begun = shop.clock.now()
    run(capsys, "shop.db", "--set-autocron-lock", "on")
    assert shop.store.schedules() == [before]
    version = shop.store.settings()[SCHEDULES_VERSION]
    out = run(capsys, "shop.db", "--set-autocron-lock", "off")[1]
    assert "All schedules begin now" in out
    (after,) = shop.store.schedules()
    assert begun <= after.watermark_at <= shop.clock.now()
    assert shop.store.settings()[SCHEDULES_VERSION] != version


def test_unlocking_never_sets_a_watermark_back(shop, capsys):
    shop.store.put_settings({"autocron_lock": "on"})
    later = shop.plan("0 * * * *", watermark_at=shop.clock.now() + timedelta(hours=2))
    run(capsys, "shop.db", "--set-defaults")
    assert shop.store.schedules() == [later]


def test_what_is_off_already_is_no_unlocking(shop, capsys):
    before = shop.plan("0 * * * *")
    out = run(capsys, "shop.db", "--set-autocron-lock", "off")[1]
    assert "begin now" not in out
    assert shop.store.schedules() == [before]
