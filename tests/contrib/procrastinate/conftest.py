"""A real PostgreSQL, and databases in it; whoever can not have one is told so."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

# Elsewhere a test without a server is skipped; with one of these words it fails.
REQUIRED = os.environ.get("AUTOCRON_TEST_POSTGRES") in ("required", "all")

# A new database takes a second on a busy machine, to empty the tables of one a hundredth.
EMPTY = """
TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_events,
    procrastinate_periodic_defers, autocron_tasks, autocron_schedules, autocron_settings,
    autocron_starts, autocron_busy_rates, autocron_paused_queues, autocron_hosts
    RESTART IDENTITY CASCADE
"""


def pytest_configure(config):
    config.addinivalue_line("markers", "mostly_waits: see tests/processes/conftest.py")


def pytest_ignore_collect(collection_path):
    """Leave out what can not even be imported without the extra."""
    is_there = all(importlib.util.find_spec(name) for name in ("procrastinate", "psycopg"))
    if is_there or REQUIRED or collection_path.name in ("test_extra.py", "conftest.py"):
        return None
    return True


def _module(name):
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def server():
    """The server, in a folder that its own user can reach."""
    postgres_server = _module("postgres_server")
    folder = Path(tempfile.mkdtemp(prefix="autocron-postgres-"))
    folder.chmod(0o711)
    try:
        try:
            made = postgres_server.Server(folder / "server")
            made.create()
            made.start()
        except postgres_server.NoServer as error:
            if REQUIRED:
                pytest.fail(f"PostgreSQL is required here: {error}", pytrace=False)
            pytest.skip(f"no PostgreSQL: {error}")
        yield made
        made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server):
    """A database with all tables, of which the others are copies."""
    import psycopg

    from autocron.contrib.procrastinate.backend import postgres_store

    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_of_tests")
    store = postgres_store(server.url("template_of_tests"))
    store.open()
    store.close()
    return "template_of_tests"


@pytest.fixture(scope="session")
def databases():
    """The databases that were made; a test that comes later has them again."""
    return []


@pytest.fixture(scope="session")
def empty():
    """Empties the tables of a database."""
    import psycopg

    def empty_it(url):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(EMPTY.encode())

    return empty_it


@pytest.fixture
def make_url(server, template, databases, empty):
    """Makes databases with empty tables; returns their URLs."""
    import psycopg

    taken = itertools.count()

    def make():
        place = next(taken)
        if place < len(databases):
            empty(databases[place])
            return databases[place]
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE test_{place} TEMPLATE {template}".encode())
        databases.append(server.url(f"test_{place}"))
        return databases[place]

    return make
