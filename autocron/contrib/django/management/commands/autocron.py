"""``manage.py autocron …``: the admin tool for the database of the project."""

from __future__ import annotations

import os
import sys
from typing import Any, List, Optional, Sequence

from django.core.management.base import BaseCommand, CommandError, CommandParser

from autocron.app import default_app
from autocron.cli import commands, main
from autocron.contrib.django import conf

# These are about the modules in which there are tasks; without any, about all of the project.
_OF_MODULES = ("check", "simulate")


class Command(BaseCommand):
    """Run the command ``autocron`` with the database, and the tasks, of this project."""

    help = (
        "Look at the tasks of this project, operate and set, as the command autocron does: "
        "'manage.py autocron --info'; the database is that of the settings. "
        "'manage.py autocron --help' lists what there is."
    )
    requires_system_checks: List[str] = []

    def run_from_argv(self, argv: Sequence[str]) -> None:
        """Hand all words on, also those that Django takes elsewhere."""
        code = self._run(list(argv[2:]))
        if code:
            sys.exit(code)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Make a parser that leaves all words to the command, for ``call_command()``."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.parse_args = _Words(parser)
        return parser

    def handle(self, *words: str, **options: Any) -> Optional[str]:
        """Run it for ``call_command("autocron", "--info")``."""
        code = self._run(list(words))
        if code:
            raise CommandError(f"autocron ended with the code {code}", returncode=code)
        return None

    def _run(self, words: List[str]) -> int:
        words = words or ["--info"]
        if words[0] in _OF_MODULES and (len(words) == 1 or words[1].startswith("-")):
            return self._for_each_module(words)
        if words[0] in commands() or words[0] in ("--help", "-h", "--version"):
            return main(words)
        configuration = conf.read()
        database = conf.database()
        if configuration.problems or database is None:
            problem = next(iter(configuration.problems), None)
            why = "the settings name no database" if problem is None else problem.message
            raise CommandError(f'{why}; expected AUTOCRON = {{"DATABASE": "project.db", …}}')
        return main([os.fspath(database), *words])

    def _for_each_module(self, words: List[str]) -> int:
        modules = default_app.registry.modules()
        if not modules:
            raise CommandError("no app of this project has tasks in a tasks.py")
        return max([main([words[0], module, *words[1:]]) for module in modules])


class _Words:
    """In the place of ``parse_args``: all words are the command's."""

    def __init__(self, parser: CommandParser) -> None:
        self._parser = parser

    def __call__(self, args: Any = None, namespace: Any = None) -> Any:
        words = [str(word) for word in args or ()]
        found = CommandParser.parse_args(self._parser, [], namespace)
        found.args = words
        return found
