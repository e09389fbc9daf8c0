"""The command ``autocron``.

The first word is a command, or else a database. What a command needs is imported when it is run, so
that ``autocron explain`` starts quickly, and everywhere.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Callable, List, Mapping, Optional, Sequence

from autocron.cli.arguments import UsageError, did_you_mean
from autocron.core.errors import AutocronError, StartError

BAD_USE, WENT_WRONG, INTERRUPTED = 2, 1, 130


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command ``autocron``.

    Arguments:
        argv: The words of the command line; None is ``sys.argv[1:]``.

    Returns:
        The exit code: 0 if all went well, 2 for bad use, 1 for what went wrong.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _make_streams_safe()
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`): nothing went wrong.
        _turn_to_nowhere()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except UsageError as error:
        return _complain(error, BAD_USE)
    except AutocronError as error:
        return _complain(error, WENT_WRONG)
    except OSError as error:
        _turn_to_nowhere()
        return _complain(error, WENT_WRONG)


def commands() -> Mapping[str, Callable[[List[str]], int]]:
    """Return the commands; each takes the words after its name and returns an exit code."""
    return {
        "check": _check,
        "demo": _demo,
        "explain": _explain,
        "next": _next,
        "simulate": _simulate,
    }


def _run(words: List[str]) -> int:
    if not words:
        raise UsageError(
            "a database or a command is missing: try 'autocron demo', 'autocron project.db' or "
            "'autocron --help'"
        )
    if words[0] == "help":
        words = _meant_by_help(words[1:])
    command = commands().get(words[0])
    try:
        return _admin(words) if command is None else command(words[1:])
    except SystemExit as done:  # argparse has shown the help or the version
        return done.code if isinstance(done.code, int) else 0


def _meant_by_help(words: List[str]) -> List[str]:
    if not words or words[0] in ("help", "-h", "--help"):
        return ["--help"]
    if words[0] not in commands():
        meant = did_you_mean(words[0], commands())
        raise UsageError(f"there is no command {words[0]!r}{meant} (see autocron --help)")
    return [words[0], "--help"]


def _explain(words: List[str]) -> int:
    from autocron.cli import explain

    return explain.run(words)


def _next(words: List[str]) -> int:
    from autocron.cli import next

    return next.run(words)


def _simulate(words: List[str]) -> int:
    from autocron.cli import simulate

    return simulate.run(words)


def _check(words: List[str]) -> int:
    from autocron.cli import check

    return check.run(words)


def _demo(words: List[str]) -> int:
    _check_platform()
    from autocron.cli import demo

    return demo.run(words)


def _admin(words: List[str]) -> int:
    _check_platform()
    from autocron.cli import admin

    return admin.run(words)


def _check_platform() -> None:
    if sys.platform == "win32":
        raise StartError("databases are served by workers, which Windows does not have yet")


def _complain(error: Exception, code: int) -> int:
    from autocron.shell.printable import one_line

    # What is stored may stand in a message: it is not to control the terminal either.
    message = "\n".join(one_line(line) for line in str(error).split("\n"))
    with contextlib.suppress(OSError):
        print(f"autocron: {message}", file=sys.stderr, flush=True)
    return code


def _make_streams_safe() -> None:
    """See to it that printing never fails for a character, nor because a stream was closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Left open to the end of the process, as the stream would be that it stands for.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _turn_to_nowhere() -> None:
    """Let what is still buffered go nowhere, or Python would complain about it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
