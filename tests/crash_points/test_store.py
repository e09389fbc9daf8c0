"""Every write of the SQLite store can be cut; here a few of the cuts are made."""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest

from autocron.shell import schema
from tests.crash_points import operations, store
from tests.crash_points.store import SHELL

# Of the cuts every so many; `python -m tests.crash_points --store` makes all.
STRIDE = 17
# Where it is written, as it is written there.
WRITES = {
    "sqlite.py": r"\bself\.(write|script)\(",
    "operating.py": r"\b_store\.write\(",
    "database.py": r'"(BEGIN IMMEDIATE|COMMIT|ROLLBACK)"',
}


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return store.references(tmp_path_factory.mktemp("references"))


def test_what_is_cut_leaves_what_was_committed_and_goes_on(references, tmp_path):
    cuts = [(each, point) for each in references for point in store.chosen(each.points)]
    broken = [
        why
        for reference, point in cuts[::STRIDE]
        for why in store.cut(reference, point, tmp_path / "cut")
    ]
    assert broken == []


def test_each_operation_is_done_in_as_many_changes_as_it_should_be(references):
    found = {each.operation.__name__: store.changes_found(each) for each in references}
    assert found == {each.operation.__name__: each.changes for each in references}


def test_what_is_done_in_two_changes_is_found(tmp_path, monkeypatch):
    """Plants a bug: a call of a group stores its tasks one by one."""
    one_by_one = operations.call_a_group

    def call_each_apart(bench):
        bench.store.transaction = nullcontext
        one_by_one(bench)

    monkeypatch.setattr(
        store, "OPERATIONS", ((operations.make_a_database, 1), (call_each_apart, 1))
    )
    _, planted, _ = store.references(tmp_path)
    assert store.changes_found(planted) > planted.changes
    # What waits for a group that was not stored whole would not be right if it went on.
    assert len(planted.contents) > 4


def test_every_place_that_writes_is_cut(references):
    passed = set().union(*(each.sites for each in references))
    places = [
        (name, number)
        for name, written in WRITES.items()
        for number, line in enumerate((SHELL / name).read_text().splitlines(), 1)
        if re.search(written, line)
    ]
    missing = [place for place in places if place not in passed]
    assert missing == []
    assert len(places) > 15


def test_every_statement_of_a_migration_is_cut(references):
    migration = references[-1]
    cut = {point.sql for point in store.chosen(migration.points)}
    statements = {" ".join(s.split()) for s in schema.MIGRATIONS[1].split(";") if s.strip()}
    assert statements <= cut
