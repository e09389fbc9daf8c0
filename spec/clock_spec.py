"""The clock: the only source of time, and what happens when it is set.

There are two clocks in one. The *wall clock*, ``now()``, says what time it is, and somebody may set
it. *Elapsed time*, ``monotonic()``, only ever goes on, and also while the machine sleeps.

**ManualClock**, the clock of tests, stands still until it is told otherwise. ``advance()`` lets
time pass: both go on alike, and never back. ``set()`` sets the wall clock, and no time passes.

**When the wall clock is set**, seen by its moving against elapsed time by more than a second:

* A delay in seconds, and whatever else is elapsed time, still takes as long as it was to take: the
  due times of such tasks are moved along.
* What is due stays due. A call without a delay that waits for a worker while the clock is set back
  is run as soon as one is there, and so is an occurrence that has fired, what a worker gives back
  after that, what somebody has let wait again, and what was released.
* An instant stays what it is. ``schedule=`` and cron follow the wall clock.
* A cron schedule whose watermark is now in the future waits until the clock has passed it, if the
  clock was set back by less than three hours. So nothing runs twice. From three hours on it was a
  correction, and the schedule goes on from the new time.

**freezegun and time-machine** move the wall clock of a test that is on the system's clock. There
the wall clock is elapsed time, too: to move it forward is to let time pass. Where a test begins to
freeze the time, moves it back or lets it go, the session begins anew at that time: between the true
time and a frozen one nothing was missed. What is due at the very instant at which the clock was
frozen is due.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from autocron import testing
from autocron.app import App
from autocron.core.errors import AutocronError, InvalidSchedule
from autocron.core.task import TaskState
from autocron.testing import ManualClock
from spec.benches import Bench, work
from spec.strategies import examples
from spec.tables import table
from spec.zones import ZoneInfo, at

try:
    import time_machine
except ImportError:  # there is none for the oldest Python
    time_machine = None

UTC = timezone.utc
HOUR = timedelta(hours=1)


class DescribeManualClock:
    def it_stands_still(self):
        clock = ManualClock()
        assert (clock.now(), clock.monotonic()) == (clock.now(), clock.monotonic())

    @table("""
    given                     | tz     | instant
    2026-03-28 12:00          | UTC    | 2026-03-28 12:00
    2026-03-28                | UTC    | 2026-03-28 00:00
    2026-03-28T12:00:00Z      | +05:30 | 2026-03-28 12:00
    2026-03-28 12:00:00+02:00 | +05:30 | 2026-03-28 10:00
    2026-03-28 12:00          | +05:30 | 2026-03-28 06:30
    2026-03-28 12:00          | -03:00 | 2026-03-28 15:00
    """)
    def it_begins_at_an_instant_given_as_text_or_datetime(self, given, tz, instant):
        as_datetime = datetime.fromisoformat(given.replace("Z", "+00:00"))
        for moment in (given, as_datetime):
            assert ManualClock(moment, tz).now() == at(instant)
            assert ManualClock(moment, tz).now().tzinfo is UTC

    def it_takes_its_zone_as_tzinfo_too(self):
        assert ManualClock("2026-03-28 12:00", timezone(HOUR)).now() == at("2026-03-28 11:00")

    @pytest.mark.parametrize("given", ["tomorrow", "", 5, None])
    def it_refuses_what_is_no_instant_and_stays_as_it_is(self, given):
        clock = ManualClock()
        before = clock.now()
        for change in (clock.set, clock.advance_to):
            with pytest.raises(AutocronError, match="is no instant; expected a datetime, or its"):
                change(given)
        assert (clock.now(), clock.monotonic()) == (before, 0.0)

    def it_refuses_a_zone_that_is_not_known(self):
        with pytest.raises(InvalidSchedule, match="Mars"):
            ManualClock("2026-03-28 12:00", "Mars/Olympus_Mons")

    def it_adds_up_the_units_of_an_advance(self):
        clock = ManualClock("2026-03-01 00:00")
        told = clock.advance(HOUR, weeks=1, days=1, hours=1, minutes=1, seconds=1.5)
        assert told == clock.now() == at("2026-03-09 02:01:01.500000")
        assert clock.monotonic() == 8 * 86400 + 2 * 3600 + 61.5

    def it_advances_to_an_instant(self):
        clock = ManualClock("2026-03-01 00:00", "+01:00")
        assert clock.advance_to("2026-03-01 06:00") == at("2026-03-01 05:00")
        assert clock.monotonic() == 6 * 3600

    @pytest.mark.parametrize(
        "go_back",
        [
            lambda clock: clock.advance(seconds=-1),
            lambda clock: clock.advance(timedelta(0), minutes=1, hours=-1),
            lambda clock: clock.advance_to("2026-02-28 23:59"),
        ],
    )
    def it_does_not_let_time_go_back_and_names_the_way(self, go_back):
        clock = ManualClock("2026-03-01 00:00")
        with pytest.raises(AutocronError, match=r"expected 0 or more.*call set\(instant\)"):
            go_back(clock)
        assert (clock.now(), clock.monotonic()) == (at("2026-03-01 00:00"), 0.0)

    @pytest.mark.parametrize(
        ("by", "units", "says"),
        [
            (5, {}, "5 is no timedelta"),
            (None, {"hours": "1"}, "hours='1' is no number of hours"),
            (None, {"days": 4e6}, "4000000 days, 0:00:00 later the range of times is over"),
        ],
    )
    def it_does_not_pass_by_what_is_no_time(self, by, units, says):
        clock = ManualClock("2026-03-01 00:00")
        with pytest.raises(AutocronError, match=rf"^advance\(\): {says}"):
            clock.advance(by, **units)
        assert (clock.now(), clock.monotonic()) == (at("2026-03-01 00:00"), 0.0)

    @pytest.mark.parametrize("instant", ["2020-01-01", "2030-01-01"])
    def it_is_set_without_any_time_passing(self, instant):
        clock = ManualClock("2026-03-01 00:00")
        clock.advance(seconds=7)
        assert clock.set(instant) == clock.now() == at(f"{instant} 00:00")
        assert clock.monotonic() == 7.0

    @given(st.lists(st.integers(0, 10**12), max_size=20))
    def it_forgets_no_microsecond(self, steps):
        clock = ManualClock("2026-03-01 00:00")
        for microseconds in steps:
            clock.advance(timedelta(microseconds=microseconds))
        elapsed = timedelta(microseconds=sum(steps))
        assert clock.now() == at("2026-03-01 00:00") + elapsed
        assert clock.monotonic() == elapsed.total_seconds()

    def it_shows_its_time(self):
        assert repr(ManualClock("2026-03-01 12:00")) == "<ManualClock 2026-03-01 12:00:00+00:00>"


@pytest.fixture
def note(bench):
    @bench.app.delay
    def note(): ...

    return note


class DescribeAWallClockThatIsSet:
    @table("""
    step_hours | delay_due | instant_due
    0          | no        | no
    2          | no        | yes
    -2         | no        | no
    50         | no        | yes
    -50        | no        | no
    """)
    def it_moves_delays_along_but_not_instants(
        self, bench, note, step_hours, delay_due, instant_due
    ):
        engine = bench.engine(keeps_house=True)
        engine.tick()
        delayed = bench.call(note, delay_seconds=3600)
        planned = bench.call(note, run_at=bench.clock.now() + HOUR)
        bench.clock.set(bench.clock.now() + float(step_hours) * HOUR)
        bench.clock.advance(seconds=3599)
        ended = {task.id for task in work(engine)}
        assert (delayed.id in ended) == (delay_due == "yes")
        assert (planned.id in ended) == (instant_due == "yes")
        bench.clock.advance(seconds=1)
        work(engine)
        assert bench.task(delayed).state is TaskState.SUCCEEDED

    @examples(50)
    @given(
        st.integers(1, 100_000),
        st.lists(
            st.tuples(
                st.sampled_from(["advance", "set"]),
                # A second is the border between slewing and setting.
                st.integers(-90_000, 90_000).filter(lambda seconds: abs(seconds) != 1),
            ),
            max_size=9,
        ),
    )
    def it_never_makes_a_delay_longer_or_shorter(self, delay_seconds, changes):
        bench = Bench()
        ran = []

        @bench.app.delay
        def note():
            ran.append(1)

        try:
            engine = bench.engine(keeps_house=True)
            engine.tick()
            bench.call(note, delay_seconds=delay_seconds)
            for how, seconds in changes:
                if how == "advance":
                    bench.clock.advance(seconds=abs(seconds))
                else:
                    bench.clock.set(bench.clock.now() + timedelta(seconds=seconds))
                work(engine)
                assert len(ran) == (bench.clock.monotonic() >= delay_seconds)
        finally:
            bench.store.close()

    @table("""
    how
    it was called
    its worker died
    its worker had to leave
    somebody has asked for a retry
    """)
    @pytest.mark.parametrize("step", [-1, -24, 1, 24])
    def it_leaves_what_is_due_due(self, bench, note, how, step):
        house = bench.engine(runs=False, keeps_house=True)
        house.tick()
        first = bench.call(note)
        if how == "somebody has asked for a retry":
            house.cancel(first.id)
            bench.clock.advance(HOUR)
            house.retry(first.id)
        if how.startswith("its worker"):
            bench.engine("gone").tick()
        bench.clock.set(bench.clock.now() + step * HOUR)
        house.tick()
        if how == "its worker died":
            house.reclaim("gone", charged=True)
        if how == "its worker had to leave":
            house.hand_back("gone")
        assert bench.store.claimable(bench.clock.now()).id == first.id

    def it_leaves_what_is_due_due_when_it_is_set_again_and_again(self, bench, note):
        house = bench.engine(runs=False, keeps_house=True)
        house.tick()
        task = bench.call(note)
        for hours in (1, -1, -5, 24, -24):
            bench.clock.set(bench.clock.now() + hours * HOUR)
            house.tick()
            assert bench.store.claimable(bench.clock.now()).id == task.id

    def it_is_not_taken_for_set_when_it_is_only_slewed(self, bench, note):
        engine = bench.engine(runs=False, keeps_house=True)
        engine.tick()
        task = bench.call(note, delay_seconds=10)
        bench.clock.set(bench.clock.now() + timedelta(seconds=0.9))
        engine.tick()
        assert bench.task(task) == task

    @table("""
    step_hours | at_once | when_passed
    -1         | 0       | 0 1
    -2.9       | 0       | 0 1
    -3         | 0       | 1 1
    -30        | 0       | 1 1
    """)
    def it_is_waited_out_below_three_hours_and_is_a_correction_from_there(
        self, bench, note, step_hours, at_once, when_passed
    ):
        bench.schedule(note, "0 * * * *", missed="skip", overlap="allow")
        engine = bench.engine(runs=False, keeps_house=True)
        bench.clock.advance(hours=1)
        assert len(engine.tick().fired) == 1
        before = bench.clock.now()
        bench.clock.set(before + float(step_hours) * HOUR)
        assert len(engine.tick().fired) == int(at_once)
        fired = []
        bench.clock.advance(HOUR)
        fired.append(len(engine.tick().fired))
        bench.clock.advance_to(max(before + HOUR, bench.clock.now() + HOUR))
        fired.append(len(engine.tick().fired))
        assert fired == [int(word) for word in when_passed.split()]

    def it_makes_no_run_come_twice_for_an_engine_that_was_not_there(self, bench, note):
        bench.schedule(note, "0 * * * *", overlap="allow")
        bench.clock.advance(hours=1)
        assert len(bench.engine(runs=False, keeps_house=True).tick().fired) == 1
        bench.clock.set(bench.clock.now() - HOUR)
        bench.clock.advance(hours=1)
        assert bench.engine(runs=False, keeps_house=True).tick().fired == ()

    def it_goes_on_from_the_new_time_for_an_engine_that_was_not_there(self, bench, note):
        bench.schedule(note, "0 * * * *", watermark_at=bench.clock.now() + 1000 * HOUR)
        engine = bench.engine(runs=False, keeps_house=True)
        assert engine.tick().fired == ()
        assert bench.store.schedules()[0].watermark_at == bench.clock.now()
        bench.clock.advance(hours=1)
        assert len(engine.tick().fired) == 1

    def it_makes_up_what_a_step_forward_has_passed(self, bench, note):
        bench.schedule(note, "30 2 * * *")
        engine = bench.engine(runs=False, keeps_house=True)
        engine.tick()
        bench.clock.set(bench.clock.now() + 4 * HOUR)
        assert [f"{task.occurrence_at:%H:%M}" for task in engine.tick().fired] == ["02:30"]


def freezegun(text):
    return freeze_time(at(text))


def timemachine(text):
    if time_machine is None:
        pytest.skip("time-machine is not installed")
    return time_machine.travel(at(text), tick=False)


@pytest.mark.parametrize("frozen_at", [freezegun, timemachine])
class DescribeATestThatFreezesTheTime:
    """``run_pending()`` on the system's clock, which freezegun or time-machine moves."""

    @pytest.fixture
    def app(self):
        return App()

    @pytest.fixture
    def send(self, app):
        @app.delay(minutes=5)
        def send(): ...

        return send

    @pytest.fixture
    def clean(self, app):
        @app.cron("30 2 * * *", tz="UTC")
        def clean(): ...

        return clean

    def it_lets_time_pass_by_moving_the_clock_forward(self, app, send, frozen_at):
        with testing.session(app=app) as session, frozen_at("2024-02-29 12:00") as clock:
            send()
            assert session.run_pending().runs == ()
            clock.move_to(at("2024-02-29 12:04:59"))
            assert session.run_pending().runs == ()
            clock.move_to(at("2024-02-29 12:05"))
            (run,) = session.run_pending().runs
            assert run.started_at == run.finished_at == at("2024-02-29 12:05")

    @pytest.mark.parametrize("year", [2004, 2044])
    def it_runs_cron_at_the_frozen_time_in_past_and_future(self, app, clean, frozen_at, year):
        with testing.session(app=app) as session:
            with frozen_at(f"{year}-02-29 02:29") as clock:
                assert session.run_pending().runs == ()
                clock.move_to(at(f"{year}-02-29 02:30"))
                assert session.run_pending().count(clean) == 1
                clock.move_to(at(f"{year}-02-29 03:30"))
                assert session.run_pending().runs == ()
            assert session.run_pending().runs == ()

    @pytest.mark.parametrize("year", [2004, 2044])
    def it_finds_due_what_is_due_when_the_clock_is_frozen(self, app, clean, frozen_at, year):
        with testing.session(app=app) as session, frozen_at(f"{year}-02-29 02:30"):
            assert session.run_pending().count(clean) == 1
            assert session.run_pending().count(clean) == 0

    def it_begins_anew_where_the_clock_is_moved_back(self, app, clean, frozen_at):
        with testing.session(app=app) as session, frozen_at("2024-02-29 02:00") as clock:
            session.run_pending()
            for _ in range(2):
                clock.move_to(at("2024-02-29 02:30"))
                assert session.run_pending().count(clean) == 1
                clock.move_to(at("2024-02-29 02:29"))
                assert session.run_pending().count(clean) == 0

    def it_owes_nothing_to_what_is_decorated_while_it_is_frozen(self, app, frozen_at):
        with testing.session(app=app) as session, frozen_at("2024-02-29 02:30") as clock:

            @app.cron("30 2 * * *", tz="UTC")
            def clean(): ...

            assert session.run_pending().runs == ()
            clock.move_to(at("2024-03-01 02:30"))
            assert session.run_pending().count(clean) == 1


@table("""
frozen_at                  | tz_offset
2024-02-29 12:00           | 0
2024-02-29 12:00           | 5
2024-02-29 12:00:00.123457 | -7
2044-12-31 23:59:59.999999 | 13
""")
@pytest.mark.parametrize("has_session", [False, True])
def it_is_the_frozen_time_whatever_zone_freezegun_pretends(has_session, frozen_at, tz_offset):
    app = App()

    @app.delay
    def note():
        return app.now()

    session = testing.session(app=app) if has_session else contextlib.nullcontext()
    with session as entered, freeze_time(frozen_at, tz_offset=int(tz_offset)):
        result = note()
        if has_session:
            entered.run_pending()
        assert result.result == app.now() == at(frozen_at)


def it_is_not_misled_by_the_zone_that_freezegun_pretends():
    app = App()

    @app.cron("30 2 * * *", tz="UTC")
    def clean(): ...

    with testing.session(app=app) as session, freeze_time("2024-02-29 02:30", tz_offset=5):
        assert session.run_pending().count(clean) == 1


def it_follows_the_wall_clock_of_a_zone_in_a_session():
    if ZoneInfo is None:
        pytest.skip("no zone database in this Python")
    app = App()

    @app.cron("30 2 * * *")
    def clean(): ...

    with testing.session(now="2026-03-28 12:00", tz="Europe/Berlin", app=app) as session:
        assert session.clock.now() == at("2026-03-28 11:00")
        session.advance(days=1)
        # 02:30 does not exist in that night: the run comes right after the gap, at 03:00 +02:00.
        (run,) = session.run_pending().runs
        assert run.scheduled_at == at("2026-03-29 01:00")
