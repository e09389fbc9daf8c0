"""What one call asks for, as the message that a backend takes."""

from __future__ import annotations

from datetime import datetime, tzinfo
from itertools import islice
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Sequence, Tuple

from autocron.core.errors import InvalidTask
from autocron.core.refusals import bounded
from autocron.core.task import Message
from autocron.core.values import Alike, made
from autocron.options import DelayOptions, Key, check_key, in_utc
from autocron.registry import TaskFunction


def message_of(
    known: TaskFunction,
    options: DelayOptions,
    args: Tuple[Any, ...],
    kwargs: Dict[str, Any],
    codec: Any,
    zone: Callable[[], tzinfo],
    takes_given: bool = False,
) -> Message:
    """Make the message of a call.

    Arguments:
        known: The task function.
        options: Its options, for this call.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        codec: Encodes the arguments.
        zone: Returns the zone in which a datetime without one is meant.
        takes_given: Whether what comes of another task will be its first argument.

    Raises:
        TypeError: The arguments do not fit the function, as in a plain call.
        NotStorable: An argument can not be stored.
        InvalidTask: An option can not be used for this call.
    """
    # What will be given is not known yet; keys that depend on it see None.
    all_args = (None, *args) if takes_given else args
    known.check_call(all_args, kwargs)
    parameters = known.parameters[1:] if takes_given else known.parameters
    payload = _bounded(codec.dump_call(args, kwargs, parameters))
    expires_at, expires_seconds = _expiry(options, zone)
    run_at = None if options.schedule is None else options.moment(zone())
    if run_at is not None and expires_at is not None and expires_at <= run_at:
        raise InvalidTask(
            f"expires: {expires_at} is no later than the task is due, {run_at}; it would never run"
        )
    return Message(
        name=known.name,
        payload=payload,
        run_at=run_at,
        delay_seconds=options.delay_seconds,
        expires_at=expires_at,
        expires_seconds=expires_seconds,
        queue=options.queue,
        priority=options.priority,
        unique=_unique(known, options, all_args, kwargs, codec),
        unique_running=options.unique_running,
        unique_seconds=options.unique_seconds,
        lock=_limit_key(known, options, all_args, kwargs),
        limit=options.limit or 1,
        rate_key=_rate_key(known, options, all_args, kwargs),
        policy=options.policy,
    )


def message_like(
    message: Message,
    known: TaskFunction,
    args: Tuple[Any, ...],
    kwargs: Dict[str, Any],
    codec: Any,
) -> Message:
    """Make the message of another call of a function whose options are even.

    It takes a fifth of what :func:`message_of` does, whose errors it raises.

    Arguments:
        message: That of an earlier call.
        known: The task function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        codec: Encodes the arguments.
    """
    known.check_call(args, kwargs)
    fields = message.__dict__.copy()
    fields["payload"] = _bounded(codec.dump_call(args, kwargs, known.parameters))
    return made(Message, fields)


def messages_of(
    known: TaskFunction,
    options: DelayOptions,
    calls: Iterable[Tuple[Any, ...]],
    codec: Any,
    zone: Callable[[], tzinfo],
) -> Sequence[Message]:
    """Make the messages of several calls of a function; see :func:`message_of`.

    Where the options are even, they differ in their payloads only.

    Arguments:
        known: The task function.
        options: Its options, for all of these calls.
        calls: The positional arguments of each.
        codec: Encodes the arguments.
        zone: Returns the zone in which a datetime without one is meant.
    """
    if not options.are_even:
        return [message_of(known, options, args, {}, codec, zone) for args in calls]
    each = iter(calls)
    # What is wrong with the first is told before what is wrong with the second.
    likes = [message_of(known, options, args, {}, codec, zone) for args in islice(each, 1)]
    check, dump, parameters = known.check_call, codec.dump_call, known.parameters
    payloads = [like.payload for like in likes]
    for args in each:
        check(args, {})
        payloads.append(_bounded(dump(args, {}, parameters)))
    return Alike(likes[0], payload=payloads) if likes else likes


def _bounded(payload: str) -> str:
    return bounded(
        payload, "the arguments take", "write what is so large to a file, and pass its path"
    )


def _expiry(
    options: DelayOptions, zone: Callable[[], tzinfo]
) -> Tuple[Optional[datetime], Optional[float]]:
    if isinstance(options.expires, datetime):
        return in_utc("expires", options.expires, zone()), None
    return None, options.expires


def _limit_key(
    known: TaskFunction, options: DelayOptions, args: Tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Optional[str]:
    if options.limit is None:
        return None
    return _key("limit_key", options.limit_key, known, args, kwargs)


def _rate_key(
    known: TaskFunction, options: DelayOptions, args: Tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Optional[str]:
    if options.policy.rate is None:
        return None
    return _key("rate_key", options.rate_key, known, args, kwargs)


def _key(
    option: str,
    key: Optional[Key],
    known: TaskFunction,
    args: Tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> str:
    if key is None:
        return known.name
    if callable(key):
        return check_key(option, _asked(option, key, args, kwargs))
    return key


def _unique(
    known: TaskFunction,
    options: DelayOptions,
    args: Tuple[Any, ...],
    kwargs: Mapping[str, Any],
    codec: Any,
) -> Optional[str]:
    unique = options.unique
    if unique is False:
        return None
    if unique is True:
        return known.name
    if callable(unique):
        key = _asked("unique", unique, args, kwargs)
        return None if key is None else f"{known.name} {check_key('unique', key)}"
    import hashlib  # only now: it is slow to import

    text = _same_text(known, args, kwargs, codec)
    return f"{known.name} {hashlib.sha256(text.encode()).hexdigest()}"


def _same_text(
    known: TaskFunction, args: Tuple[Any, ...], kwargs: Mapping[str, Any], codec: Any
) -> str:
    """Return the text of a call that is the same however its arguments were written."""
    bound = known.signature.bind(*args, **kwargs)
    bound.apply_defaults()
    text: str = codec.dump_call(bound.args, dict(sorted(bound.kwargs.items())), ())
    return text


def _asked(option: str, ask: Any, args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
    """Ask a callable of an option for the key of a call."""
    try:
        return ask(*args, **kwargs)
    except Exception as error:
        name = getattr(ask, "__qualname__", repr(ask))
        raise InvalidTask(
            f"{option}: {name} is given the arguments of the call and returns its key, but it "
            f"raised {type(error).__name__}: {error}; nothing was enqueued"
        ) from error
