"""Arguments and results through pickle: what ``start(serializer="pickle")`` chooses.

The same four functions as in ``autocron.core.arguments``, for whatever pickle takes. The price is
that loading runs code that the stored text names: whoever can write to the database can run
anything. It also ties a stored task to the classes as they were when it was stored.

The text is JSON here too, ``{"$pickle": base64}``. Text of the JSON serializer is loaded as well,
so that tasks which waited when the serializer was changed still run.
"""

from __future__ import annotations

import base64
import pickle
from typing import Any, Dict, Sequence, Tuple

from autocron.core import arguments
from autocron.core.errors import NotStorable
from autocron.core.refusals import parameter_name

# Fixed, so that workers on another Python can load what the application stored. 4 is the highest
# that all versions since 3.4 have, and current enough to gain nothing from 5.
_PROTOCOL = 4

_START = '{"$pickle":"'
_END = '"}'


def dump_call(args: Tuple[Any, ...], kwargs: Dict[str, Any], parameters: Sequence[str] = ()) -> str:
    """Write the arguments of one call.

    Args:
        args: The positional arguments.
        kwargs: The keyword arguments.
        parameters: The names of the function's positional parameters, in order, so that a refusal
            can name the one concerned.

    Returns:
        The text, for ``load_call``.

    Raises:
        NotStorable: An argument can not be pickled; ``path`` and the message say which one.
    """
    try:
        return _dump((args, kwargs))
    except Exception as error:
        path, problem = "the arguments", error
    # One by one, to say which it was.
    named = [(parameter_name(i, parameters), value) for i, value in enumerate(args)]
    for name, value in [*named, *kwargs.items()]:
        try:
            _dump(value)
        except Exception as error:
            path, problem = name, error
            break
    raise _not_picklable(path, problem) from problem


def load_call(text: str) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """Read the arguments of one call back; runs the code that the text names.

    Args:
        text: What ``dump_call`` gave, here or in ``autocron.core.arguments``.

    Returns:
        The positional and the keyword arguments.

    Raises:
        NotStorable: The text is damaged, or a class in it can not be found or made any more.
    """
    if not _is_pickled(text):
        return arguments.load_call(text)
    what = "the stored arguments"
    call = _load(text, what)
    if type(call) is tuple and len(call) == 2:
        args, kwargs = call
        if type(args) is tuple and type(kwargs) is dict:
            return args, kwargs
    raise NotStorable(
        f"{what} can not be loaded: the text holds a {type(call).__name__} in place of a call; "
        "was it written as a result?",
        path=what,
    )


def dump_result(value: Any) -> str:
    """Write what a task returned.

    Args:
        value: The result.

    Returns:
        The text, for ``load_result``.

    Raises:
        NotStorable: The result can not be pickled.
    """
    try:
        return _dump(value)
    except Exception as error:
        raise _not_picklable("the result", error) from error


def load_result(text: str) -> Any:
    """Read a result back; runs the code that the text names.

    Args:
        text: What ``dump_result`` gave, here or in ``autocron.core.arguments``.

    Returns:
        The result.

    Raises:
        NotStorable: The text is damaged, or a class in it can not be found or made any more.
    """
    if not _is_pickled(text):
        return arguments.load_result(text)
    return _load(text, "the stored result")


def _is_pickled(text: str) -> bool:
    # A dictionary of the JSON serializer that begins so has more keys: with one it is escaped.
    return text.startswith(_START) and text.find('"', len(_START)) in (-1, len(text) - len(_END))


def _dump(value: Any) -> str:
    data = pickle.dumps(value, protocol=_PROTOCOL)
    return _START + base64.b64encode(data).decode() + _END


def _load(text: str, what: str) -> Any:
    try:
        if not text.endswith(_END):
            raise ValueError("the text has no end")
        return pickle.loads(base64.b64decode(text[len(_START) : -len(_END)]))
    except Exception as error:
        # Loading runs the code of the classes concerned, so anything may be raised.
        raise NotStorable(
            f"{what} can not be unpickled: {type(error).__name__}: {error}. The text is damaged, "
            "or a class in it was moved, renamed or changed since it was stored",
            path=what,
        ) from error


def _not_picklable(path: str, error: Exception) -> NotStorable:
    # Pickling runs the code of the values concerned, so anything may have been raised.
    return NotStorable(
        f"{path} can not be pickled: {type(error).__name__}: {error}; "
        "use an id, a name or plain data from which the task can make it again",
        path=path,
    )
