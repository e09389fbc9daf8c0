"""Frozen values, made and changed quickly.

A task has some 25 fields, and is made and changed several times in its life. ``frozen`` is a frozen
dataclass whose class costs an import little, and with an ``__init__`` that is faster; ``made`` and
``changed`` do without one; ``row_of`` makes the named tuples of each step. All are held against
what ``dataclasses`` and ``NamedTuple`` do: only the time that it takes may tell them apart.

Of thousands of values that differ in one or two fields, as the calls of one ``map`` do, ``Alike``
keeps just these: it is a sequence of them, each of which is made when it is asked for.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import NamedTuple, Optional

import pytest

from autocron.core.values import Alike, changed, fields_of, frozen, made, row_of


@dataclasses.dataclass(frozen=True)
class Plain:
    name: str
    count: int
    note: Optional[str] = None
    share: float = 0.5


@frozen
class Quick:
    name: str
    count: int
    note: Optional[str] = None
    share: float = 0.5


# What the body of the two would be, for classes that are made in a clause.
CONTENTS = {
    "__annotations__": dict(Plain.__annotations__),
    "note": None,
    "share": 0.5,
}


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
        contents = {"__annotations__": {"a": "int", "b": "int", "c": "int"}, "b": 2, "c": 3}
        kind = type("Kind", (), contents)
        assert frozen(kind) is kind
        assert (kind(1).a, kind(1).b, kind(1, 3).b, kind(b=4, a=5)) == (1, 2, 3, kind(5, 4))
        assert vars(kind(1)) == {"a": 1, "b": 2, "c": 3}
        with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required .*'a'"):
            kind()

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
        assert fields_of(Quick, ...) == {"name": ..., "count": ..., "note": None, "share": 0.5}
        assert fields_of(Quick) == {"name": None, "count": None, "note": None, "share": 0.5}

    def it_is_a_dataclass_to_what_asks_for_one(self):
        kind = frozen(type("Plain", (), {**CONTENTS}))
        assert dataclasses.is_dataclass(kind)
        # They are made when they are first asked for, and then are the same.
        assert dataclasses.fields(kind) == dataclasses.fields(kind)
        for ours, other in zip(dataclasses.fields(kind("a", 1)), dataclasses.fields(Plain)):
            assert (ours.name, ours.type, ours.default) == (other.name, other.type, other.default)
        assert len(dataclasses.fields(kind)) == 4
        value = Quick("a", 1)
        assert dataclasses.astuple(value) == ("a", 1, None, 0.5)
        assert dataclasses.replace(value, note="n") == Quick("a", 1, "n")
        assert Quick.__match_args__ == ("name", "count", "note", "share")

    def it_has_the_parameters_and_types_of_its_fields(self):
        # Asked of the class, before there is a value; and the other way round.
        kind = frozen(type("Kind", (), {**CONTENTS}))
        assert list(inspect.signature(kind).parameters) == list(inspect.signature(Plain).parameters)
        assert kind.__init__.__annotations__ == Plain.__init__.__annotations__
        assert Quick("a", 1).name == "a"
        assert Quick.__init__.__annotations__ == Plain.__init__.__annotations__
        assert Quick.__init__.__qualname__ == "Quick.__init__"

    def it_is_frozen_compared_copied_and_pickled(self):
        value = Quick("a", 1)
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
            value.name = "b"
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'name'"):
            del value.name
        assert value == Quick("a", 1) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value))
        assert value != Quick("a", 2)
        assert value != Plain("a", 1)
        assert hash(value) == hash(Quick("a", 1))
        assert hash(value) != hash(Quick("a", 2))
        assert repr(value) == repr(Plain("a", 1)).replace("Plain", "Quick")


class DescribeAQuickValueWithAMindOfItsOwn:
    def it_keeps_its_own_ways(self):
        @frozen
        class Folded:
            text: str

            def __eq__(self, other):
                return self.text.lower() == other.text.lower()

            def __hash__(self):
                return hash(self.text.lower())

            def __repr__(self):
                return f"<{self.text}>"

        assert Folded("A") == Folded("a")
        assert hash(Folded("A")) == hash(Folded("a"))
        assert repr(Folded("A")) == "<A>"


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


class DescribeValuesThatAreAlike:
    ALIKE = Alike(Quick("a", 1, share=1.0), name=["b", "c", "d"], note=["e", None, "f"])
    EACH = [Quick("b", 1, "e", 1.0), Quick("c", 1, None, 1.0), Quick("d", 1, "f", 1.0)]

    def it_is_a_sequence_of_them(self):
        assert list(self.ALIKE) == self.EACH
        assert len(self.ALIKE) == 3
        assert self.ALIKE[-1] == self.EACH[-1]
        with pytest.raises(IndexError):
            _ = self.ALIKE[3]
        assert self.EACH[1] in self.ALIKE
        assert len(Alike(Quick("a", 1), name=[])) == 0

    def it_has_parts_that_are_the_same(self):
        part = self.ALIKE[1:]
        assert list(part) == self.EACH[1:]
        assert (part.like, part.own) == (
            self.ALIKE.like,
            {"name": ["c", "d"], "note": [None, "f"]},
        )
