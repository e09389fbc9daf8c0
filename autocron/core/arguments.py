"""Arguments and results to JSON text and back, exactly or not at all.

``load_call(dump_call(args, kwargs))`` gives equal values of the same types, all the way down; see
:mod:`autocron.core.text_format`.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from autocron.core.decoding import not_ours, read_text
from autocron.core.encoding import are_plain, encode, encode_text, escaped, to_text
from autocron.core.refusals import NO_STACK, Refusal, parameter_name, refuse_type
from autocron.core.text_format import NO_ARGUMENTS, NO_RESULT


def dump_call(args: Tuple[Any, ...], kwargs: Dict[str, Any], parameters: Sequence[str] = ()) -> str:
    """Write the arguments of one call as JSON text.

    Args:
        args: The positional arguments.
        kwargs: The keyword arguments.
        parameters: The names of the function's positional parameters, in order, so that a refusal
            can name the one concerned. Arguments beyond them are called ``*args[0]`` and so on.

    Returns:
        The text of ``[args, kwargs]``, for ``load_call``. Equal arguments give equal text, as far
        as their dictionaries are in the same order.

    Raises:
        NotStorable: An argument can not be kept exactly. ``path`` and the message say which one.
    """
    positional: List[Any] = []
    keywords: Dict[str, Any] = {}
    root = ""
    try:
        if not kwargs and are_plain(args):
            return f"[{to_text(args)},{{}}]"
        for index, value in enumerate(args):
            root = parameter_name(index, parameters)
            positional.append(encode(value, 0))
        for keyword, value in kwargs.items():
            root = "a keyword"
            if type(keyword) is not str:
                refuse_type(type(keyword))
            encode_text(keyword)  # A keyword can be any text, so also one that can not be kept.
            root = keyword
            keywords[keyword] = encode(value, 0)
        if len(keywords) == 1:
            return to_text([positional, escaped(keywords)])
        return to_text([positional, keywords])
    except Refusal as refusal:
        problem = refusal
    except RecursionError:
        problem = Refusal(NO_STACK)
    raise problem.as_error(root)


def load_call(text: str) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """Read the arguments of one call back.

    Args:
        text: What ``dump_call`` gave.

    Returns:
        The positional and the keyword arguments.

    Raises:
        NotStorable: The text is damaged, or nothing that ``dump_call`` wrote.
    """
    if text == NO_ARGUMENTS:
        return (), {}
    call = read_text(text, "the stored arguments")
    if (
        type(call) is list
        and len(call) == 2
        and type(call[0]) is list
        and type(call[1]) is dict
        and all(type(keyword) is str for keyword in call[1])
    ):
        return tuple(call[0]), call[1]
    raise not_ours("the stored arguments", "expected [[arguments], {keyword arguments}]")


def dump_result(value: Any) -> str:
    """Write what a task returned as JSON text.

    Args:
        value: The result.

    Returns:
        The text, for ``load_result``.

    Raises:
        NotStorable: The result can not be kept exactly; the message says where and why.
    """
    if value is None:
        return NO_RESULT
    try:
        return to_text(encode(value, 0))
    except Refusal as refusal:
        problem = refusal
    except RecursionError:
        problem = Refusal(NO_STACK)
    raise problem.as_error("the result")


def load_result(text: str) -> Any:
    """Read a result back.

    Args:
        text: What ``dump_result`` gave.

    Returns:
        The result.

    Raises:
        NotStorable: The text is damaged, or nothing that ``dump_result`` wrote.
    """
    return read_text(text, "the stored result")
