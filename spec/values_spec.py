"""Frozen values, made and changed quickly.

A task has some 25 fields, and is made and changed several times in its life. ``quick`` gives its
dataclass an ``__init__`` that is faster, ``made`` and ``changed`` do without one; ``row_of`` makes
the named tuples of each step. All are held against what ``dataclasses`` and ``NamedTuple`` do: only
the time that it takes may tell them apart.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import NamedTuple, Optional

import pytest

from autocron.core.values import changed, made, quick, row_of


@dataclasses.dataclass(frozen=True)
class Plain:
    name: str
    count: int
    note: Optional[str] = None
    share: float = 0.5


@quick
@dataclasses.dataclass(frozen=True)
class Quick:
    name: str
    count: int
    note: Optional[str] = None
    share: float = 0.5


class Row(NamedTuple):
    name: str
    count: int
    note: Optional[str] = None


class DescribeARow:
    def it_is_made_at_once_of_all_its_fields(self):
        row = row_of(Row)(("a", 1, "n"))
        assert (type(row), row) == (Row, Row("a", 1, "n"))
        assert (row.name, row.count, row.note) == ("a", 1, "n")


class DescribeAQuickValue:
    @pytest.mark.parametrize(
        ("args", "kwargs"),
        [
            (("a", 1), {}),
            (("a", 1, "n", 2.0), {}),
            (("a",), {"count": 1, "share": 1.0}),
            ((), {"count": 1, "name": "a", "note": "n"}),
        ],
    )
    def it_is_made_as_any_frozen_dataclass_is(self, args, kwargs):
        value = Quick(*args, **kwargs)
        assert dataclasses.asdict(value) == dataclasses.asdict(Plain(*args, **kwargs))
        assert vars(value) == vars(Plain(*args, **kwargs))

    def it_is_also_made_while_the_program_runs(self):
        # The one above was made when this module was imported.
        fields = ["a", ("b", int, 2), ("c", int, 3)]
        kind = dataclasses.make_dataclass("Kind", fields, frozen=True)
        annotations = kind.__init__.__annotations__
        assert quick(kind) is kind
        assert (kind(1).a, kind(1).b, kind(1, 3).b, kind(b=4, a=5)) == (1, 2, 3, kind(5, 4))
        assert vars(kind(1)) == {"a": 1, "b": 2, "c": 3}
        with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required .*'a'"):
            kind()
        assert kind.__init__.__annotations__ == annotations

    @pytest.mark.parametrize(
        ("args", "kwargs"), [((), {}), (("a", 1), {"more": 1}), (range(5), {})]
    )
    def it_refuses_other_fields(self, args, kwargs):
        for kind in (Plain, Quick):
            with pytest.raises(TypeError):
                kind(*args, **kwargs)

    def it_has_all_fields_itself_and_the_class_none(self):
        # The interpreter reads a field several times as fast if the class has none of its name.
        assert list(vars(Quick("a", 1))) == ["name", "count", "note", "share"]
        assert not {"note", "share"} & set(vars(Quick))
        assert [field.default for field in dataclasses.fields(Quick)][2:] == [None, 0.5]

    def it_has_the_parameters_and_types_of_its_fields(self):
        given = [parameter.name for parameter in inspect.signature(Quick).parameters.values()]
        assert given == list(inspect.signature(Plain).parameters)
        assert Quick.__init__.__annotations__ == Plain.__init__.__annotations__

    def it_is_frozen_compared_copied_and_pickled(self):
        value = Quick("a", 1)
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.name = "b"
        assert value == Quick("a", 1) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value))
        assert value != Quick("a", 2)
        assert hash(value) == hash(Quick("a", 1))
        assert repr(value) == repr(Plain("a", 1)).replace("Plain", "Quick")


@pytest.mark.parametrize("kind", [Plain, Quick])
class DescribeMakingAndChanging:
    def it_makes_the_same_value_of_all_its_fields(self, kind):
        value = made(kind, {"name": "a", "count": 1, "note": None, "share": 1.0})
        assert value == kind("a", 1, share=1.0)
        assert type(value) is kind

    def it_changes_what_is_named_and_nothing_else(self, kind):
        before = kind("a", 1, "n")
        after = changed(before, count=2, note=None)
        assert after == dataclasses.replace(before, count=2, note=None)
        assert type(after) is kind
        assert before == kind("a", 1, "n")
