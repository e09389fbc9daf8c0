"""A database of its own for each test of the SQLite store."""

from __future__ import annotations

import pytest

from autocron.shell.sqlite import SQLiteStore


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "project.db")


@pytest.fixture
def store(path):
    made = SQLiteStore(path, timeout_seconds=5.0)
    made.open()
    yield made
    made.close()
