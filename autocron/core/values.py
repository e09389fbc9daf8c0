"""Frozen values, made and changed quickly: what happens several times in the life of every task.

A frozen dataclass sets each field through a checked call, and ``dataclasses.replace`` reads each
one besides. For values of 25 fields that is most of what a task costs; these do the same at once.
"""

from __future__ import annotations

from typing import Any, Type, TypeVar

Value = TypeVar("Value")


def made(kind: Type[Value], **fields: Any) -> Value:
    """Make a value of a frozen dataclass without slots and ``__post_init__``.

    Arguments:
        kind: The class.
        fields: Its fields; those with a plain default may be left out.
    """
    value = object.__new__(kind)
    value.__dict__.update(fields)
    return value


def changed(value: Value, **changes: Any) -> Value:
    """Return a frozen value with some fields changed, as ``dataclasses.replace`` does.

    Arguments:
        value: The value; it stays as it is.
        changes: The fields to change.
    """
    after = object.__new__(type(value))
    fields = after.__dict__
    fields.update(value.__dict__)
    fields.update(changes)
    return after
