"""Calls inside an atomic block: enqueued when it is committed, never if it is rolled back."""

from __future__ import annotations

import functools
from typing import Any, List, Optional, Union

from django.db import connections, transaction

from autocron.contrib.django import conf
from autocron.core.errors import InvalidTask, StartError
from autocron.held import HeldCalls
from autocron.ports import Clock
from autocron.serving import Destination, Route
from autocron.shell.chance import new_id


def route(taker: Destination, clock: Clock, on_commit: Union[bool, str, None]) -> Optional[Route]:
    """Hold a call for the transactions around it; see :class:`autocron.serving.Router`.

    Raises:
        InvalidTask: There is no database of that alias, or its transactions are managed by hand.
    """
    wanted = conf.read().on_commit if on_commit is None else on_commit
    if wanted is False:
        return None
    if wanted is not True and wanted not in connections:
        raise InvalidTask(
            f"on_commit: there is no database {wanted!r} in DATABASES ({', '.join(connections)})"
        )
    around = [
        connection
        for connection in connections.all(initialized_only=True)
        if wanted in (True, connection.alias) and _is_in_transaction(connection)
    ]
    if len(around) == 1:
        # Where autocron's tables are in the same database, call and rows are committed together.
        joined: Optional[Route] = taker.within(around[0], is_asked=False)
        if joined is not None:
            return joined
    holds = [functools.partial(transaction.on_commit, using=one.alias) for one in around]
    return HeldCalls(taker, clock, new_id, holds) if holds else None


def refuse_call(
    taker: Destination, clock: Clock, on_commit: Union[bool, str, None]
) -> Optional[Route]:
    """Refuse the calls that are made while the tasks of the apps are imported.

    Raises:
        StartError: Always.
    """
    raise StartError(
        "a delayed function is called at the top level of a module, where each process that "
        "imports it would call it again; put the call into a function"
    )


def _is_in_transaction(connection: Any) -> bool:
    if connection.in_atomic_block:
        return _is_in_block_of_application(connection)
    # Not get_autocommit(), which connects, and may not be called in an event loop.
    if connection.connection is not None and not connection.autocommit:
        raise InvalidTask(
            f"the transactions of the database {connection.alias!r} are managed by hand "
            "(set_autocommit(False)), so nobody says when they are committed: use "
            "transaction.atomic(), or call the task with .options(on_commit=False)(…)"
        )
    return False


def _is_in_block_of_application(connection: Any) -> bool:
    """Tell whether an atomic block is open which is not that of a TestCase around a test.

    What a test calls itself is not inside of a transaction in production; that what it calls is
    seen by captureOnCommitCallbacks() is seen to, since the same is said of transaction.on_commit.
    """
    blocks: List[Any] = connection.atomic_blocks
    if all(block._from_testcase for block in blocks):
        transaction.on_commit(_was_enqueued, using=connection.alias)
        return False
    return True


def _was_enqueued() -> None:
    """Stand for a call that did not have to wait, in what captureOnCommitCallbacks() gives."""
