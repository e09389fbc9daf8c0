"""When a failed attempt is made again."""

from __future__ import annotations

from typing import Optional

# Exponential backoff with full jitter: a delay drawn evenly between nothing and a bound that
# doubles with each failure, up to a cap. It spreads the retries of tasks that failed together
# better than other kinds do (Marc Brooker, "Exponential Backoff And Jitter", AWS, 2015).
FIRST_BOUND_SECONDS = 5.0
LONGEST_BOUND_SECONDS = 3600.0


def retry_delay_seconds(
    failures: int,
    backoff_seconds: Optional[float],
    drawn: float,
    cap_seconds: float = LONGEST_BOUND_SECONDS,
) -> float:
    """Tell how long to wait before the next attempt.

    Arguments:
        failures: How many attempts have failed, at least 1.
        backoff_seconds: The constant delay that the task asks for; None is exponential backoff.
        drawn: A number drawn evenly from 0 (inclusive) to 1 (exclusive).
        cap_seconds: Where the bound ends.

    Returns:
        The delay in seconds.
    """
    if backoff_seconds is not None:
        return backoff_seconds
    # 2**30 is past any cap, a hundred years; a larger exponent could only overflow.
    bound_seconds = FIRST_BOUND_SECONDS * 2.0 ** min(failures - 1, 30)
    return drawn * min(bound_seconds, cap_seconds)
