"""Frozen values, made and changed quickly: what happens several times in the life of every task.

A frozen dataclass sets each field through a checked call, and ``dataclasses.replace`` reads each
one besides. For values of 25 fields that is most of what a task costs; these do the same at once.
A value has all of its fields itself, and its class does not keep the defaults: the interpreter
reads a field several times as fast if the class has no attribute of that name.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import partial
from typing import Any, Callable, Dict, List, Tuple, Type, TypeVar, cast

Value = TypeVar("Value")

_new: Any = object.__new__
_set = object.__setattr__


def quick(kind: Type[Value]) -> Type[Value]:
    """Give a frozen dataclass an ``__init__`` that sets its fields without asking for each.

    The class does not keep its defaults as attributes.

    Arguments:
        kind: The class, decorated with ``dataclass(frozen=True)``; without slots,
            ``__post_init__`` and default factories.
    """
    known: Dict[str, Any] = {}
    parameters: List[str] = []
    lines = ["fields = self.__dict__"]
    for field in fields(kind):  # type: ignore[arg-type]
        parameters.append(field.name)
        if field.default is not MISSING:
            known[f"_{field.name}"] = field.default
            parameters[-1] += f"=_{field.name}"
            delattr(kind, field.name)
        lines.append(f"fields[{field.name!r}] = {field.name}")
    # Written as text and compiled, as dataclasses does it too.
    exec(f"def __init__(self, {', '.join(parameters)}):\n " + "\n ".join(lines), known)
    known["__init__"].__annotations__ = kind.__init__.__annotations__
    kind.__init__ = known["__init__"]  # type: ignore[method-assign]
    return kind


def made(kind: Type[Value], fields: Dict[str, Any]) -> Value:
    """Make a value of a frozen dataclass without slots and ``__post_init__``.

    Arguments:
        kind: The class.
        fields: All of its fields; the dictionary becomes the value's own.
    """
    value: Value = _new(kind)
    _set(value, "__dict__", fields)
    return value


def row_of(kind: Type[Value]) -> Callable[[Tuple[Any, ...]], Value]:
    """Return what makes a value of a ``NamedTuple`` of all of its fields, in half the time.

    The class itself would call a function of Python, only to sort its arguments.

    Arguments:
        kind: The class.
    """
    return partial(cast(Any, tuple.__new__), kind)


def changed(value: Value, **changes: Any) -> Value:
    """Return a frozen value with some fields changed, as ``dataclasses.replace`` does.

    Arguments:
        value: The value; it stays as it is.
        changes: The fields to change.
    """
    fields = value.__dict__.copy()
    fields.update(changes)
    return made(type(value), fields)
