"""What the tests of the SQLite store are written with."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from autocron.core.errors import StoreError


def execute(path, *statements):
    """What somebody else does to the file; returns the rows of the last statement."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def refusal(kind, action, *pieces):
    """The message of a refusal, which has to contain these pieces, in this order."""
    with pytest.raises(StoreError) as refused:
        action()
    assert type(refused.value) is kind
    message, at = str(refused.value), 0
    for piece in pieces:
        assert piece in message[at:], f"{piece!r} is not in its place in {message!r}"
        at = message.index(piece, at) + len(piece)
    return message


def in_child(action):
    """Fork, and tell what an action returned in the child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = repr(action())
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told
