"""Arguments and results.

A task runs in another process, perhaps after a restart, so its arguments and its result are stored
as text. The rule is short: **what is stored comes back exactly, or it is refused at the call.**
Exactly means an equal value of the same type, all the way down. Nothing is ever rounded, renamed
or turned into something similar.

What can be stored
    ``None``, ``bool``, ``int`` of any size, finite ``float``, ``str``, ``list``, ``dict``,
    ``tuple``, ``set``, ``frozenset``, ``bytes``, ``bytearray``, and of the standard library
    ``datetime``, ``date``, ``time``, ``timedelta``, ``Decimal``, ``UUID`` and the paths of
    ``pathlib``; containers hold any of these, 100 levels deep. Keys of a dictionary need not be
    text, and their order is kept. Arguments are copied at the call: two references to one list
    arrive as two lists.

What is kept of a date and time
    Whether it is naive or aware; the fold; a fixed offset with its name; and a ``ZoneInfo`` by its
    key. Other time zones are refused.

What is refused
    NaN and infinities as ``float``; text with half of a surrogate pair; every subclass (an enum, a
    named tuple, an ``OrderedDict``, Django's ``SafeString``), since it may carry more than its base
    does; and all other types. ``Decimal`` is a type that has NaN, signalling NaN and infinities as
    values of its own, so these *are* kept, to the sign and the payload.

What an integration adds
    It may name a type that wraps plain values, as Django's ``SafeString`` does, and how to unwrap
    it: the task is given the plain value.

A refusal is a ``NotStorable``. It names the argument by the parameter of the function, and within
it by the expression that reaches the value, ``message['to'][2]``; it names the type; and it says
what to use in its place. It touches nothing but the type of the value, so no code of a value runs.

The text is JSON. What JSON lacks is an object with one key that starts with ``$``. A dictionary of
the user that looks like that is escaped, so it comes back as the dictionary it was. Equal values
give equal text (the items of sets are sorted by their text, dictionaries keep their order). Loading
makes values of the types above and no others, runs no code that the text names, and says so when
the text is damaged or not ours.

``start(serializer="pickle")`` stores whatever pickle takes. It is a choice, since loading a pickle
runs whatever code the text names. The JSON serializer refuses pickled text; the pickle serializer
loads JSON text too, so that tasks which wait while the serializer is changed still run.
"""

from __future__ import annotations

import ast
import collections
import contextlib
import copy
import dataclasses
import decimal
import enum
import functools
import importlib
import inspect
import io
import json
import pathlib
import struct
import sys
import threading
import types
import uuid
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Dict, List

import freezegun
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autocron import core
from autocron.core import arguments, decoding, encoding, pickled, refusals, text_format
from autocron.core.arguments import dump_call, dump_result, load_call, load_result
from autocron.core.errors import AutocronError, NotStorable

try:
    from zoneinfo import ZoneInfo
except ImportError:  # Python 3.8
    try:
        from backports.zoneinfo import ZoneInfo
    except ImportError:
        ZoneInfo = None

# What arguments are made of.
PARTS = (arguments, decoding, encoding, refusals, text_format)

needs_zones = pytest.mark.skipif(ZoneInfo is None, reason="no zoneinfo: install backports.zoneinfo")


def anatomy(value: Any) -> Any:
    """Everything that makes up a value, so that == on it means "exactly the same"."""
    kind = type(value)
    if kind in (list, tuple):
        return kind, [anatomy(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted((anatomy(item) for item in value), key=repr)
    if kind is dict:
        return kind, [(anatomy(key), anatomy(item)) for key, item in value.items()]
    if kind is int:
        return kind, hex(value)
    if kind is Decimal:
        return kind, value.as_tuple()
    if kind in (datetime, time):
        return kind, value.replace(tzinfo=None).isoformat(), value.fold, repr(value.tzinfo)
    if kind is not bool and value is not None:
        return kind, repr(value)
    return kind, value


def round_trip(value: Any) -> Any:
    return load_result(dump_result(value))


def assert_kept(value: Any) -> None:
    assert anatomy(round_trip(value)) == anatomy(value)


def refusal(value: Any) -> NotStorable:
    with pytest.raises(NotStorable) as caught:
        dump_call((value,), {}, ["message"])
    return caught.value


# --- strategies: every value that can be stored ---------------------------------------------------

OFFSETS = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
FIXED_ZONES = st.one_of(
    st.builds(timezone, OFFSETS),
    # A timezone named like an unnamed one is that one but for its repr.
    st.builds(timezone, OFFSETS, st.text(min_size=1).filter(lambda name: "UTC" not in name)),
    st.just(timezone.utc),
)
ZONES = st.one_of(st.none(), FIXED_ZONES)
if ZoneInfo is not None:
    ZONES |= st.sampled_from(["Europe/Berlin", "UTC", "Australia/Lord_Howe"]).map(ZoneInfo)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
HASHABLE_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(1990, 2010).map(lambda bits: 1 << bits),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    st.binary(),
    st.dates(),
    st.builds(lambda at, zone, fold: at.replace(tzinfo=zone, fold=fold),
              st.datetimes(), ZONES, st.integers(0, 1)),
    st.builds(lambda at, zone, fold: at.replace(tzinfo=zone, fold=fold),
              st.times(), ZONES, st.integers(0, 1)),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.lists(TEXT).map(lambda parts: pathlib.PurePosixPath(*parts)),
    st.lists(TEXT).map(lambda parts: pathlib.Path(*parts)),
)  # fmt: skip
SCALARS = st.one_of(
    HASHABLE_SCALARS,
    st.binary().map(bytearray),
    st.decimals(),
    st.builds("{}{}NaN{}".format, st.sampled_from(["", "-"]), st.sampled_from(["", "s"]),
              st.integers(1, 999)).map(Decimal),
)  # fmt: skip
KEYS = st.recursive(
    HASHABLE_SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
TAG_LIKE = st.sampled_from(["$tuple", "$dict", "$set", "$pickle", "$int", "$", "$nonsense"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        st.dictionaries(TEXT, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(TAG_LIKE, inner, max_size=2),
    ),
    max_leaves=20,
)


class DescribeExactness:
    """What is stored comes back exactly."""

    @given(VALUES)
    def it_gives_back_every_value_with_its_type_all_the_way_down(self, value):
        assert_kept(value)

    @given(st.lists(VALUES, max_size=3).map(tuple), st.dictionaries(TEXT, VALUES, max_size=3))
    @example((), {})
    @example((), {"$tuple": []})
    def it_gives_back_the_arguments_of_a_call(self, args, kwargs):
        loaded = load_call(dump_call(args, kwargs))
        assert anatomy(list(loaded)) == anatomy([args, kwargs])

    @given(VALUES)
    def it_gives_equal_text_for_equal_values(self, value):
        assert dump_result(copy.deepcopy(value)) == dump_result(value)

    @given(VALUES)
    def it_writes_json_that_can_be_written_anywhere(self, value):
        text = dump_result(value)
        json.loads(text)
        text.encode("utf-8")
        assert "\0" not in text

    @pytest.mark.parametrize(
        "value",
        [
            [], {}, (), set(), frozenset(), "", b"", bytearray(),
            True, False, None, 0, -0.0, 1e22, 5e-324, 1.7976931348623157e308, 10**22,
            "NUL \0, quote \", backslash \\, \u2028, emoji \U0001f600, \ud7ff\ue000",
            {"": ""}, {True: 1, "True": 2, None: 3, 2.5: 4, (1, (2,)): 5, frozenset([1]): 6},
            {1: "int", "1": "text"}, {b"k": 1}, {date(2024, 2, 29): 1},
            (1, [2, (3, {4})]), [[], [[]]],
            timedelta.min, timedelta.max, timedelta(microseconds=-1),
            date.min, date.max, datetime.min, datetime.max, time.min, time.max,
            datetime.min.replace(tzinfo=timezone.max), datetime.max.replace(tzinfo=timezone.min),
            pathlib.Path(), pathlib.Path("/tmp/a b"), pathlib.PurePath("//a/b"),
            pathlib.PureWindowsPath("C:\\Users\\x"), pathlib.PureWindowsPath("//host/share/x"),
            uuid.UUID(int=0), uuid.UUID(int=2**128 - 1),
        ],
        ids=repr,
    )  # fmt: skip
    def it_keeps_the_edges_of_every_type(self, value):
        assert_kept(value)

    def it_keeps_the_order_of_a_dictionary(self):
        assert list(round_trip({"b": 1, "a": 2})) == ["b", "a"]
        assert list(round_trip({2: 1, 1: 2})) == [2, 1]

    def it_copies_at_the_call(self):
        shared: List[Any] = []
        first, second = round_trip([shared, shared])
        assert first is not second


class DescribePlainCalls:
    """What most calls are made with is written at once; the text is that of any other call."""

    @pytest.mark.parametrize(
        ("args", "text"),
        [
            ((), "[[],{}]"),
            ((1, "a", True, False, None), '[[1,"a",true,false,null],{}]'),
            (('"\\\n\x00\x7f',), '[["\\"\\\\\\n\\u0000\x7f"],{}]'),
            ((-(2**2000 - 1), 2**2000 - 1), f"[[{1 - 2**2000},{2**2000 - 1}],{{}}]"),
            ((2**2000,), f'[[{{"$int":"{hex(2**2000)}"}}],{{}}]'),
            ((-(2**2000),), f'[[{{"$int":"{hex(-(2**2000))}"}}],{{}}]'),
            (("ü", 1), '[["ü",1],{}]'),
            ((1, (2,)), '[[1,{"$tuple":[2]}],{}]'),
        ],
    )
    @pytest.mark.parametrize("has_c", [True, False])
    def it_is_the_same_text_also_where_json_is_not_written_in_c(
        self, monkeypatch, has_c, args, text
    ):
        if not has_c:
            monkeypatch.setattr("json.encoder.c_make_encoder", None)
        monkeypatch.setattr(encoding, "_writer", encoding._writer.__wrapped__)
        assert dump_call(args, {}) == text
        assert load_call(text) == (args, {})

    def it_is_written_by_one_encoder_as_json_makes_it_for_each_text(self, monkeypatch):
        made = []

        def make(*how):
            made.append(how)
            return lambda tree, level: ("[", f"{tree}{level}]")

        monkeypatch.setattr("json.encoder.c_make_encoder", make)
        monkeypatch.setattr(
            encoding, "_writer", functools.lru_cache(None)(encoding._writer.__wrapped__)
        )
        texts = [dump_call((1,), {}) for _ in range(2)]
        encoder = json.JSONEncoder(
            ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
        )
        assert texts == [f"[{encoder.encode((1,))},{{}}]"] * 2
        ours, others = made
        assert ours[1].__func__ is others[1].__func__
        assert (ours[0], *ours[2:]) == (others[0], *others[2:])


class DescribeIntegers:
    """Of any size, whatever limit the process has on decimal digits."""

    @pytest.mark.parametrize("digits", [639, 640, 641, 4299, 4300, 4301, 100_000])
    @pytest.mark.parametrize("sign", [1, -1])
    def it_keeps_integers_beyond_the_digits_that_python_reads(self, digits, sign):
        assert_kept(sign * 10**digits)

    def it_writes_others_as_plain_json(self):
        assert dump_result(2**64) == "18446744073709551616"
        for value in (2**2000 - 1, 1 - 2**2000):
            assert dump_result(value) == str(value)
        for value in (2**2000, -(2**2000)):
            assert dump_result(value) == f'{{"$int":"{value:#x}"}}'

    def it_names_a_key_that_python_can_not_write(self):
        assert refusal({10**5000: object()}).path == "message[...]"


class DescribeDecimals:
    """Decimals are kept to the last digit, sign and payload; NaN and infinities included."""

    @pytest.mark.parametrize(
        "text",
        ["0", "-0", "0.00", "1E+5", "1.50", "-1E-400", "123456789012345678901234567890.5",
         "Infinity", "-Infinity", "NaN", "-NaN", "NaN123", "sNaN", "-sNaN7"],
    )  # fmt: skip
    def it_keeps(self, text):
        assert_kept(Decimal(text))

    def it_does_not_depend_on_the_decimal_context(self):
        value = Decimal("1.2345E+30")
        text = dump_result(value)
        with decimal.localcontext() as context:
            context.capitals = 0
            context.prec = 2
            assert dump_result(value) == text
            assert load_result(text) == value


class DescribeDatesAndTimes:
    """Zone and fold are part of the value."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (datetime(2024, 3, 1, 9, 0), '{"$datetime":"2024-03-01T09:00:00"}'),
            (datetime(2024, 3, 1, 9, 0, tzinfo=timezone.utc),
             '{"$datetime":"2024-03-01T09:00:00+00:00"}'),
            (datetime(2024, 3, 1, 9, 0, 0, 1, timezone(timedelta(hours=1))),
             '{"$datetime":"2024-03-01T09:00:00.000001+01:00"}'),
            (datetime(2024, 3, 1, 9, 0, tzinfo=timezone(timedelta(hours=1), "CET")),
             '{"$datetime":{"at":"2024-03-01T09:00:00+01:00","name":"CET"}}'),
            (datetime(2024, 3, 1, tzinfo=timezone(timedelta(microseconds=-1), "odd")),
             '{"$datetime":{"at":"2024-03-01T00:00:00","name":"odd","offset":[-1,86399,999999]}}'),
            (datetime(2024, 10, 27, 2, 30, fold=1),
             '{"$datetime":{"at":"2024-10-27T02:30:00","fold":1}}'),
            (time(9, 30), '{"$time":"09:30:00"}'),
            (time(9, 30, tzinfo=timezone.utc, fold=1),
             '{"$time":{"at":"09:30:00+00:00","fold":1}}'),
            (date(2024, 2, 29), '{"$date":"2024-02-29"}'),
            (timedelta(days=-1, seconds=1), '{"$timedelta":[-1,1,0]}'),
        ],
        ids=repr,
    )  # fmt: skip
    def it_writes(self, value, text):
        assert dump_result(value) == text
        assert anatomy(load_result(text)) == anatomy(value)

    def it_gives_back_the_one_utc(self):
        assert round_trip(datetime(2024, 1, 1, tzinfo=timezone.utc)).tzinfo is timezone.utc

    @needs_zones
    @pytest.mark.parametrize("fold", [0, 1])
    def it_keeps_a_zone_by_its_key_and_the_fold(self, fold):
        value = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
        loaded = round_trip(value)
        assert loaded.tzinfo is value.tzinfo
        assert loaded.utcoffset() == timedelta(hours=2 - fold)
        assert_kept(time(2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold))

    @needs_zones
    def it_keeps_a_time_that_the_clocks_skip(self):
        assert_kept(datetime(2024, 3, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")))

    def it_refuses_a_zone_that_has_no_lasting_name(self):
        class Pytz(tzinfo):
            def utcoffset(self, at):
                raise AssertionError("no code of the value runs")

        error = refusal({"at": [datetime(2024, 1, 1, tzinfo=Pytz())]})
        assert error.path == "message['at'][0]"
        assert str(error) == (
            f"message['at'][0] has a time zone of type {__name__}.{Pytz.__qualname__}, which can "
            "not be kept exactly; use datetime.timezone, a zoneinfo.ZoneInfo with a key, or "
            ".astimezone(datetime.timezone.utc)"
        )
        assert "Pytz" in str(refusal(time(9, tzinfo=Pytz())))

    @needs_zones
    def it_refuses_a_zone_that_was_read_from_a_file(self):
        # The smallest such file: version 1, no transitions, one type, the name "UTC".
        counts = [0, 0, 0, 0, 1, 4]
        content = b"TZif" + bytes(16) + struct.pack(">6l", *counts) + bytes(6) + b"UTC\0"
        for key in (None, "Europe/Berlin"):
            zone = ZoneInfo.from_file(io.BytesIO(content), key=key)
            told = str(refusal(datetime(2024, 1, 1, tzinfo=zone)))
            assert told.startswith(f"message has a time zone of type {ZoneInfo.__module__}.ZoneInf")

    @needs_zones
    def it_refuses_a_zone_without_a_key(self, monkeypatch):
        class Keyless(tzinfo):
            key = None

        monkeypatch.setattr(sys.modules[ZoneInfo.__module__], "ZoneInfo", Keyless)
        assert "Keyless" in str(refusal(datetime(2024, 1, 1, tzinfo=Keyless())))

    def it_says_what_to_install_when_a_zone_is_not_known(self):
        text = '{"$datetime":{"at":"2024-10-27T02:30:00","zone":"Mars/Olympus_Mons"}}'
        with pytest.raises(
            NotStorable, match=r"'Mars/Olympus_Mons' is not known here; .*zones"
        ) as caught:
            load_result(text)
        assert caught.value.path == "the stored result"

    @needs_zones
    @pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "Europe", ""])
    def it_reads_no_file_but_those_of_zones(self, key):
        text = json.dumps({"$datetime": {"at": "2024-10-27T02:30:00", "zone": key}})
        with pytest.raises(NotStorable, match=r"is not known here"):
            load_result(text)

    def it_uses_the_backport_where_there_is_no_zoneinfo(self, monkeypatch):
        class Backport(tzinfo):
            def __init__(self, key):
                self.key = key

        module = types.ModuleType("backports.zoneinfo")
        module.ZoneInfo = Backport
        monkeypatch.setitem(sys.modules, "zoneinfo", None)
        monkeypatch.setitem(sys.modules, "backports", types.ModuleType("backports"))
        monkeypatch.setitem(sys.modules, "backports.zoneinfo", module)
        value = round_trip(datetime(2024, 1, 1, tzinfo=Backport("Europe/Berlin")))
        assert type(value.tzinfo) is Backport
        assert value.tzinfo.key == "Europe/Berlin"

    def it_says_what_to_install_when_there_are_no_zones_at_all(self, monkeypatch):
        for module in ("zoneinfo", "backports", "backports.zoneinfo"):
            monkeypatch.setitem(sys.modules, module, None)
        text = '{"$datetime":{"at":"2024-10-27T02:30:00","zone":"Europe/Berlin"}}'
        with pytest.raises(NotStorable, match=r'pip install "autocron\[zones\]"'):
            load_result(text)

    def it_takes_a_frozen_clocks_values_for_what_they_stand_for(self):
        with freezegun.freeze_time("2024-03-01 09:00:00"):
            now, today = datetime.now(timezone.utc), date.today()
            loaded_now, loaded_today = round_trip([now, today])
        assert type(loaded_now) is datetime
        assert type(loaded_today) is date
        assert loaded_now == datetime(2024, 3, 1, 9, 0, tzinfo=timezone.utc)
        assert loaded_today == date(2024, 3, 1)

    def it_does_so_also_if_it_is_imported_while_time_stands_still(self, monkeypatch):
        """As by the first call in a test."""
        with freezegun.freeze_time("2024-03-01 09:00:00"):
            now, today = datetime.now(timezone.utc), date.today()
            for module in PARTS:
                monkeypatch.delitem(sys.modules, module.__name__)
                # What an import puts there is put back.
                monkeypatch.setattr(core, module.__name__.rpartition(".")[2], module)
            fresh = importlib.import_module("autocron.core.arguments")
            assert fresh is not arguments
            assert fresh.load_result(fresh.dump_result([now, today])) == [now, today]
        assert anatomy(fresh.load_result(fresh.dump_result(date.max))) == anatomy(date.max)


class DescribePaths:
    """A path is kept with its kind; a plain ``Path`` is that of the machine that loads it."""

    def it_keeps_the_kind(self):
        assert dump_result(pathlib.Path("/a/b")) == '{"$path":"/a/b"}'
        assert dump_result(pathlib.PurePosixPath("/a/b")) == '{"$pureposixpath":"/a/b"}'
        assert dump_result(pathlib.PureWindowsPath("c:/a")) == '{"$purewindowspath":"c:\\\\a"}'

    def it_refuses_a_name_that_is_no_text(self):
        error = refusal(pathlib.Path("caf\udce9"))
        assert r"'\udce9'" in str(error)
        assert "os.fsencode" in str(error)

    def it_keeps_or_refuses_a_path_that_reads_like_a_drive(self):
        # Some versions of Python write it as c:x, which is another path.
        value = pathlib.PureWindowsPath("./c:x")
        if pathlib.PureWindowsPath(str(value)) == value:
            assert_kept(value)
        else:
            assert "no text that gives the same path again" in str(refusal(value))

    def it_refuses_a_path_that_does_not_survive_its_text(self, monkeypatch):
        class PurePath:
            def __str__(self):
                return "text"

            def __new__(cls, text=""):
                return object.__new__(cls)

        PurePath.__name__ = "PurePosixPath"
        monkeypatch.setattr(pathlib, "PurePosixPath", PurePath)
        assert str(refusal(PurePath())) == (
            "message has no text that gives the same path again; use its parts as text"
        )


class DescribeText:
    """Any text of characters; half of a surrogate pair is none."""

    @pytest.mark.parametrize("value", ["\ud800", "abc\udfff"])
    def it_refuses_half_of_a_surrogate_pair(self, value):
        assert str(refusal(value)) == (
            f"message holds {value[-1]!a}, half of a surrogate pair, which is no character; use "
            "text that was decoded without errors, or bytes (os.fsencode(...) for a file's name)"
        )
        assert refusal({value: 1}).path == "a key of message"
        assert refusal([value]).path == "message[0]"

    def it_writes_characters_as_they_are(self):
        assert dump_result("Grüße 👋") == '"Grüße 👋"'
        assert dump_result({"Grüße": 1, "👋": 2}) == '{"Grüße":1,"👋":2}'

    def it_writes_bytes_as_base64(self):
        assert dump_result([b"a", bytearray(b"b")]) == '[{"$bytes":"YQ=="},{"$bytearray":"Yg=="}]'


class DescribeLookAlikes:
    """The user's dictionaries are never taken for autocron's own marks."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ((1, 2), '{"$tuple":[1,2]}'),
            ({"$tuple": [1, 2]}, '{"$dict":[["$tuple",[1,2]]]}'),
            ({"$dict": []}, '{"$dict":[["$dict",[]]]}'),
            ({"$": {"$": 1}}, '{"$dict":[["$",{"$dict":[["$",1]]}]]}'),
            ({"$tuple": [], "$set": []}, '{"$tuple":[],"$set":[]}'),
            ({"a": 1}, '{"a":1}'),
            ({1: 2}, '{"$dict":[[1,2]]}'),
        ],
        ids=repr,
    )  # fmt: skip
    def it_escapes(self, value, text):
        assert dump_result(value) == text
        assert anatomy(load_result(text)) == anatomy(value)

    def it_escapes_a_keyword_too(self):
        assert load_call(dump_call((), {"$set": [1]})) == ((), {"$set": [1]})


class DescribeSets:
    """The text of a set does not depend on the order it happens to have."""

    def it_sorts_the_items_by_their_text(self):
        assert dump_result({"b", "a", 10, 9}) == '{"$set":["a","b",10,9]}'
        assert dump_result(frozenset([frozenset("ba")])) == (
            '{"$frozenset":[{"$frozenset":["a","b"]}]}'
        )


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class SafeString(str):
    __slots__ = ()

    def __str__(self):
        return self


class Money(int):
    pass


class Order:
    """Looks like a model of Django."""

    _meta = object()
    pk = 17


class Mapped:
    """Looks like a model of SQLAlchemy."""

    __mapper__ = object()


class Array:
    """Looks like numpy's."""

    def tolist(self):
        raise AssertionError("no code of the value runs")


class Secret:
    def __repr__(self):
        raise AssertionError("no code of the value runs")

    def method(self):
        raise AssertionError("no code of the value runs")


@dataclasses.dataclass
class Address:
    street: str


Point = collections.namedtuple("Point", "x y")


class Days(timedelta):
    pass


class Stamp(datetime):
    pass


# What is said in place of some types; "or pickle" is short for the choice of that serializer.
OPEN = "its path and open the file in the task, or its content"
MODEL = "its id (.pk of a Django model) and fetch it again in the task, which sees current data"
PLAIN = "its id or a dict of what the task needs from it, or pickle"
SAFE = "str.__str__(...), which also unwraps Django's SafeString, or pickle"
STAMP = "a plain datetime: datetime.fromisoformat(str(...)), or pickle"


async def coroutine():
    pass


def one_coroutine():
    made = coroutine()
    made.close()
    return made


class DescribeRefusals:
    """A refusal names the place, the type and the way out."""

    @pytest.mark.parametrize(
        ("value", "kind", "way_out"),
        [
            (Colour.RED, "<here>.Colour", "its .value (or .name), or pickle"),
            (Number.ONE, "<here>.Number", "its .value (or .name), or pickle"),
            (Address("x"), "<here>.Address", "dataclasses.asdict(...), or pickle"),
            (Order(), "<here>.Order", MODEL),
            (Mapped(), "<here>.Mapped", MODEL),
            (io.StringIO(), "_io.StringIO", OPEN),
            (one_coroutine(), "coroutine", "what it gives once it was awaited"),
            (dump_result, "function", "a name that the task can look up, or pickle"),
            (len, "builtin_function_or_method", "a name that the task can look up, or pickle"),
            (Secret().method, "method", "a name that the task can look up, or pickle"),
            (Secret().__init__, "method-wrapper", PLAIN),
            (Order, "type", "a name that the task can look up, or pickle"),
            (ValueError("x"), "ValueError", "its text, str(...), or pickle"),
            (SafeString("x"), "<here>.SafeString", SAFE),
            (Money(1), "<here>.Money", "int(...), or pickle"),
            (1j, "complex", "its .real and .imag, or pickle"),
            (Point(1, 2), "<here>.Point", "tuple(...), or pickle"),
            (collections.OrderedDict(), "collections.OrderedDict", "dict(...), or pickle"),
            (collections.Counter("a"), "collections.Counter", "dict(...), or pickle"),
            (Days(1), "<here>.Days", "its .total_seconds(), or pickle"),
            (Stamp(2024, 1, 1), "<here>.Stamp", STAMP),
            (memoryview(b"x"), "memoryview", "bytes(...), or pickle"),
            (Array(), "<here>.Array", "its plain value, .tolist(), or pickle"),
            ((x for x in "ab"), "generator", "list(...) of it"),
            (map(str, "ab"), "map", "list(...) of it"),
            (range(3), "range", "list(...) of it, or pickle"),
            ({}.keys(), "dict_keys", "list(...) of it, or pickle"),
            (collections.deque(), "collections.deque", "list(...) of it, or pickle"),
            (threading.Lock(), "_thread.lock", PLAIN),
            (Secret(), "<here>.Secret", PLAIN),
        ],
        ids=lambda value: value if type(value) is str else None,
    )  # fmt: skip
    def it_says_what_to_use_in_place_of(self, value, kind, way_out):
        error = refusal({"to": ["a", "b", value]})
        assert error.path == "message['to'][2]"
        kind = kind.replace("<here>", __name__)
        way_out = way_out.replace("or pickle", 'or choose start(serializer="pickle")')
        assert str(error) == (
            f"message['to'][2] is of type {kind}, which can not be kept exactly; use {way_out}"
        )

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def it_refuses_floats_that_are_no_numbers(self, value):
        assert str(refusal([value])) == (
            f"message[0] is {value}, which JSON does not have; use None, or text: str(...)"
        )

    def it_refuses_so_where_no_module_of_a_late_type_is_loaded(self, monkeypatch):
        for module in ("decimal", "uuid", "pathlib", "freezegun.api"):
            monkeypatch.setitem(sys.modules, module, None)
        assert refusal(Secret()).path == "message"

    def it_offers_pickle_where_pickle_helps(self):
        assert 'start(serializer="pickle")' in str(refusal(Colour.RED))
        assert "pickle" not in str(refusal(x for x in "ab"))

    def it_means_the_way_out_for_safe_strings(self):
        assert type(str.__str__(SafeString("x"))) is str

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            (Secret(), "message"),
            ([[Secret()]], "message[0][0]"),
            ((1, Secret()), "message[1]"),
            ({"a": {"b": Secret()}}, "message['a']['b']"),
            ({"ä": Secret()}, "message['ä']"),
            ({1: Secret()}, "message[1]"),
            ({(1, "x"): Secret()}, "message[(1, 'x')]"),
            ({"k" * 48: Secret()}, "message['" + "k" * 48 + "']"),
            ({"k" * 49: Secret()}, "message['" + "k" * 49 + "...]"),
            ({"k" * 99: Secret()}, "message['" + "k" * 49 + "...]"),
            ({"ok": 1, Secret(): 1}, "a key of message"),
            ({"ä": 1, (1, Secret()): 1}, "(a key of message)[1]"),
            ({Secret()}, "an item of message"),
            ([frozenset([(1, Secret())])], "(an item of message[0])[1]"),
            ({frozenset([Secret()])}, "an item of an item of message"),
        ],
        ids=lambda value: value if type(value) is str else None,
    )  # fmt: skip
    def it_says_where_the_value_stands(self, value, path):
        assert refusal(value).path == path
        assert str(refusal(value)).startswith(f"{path} is of type")

    @pytest.mark.parametrize(
        ("args", "kwargs", "path"),
        [
            ((Secret(),), {}, "first"),
            ((1, Secret()), {}, "second"),
            ((1, 2, Secret()), {}, "*args[0]"),
            ((1, 2, 3, [Secret()]), {}, "*args[1][0]"),
            ((), {"text": Secret()}, "text"),
            ((), {"text": {"a": Secret()}}, "text['a']"),
            ((), {"\ud800": 1}, "a keyword"),
            ((), {SafeString("text"): 1}, "a keyword"),
            ((), {1: 1}, "a keyword"),
        ],
    )  # fmt: skip
    def it_calls_an_argument_by_its_parameter(self, args, kwargs, path):
        with pytest.raises(NotStorable) as caught:
            dump_call(args, kwargs, ("first", "second"))
        assert caught.value.path == path

    def it_says_what_a_keyword_is_that_is_no_text(self):
        with pytest.raises(NotStorable, match=r"^a keyword is of type int, which can not be kept"):
            dump_call((), {1: 1})

    def it_counts_arguments_where_the_parameters_are_not_known(self):
        with pytest.raises(NotStorable, match=r"^\*args\[3\] is of type"):
            dump_call((0, 1, 2, Secret()), {})

    def it_speaks_of_the_result(self):
        with pytest.raises(NotStorable, match=r"^the result is of type .*Colour"):
            dump_result(Colour.RED)
        with pytest.raises(NotStorable, match=r"^the result\['a'\]\[0\] is of type"):
            dump_result({"a": [Colour.RED]})

    def it_is_one_error_that_shows_no_inner_workings(self):
        error = refusal([[Secret()]])
        assert isinstance(error, AutocronError)
        assert isinstance(error, TypeError)
        assert error.__cause__ is None
        assert error.__context__ is None


def nested(levels: int, wrap: Any) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = wrap(value)
    return value


class DescribeWhatAFrameworkWraps:
    """An integration may say what the plain form is of a type that would be refused."""

    def it_is_kept_as_its_plain_form_with_its_subclasses(self, monkeypatch):
        monkeypatch.setattr(encoding, "_PLAIN_FORMS", {})
        monkeypatch.setattr(encoding, "_ENCODERS", dict(encoding._ENCODERS))

        class Safe(str):
            __slots__ = ()

        class Safer(Safe):
            __slots__ = ()

        with pytest.raises(NotStorable):
            dump_call((Safe("a"),), {})
        encoding.keep_as(Safe, lambda value: str.__str__(value))
        args, kwargs = load_call(dump_call((Safe("a"), [Safer("b")]), {"c": {"d": Safe("d")}}))
        assert (args, kwargs) == (("a", ["b"]), {"c": {"d": "d"}})
        assert [type(value) for value in (args[0], args[1][0], kwargs["c"]["d"])] == [str] * 3
        with pytest.raises(NotStorable):
            dump_call((type("Other", (str,), {})("a"),), {})

    def it_is_kept_as_what_holds_other_values_too(self, monkeypatch):
        class Bag(list): ...

        monkeypatch.setattr(encoding, "_ENCODERS", dict(encoding._ENCODERS))
        monkeypatch.setattr(encoding, "_PLAIN_FORMS", {Bag: list})
        assert load_call(dump_call(([Bag([1, Bag([2])])],), {}))[0] == ([[1, [2]]],)
        assert "more than 100 levels deep" in str(refusal(nested(101, lambda value: Bag([value]))))


class DescribeDepth:
    """Containers may stand in containers 100 levels deep."""

    WRAPS: Dict[str, Any] = {
        "list": lambda value: [value],
        "tuple": lambda value: (value,),
        "dict": lambda value: {"a": value},
        "dict with other keys": lambda value: {1: value},
        "frozenset": lambda value: frozenset([value]),
    }

    @pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
    def it_keeps_100_levels_and_refuses_the_next(self, wrap):
        value = nested(100, wrap)
        assert anatomy(round_trip(value)) == anatomy(value)
        assert load_call(dump_call((value,), {"key": value})) == ((value,), {"key": value})
        assert str(refusal(wrap(value))) == (
            "message is nested more than 100 levels deep, which is the limit; use a flatter form "
            'of it, or choose start(serializer="pickle")'
        )

    def it_counts_the_containers_in_a_key_too(self):
        key = nested(99, lambda value: (value,))
        assert round_trip({key: 1}) == {key: 1}
        assert "more than 100 levels deep" in str(refusal({(key,): 1}))

    def it_refuses_any_depth_in_the_same_way(self):
        with pytest.raises(NotStorable, match=r"^the result is nested more than 100 levels"):
            dump_result(nested(50_000, lambda value: [value]))

    def it_refuses_what_contains_itself(self):
        itself: List[Any] = [1]
        itself.append(itself)
        assert str(refusal(itself)).startswith("message contains itself; ")
        assert refusal({"a": (0, itself)}).path == "message['a'][1]"
        mutual: Dict[str, Any] = {}
        mutual["other"] = [mutual]
        assert str(refusal([mutual])).startswith("message[0] contains itself; ")

    def it_has_a_clear_error_where_the_call_stack_is_nearly_used_up(self):
        def from_deep_inside(dump, frames):
            return from_deep_inside(dump, frames - 1) if frames else dump()

        frames = sys.getrecursionlimit() - len(inspect.stack(0)) - 100
        value = nested(90, lambda value: [value])
        with pytest.raises(NotStorable, match=r"^message can not be stored this deep in the call"):
            from_deep_inside(lambda: dump_call((value,), {}, ["message"]), frames)
        with pytest.raises(NotStorable, match=r"^the result can not be stored this deep in the"):
            from_deep_inside(lambda: dump_result(value), frames)


class DescribeWhatIsTooLong:
    def it_is_refused_beyond_the_last_character_that_is_kept(self):
        most = "x" * text_format.MAX_LENGTH
        assert refusals.bounded(most, "the result takes", "do") is most
        told = "the result takes 67,108,865 .* are kept; do$"
        with pytest.raises(NotStorable, match=told) as caught:
            refusals.bounded(most + "x", "the result takes", "do")
        assert caught.value.path == "the result"


class DescribeLoading:
    """Loading makes the known types, or says that the text is not ours."""

    def it_passes_over_blanks_behind_a_text(self):
        """Somebody has written it by hand, perhaps with a line's end."""
        assert load_result("[1, 2] \n") == [1, 2]

    @pytest.mark.parametrize(
        "text",
        [
            "", "x", "[", "[1,]", "{'a':1}", '"\x01"', "nul", "1 2",
            "NaN", "-Infinity", '{"a":1,"a":2}', "9" * 5000 + "x", "[" * 100_000,
            '{"$nonsense":1}', '{"$":1}', '{"$py/object":"os.system"}',
            '{"$tuple":1}', '{"$tuple":"ab"}', '{"$tuple":{"a":1}}',
            '{"$set":[1,1]}', '{"$set":[[]]}', '{"$frozenset":[{"a":1}]}',
            '{"$dict":[[1,2],[1,3]]}', '{"$dict":["ab"]}', '{"$dict":[[1,2,3]]}',
            '{"$dict":[[[],1]]}', '{"$dict":{"a":1}}',
            '{"$int":"0x1f"}', '{"$int":31}', '{"$int":"1_0"}', '{"$int":"zz"}',
            '{"$bytes":"YQ"}', '{"$bytes":"Y*Q=="}', '{"$bytes":1}', '{"$bytes":"\u00e4"}',
            '{"$bytearray":"!!!!"}', '{"$date":"2024-13-01"}', '{"$date":"20240101"}',
            '{"$date":1}', '{"$datetime":"2024-01-01"}', '{"$datetime":"2024-01-01 09:00:00"}',
            '{"$datetime":{}}', '{"$datetime":{"a":1,"b":2}}', '{"$datetime":[1]}',
            '{"$datetime":{"at":"2024-01-01T00:00:00","fold":0}}',
            '{"$datetime":{"at":"2024-01-01T00:00:00","fold":2}}',
            '{"$datetime":{"at":"2024-01-01T00:00:00","name":"CET"}}',
            '{"$datetime":{"at":"2024-01-01T00:00:00","zone":1}}',
            '{"$datetime":{"at":"2024-01-01T00:00:00","offset":[0,3600,0]}}',
            '{"$time":"25:00:00"}', '{"$timedelta":[0,86400,0]}', '{"$timedelta":[1]}',
            '{"$timedelta":[999999999999,0,0]}', '{"$timedelta":[1,2,3,4]}',
            '{"$decimal":"x"}', '{"$decimal":" 1"}', '{"$decimal":1}', '{"$decimal":[0,[1],0]}',
            '{"$set":[{"$decimal":"sNaN"}]}', '{"$uuid":"x"}', '{"$uuid":1}',
            '{"$uuid":"00000000000000000000000000000000"}', '{"$path":1}', '{"$path":"a//b"}',
        ],
        ids=lambda text: text[:40],
    )  # fmt: skip
    def it_refuses_what_is_damaged_or_not_ours(self, text):
        with pytest.raises(NotStorable) as caught:
            load_result(text)
        message = str(caught.value)
        assert message.startswith("the stored result can not be loaded: ")
        assert "damaged" in message or "is not known here" in message
        assert len(message) < 400
        assert caught.value.path == "the stored result"

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("NaN", "NaN is no JSON"),
            ('{"a":1,"a":2}', "a dictionary has the same key twice"),
            ('{"$tuple":1}', "the tag $tuple has no list"),
            ('{"$set":[1,1]}', "the tag $set has the same item twice"),
            ('{"$dict":["ab"]}', "the tag $dict has no pairs"),
            ('{"$nonsense":1}', "'$nonsense' is no tag"),
            ('{"$int":"0x1f"}', "'0x1f' is nothing that the tag $int holds"),
            ("nul", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ],
    )
    def it_says_what_is_wrong_with_it(self, text, problem):
        with pytest.raises(NotStorable) as caught:
            load_result(text)
        assert str(caught.value) == (
            f"the stored result can not be loaded: {problem}. The text is damaged, or was not "
            "written by this version of autocron"
        )

    def it_refuses_what_is_no_text(self):
        with pytest.raises(NotStorable, match=r"^the stored result can not be loaded: TypeError"):
            load_result(None)

    def it_does_not_take_a_malformed_decimal_for_nan_in_any_context(self):
        with decimal.localcontext() as context:
            context.traps[decimal.InvalidOperation] = False
            with pytest.raises(NotStorable, match=r"'x' is nothing that the tag \$decimal holds"):
                load_result('{"$decimal":"x"}')

    @pytest.mark.parametrize(
        "text",
        ["1", "[]", "[[]]", "[{},[]]", "[[],{},1]", '{"a":[],"b":{}}', "[[],[]]",
         '[{"$tuple":[]},{}]', '[[],{"$dict":[[1,2]]}]'],
    )  # fmt: skip
    def it_refuses_what_is_no_call(self, text):
        with pytest.raises(NotStorable) as caught:
            load_call(text)
        assert str(caught.value) == (
            "the stored arguments can not be loaded: expected [[arguments], {keyword arguments}]. "
            "The text is damaged, or was not written by this version of autocron"
        )
        with pytest.raises(NotStorable, match=r"^the stored arguments can not be loaded: JSONDec"):
            load_call(text[:-1] + "x")

    @given(st.text() | VALUES.map(dump_result).map(lambda text: text[:-1]))
    def it_has_one_error_for_all_damage(self, text):
        for load in (load_call, load_result, pickled.load_call, pickled.load_result):
            with contextlib.suppress(NotStorable):
                load(text)

    @pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
    def it_is_light_to_import(self, part):
        # What costs time to import is imported where it is used.
        tree = ast.parse(pathlib.Path(part.__file__).read_text(encoding="utf-8"))
        imported = set()
        for node in tree.body:
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
        assert imported <= {
            "__future__", "functools", "importlib", "math", "sys", "datetime", "typing",
            "autocron.core.errors", *(each.__name__ for each in PARTS),
        }  # fmt: skip


class Evil:
    ran: List[str] = []

    def __reduce__(self):
        return (self.ran.append, ("code ran",))


class DescribeThePickleSerializer:
    """start(serializer="pickle") stores whatever pickle takes."""

    @pytest.mark.parametrize(
        "value",
        [Colour.RED, Number.ONE, Address("x"), Point(1, 2), SafeString("x"), float("inf"), 1j,
         collections.OrderedDict(a=1), {"$pickle": "x"}, "\ud800"],
        ids=repr,
    )  # fmt: skip
    def it_keeps_what_json_refuses(self, value):
        loaded = pickled.load_result(pickled.dump_result(value))
        assert type(loaded) is type(value)
        assert loaded == value
        args, kwargs = pickled.load_call(pickled.dump_call((value,), {"key": value}))
        assert args == (value,)
        assert kwargs == {"key": value}

    def it_writes_one_json_object(self):
        text = pickled.dump_result(Colour.RED)
        assert list(json.loads(text)) == ["$pickle"]

    @given(VALUES)
    @example({"$pickle": "", "b": None})
    @example({"$pickle": "gA==", "b": "c"})
    def it_loads_the_text_of_the_json_serializer_too(self, value):
        assert anatomy(pickled.load_result(dump_result(value))) == anatomy(value)
        assert pickled.load_call(dump_call((1,), {"a": 2})) == ((1,), {"a": 2})

    def it_is_refused_by_the_json_serializer_without_running_anything(self):
        text = pickled.dump_call((Evil(),), {})
        for load in (load_call, load_result):
            with pytest.raises(NotStorable) as caught:
                load(text)
            assert str(caught.value).partition(" can not be loaded: ")[2] == (
                'the text was made by start(serializer="pickle"); start with the same to load it'
            )
        assert Evil.ran == []

    @pytest.mark.parametrize(
        ("args", "kwargs", "path"),
        [
            ((1, (x for x in "ab")), {}, "second"),
            ((1, 2, threading.Lock()), {}, "*args[0]"),
            ((), {"key": lambda: 0}, "key"),
        ],
    )  # fmt: skip
    def it_names_the_argument_that_can_not_be_pickled(self, args, kwargs, path):
        with pytest.raises(NotStorable) as caught:
            pickled.dump_call(args, kwargs, ("first", "second"))
        assert caught.value.path == path
        assert str(caught.value).startswith(f"{path} can not be pickled: ")

    def it_still_has_a_name_for_what_fails_only_together(self):
        class Moody:
            countdown = 1

            def __reduce__(self):
                Moody.countdown -= 1
                if Moody.countdown == 0:
                    raise ValueError("not today")
                return (int, ())

        with pytest.raises(NotStorable, match=r"^the arguments can not be pickled: ValueError"):
            pickled.dump_call((Moody(),), {})

    def it_speaks_of_the_result_and_says_why_and_what_to_use(self):
        class Moody:
            def __reduce__(self):
                raise ValueError("not today")

        with pytest.raises(NotStorable) as caught:
            pickled.dump_result(Moody())
        assert str(caught.value) == (
            "the result can not be pickled: ValueError: not today; use an id, a name or plain data "
            "from which the task can make it again"
        )
        assert caught.value.path == "the result"

    @pytest.mark.parametrize(
        "text",
        ['{"$pickle":"', '{"$pickle":"x"}', '{"$pickle":"AAAA"}', '{"$pickle":""}'],
    )
    def it_refuses_what_is_damaged(self, text):
        with pytest.raises(NotStorable, match=r"^the stored result can not be unpickled: "):
            pickled.load_result(text)
        with pytest.raises(NotStorable, match=r"^the stored arguments can not be unpickled: "):
            pickled.load_call(text)

    def it_says_what_may_be_wrong_with_it(self):
        with pytest.raises(NotStorable) as caught:
            pickled.load_result('{"$pickle":"gA')
        assert str(caught.value) == (
            "the stored result can not be unpickled: ValueError: the text has no end. The text is "
            "damaged, or a class in it was moved, renamed or changed since it was stored"
        )
        assert caught.value.path == "the stored result"

    def it_says_so_when_a_class_is_gone(self, monkeypatch):
        text = pickled.dump_result(Colour.RED)
        monkeypatch.delattr(sys.modules[__name__], "Colour")
        with pytest.raises(NotStorable, match=r"AttributeError: .* was moved, renamed or changed"):
            pickled.load_result(text)

    @pytest.mark.parametrize("value", [1, (1,), (1, 2), ((), 1)], ids=repr)
    def it_does_not_take_a_result_for_a_call(self, value):
        with pytest.raises(NotStorable) as caught:
            pickled.load_call(pickled.dump_result(value))
        assert str(caught.value) == (
            f"the stored arguments can not be loaded: the text holds a {type(value).__name__} in "
            "place of a call; was it written as a result?"
        )
        assert caught.value.path == "the stored arguments"
