"""What hypothesis draws for each target: what is nearly right finds more than noise."""

from __future__ import annotations

import json
from typing import Mapping, Sequence

from hypothesis import strategies as st

from autocron.core.settings import NAMES
from autocron.shell.rows import SCHEDULE_COLUMNS, TASK_COLUMNS
from tests.fuzz.cases import known
from tests.fuzz.targets import TARGETS

_ODD_TEXTS = st.one_of(
    st.text(),
    st.integers().map(str),
    st.floats().map(repr),
    st.sampled_from(["", "\0", "\x1b[2J", "1e999", "9" * 5000, "[" * 3000, "\u202e"]),
)
_WORDS = """
explain next x.db --json -n 3 --tz UTC Europe/Berlin --after 2024-03-31 --info --tasks --failed
--results --show --stats --task --state --queue --older-than 1h --limit --set-max-workers
--set-autocron-lock on --set-defaults --cancel --discard all --yes --pause --enable --disable
--unschedule --verify --version --help --kill
"""
_TAGS = """
$tuple $set $frozenset $bytes $bytearray $dict $int $datetime $date $time $timedelta $decimal $uuid
$path $pickle $$x
"""


def _rows(columns: Sequence[str]) -> st.SearchStrategy[bytes]:
    values = st.builds(
        "{}={}{}".format,
        st.sampled_from(columns),
        st.sampled_from("iftbn"),
        st.one_of(_ODD_TEXTS, _documents.map(json.dumps), st.integers(-3, 3).map(str)),
    )
    return st.lists(values, max_size=6).map(lambda lines: _bytes("\n".join(lines)))


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


_documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(_TAGS.split()), st.text(max_size=3)), inner, max_size=3
        ),
    ),
    max_leaves=12,
)
_DRAWN: Mapping[str, st.SearchStrategy[bytes]] = {
    "cron_text": st.lists(
        st.sampled_from([*"0123456789*/-,LW#?@ \t", "jan", "FRI", "daily", "99999999999", " * *"]),
        max_size=25,
    ).map(lambda pieces: _bytes("".join(pieces))),
    "stored_arguments": st.one_of(
        _documents.map(lambda value: _bytes(json.dumps(value))),
        _documents.map(lambda value: _bytes(json.dumps([[value], {"a": value}]))),
    ),
    "command_line": st.lists(
        st.one_of(st.sampled_from(_WORDS.split()), _ODD_TEXTS), max_size=5
    ).map(lambda words: _bytes("\0".join(words))),
    "task_row": _rows(TASK_COLUMNS),
    "schedule_row_of": _rows(SCHEDULE_COLUMNS),
    "settings": st.lists(
        st.builds("{}={}".format, st.sampled_from(NAMES), _ODD_TEXTS), max_size=4
    ).map(lambda lines: _bytes("\n".join(lines))),
    "channel": st.lists(_documents.map(json.dumps), max_size=4).map(
        lambda lines: _bytes("\n".join(lines))
    ),
}


@st.composite
def _mutated(draw: st.DrawFn, target: str) -> bytes:
    """Something known in which a few bytes are changed, added or left out."""
    data = bytearray(draw(st.sampled_from(list(known(target).values()) or [b""])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(data)


def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Return what is drawn for a target."""
    assert target in TARGETS
    noise = st.one_of(st.binary(max_size=200), _mutated(target))
    return st.one_of(_DRAWN[target], noise) if target in _DRAWN else noise
