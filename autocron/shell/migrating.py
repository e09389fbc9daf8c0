"""Making the tables of a database, or bringing them up to date, before an application does.

``start()`` does the same; here it is a step of its own, for who deploys, or for a user of the
server who may create tables where the application's may not.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from autocron.shell.connections import SQLITE_ERRORS, connect, store_error
from autocron.shell.kinds import OneHost
from autocron.shell.schema import VERSION, check_is_ours

_DOING = "migrate the database"
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Migrated:
    """What a migration has found and done.

    Attributes:
        before: The version of the tables; 0 if there were none.
        after: That which they have now.
        queue_before: The latest step of procrastinate's tables, which belong to those of
            PostgreSQL; empty if there were none, or if another application looks after them.
        queue_after: That which they have now.
    """

    before: int
    after: int
    queue_before: str = ""
    queue_after: str = ""

    @property
    def is_change(self) -> bool:
        """Whether anything was done."""
        return (self.before, self.queue_before) != (self.after, self.queue_after)


def migrate_file(path: str) -> Migrated:
    """Bring a SQLite file up to date.

    Arguments:
        path: Its absolute path.

    Raises:
        ForeignDatabase: It is none of autocron's; it is untouched.
        NewerDatabase: It was made by a newer autocron; it is untouched.
        StoreError: It can not be used.
    """
    kind = OneHost(path)
    kind.check()
    try:
        with closing(connect(path, "full", _TIMEOUT_SECONDS, "rw")) as connection:
            before = check_is_ours(connection, path)
    except SQLITE_ERRORS as error:
        raise store_error(_DOING, path, _TIMEOUT_SECONDS, error) from error
    with closing(kind.store()) as store:
        store.open(create=False)
    return Migrated(before, VERSION)


def migrate_server(url: str) -> Migrated:
    """Make the tables in a PostgreSQL database, procrastinate's too, or bring them up to date.

    Any number of processes may do so at once; one of them does it.

    Arguments:
        url: The database, as ``postgresql://user@host/name``.

    Raises:
        StartError: What it takes is not installed.
        StoreError: They can not be made, or are a newer autocron's.
    """
    from autocron.contrib.procrastinate.extra import check_extra

    check_extra()
    from autocron.contrib.procrastinate.backend import postgres_store

    with closing(postgres_store(url)) as store:
        before, after = store.migrate()
    return Migrated(before.ours, after.ours, before.procrastinate, after.procrastinate)
