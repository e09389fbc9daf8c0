"""What is drawn by chance: ids that grow, and are never the same twice."""

from __future__ import annotations

import re

from autocron.core.task import MAX_ID_LENGTH
from autocron.shell.chance import new_id, new_ids


def test_many_ids_are_like_single_ones_and_grow():
    before, many = new_id(), new_ids(1000)
    assert len({before, *many}) == 1001
    assert [before, *many] == sorted([before, *many])
    for one in (before, *many):
        assert re.fullmatch("[0-9a-f]{30}", one)
        assert len(one) <= MAX_ID_LENGTH
    # What is random in them is so in each.
    assert len({one[14:] for one in many}) == 1000
    assert new_ids(0) == []
