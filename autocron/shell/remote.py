"""A database that several hosts share, as one of them knows it.

Its processes on this host need a place for their locks and sockets, and for what they serve. It has
a local name, a path in ``~/.autocron`` made of its URL, beside which that folder stands as it does
beside a file. So processes are told of both in the same way, and the URL, which may hold a
password, is in no command line or environment: it stands in a file of that folder.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Optional, Tuple

from autocron.core.errors import StartError
from autocron.shell.ownership import RunFolder

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_SCHEMES = ("postgresql", "postgres")
_DEFAULT_PORT = 5432
_HOST = r"(\[[^\]]*\]|[^:]*)(?::(\d{0,5}))?"
_EXPECTED = "expected one such as 'postgresql://user@host/name', or a file name"
_LONGEST_HOST_NAME = 40


def is_url(name: object) -> bool:
    """Tell whether what names a database is a URL."""
    return isinstance(name, str) and "://" in name


def local_name(url: str) -> str:
    """Return the name that stands for a URL on this host: the same for all spellings of it.

    The password is left out: it may change.

    Raises:
        StartError: This is no URL of a database that autocron knows; the message says why.
    """
    import hashlib  # what only URLs need is imported for them

    parts, hosts = _checked(url)
    text = f"{parts.username or ''}@{hosts}{parts.path}?{parts.query}"
    return f"postgresql-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _checked(url: str) -> Tuple[SplitResult, str]:
    from urllib.parse import urlsplit

    try:
        if "\0" in url:
            raise ValueError("it has a NUL")
        parts = urlsplit(url)
        # There may be several, of which PostgreSQL's library takes the first one that fits.
        hosts = ",".join(map(_host, parts.netloc.rpartition("@")[2].split(",")))
    except ValueError:
        # What it says of the URL may be a piece of the password.
        raise StartError(
            "database: the URL can not be read: its port is no number, or its password has one of "
            f"/ ? # [ ], which is to be percent-encoded, as in %2F; {_EXPECTED}"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise StartError(
            f"database: {shown(url)!r} begins with {parts.scheme + '://'!r}, and of URLs only "
            f"those of PostgreSQL are known; {_EXPECTED}"
        )
    if not parts.path.strip("/"):
        raise StartError(f"database: {shown(url)!r} names no database; {_EXPECTED}")
    return parts, hosts


def _host(text: str) -> str:
    """Return a host and its port in the one spelling that it has here."""
    found = re.fullmatch(_HOST, text, re.ASCII)
    if found is None:
        raise ValueError("a port is no number")
    return f"{found[1].lower()}:{int(found[2] or _DEFAULT_PORT)}"


def shown(url: str) -> str:
    """Return a URL as it may be shown: without its password."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    secret = re.sub(r"(?i)(password=)[^&]*", r"\1***", parts.query)
    if parts.password is None:
        return urlunsplit(parts._replace(query=secret))
    user = f"{parts.username or ''}:***@"
    netloc = user + parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=netloc, query=secret))


def remember(folder: RunFolder, url: str) -> None:
    """Write down which database the processes of a run folder use, for its owner alone to read."""
    if url_of(folder) != url:
        _write(folder.url, url)


def url_of(folder: RunFolder) -> Optional[str]:
    """Return the URL of the database of a run folder; None if that is a file."""
    return _read(folder.url)


def host_of(folder: RunFolder) -> str:
    """Return the name of this host, with which those of its workers begin; it lasts as the folder.

    It begins with the name of the machine, for people, and no two hosts have the same.
    """
    known = known_host(folder)
    if known is None:
        import socket

        machine = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:_LONGEST_HOST_NAME]
        known = f"{machine}-{os.urandom(3).hex()}"
        _write(folder.host, known)
    return known


def known_host(folder: RunFolder) -> Optional[str]:
    """Return the name of this host, if it has one."""
    return _read(folder.host)


def _read(path: str) -> Optional[str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        return file.read().decode() or None


def _write(path: str, text: str) -> None:
    new = f"{path}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(text.encode())
    os.replace(new, path)
