"""Where the database of a name lies; a leading ``~`` is the home folder, as in a shell."""

from __future__ import annotations

import pytest

from autocron.core.errors import StartError
from autocron.shell.paths import database_path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path.resolve()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("w.db", ".autocron/w.db"),
        ("a/w.db", ".autocron/a/w.db"),
        ("~/w.db", "w.db"),
        ("~/.autocron/w.db", ".autocron/w.db"),
        # No path of anybody's, but a name.
        ("~w.db", ".autocron/~w.db"),
        ("a~/w.db", ".autocron/a~/w.db"),
    ],
)
def test_a_tilde_before_a_slash_is_the_home_folder(home, name, expected):
    (home / ".autocron").mkdir(mode=0o700)
    assert database_path(name) == str(home / expected)
    assert not (home / ".autocron" / "~").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("~", "'~' is no file name"),
        ("~/", "'~/' is no file name"),
        ("~/none/w.db", "the folder '{home}/none' of '{home}/none/w.db' does not exist"),
        (
            "~no-such-user/w.db",
            "'~no-such-user/w.db' begins with the home folder of nobody who is ",
        ),
    ],
)
def test_what_names_no_file_there_is_refused(home, name, says):
    says = says.format(home=home)
    with pytest.raises(StartError) as caught:
        database_path(name)
    assert says in str(caught.value)
    assert list(home.iterdir()) == []
