"""Frozen values, made and changed quickly: what happens several times in the life of every task.

A dataclass is written as text and compiled when its module is imported, four functions for each,
and most of an import would go into that. A frozen one sets each field through a checked call, and
``dataclasses.replace`` reads each one besides. For values of 25 fields that is most of what a task
costs; these do the same at once. A value has all of its fields itself, and its class does not keep
the defaults: the interpreter reads a field several times as fast if the class has no attribute of
that name.
"""

from __future__ import annotations

from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    cast,
)

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda decorator: decorator


Value = TypeVar("Value")

_new: Any = object.__new__
_set = object.__setattr__


@dataclass_transform(frozen_default=True)
def frozen(kind: Type[Value]) -> Type[Value]:
    """Make a class one of frozen values, as ``dataclasses.dataclass(frozen=True)`` would.

    What all of them share is written once; ``__init__`` is compiled when the first value is made,
    and :mod:`dataclasses` is asked when its functions are used on one.

    Arguments:
        kind: The class, with annotated fields; without slots, a value class as its base,
            ``__post_init__`` and ``dataclasses.field``. A default may be what can be changed, and
            is then the same for all.
    """
    names = tuple(kind.__annotations__)
    defaults = {name: kind.__dict__[name] for name in names if name in kind.__dict__}
    for name in defaults:
        delattr(kind, name)
    for name, shared in _SHARED.items():
        if name not in kind.__dict__:
            setattr(kind, name, shared)
    of_this_kind = {
        "__init__": _Init(kind),
        "__match_args__": names,
        "__field_defaults__": defaults,
        "__dataclass_fields__": _DataclassFields(kind),
    }
    for name, own in of_this_kind.items():
        setattr(kind, name, own)
    return kind


class _Init:
    """The ``__init__`` of a class of values until it is first asked for."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __get__(self, value: Any, owner: Any) -> Any:
        init = self._kind.__init__ = _init_of(self._kind)
        return init if value is None else init.__get__(value)


def _init_of(kind: Any) -> Any:
    """Return an ``__init__`` that sets all fields without asking for each."""
    defaults = kind.__field_defaults__
    known: Dict[str, Any] = {f"_{name}": default for name, default in defaults.items()}
    parameters: List[str] = []
    lines = ["fields = self.__dict__"]
    for name in kind.__match_args__:
        parameters.append(f"{name}=_{name}" if name in defaults else name)
        lines.append(f"fields[{name!r}] = {name}")
    # Written as text and compiled, as dataclasses does it too.
    exec(f"def __init__(self, {', '.join(parameters)}):\n " + "\n ".join(lines), known)
    init = known["__init__"]
    init.__qualname__ = f"{kind.__qualname__}.__init__"
    init.__annotations__ = {**kind.__annotations__, "return": None}
    return init


class _DataclassFields:
    """What the functions of :mod:`dataclasses` look for in a class, until they do."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __get__(self, value: Any, owner: Any) -> Any:
        import dataclasses

        contents = {"__annotations__": self._kind.__annotations__, **self._kind.__field_defaults__}
        twin: Any = dataclasses.dataclass(type(self._kind.__name__, (), contents))
        self._kind.__dataclass_fields__ = twin.__dataclass_fields__
        return twin.__dataclass_fields__


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({shown})"


def _equals(self: Any, other: Any) -> Any:
    return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(tuple(map(self.__dict__.__getitem__, self.__match_args__)))


def _refuse_to_set(self: Any, name: str, value: Any) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED: Dict[str, Any] = {
    "__repr__": _repr,
    "__eq__": _equals,
    "__hash__": _hash,
    "__setattr__": _refuse_to_set,
    "__delattr__": _refuse_to_delete,
}


def fields_of(kind: Any, missing: Any = None) -> Dict[str, Any]:
    """Return the fields of a class of values, with their defaults.

    Arguments:
        kind: The class.
        missing: What stands for the default of a field that has none.
    """
    return {name: kind.__field_defaults__.get(name, missing) for name in kind.__match_args__}


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


class Alike(Sequence[Value]):
    """Frozen values that differ in a few fields, each of which is made when it is asked for.

    Of ten thousand calls at once the arguments and the ids are kept, and nothing that the garbage
    collection would have to look at: to make all of them as values took more than to store them.

    Arguments:
        like: A value of which all others have the other fields.
        **own: What each of them has in a field; of one field at least, and for all the same number.
    """

    def __init__(self, like: Value, **own: Sequence[Any]) -> None:
        self.like = like
        self.own = own

    def __len__(self) -> int:
        return len(next(iter(self.own.values())))

    def __getitem__(self, place: Any) -> Any:
        own = {name: each[place] for name, each in self.own.items()}
        return Alike(self.like, **own) if type(place) is slice else changed(self.like, **own)
