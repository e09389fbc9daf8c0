"""Each example under each server, from its start to its end; see lives.py for what is looked at."""

from __future__ import annotations

import pytest

from tests.frameworks.conftest import missing
from tests.frameworks.lives import Life, LivesAtOnce
from tests.frameworks.plans import SERVERS, STANDARD

each_site = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            plan.name,
            marks=pytest.mark.skipif(
                bool(missing(plan)), reason=f"not installed: {', '.join(missing(plan))}"
            ),
        )
        for plan in (*STANDARD, *SERVERS)
    ],
)


@each_site
def test_the_response_is_immediate_and_says_that_the_result_is_waiting(
    lives: LivesAtOnce, name: str
) -> None:
    lives.await_step(name, Life.answers_at_once)


@each_site
def test_the_task_runs_once_in_another_process(lives: LivesAtOnce, name: str) -> None:
    lives.await_step(name, Life.runs_once_elsewhere)


@each_site
def test_the_cron_task_runs_once_a_minute(lives: LivesAtOnce, name: str) -> None:
    lives.await_step(name, Life.fires_once_a_minute)


@each_site
def test_sigterm_leaves_no_process_behind(lives: LivesAtOnce, name: str) -> None:
    lives.await_step(name, Life.ends_by_sigterm)


@each_site
def test_after_a_restart_what_was_pending_runs(lives: LivesAtOnce, name: str) -> None:
    lives.await_step(name, Life.runs_what_was_pending)


@each_site
def test_sigkill_leaves_no_process_behind(lives: LivesAtOnce, name: str) -> None:
    lives.await_step(name, Life.ends_by_sigkill)


@each_site
def test_sigint_leaves_no_process_behind(lives: LivesAtOnce, name: str) -> None:
    lives.await_step(name, Life.ends_by_sigint)


@each_site
def test_no_minute_has_two_runs_whatever_was_restarted(lives: LivesAtOnce, name: str) -> None:
    lives.await_step(name, Life.fired_no_minute_twice)


@each_site
def test_with_the_lock_on_nothing_is_started_and_the_call_runs_in_place(
    lives: LivesAtOnce, name: str
) -> None:
    lives.await_step(name, Life.calls_in_place_when_locked)
