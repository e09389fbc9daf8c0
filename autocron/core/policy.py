"""What a task asks for beyond being run once: retries, backoff, a timeout, a rate.

A policy travels with its task as one text, which is empty for the plain task; no query looks into
it. Most tasks of an application share a few policies, so that reading one is remembered.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Dict, Optional, Sequence, Tuple

from autocron.core.rate import Rate
from autocron.core.retry import LONGEST_BOUND_SECONDS
from autocron.core.values import fields_of, frozen


@frozen
class Policy:
    """How a task is run.

    Attributes:
        retries: How many attempts are made again after a failure.
        backoff_seconds: The delay before each of them; None is exponential backoff.
        backoff_cap_seconds: The longest delay that exponential backoff draws.
        retry_on: The names of the exceptions that are worth another attempt,
            ``"module:qualname"``; None is all.
        no_retry_on: The names of those that are not, whatever ``retry_on`` says.
        timeout_seconds: How long an attempt may run; None is for ever.
        rate: How often tasks with the same rate key may begin.
    """

    retries: int = 0
    backoff_seconds: Optional[float] = None
    backoff_cap_seconds: float = LONGEST_BOUND_SECONDS
    retry_on: Optional[Tuple[str, ...]] = None
    no_retry_on: Tuple[str, ...] = ()
    timeout_seconds: Optional[float] = None
    rate: Optional[Rate] = None

    def is_retried_on(self, kinds: Sequence[str]) -> bool:
        """Tell whether an exception is worth another attempt.

        Arguments:
            kinds: The names of its class and of all its bases.
        """
        if any(kind in self.no_retry_on for kind in kinds):
            return False
        return self.retry_on is None or any(kind in self.retry_on for kind in kinds)


PLAIN = Policy()


@lru_cache(maxsize=1024)
def dump_policy(policy: Policy) -> Optional[str]:
    """Return a policy as text; None for the plain one."""
    import json  # only now, as below: an import of autocron needs none

    given: Dict[str, Any] = {
        name: value for name, value in vars(policy).items() if value != getattr(PLAIN, name)
    }
    if policy.rate is not None:
        given["rate"] = [policy.rate.count, policy.rate.seconds]
    return json.dumps(given) if given else None


@lru_cache(maxsize=1024)
def load_policy(text: Optional[str]) -> Policy:
    """Return the policy of a text; what a newer autocron has added to it is left out.

    Raises:
        ValueError: The text is damaged.
    """
    if text is None:
        return PLAIN
    import json

    given = json.loads(text)
    known = {name: given[name] for name in fields_of(Policy) if name in given}
    if "rate" in known:
        known["rate"] = Rate(*known["rate"])
    for name in ("retry_on", "no_retry_on"):
        if name in known:
            known[name] = tuple(known[name])
    return Policy(**known)
