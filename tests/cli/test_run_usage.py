"""Bad use of ``autocron DATABASE --run``; what it does stands in tests/processes/test_apart.py."""

from __future__ import annotations

import pytest

from autocron.cli import main


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--run",), "--run: name the modules in which the tasks live"),
        (("--run", "shop.py"), "--run: 'shop.py' is no name of a module, such as shop.tasks; did "),
        (("--run", "shop/tasks"), "--run: 'shop/tasks' is no name of a module"),
        (("--run", "shop:"), "--run: 'shop:' is no name of a module"),
        (("--run", ""), "--run: '' is no name of a module"),
        (("--run", "a:x", "b:y"), "--run: a:x and b:y: one database is for one App"),
        (("--run", "shop", "--workers", "0"), "--workers: '0' is not a whole number of workers"),
        (("--run", "shop", "--workers", "x=y"), "--workers: x: 'y' is not a whole number"),
        (("--run", "shop", "--queues", "a b"), "--queues: 'a b' is no name of a queue"),
        (("--run", "shop", "--queues", "a", "--workers", "b=1"), "--queues, and --workers with qu"),
        (("--run", "shop", "--tz", "Mars"), "Mars"),
        (("--run", "shop", "--serializer", "yaml"), "--serializer: invalid choice: 'yaml'"),
        (("--run", "shop", "--info"), "--run and --info: one at a time"),
        (("--run", "shop", "--json"), "--run and --json: one at a time"),
        (("--run", "shop", "--set-max-workers", "3"), "--run and --set-max-workers: one at a time"),
        (("--run", "shop", "--delete-database"), "--run and --delete-database: one at a time"),
        (("--workers", "3"), "--workers goes with --run"),
        (("--info", "--tz", "UTC"), "--tz goes with --run"),
    ],
)
def test_it_is_refused_in_one_line_and_nothing_is_made(
    words, expected, capsys, tmp_path, monkeypatch
):
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    database = tmp_path / "shop.db"
    assert main([str(database), *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert expected in shown.err
    assert shown.err.count("\n") == 1
    assert not database.exists()
