"""Reading a command line: argparse, but an error is one line that says what to write instead."""

from __future__ import annotations

import argparse
import os
import re
from datetime import datetime, timezone, tzinfo
from typing import Any, Callable, Iterable, List, NoReturn, Optional, Sequence, Tuple

from autocron import zones
from autocron.core.errors import LONGEST_SECONDS, AutocronError, InvalidSchedule

# What help says of --tz where a module's schedules are read.
ZONE_OF_SCHEDULES = "the zone of schedules that name none (default: the local one)"
A_DURATION = "seconds, or such as 90s, 5min, 2h, 1d, 1h30m"
SUCH_AS = A_DURATION.partition(", ")[2]
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)", re.ASCII)
_UNITS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0}


class UsageError(AutocronError, ValueError):
    """The command line can not be used; the message is one line."""


class Parser(argparse.ArgumentParser):
    """A parser that raises :class:`UsageError` instead of ending the process.

    Arguments:
        prog: What the user wrote before the words that it reads, such as ``autocron explain``.
        **others: As ArgumentParser takes them.
    """

    def __init__(self, prog: str, **others: Any) -> None:
        # An abbreviation that works today could mean two options tomorrow.
        super().__init__(
            prog=prog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **others,
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        prefix = "argument "
        text = message[len(prefix) :] if message.startswith(prefix) else message
        raise UsageError(f"{text} (see {self.prog} --help)")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Read the words of a command line.

        Raises:
            UsageError: They can not be used.
        """
        options, unknown = self.parse_known_args(list(words))
        for word in unknown:
            if word.startswith("-"):
                name = word.partition("=")[0]
                known = [option for option in self._option_string_actions if option[:2] == "--"]
                self.error(f"there is no option {name}{did_you_mean(name, known)}")
            self.error(f"the word {word!r} is one too many")
        return options


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean …?"`` if a word looks like a slip for a known one, else nothing."""
    import difflib  # only now: mostly nothing is wrong

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def check_module(word: str, prefix: str = "") -> None:
    """Check the name of a module, or ``MODULE:NAME``, before it is imported.

    Arguments:
        word: What was given; often it is the name of a file.
        prefix: The option that was given it, for the message: ``"--run: "``.

    Raises:
        UsageError: It can be no such name.
    """
    if not _is_module(word):
        meant = os.path.normpath(re.sub(r"\.py$", "", word)).replace(os.sep, ".")
        hint = f"; did you mean {meant}?" if _is_module(meant) else ""
        raise UsageError(f"{prefix}{word!r} is no name of a module, such as shop.tasks{hint}")


def _is_module(word: str) -> bool:
    module, colon, name = word.partition(":")
    names = [*module.split("."), *([name] if colon else [])]
    return not module.endswith(".py") and all(one.isidentifier() for one in names)


def whole_number(smallest: int, largest: int) -> Callable[[str], int]:
    """Return a type for ``add_argument``: a whole number within bounds."""

    def read(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            number = smallest - 1
        if not smallest <= number <= largest:
            raise argparse.ArgumentTypeError(
                f"{word!r} is not a whole number from {smallest} to {largest}"
            )
        return number

    return read


def read_seconds(text: str) -> Optional[float]:
    """Read a duration: seconds, or such as ``90s``, ``5min``, ``2h``, ``1d``, ``1h30m``.

    Returns:
        The seconds; None if it is no duration.
    """
    try:
        seconds = float(text)
    except ValueError:
        pieces = _PIECE.findall(text)
        if not pieces or "".join(number + unit for number, unit in pieces) != text.replace(" ", ""):
            return None
        seconds = sum(float(number) * _UNITS[unit] for number, unit in pieces)
    return seconds if 0 <= seconds <= LONGEST_SECONDS else None


def duration(smallest: float = 0.0) -> Callable[[str], float]:
    """Return a type for ``add_argument``: a duration of at least so many seconds."""

    def read(word: str) -> float:
        seconds = read_seconds(word)
        if seconds is None:
            raise argparse.ArgumentTypeError(f"{word!r} is no duration; expected {A_DURATION}")
        if seconds < smallest:
            raise argparse.ArgumentTypeError(f"{word!r} is less than {smallest:g} seconds")
        return seconds

    return read


def given(options: argparse.Namespace, names: Iterable[str]) -> List[str]:
    """Return those of some option names that were used."""
    return [
        name
        for name in names
        if getattr(options, name) is not None and getattr(options, name) is not False
    ]


def asks_for(
    options: argparse.Namespace, use: str, companions: Sequence[str], others: Sequence[str]
) -> bool:
    """Tell whether a use that stands alone is asked for, and refuse what does not go with it.

    Arguments:
        options: The options as they were read.
        use: The option that asks for it, without its dashes.
        companions: The options that go with it only, also without.
        others: The options of other uses that were given, as they are written.

    Raises:
        UsageError: A companion is given without it, or another use beside it.
    """
    written = f"--{use.replace('_', '-')}"
    if getattr(options, use) is None:
        for name in given(options, companions):
            raise UsageError(f"--{name} goes with {written}")
        return False
    if others:
        raise UsageError(f"{written} and {others[0]}: one at a time")
    return True


def add_runs_options(parser: Parser, about_zone: str) -> None:
    """Add the options of what lists runs to come: ``-n``, ``--tz``, ``--after``, ``--json``.

    Arguments:
        parser: The parser.
        about_zone: What help says of ``--tz``.
    """
    parser.add_argument("--tz", metavar="ZONE", help=about_zone)
    parser.add_argument(
        "-n",
        type=whole_number(1, 10_000),
        default=5,
        metavar="COUNT",
        help="how many runs to show (default 5)",
    )
    parser.add_argument(
        "--after", metavar="TIME", help="show the runs after this time, such as 2026-03-29T00:00"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def read_zone(name: Optional[str]) -> Tuple[str, tzinfo]:
    """Return the name and the zone of ``--tz``; None is the local one."""
    if name is None:
        return zones.LOCAL, zones.LocalZone()
    try:
        return name, zones.load_zone(name)
    except InvalidSchedule as error:
        raise UsageError(f"{error}{did_you_mean(name, _zone_names())}") from None


def _zone_names() -> List[str]:
    try:
        import zoneinfo
    except ImportError:
        return []
    return [zones.LOCAL, "UTC", *sorted(zoneinfo.available_timezones())]


def read_after(text: str, zone: tzinfo) -> datetime:
    """Return the instant of ``--after``; without an offset it is on the clock of the zone."""
    try:
        # Python 3.8 does not know the Z.
        given = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "Zz" else text)
        if given.tzinfo is None:
            given = given.replace(tzinfo=zone)
        return given.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--after: {text!r} is no time; expected one such as 2026-03-29T00:00 (on the clock of "
            "the zone), or with an offset, 2026-03-29T00:00+01:00"
        ) from None
