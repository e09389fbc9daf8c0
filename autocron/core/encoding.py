"""Values to what JSON has, and to its text; see :mod:`autocron.core.text_format`."""

from __future__ import annotations

import functools
import math
import sys
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Callable, Dict, List, Sequence, Tuple, Type, Union

from autocron.core.refusals import (
    A_KEY,
    AN_ITEM,
    TOO_DEEP,
    Refusal,
    refuse_type,
    refuse_zone,
    short,
)
from autocron.core.text_format import (
    MAX_DEPTH,
    PATH_TAGS,
    PLAIN_INT_LIMIT,
    ZONE_MODULES,
    standard,
)


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


def to_text(tree: Any) -> str:
    """Return the text of what JSON has."""
    return _writer()(tree)


def are_plain(args: Tuple[Any, ...]) -> bool:
    """Tell whether what most calls are made with can be written as it is, by one look at each."""
    for value in args:
        kind = type(value)
        if not (
            (kind is int and -PLAIN_INT_LIMIT < value < PLAIN_INT_LIMIT)
            or (kind is str and value.isascii())
            or kind is bool
            or value is None
        ):
            return False
    return True


def encode(value: Any, depth: int) -> Any:
    """Turn a value into what JSON has; ``depth`` is the number of containers around it.

    Raises:
        Refusal: It can not be kept exactly.
    """
    kind = type(value)
    if kind is str:
        return value if value.isascii() else encode_text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -PLAIN_INT_LIMIT < value < PLAIN_INT_LIMIT else {"$int": hex(value)}
    encode = _ENCODERS.get(kind)
    if encode is None:
        encode = _find_encoder(kind)
    return encode(value, depth)


def encode_text(value: str) -> str:
    """Return a text, if it can be kept; see :func:`encode`."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Refusal(
            f"holds {value[error.start]!a}, half of a surrogate pair, which is no character; use "
            "text that was decoded without errors, or bytes (os.fsencode(...) for a file's name)"
        ) from None
    return value


def _encode_float(value: float, depth: int) -> float:
    if not math.isfinite(value):
        raise Refusal(f"is {value}, which JSON does not have; use None, or text: str(...)")
    return value


def _encode_items(value: Sequence[Any], depth: int) -> List[Any]:
    if depth == MAX_DEPTH:
        raise Refusal(TOO_DEEP)
    items: List[Any] = []
    try:
        for item in value:
            items.append(encode(item, depth + 1))
    except Refusal as refusal:
        refusal.inside(value, f"[{len(items)}]")
        raise
    return items


def _encode_tuple(value: Tuple[Any, ...], depth: int) -> Any:
    return {"$tuple": _encode_items(value, depth)}


def _encode_set(value: Any, depth: int) -> Any:
    if depth == MAX_DEPTH:
        raise Refusal(TOO_DEEP)
    try:
        items = [encode(item, depth + 1) for item in value]
    except Refusal as refusal:
        refusal.inside(value, AN_ITEM)
        raise
    # The order of a set differs from process to process; that of its items' text does not.
    return {"$set" if type(value) is set else "$frozenset": sorted(items, key=to_text)}


def _encode_dict(value: Dict[Any, Any], depth: int) -> Any:
    if depth == MAX_DEPTH:
        raise Refusal(TOO_DEEP)
    pairs: List[Tuple[Any, Any]] = []
    only_text = True
    try:
        for key, item in value.items():
            if type(key) is str and key.isascii():
                encoded = key
            else:
                step = A_KEY
                encoded = encode(key, depth + 1)
                only_text = only_text and type(key) is str
            step = ""
            pairs.append((encoded, encode(item, depth + 1)))
    except Refusal as refusal:
        refusal.inside(value, step or f"[{short(key)}]")
        raise
    if only_text:
        plain = dict(pairs)
        return escaped(plain) if len(plain) == 1 else plain
    return {"$dict": pairs}


def escaped(plain: Dict[str, Any]) -> Dict[str, Any]:
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
            details["name"] = encode_text(name)
        if offset.microseconds:  # Python does not read its own text of +00:00:00.000001.
            details["offset"] = [offset.days, offset.seconds, offset.microseconds]
            value = value.replace(tzinfo=None)
    elif zone is not None:
        details["zone"] = encode_text(_zone_key(zone))
        value = value.replace(tzinfo=None)
    if value.fold:
        details["fold"] = 1
    text = value.isoformat()
    return {"at": text, **details} if details else text


def _zone_key(zone: Any) -> str:
    if any(
        getattr(sys.modules.get(module), "ZoneInfo", None) is type(zone) for module in ZONE_MODULES
    ):
        try:
            # Fails for a zone that was read from a file, even under the key of another one.
            zone.__reduce__()
        except Exception:
            refuse_zone(zone)
        if zone.key is not None:
            return str(zone.key)
    refuse_zone(zone)


def _encode_timedelta(value: timedelta, depth: int) -> Any:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def _encode_decimal(value: Any, depth: int) -> Any:
    # The case of the exponent's letter is a setting of the caller's decimal context.
    return {"$decimal": str(value).replace("e", "E")}


def _encode_uuid(value: Any, depth: int) -> Any:
    return {"$uuid": str(value)}


def _encode_path(value: Any, depth: int) -> Any:
    kind = type(value)
    text = encode_text(str(value))
    if kind(text) != value:  # PureWindowsPath("./c:x") writes itself as c:x, on a drive
        raise Refusal("has no text that gives the same path again; use its parts as text")
    return {PATH_TAGS[kind.__name__]: text}


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
    refuse_type(kind)


def _encode_plain(plain: Callable[[Any], Any], value: Any, depth: int) -> Any:
    return encode(plain(value), depth)


def keep_as(kind: Type[Any], plain: Callable[[Any], Any]) -> None:
    """Have values of a type, and of its subclasses, kept in a plain form instead of refused.

    For integrations, where a framework wraps plain values; the task gets the plain form.

    Args:
        kind: The type, none that can be kept already.
        plain: Returns the plain form of a value, which can be kept.
    """
    _PLAIN_FORMS[kind] = plain


_ENCODERS: Dict[Type[Any], Callable[[Any, int], Any]] = {
    float: _encode_float,
    list: _encode_items,
    dict: _encode_dict,
    tuple: _encode_tuple,
    set: _encode_set,
    frozenset: _encode_set,
    bytes: _encode_bytes,
    bytearray: _encode_bytes,
    standard(datetime): _encode_datetime,
    standard(date): _encode_date,
    time: _encode_time,
    timedelta: _encode_timedelta,
}

_LATE_ENCODERS: Tuple[Tuple[str, str, Callable[[Any, int], Any]], ...] = (
    ("decimal", "Decimal", _encode_decimal),
    ("uuid", "UUID", _encode_uuid),
    *(("pathlib", name, _encode_path) for name in PATH_TAGS),
    # What now() gives while a test freezes the time: a datetime but for its class. The application
    # under test would get the standard one, so that is what is stored.
    ("freezegun.api", "FakeDatetime", _encode_datetime),
    ("freezegun.api", "FakeDate", _encode_date),
)

# What integrations have added, by keep_as().
_PLAIN_FORMS: Dict[Type[Any], Callable[[Any], Any]] = {}
