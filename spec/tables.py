"""Examples as tables: the ``@table`` decorator.

The first line names the arguments, each further line is one example; columns are divided by ``|``::

    @table('''
    expression  | after            | next
    0 9 * * 1-5 | 2024-03-01 09:00 | 2024-03-04 09:00
    ''')
    def it_skips_days_that_do_not_match(expression, after, next): ...

A cell in single quotes is a Python literal, for blanks and line breaks that matter.
"""

from __future__ import annotations

import ast

import pytest


def rows(text):
    """Return the names and the rows of a table."""
    lines = [line for line in text.splitlines() if line.strip()]
    cells = [[_cell(cell.strip()) for cell in line.split("|")] for line in lines]
    names, examples = cells[0], cells[1:]
    for line, example in zip(lines[1:], examples):
        assert len(example) == len(names), f"{len(names)} columns expected in: {line}"
    return names, examples


def table(text):
    """Run the decorated clause once for each row."""
    names, examples = rows(text)
    if len(names) == 1:
        return pytest.mark.parametrize(names[0], [example[0] for example in examples])
    return pytest.mark.parametrize(names, examples)


def _cell(text):
    quoted = text[:1] == "'" and text[-1:] == "'" and text.count("'") == 2
    return ast.literal_eval(text) if quoted else text
