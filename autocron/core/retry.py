"""When a failed attempt is made again."""

from __future__ import annotations

from typing import Optional

# Exponential backoff with full jitter: a delay drawn evenly between nothing and a bound that
# doubles with each failure, up to a cap. It spreads the retries of tasks that failed together
# better than other kinds do (Marc Brooker, "Exponential Backoff And Jitter", AWS, 2015).
FIRST_BOUND_SECONDS = 5.0
LONGEST_BOUND_SECONDS = 3600.0


def retry_delay_seconds(failures: int, backoff_seconds: Optional[float], drawn: float) -> float:
    """Tell how long to wait before the next attempt.

    Arguments:
        failures: How many attempts have failed, at least 1.
        backoff_seconds: The constant delay that the task asks for; None is exponential backoff.
        drawn: A number drawn evenly from 0 (inclusive) to 1 (exclusive).

    Returns:
        The delay in seconds.
    """
    if backoff_seconds is not None:
        return backoff_seconds
    # 2**10 is past the cap; a larger exponent could only overflow.
    bound_seconds = FIRST_BOUND_SECONDS * 2.0 ** min(failures - 1, 10)
    return drawn * min(bound_seconds, LONGEST_BOUND_SECONDS)
