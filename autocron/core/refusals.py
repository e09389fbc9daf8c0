"""Why a value can not be kept: where it stands, and what to write instead."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Dict, List, NoReturn, Optional, Sequence, Tuple, Type

from autocron.core.errors import NotStorable
from autocron.core.text_format import MAX_DEPTH, MAX_LENGTH, standard

_PICKLE = 'or choose start(serializer="pickle")'

A_KEY = "a key"
AN_ITEM = "an item"
TOO_DEEP = (
    f"is nested more than {MAX_DEPTH} levels deep, which is the limit; "
    f"use a flatter form of it, {_PICKLE}"
)
_CYCLE = f"contains itself; use a form of it without the circle, {_PICKLE}"
NO_STACK = "can not be stored this deep in the call stack; make the call from fewer functions"

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
    standard(datetime): "a plain datetime: datetime.fromisoformat(str(...))",
    standard(date): "a plain date: date.fromisoformat(str(...))",
    timedelta: "its .total_seconds()",
}


class Refusal(Exception):
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
        if reason == TOO_DEEP:
            start = _start_of_circle(steps)
            if start is not None:
                reason = _CYCLE
            steps = steps[: start or 0]  # 100 steps of a path would say nothing
        for _, step in steps:
            if step in (A_KEY, AN_ITEM):
                path = f"{step} of {path}"
            else:
                path = f"({path}){step}" if path.startswith((A_KEY, AN_ITEM)) else path + step
        return NotStorable(f"{path} {reason}", path=path)


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


def bounded(text: str, takes: str, way_out: str) -> str:
    """Return the text of arguments, or of a result, if it is not too long to keep.

    Arguments:
        text: The text.
        takes: What takes so many characters, for the message: ``"the result takes"``.
        way_out: What to do instead, for the message.

    Raises:
        NotStorable: It is too long.
    """
    if len(text) > MAX_LENGTH:
        raise NotStorable(
            f"{takes} {len(text):,} characters as text, and at most {MAX_LENGTH:,} are kept; "
            f"{way_out}",
            path=takes.rpartition(" ")[0],
        )
    return text


def short(value: Any) -> str:
    """How a message shows a value: as Python would, but not all of it."""
    try:
        text = repr(value)
    except ValueError:  # An int with more digits than Python is willing to write.
        return "..."
    return text if len(text) <= 50 else f"{text[:50]}..."


def refuse_type(kind: Type[Any]) -> NoReturn:
    """Refuse a value for its type."""
    raise Refusal(f"is of type {_type_name(kind)}, which can not be kept exactly; {_way_out(kind)}")


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


def refuse_zone(zone: Any) -> NoReturn:
    """Refuse a time for its zone."""
    raise Refusal(
        f"has a time zone of type {_type_name(type(zone))}, which can not be kept exactly; use "
        "datetime.timezone, a zoneinfo.ZoneInfo with a key, or .astimezone(datetime.timezone.utc)"
    )
