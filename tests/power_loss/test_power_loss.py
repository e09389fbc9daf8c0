"""What a disk keeps of a run under load if its power is lost; the short form of the rig."""

from __future__ import annotations

import random

import pytest

from tests.power_loss.disk import Disk
from tests.power_loss.recording import Record, compile_recorder, why_not
from tests.power_loss.run import lose_power
from tests.power_loss.workload import record, record_migration

CALLS, CUTS = 20, 32


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    missing = why_not()
    if missing is not None:
        pytest.skip(f"NOT TESTED what a power cut leaves: {missing}")
    return compile_recorder(tmp_path_factory.mktemp("recorder"))


def found(compiled, folder, durability, plant=None, starts=0):
    run = record(compiled, folder, durability=durability, seed=6, calls=CALLS, plant=plant)
    left = folder / "left"
    return lose_power(run, left, durability=durability, seed=6, cuts=CUTS, starts=starts)


def test_in_full_durability_every_call_that_has_returned_is_there_and_runs(compiled, tmp_path):
    lost = found(compiled, tmp_path, "full", starts=1)
    assert lost.broken == []
    assert (lost.cuts, lost.starts, lost.at_risk) == (CUTS, 1, 0)
    # Else nothing would have been there to be lost.
    assert lost.unsynced
    assert lost.promises


def test_in_normal_durability_what_is_there_is_whole_and_what_was_synced_is(compiled, tmp_path):
    lost = found(compiled, tmp_path, "normal")
    assert lost.broken == []
    assert lost.at_risk


def test_a_migration_is_done_or_can_be_done_again(compiled, tmp_path):
    run = record_migration(compiled, tmp_path)
    lost = lose_power(run, tmp_path / "left", durability="full", seed=6, cuts=CUTS)
    assert lost.broken == []
    assert lost.unsynced


def test_a_missing_sync_is_found(compiled, tmp_path):
    assert any("lost: task" in why for why in found(compiled, tmp_path, "full", "normal").broken)


class TestDisk:
    """The model of a disk, by hand."""

    def records(self, *lines):
        for kind, path, offset, data in lines:
            yield Record(kind, 1, {"": 1, "a": 2}.get(path, 3), offset, path, data)

    def contents(self, tmp_path, *lines):
        """All that may be left of the file a, over many seeds."""
        disk = Disk()
        for each in self.records(*lines):
            disk.take(each)
        left = set()
        for seed in range(150):
            folder = tmp_path / str(seed)
            folder.mkdir()
            disk.lose_power(random.Random(seed), folder, lambda name: False)
            left.add((folder / "a").read_bytes() if (folder / "a").exists() else None)
        return left

    def test_what_is_synced_is_kept(self, tmp_path):
        lines = [("L", "a", 0, b""), ("W", "a", 0, b"x"), ("B", "a", 0, b""), ("E", "a", 0, b"")]
        assert self.contents(tmp_path, *lines, ("B", "", 0, b""), ("E", "", 0, b"")) == {b"x"}

    def test_a_name_that_is_not_synced_may_be_missing(self, tmp_path):
        lines = [("L", "a", 0, b""), ("W", "a", 0, b"x"), ("B", "a", 0, b""), ("E", "a", 0, b"")]
        assert self.contents(tmp_path, *lines) == {b"x", None}

    def test_what_is_written_while_a_sync_is_under_way_may_be_lost(self, tmp_path):
        lines = [("L", "a", 0, b""), ("B", "", 0, b""), ("E", "", 0, b""), ("B", "a", 0, b"")]
        left = self.contents(tmp_path, *lines, ("W", "a", 0, b"x"), ("E", "a", 0, b""))
        assert {b"", b"x"} <= left

    def test_writes_are_torn_at_sectors_and_kept_in_any_order(self, tmp_path):
        lines = [("L", "a", 0, b""), ("B", "", 0, b""), ("E", "", 0, b"")]
        left = self.contents(tmp_path, *lines, ("W", "a", 0, b"x" * 1024), ("W", "a", 1024, b"y"))
        assert {b"", b"x" * 512, b"x" * 1024, b"x" * 1024 + b"y", bytes(1024) + b"y"} <= left
        assert bytes(512) + b"x" * 512 in left
