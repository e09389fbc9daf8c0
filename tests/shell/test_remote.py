"""URLs of databases: one name for all spellings of one, and no message with a password."""

from __future__ import annotations

import pytest

from autocron.core.errors import StartError
from autocron.shell.paths import database_path
from autocron.shell.remote import local_name, shown

NAME = local_name("postgresql://ada@db.example/shop")


@pytest.mark.parametrize(
    "url",
    [
        "postgres://ada@db.example/shop",
        "postgresql://ada@DB.example:5432/shop",
        "postgresql://ada:secret@db.example/shop",
        "postgresql://ada:s@cret@db.example:/shop",
    ],
)
def test_a_database_has_one_name_however_its_url_is_spelled(url):
    assert local_name(url) == NAME


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://eve@db.example/shop",
        "postgresql://ada@db.example:5433/shop",
        "postgresql://ada@db.example/shops",
        "postgresql://ada@db.example/shop?options=-csearch_path%3Dtest",
        "postgresql://ada@db.example,other.example/shop",
        "postgresql://ada@[::1]/shop",
        "postgresql:///shop",
    ],
)
def test_another_one_has_another(url):
    assert local_name(url) != NAME


def test_several_servers_may_be_named_of_which_one_takes_writes():
    url = "postgresql://ada:secret@one:5433,two/shop?target_session_attrs=read-write"
    assert local_name(url) == local_name(url.replace("two", "TWO:5432").replace(":secret", ""))
    assert shown(url) == url.replace("secret", "***")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://ada:secret@db/shop", "'mysql://ada:***@db/shop' begins with 'mysql://'"),
        ("postgresql://ada:secret@db/", "'postgresql://ada:***@db/' names no database"),
        ("postgresql://ada:secret@db", "'postgresql://ada:***@db' names no database"),
        ("postgresql://ada:secret@db:port/shop", "its port is no number"),
        ("postgresql://ada:secret@db:123456/shop", "its port is no number"),
        ("postgresql://ada:secret@one:1,two:x/shop", "its port is no number"),
        ("postgresql://ada:secret/more@db/shop", "is to be percent-encoded, as in %2F"),
        ("postgresql://ada:secret#more@db/shop", "is to be percent-encoded, as in %2F"),
        ("postgresql://ada:secret]more@db/shop", "is to be percent-encoded, as in %2F"),
        ("postgresql://ada:secret@db/shop\0", "the URL can not be read"),
    ],
)
def test_what_is_none_is_refused_and_its_password_is_not_told(url, said):
    for read in (local_name, lambda name: database_path(name, make_folder=False)):
        with pytest.raises(StartError) as caught:
            read(url)
        assert said in str(caught.value)
        assert "secret" not in str(caught.value)
