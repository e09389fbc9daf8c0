"""The text of arguments and results: JSON, and tags for what JSON does not have.

What JSON has is written as JSON; every other type that can be kept is one object with one key, a
*tag*:

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

from typing import Any, Type

# Of the text of one call's arguments, or of one result: far below what SQLite can hold (a thousand
# million bytes), and above what belongs into a queue.
MAX_LENGTH = 64 * 1024 * 1024

# Counted in containers, so an argument may be a list in a list in a list, 100 times. More is
# hardly meant, and JSON's own parser is recursive.
MAX_DEPTH = 100

# An int beyond this goes as hexadecimal: Python limits the digits of *decimal* text, to 4,300 by
# default and to 640 (2,126 bits) at the least, and writer and reader may have different limits.
PLAIN_INT_LIMIT = 1 << 2000

# What almost every run of a schedule is called with and returns; written and read at once.
NO_ARGUMENTS = "[[],{}]"
NO_RESULT = "null"

ZONE_MODULES = ("zoneinfo", "backports.zoneinfo")

PATH_TAGS = {
    "PosixPath": "$path",
    "WindowsPath": "$path",
    "PurePosixPath": "$pureposixpath",
    "PureWindowsPath": "$purewindowspath",
}


def standard(kind: Type[Any]) -> Type[Any]:
    """The standard library's class, also while a test has put freezegun's in its place."""
    return next(base for base in kind.__mro__ if base.__module__ == "datetime")
