"""Arguments and results to JSON text and back, exactly or not at all.

``load_call(dump_call(args, kwargs))`` gives equal values of the same types, all the way down. What
JSON has is written as JSON; every other type that can be kept is one object with one key, a *tag*:

========================  ====================================================================
tag                       payload
========================  ====================================================================
``$tuple``                the items
``$set``, ``$frozenset``  the items, in the order of their own JSON text
``$dict``                 ``[key, value]`` pairs, where a key is no text; also escapes a
                          dictionary that looks like a tag
``$int``                  hexadecimal; only for integers of more than 2,000 bits
``$bytes, $bytearray``    base64
``$date``                 ISO 8601
``$datetime``, ``$time``  ISO 8601, or that as ``at`` with what ISO 8601 does not say: ``zone`` (a
                          key), ``name`` and ``offset`` (of a fixed offset), ``fold``
``$timedelta``            days, seconds, microseconds
``$decimal``, ``$uuid``   its text
``$path``                 its text; loads as the ``Path`` of the machine that loads it
``$pureposixpath``,       its text
``$purewindowspath``
========================  ====================================================================

Types are matched exactly: a subclass may carry what its base does not, so it is refused like any
other type that can not be kept. Neither direction runs code of the value, nor of the text.
"""

from __future__ import annotations

import functools
import importlib
import math
import sys
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Callable, Dict, List, NoReturn, Optional, Sequence, Tuple, Type, Union

from autocron.core.errors import NotStorable

# Counted in containers, so an argument may be a list in a list in a list, 100 times. More is
# hardly meant, and JSON's own parser is recursive.
MAX_DEPTH = 100

# An int beyond this goes as hexadecimal: Python limits the digits of *decimal* text, to 4,300 by
# default and to 640 (2,126 bits) at the least, and writer and reader may have different limits.
_PLAIN_INT_LIMIT = 1 << 2000

# What almost every run of a schedule is called with and returns; written and read at once.
NO_ARGUMENTS = "[[],{}]"
NO_RESULT = "null"

_PICKLE = 'or choose start(serializer="pickle")'


def dump_call(args: Tuple[Any, ...], kwargs: Dict[str, Any], parameters: Sequence[str] = ()) -> str:
    """Write the arguments of one call as JSON text.

    Args:
        args: The positional arguments.
        kwargs: The keyword arguments.
        parameters: The names of the function's positional parameters, in order, so that a refusal
            can name the one concerned. Arguments beyond them are called ``*args[0]`` and so on.

    Returns:
        The text of ``[args, kwargs]``, for ``load_call``. Equal arguments give equal text, as far
        as their dictionaries are in the same order.

    Raises:
        NotStorable: An argument can not be kept exactly. ``path`` and the message say which one.
    """
    positional: List[Any] = []
    keywords: Dict[str, Any] = {}
    root = ""
    try:
        if not kwargs and _are_plain(args):
            return f"[{_to_text(args)},{{}}]"
        for index, value in enumerate(args):
            root = parameter_name(index, parameters)
            positional.append(_encode(value, 0))
        for keyword, value in kwargs.items():
            root = "a keyword"
            if type(keyword) is not str:
                _refuse_type(type(keyword))
            _encode_text(keyword)  # A keyword can be any text, so also one that can not be kept.
            root = keyword
            keywords[keyword] = _encode(value, 0)
        if len(keywords) == 1:
            return _to_text([positional, _escaped(keywords)])
        return _to_text([positional, keywords])
    except _Refusal as refusal:
        problem = refusal
    except RecursionError:
        problem = _Refusal(_NO_STACK)
    raise problem.as_error(root)


def _are_plain(args: Tuple[Any, ...]) -> bool:
    """Tell whether what most calls are made with can be written as it is, by one look at each."""
    for value in args:
        kind = type(value)
        if not (
            (kind is int and -_PLAIN_INT_LIMIT < value < _PLAIN_INT_LIMIT)
            or (kind is str and value.isascii())
            or kind is bool
            or value is None
        ):
            return False
    return True


def load_call(text: str) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """Read the arguments of one call back.

    Args:
        text: What ``dump_call`` gave.

    Returns:
        The positional and the keyword arguments.

    Raises:
        NotStorable: The text is damaged, or nothing that ``dump_call`` wrote.
    """
    if text == NO_ARGUMENTS:
        return (), {}
    call = _from_text(text, "the stored arguments")
    if (
        type(call) is list
        and len(call) == 2
        and type(call[0]) is list
        and type(call[1]) is dict
        and all(type(keyword) is str for keyword in call[1])
    ):
        return tuple(call[0]), call[1]
    raise _not_ours("the stored arguments", "expected [[arguments], {keyword arguments}]")


def dump_result(value: Any) -> str:
    """Write what a task returned as JSON text.

    Args:
        value: The result.

    Returns:
        The text, for ``load_result``.

    Raises:
        NotStorable: The result can not be kept exactly; the message says where and why.
    """
    if value is None:
        return NO_RESULT
    try:
        return _to_text(_encode(value, 0))
    except _Refusal as refusal:
        problem = refusal
    except RecursionError:
        problem = _Refusal(_NO_STACK)
    raise problem.as_error("the result")


def load_result(text: str) -> Any:
    """Read a result back.

    Args:
        text: What ``dump_result`` gave.

    Returns:
        The result.

    Raises:
        NotStorable: The text is damaged, or nothing that ``dump_result`` wrote.
    """
    return _from_text(text, "the stored result")


# --- refusals -------------------------------------------------------------------------------------


class _Refusal(Exception):
    """A value was refused. On its way out it collects where the value stands, innermost first."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.steps: List[Tuple[int, str]] = []

    def inside(self, container: object, step: str) -> None:
        self.steps.append((id(container), step))

    def as_error(self, root: str) -> NotStorable:
        reason = self.reason
        path = root
        steps = self.steps[::-1]
        if reason == _TOO_DEEP:
            start = _start_of_circle(steps)
            if start is not None:
                reason = _CYCLE
            steps = steps[: start or 0]  # 100 steps of a path would say nothing
        for _, step in steps:
            if step in (_A_KEY, _AN_ITEM):
                path = f"{step} of {path}"
            else:
                path = f"({path}){step}" if path.startswith((_A_KEY, _AN_ITEM)) else path + step
        return NotStorable(f"{path} {reason}", path=path)


_A_KEY = "a key"
_AN_ITEM = "an item"
_TOO_DEEP = (
    f"is nested more than {MAX_DEPTH} levels deep, which is the limit; "
    f"use a flatter form of it, {_PICKLE}"
)
_CYCLE = f"contains itself; use a form of it without the circle, {_PICKLE}"
_NO_STACK = "can not be stored this deep in the call stack; make the call from fewer functions"


def _start_of_circle(steps: List[Tuple[int, str]]) -> Optional[int]:
    """How many steps lead to the first container that comes again, or None if none does."""
    seen: Dict[int, int] = {}
    for place, (container, _) in enumerate(steps):
        if container in seen:
            return seen[container]
        seen[container] = place
    return None


def parameter_name(index: int, parameters: Sequence[str]) -> str:
    """How a message calls the positional argument ``index``."""
    if index < len(parameters):
        return parameters[index]
    return f"*args[{index - len(parameters)}]"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # An int with more digits than Python is willing to write.
        return "..."
    return text if len(text) <= 50 else f"{text[:50]}..."


def _refuse_type(kind: Type[Any]) -> NoReturn:
    raise _Refusal(
        f"is of type {_type_name(kind)}, which can not be kept exactly; {_way_out(kind)}"
    )


def _type_name(kind: Type[Any]) -> str:
    """How a message calls a type: ``shop.models.Order``, but plain ``set``."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _way_out(kind: Type[Any]) -> str:
    """What to write instead. Looks at the type alone: touching the value could run its code."""
    # All of these are loaded long before a value of theirs can come here.
    import enum
    import io
    import types

    if issubclass(kind, enum.Enum):
        return f"use its .value (or .name), {_PICKLE}"
    if hasattr(kind, "__dataclass_fields__"):
        return f"use dataclasses.asdict(...), {_PICKLE}"
    if hasattr(kind, "_meta") or hasattr(kind, "__mapper__"):  # Django's models, SQLAlchemy's
        return (
            "use its id (.pk of a Django model) and fetch it again in the task, which sees current "
            "data"
        )
    if issubclass(kind, io.IOBase):
        return "use its path and open the file in the task, or its content"
    if issubclass(kind, types.CoroutineType):
        return "use what it gives once it was awaited"
    if issubclass(kind, (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)):
        return f"use a name that the task can look up, {_PICKLE}"
    if issubclass(kind, BaseException):
        return f"use its text, str(...), {_PICKLE}"
    for base, hint in _BASE_HINTS.items():
        if issubclass(kind, base):
            return f"use {hint}, {_PICKLE}"
    if hasattr(kind, "tolist"):  # numpy: both arrays and scalars
        return f"use its plain value, .tolist(), {_PICKLE}"
    if hasattr(kind, "__next__"):
        return "use list(...) of it"
    if hasattr(kind, "__iter__"):
        return f"use list(...) of it, {_PICKLE}"
    return f"use its id or a dict of what the task needs from it, {_PICKLE}"


def _refuse_zone(zone: Any) -> NoReturn:
    raise _Refusal(
        f"has a time zone of type {_type_name(type(zone))}, which can not be kept exactly; use "
        "datetime.timezone, a zoneinfo.ZoneInfo with a key, or .astimezone(datetime.timezone.utc)"
    )


# --- writing --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def _writer() -> Callable[[Any], str]:
    from json import encoder as module  # Not at import: who never calls has no need of it.

    # Depth is bounded and no container comes twice on a path, so the encoder need not look.
    encoder = module.JSONEncoder(
        ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
    )
    make = getattr(module, "c_make_encoder", None)  # none in a Python that is not written in C
    if make is None:
        return encoder.encode
    # What encode() makes anew for each text: with it a call's takes 1.0 µs, and 0.4 like this.
    pieces = make(
        None, encoder.default, module.encode_basestring, None, ":", ",", False, False, False
    )
    return lambda tree: "".join(pieces(tree, 0))


def _to_text(tree: Any) -> str:
    return _writer()(tree)


def _encode(value: Any, depth: int) -> Any:
    """Turn a value into what JSON has; ``depth`` is the number of containers around it."""
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _encode_text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_PLAIN_INT_LIMIT < value < _PLAIN_INT_LIMIT else {"$int": hex(value)}
    encode = _ENCODERS.get(kind)
    if encode is None:
        encode = _find_encoder(kind)
    return encode(value, depth)


def _encode_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _Refusal(
            f"holds {value[error.start]!a}, half of a surrogate pair, which is no character; use "
            "text that was decoded without errors, or bytes (os.fsencode(...) for a file's name)"
        ) from None
    return value


def _encode_float(value: float, depth: int) -> float:
    if not math.isfinite(value):
        raise _Refusal(f"is {value}, which JSON does not have; use None, or text: str(...)")
    return value


def _encode_items(value: Sequence[Any], depth: int) -> List[Any]:
    if depth == MAX_DEPTH:
        raise _Refusal(_TOO_DEEP)
    items: List[Any] = []
    try:
        for item in value:
            items.append(_encode(item, depth + 1))
    except _Refusal as refusal:
        refusal.inside(value, f"[{len(items)}]")
        raise
    return items


def _encode_tuple(value: Tuple[Any, ...], depth: int) -> Any:
    return {"$tuple": _encode_items(value, depth)}


def _encode_set(value: Any, depth: int) -> Any:
    if depth == MAX_DEPTH:
        raise _Refusal(_TOO_DEEP)
    try:
        items = [_encode(item, depth + 1) for item in value]
    except _Refusal as refusal:
        refusal.inside(value, _AN_ITEM)
        raise
    # The order of a set differs from process to process; that of its items' text does not.
    return {"$set" if type(value) is set else "$frozenset": sorted(items, key=_to_text)}


def _encode_dict(value: Dict[Any, Any], depth: int) -> Any:
    if depth == MAX_DEPTH:
        raise _Refusal(_TOO_DEEP)
    pairs: List[Tuple[Any, Any]] = []
    only_text = True
    try:
        for key, item in value.items():
            if type(key) is str and key.isascii():
                encoded = key
            else:
                step = _A_KEY
                encoded = _encode(key, depth + 1)
                only_text = only_text and type(key) is str
            step = ""
            pairs.append((encoded, _encode(item, depth + 1)))
    except _Refusal as refusal:
        refusal.inside(value, step or f"[{_short(key)}]")
        raise
    if only_text:
        plain = dict(pairs)
        return _escaped(plain) if len(plain) == 1 else plain
    return {"$dict": pairs}


def _escaped(plain: Dict[str, Any]) -> Dict[str, Any]:
    """Keep a dictionary with one key from being taken for a tag when it is loaded."""
    [(key, item)] = plain.items()
    return {"$dict": [[key, item]]} if key.startswith("$") else plain


def _encode_bytes(value: Union[bytes, bytearray], depth: int) -> Any:
    from binascii import b2a_base64

    text = b2a_base64(value, newline=False).decode()
    return {"$bytes" if type(value) is bytes else "$bytearray": text}


def _encode_date(value: date, depth: int) -> Any:
    return {"$date": value.isoformat()}


def _encode_datetime(value: datetime, depth: int) -> Any:
    return {"$datetime": _encode_moment(value)}


def _encode_time(value: time, depth: int) -> Any:
    return {"$time": _encode_moment(value)}


def _encode_moment(value: Union[datetime, time]) -> Any:
    details: Dict[str, Any] = {}
    zone = value.tzinfo
    if type(zone) is timezone:
        offset, name = zone.utcoffset(None), zone.tzname(None)
        if name != timezone(offset).tzname(None):
            details["name"] = _encode_text(name)
        if offset.microseconds:  # Python does not read its own text of +00:00:00.000001.
            details["offset"] = [offset.days, offset.seconds, offset.microseconds]
            value = value.replace(tzinfo=None)
    elif zone is not None:
        details["zone"] = _encode_text(_zone_key(zone))
        value = value.replace(tzinfo=None)
    if value.fold:
        details["fold"] = 1
    text = value.isoformat()
    return {"at": text, **details} if details else text


def _zone_key(zone: Any) -> str:
    if any(
        getattr(sys.modules.get(module), "ZoneInfo", None) is type(zone) for module in _ZONE_MODULES
    ):
        try:
            # Fails for a zone that was read from a file, even under the key of another one.
            zone.__reduce__()
        except Exception:
            _refuse_zone(zone)
        if zone.key is not None:
            return str(zone.key)
    _refuse_zone(zone)


def _encode_timedelta(value: timedelta, depth: int) -> Any:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def _encode_decimal(value: Any, depth: int) -> Any:
    # The case of the exponent's letter is a setting of the caller's decimal context.
    return {"$decimal": str(value).replace("e", "E")}


def _encode_uuid(value: Any, depth: int) -> Any:
    return {"$uuid": str(value)}


def _encode_path(value: Any, depth: int) -> Any:
    kind = type(value)
    text = _encode_text(str(value))
    if kind(text) != value:  # PureWindowsPath("./c:x") writes itself as c:x, on a drive
        raise _Refusal("has no text that gives the same path again; use its parts as text")
    return {_PATH_TAGS[kind.__name__]: text}


def _find_encoder(kind: Type[Any]) -> Callable[[Any, int], Any]:
    """Look a type up whose module is not imported here, to keep the import of autocron light."""
    for module, name, encode in _LATE_ENCODERS:
        # A value can have such a type only if its module was imported by someone.
        if getattr(sys.modules.get(module), name, None) is kind:
            _ENCODERS[kind] = encode
            return encode
    for base, plain in _PLAIN_FORMS.items():
        if issubclass(kind, base):
            _ENCODERS[kind] = functools.partial(_encode_plain, plain)
            return _ENCODERS[kind]
    _refuse_type(kind)


def _encode_plain(plain: Callable[[Any], Any], value: Any, depth: int) -> Any:
    return _encode(plain(value), depth)


def keep_as(kind: Type[Any], plain: Callable[[Any], Any]) -> None:
    """Have values of a type, and of its subclasses, kept in a plain form instead of refused.

    For integrations, where a framework wraps plain values; the task gets the plain form.

    Args:
        kind: The type, none that can be kept already.
        plain: Returns the plain form of a value, which can be kept.
    """
    _PLAIN_FORMS[kind] = plain


# --- reading --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def _reader() -> Callable[[str], Any]:
    from json import JSONDecoder

    decoder = JSONDecoder(object_pairs_hook=_decode_object, parse_constant=_decode_constant)

    def read(text: str) -> Any:
        # What was written here has no blanks around it, which to look for takes as long as to read.
        value, end = decoder.raw_decode(text)
        return value if end == len(text) else decoder.decode(text)

    return read


def _from_text(text: str, what: str) -> Any:
    try:
        return _reader()(text)
    except _Unusable as unusable:
        raise NotStorable(f"{what} can not be loaded: {unusable}", path=what) from None
    except _Damaged as damaged:
        raise _not_ours(what, str(damaged)) from None
    except Exception as error:
        # Broad on purpose: whatever a damaged text provokes in a parser or in the type that a tag
        # names, the caller gets one kind of error.
        raise _not_ours(what, f"{type(error).__name__}: {error}") from error


def _not_ours(what: str, problem: str) -> NotStorable:
    return NotStorable(
        f"{what} can not be loaded: {problem}. "
        "The text is damaged, or was not written by this version of autocron",
        path=what,
    )


class _Damaged(Exception):
    """What was found in a text that we did not write."""


class _Unusable(Exception):
    """A text of ours needs what is not here."""


def _decode_object(pairs: List[Tuple[str, Any]]) -> Any:
    """Turn one JSON object into its value. What stands in it has been turned before."""
    if len(pairs) == 1 and pairs[0][0].startswith("$"):
        return _decode_tag(*pairs[0])
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Damaged("a dictionary has the same key twice")
    return value


def _decode_tag(tag: str, payload: Any) -> Any:
    if tag == "$pickle":
        raise _Unusable(
            'the text was made by start(serializer="pickle"); start with the same to load it'
        )
    if tag in _COLLECTIONS:
        if type(payload) is not list:
            raise _Damaged(f"the tag {tag} has no list")
        value = _COLLECTIONS[tag](payload)
        if len(value) != len(payload):
            raise _Damaged(f"the tag {tag} has the same item twice")
        return value
    if tag not in _SCALARS:
        raise _Damaged(f"{_short(tag)} is no tag")
    value = _SCALARS[tag](payload)
    # Most of these types also take other forms of text, or worse, something in place of it.
    if _encode(value, 0) != {tag: payload}:
        raise _Damaged(f"{_short(payload)} is nothing that the tag {tag} holds")
    return value


def _decode_constant(name: str) -> NoReturn:
    raise _Damaged(f"{name} is no JSON")


def _decode_dict(payload: List[Any]) -> Dict[Any, Any]:
    if any(type(pair) is not list or len(pair) != 2 for pair in payload):
        raise _Damaged("the tag $dict has no pairs")
    return dict(payload)


def _decode_int(payload: str) -> int:
    return int(payload, 16)


def _decode_bytes(payload: str) -> bytes:
    from binascii import a2b_base64

    return a2b_base64(payload)


def _decode_bytearray(payload: str) -> bytearray:
    return bytearray(_decode_bytes(payload))


def _decode_timedelta(payload: List[int]) -> timedelta:
    return timedelta(*payload)


def _decode_datetime(payload: Any) -> Any:
    return _decode_moment(_datetime_from_text, payload)


def _decode_time(payload: Any) -> Any:
    return _decode_moment(time.fromisoformat, payload)


def _decode_moment(from_text: Callable[[str], Any], payload: Any) -> Any:
    if type(payload) is str:
        return from_text(payload)
    value = from_text(payload["at"])
    zone = value.tzinfo
    if "zone" in payload:
        zone = _zone(payload["zone"])
    if "offset" in payload:
        zone = timezone(timedelta(*payload["offset"]))
    if "name" in payload:
        zone = timezone(zone.utcoffset(None), payload["name"])
    return value.replace(tzinfo=zone, fold=payload.get("fold", 0))


def _zone(key: str) -> Any:
    for module in _ZONE_MODULES:
        try:
            return importlib.import_module(module).ZoneInfo(key)
        except ImportError:
            continue
        except (LookupError, ValueError, OSError):
            break
    raise _Unusable(
        f'the time zone {key!r} is not known here; pip install "autocron[zones]" brings the zones'
    )


def _decode_decimal(payload: str) -> Any:
    from decimal import Decimal

    return Decimal(payload)


def _decode_uuid(payload: str) -> Any:
    from uuid import UUID

    return UUID(payload)


def _decode_path(name: str, payload: str) -> Any:
    return getattr(importlib.import_module("pathlib"), name)(payload)


# --- the types ------------------------------------------------------------------------------------


def _standard(kind: Type[Any]) -> Type[Any]:
    """The standard library's class, also while a test has put freezegun's in its place."""
    return next(base for base in kind.__mro__ if base.__module__ == "datetime")


# Kept where freezegun does not look: it replaces the classes in the namespaces of all modules.
_datetime_from_text: Callable[[str], datetime] = _standard(datetime).fromisoformat

_ZONE_MODULES = ("zoneinfo", "backports.zoneinfo")

_PATH_TAGS = {
    "PosixPath": "$path",
    "WindowsPath": "$path",
    "PurePosixPath": "$pureposixpath",
    "PureWindowsPath": "$purewindowspath",
}

_ENCODERS: Dict[Type[Any], Callable[[Any, int], Any]] = {
    float: _encode_float,
    list: _encode_items,
    dict: _encode_dict,
    tuple: _encode_tuple,
    set: _encode_set,
    frozenset: _encode_set,
    bytes: _encode_bytes,
    bytearray: _encode_bytes,
    _standard(datetime): _encode_datetime,
    _standard(date): _encode_date,
    time: _encode_time,
    timedelta: _encode_timedelta,
}

_LATE_ENCODERS: Tuple[Tuple[str, str, Callable[[Any, int], Any]], ...] = (
    ("decimal", "Decimal", _encode_decimal),
    ("uuid", "UUID", _encode_uuid),
    *(("pathlib", name, _encode_path) for name in _PATH_TAGS),
    # What now() gives while a test freezes the time: a datetime but for its class. The application
    # under test would get the standard one, so that is what is stored.
    ("freezegun.api", "FakeDatetime", _encode_datetime),
    ("freezegun.api", "FakeDate", _encode_date),
)

# What integrations have added, by keep_as().
_PLAIN_FORMS: Dict[Type[Any], Callable[[Any], Any]] = {}

_COLLECTIONS: Dict[str, Callable[[Any], Any]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": _decode_dict,
}

_SCALARS: Dict[str, Callable[[Any], Any]] = {
    "$int": _decode_int,
    "$bytes": _decode_bytes,
    "$bytearray": _decode_bytearray,
    "$date": _standard(date).fromisoformat,
    "$datetime": _decode_datetime,
    "$time": _decode_time,
    "$timedelta": _decode_timedelta,
    "$decimal": _decode_decimal,
    "$uuid": _decode_uuid,
    "$path": functools.partial(_decode_path, "Path"),
    "$pureposixpath": functools.partial(_decode_path, "PurePosixPath"),
    "$purewindowspath": functools.partial(_decode_path, "PureWindowsPath"),
}

# For a subclass, which value of its base to use; the first one that fits counts.
_BASE_HINTS: Dict[Type[Any], str] = {
    str: "str.__str__(...), which also unwraps Django's SafeString",
    int: "int(...)",
    float: "float(...)",
    complex: "its .real and .imag",
    list: "list(...)",
    tuple: "tuple(...)",  # a namedtuple, most often
    dict: "dict(...)",
    set: "set(...)",
    frozenset: "frozenset(...)",
    bytes: "bytes(...)",
    bytearray: "bytearray(...)",
    memoryview: "bytes(...)",
    _standard(datetime): "a plain datetime: datetime.fromisoformat(str(...))",
    _standard(date): "a plain date: date.fromisoformat(str(...))",
    timedelta: "its .total_seconds()",
}
