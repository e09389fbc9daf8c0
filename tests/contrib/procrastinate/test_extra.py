"""PostgreSQL is asked for where what it takes is missing: the error says what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import autocron
from autocron.contrib.procrastinate.extra import check_extra


def _finds_all_but(missing):
    def find(name):
        if name == missing:
            raise ImportError(f"No module named {name!r}")

    return find


@pytest.mark.parametrize("missing", ["procrastinate", "psycopg"])
def test_a_missing_package_is_an_error_that_names_the_command(missing):
    with pytest.raises(autocron.StartError) as caught:
        check_extra((3, 12), _finds_all_but(missing))
    assert 'python -m pip install "autocron[postgres]"' in str(caught.value)
    assert f"No module named '{missing}'" in str(caught.value)


def test_an_old_python_is_told_to_be_old_before_anything_is_imported():
    with pytest.raises(autocron.StartError, match=r"Python 3\.10 or newer, and this is 3\.9"):
        check_extra((3, 9), _finds_all_but("psycopg"))


def test_where_all_is_there_nothing_is_said():
    check_extra((3, 10), _finds_all_but(None))


def test_neither_an_import_nor_the_check_itself_loads_anything_of_others():
    code = (
        "import sys, autocron, autocron.contrib.procrastinate.extra\n"
        "others = ('procrastinate', 'psycopg', 'psycopg_pool', 'attr')\n"
        "assert not [name for name in others if name in sys.modules]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_extra_is_the_one_that_the_command_names():
    tomllib = pytest.importorskip("tomllib")
    project = Path(__file__).resolve().parents[3] / "pyproject.toml"
    extras = tomllib.loads(project.read_text("utf-8"))["project"]["optional-dependencies"]
    names = {re.split(r"[\[<>=]", each)[0] for each in extras["postgres"]}
    assert names == {"procrastinate", "psycopg"}
