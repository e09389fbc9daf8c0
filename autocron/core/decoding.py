"""Text to values; see :mod:`autocron.core.text_format`."""

from __future__ import annotations

import functools
import importlib
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Callable, Dict, List, NoReturn, Tuple

from autocron.core.encoding import encode
from autocron.core.errors import NotStorable
from autocron.core.refusals import short
from autocron.core.text_format import ZONE_MODULES, standard


@functools.lru_cache(maxsize=None)
def _reader() -> Callable[[str], Any]:
    from json import JSONDecoder

    decoder = JSONDecoder(object_pairs_hook=_decode_object, parse_constant=_decode_constant)

    def read(text: str) -> Any:
        # What was written here has no blanks around it, which to look for takes as long as to read.
        value, end = decoder.raw_decode(text)
        return value if end == len(text) else decoder.decode(text)

    return read


def read_text(text: str, what: str) -> Any:
    """Return the value of a text.

    Raises:
        NotStorable: It is damaged, or not ours; the message calls it ``what``.
    """
    try:
        return _reader()(text)
    except _Unusable as unusable:
        raise NotStorable(f"{what} can not be loaded: {unusable}", path=what) from None
    except _Damaged as damaged:
        raise not_ours(what, str(damaged)) from None
    except Exception as error:
        # Broad on purpose: whatever a damaged text provokes in a parser or in the type that a tag
        # names, the caller gets one kind of error.
        raise not_ours(what, f"{type(error).__name__}: {error}") from error


def not_ours(what: str, problem: str) -> NotStorable:
    """Return the error for a text that autocron has not written like this."""
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
        raise _Damaged(f"{short(tag)} is no tag")
    value = _SCALARS[tag](payload)
    # Most of these types also take other forms of text, or worse, something in place of it.
    if encode(value, 0) != {tag: payload}:
        raise _Damaged(f"{short(payload)} is nothing that the tag {tag} holds")
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
    for module in ZONE_MODULES:
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


# Kept where freezegun does not look: it replaces the classes in the namespaces of all modules.
_datetime_from_text: Callable[[str], datetime] = standard(datetime).fromisoformat

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
    "$date": standard(date).fromisoformat,
    "$datetime": _decode_datetime,
    "$time": _decode_time,
    "$timedelta": _decode_timedelta,
    "$decimal": _decode_decimal,
    "$uuid": _decode_uuid,
    "$path": functools.partial(_decode_path, "Path"),
    "$pureposixpath": functools.partial(_decode_path, "PurePosixPath"),
    "$purewindowspath": functools.partial(_decode_path, "PureWindowsPath"),
}
