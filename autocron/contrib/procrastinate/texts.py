"""Text that PostgreSQL can not hold, and back: it refuses the character NUL.

A text with a NUL is kept with an escape, and begins with a mark, so that it is known again; so does
one that would begin with that mark by itself. All other texts are kept as they are.
"""

from __future__ import annotations

from typing import Any, Iterable, List

# A code point that Unicode has set aside for such use within a program, and promises never to give
# to a character.
_MARK = "\ufdd0"


def storable(value: Any) -> Any:
    """Return a value as PostgreSQL can hold it; what is no text stays as it is."""
    if isinstance(value, str) and ("\x00" in value or value[:1] == _MARK):
        return _MARK + value.replace(_MARK, _MARK + "1").replace("\x00", _MARK + "0")
    return value


def original(value: Any) -> Any:
    """Return what :func:`storable` was given."""
    if isinstance(value, str) and value[:1] == _MARK:
        return value[1:].replace(_MARK + "0", "\x00").replace(_MARK + "1", _MARK)
    return value


def storables(values: Iterable[Any]) -> List[Any]:
    """Return several values as PostgreSQL can hold them."""
    return [storable(value) for value in values]


def originals(values: Iterable[Any]) -> List[Any]:
    """Return what :func:`storables` was given."""
    return [original(value) for value in values]
