"""Settings: what a database keeps for all the processes that use it.

=================  ====================  ==================  =======================================
name               word                  default             meaning
=================  ====================  ==================  =======================================
autocron_lock      on, off, true, false  off                 on: ``start()`` starts nothing
max_workers        1 to 1000             ``start()``'s, 1    how many workers run
worker_idle_time   0.05 to 86400         30 s                when an idle worker looks unasked
monitor_idle_time  0.05 to 86400         30 s                when an idle supervisor looks unasked
result_ttl         0 to ten years        1800 s              how long results are kept
failure_ttl        0 to ten years        30 days             how long failed tasks are kept
=================  ====================  ==================  =======================================

A word is checked before anything is stored. Flags are taken in any case. A word that does not fit
is an error that names the setting, the word, and what was expected, with its unit and bounds; and
it changes nothing. ``nan`` and ``inf`` are no numbers, and no count is a fraction.
"""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.errors import AutocronError
from autocron.core.settings import NAMES, NUMBERS, InvalidSetting, Settings, check_setting
from spec.tables import table


class DescribeDefaults:
    def it_has_a_default_for_each(self):
        assert Settings.read({}) == Settings(
            autocron_lock=False,
            max_workers=None,
            worker_idle_time=30.0,
            monitor_idle_time=30.0,
            result_ttl=1800.0,
            failure_ttl=2_592_000.0,
        )

    def it_has_a_name_for_each(self):
        assert set(NAMES) == {field.name for field in dataclasses.fields(Settings)}

    def it_leaves_other_entries_of_the_store_alone(self):
        assert Settings.read({"schedules_version": "7"}) == Settings()


class DescribeAFlag:
    @table("""
    word  | stored | locked
    on    | on     | yes
    ON    | on     | yes
    True  | on     | yes
    off   | off    | no
    false | off    | no
    FALSE | off    | no
    """)
    def it_is_on_or_off_in_any_case(self, word, stored, locked):
        assert check_setting("autocron_lock", word) == stored
        assert Settings.read({"autocron_lock": stored}).autocron_lock is (locked == "yes")

    @pytest.mark.parametrize("word", ["", "1", "0", "yes", "no", "onn", "on ", "o\u0144"])
    def it_is_no_other_word(self, word):
        with pytest.raises(InvalidSetting) as refused:
            check_setting("autocron_lock", word)
        assert str(refused.value) == (f"autocron_lock: {word!r} is not one of on, off, true, false")


class DescribeANumber:
    @table("""
    name              | word      | stored
    max_workers       | 1         | 1
    max_workers       | 1000      | 1000
    max_workers       | 007       | 7
    worker_idle_time  | 0.05      | 0.05
    worker_idle_time  | 86400     | 86400
    monitor_idle_time | 1e1       | 10
    monitor_idle_time | 2.50      | 2.5
    result_ttl        | 0         | 0
    result_ttl        | 316224000 | 316224000
    failure_ttl       | 86400.125 | 86400.125
    """)
    def it_is_taken_within_its_bounds(self, name, word, stored):
        assert check_setting(name, word) == stored
        assert getattr(Settings.read({name: stored}), name) == float(word)

    @table("""
    name              | word      | expected
    max_workers       | 0         | a whole number of workers from 1 to 1000
    max_workers       | 1001      | a whole number of workers from 1 to 1000
    max_workers       | 1.5       | a whole number of workers from 1 to 1000
    max_workers       | two       | a whole number of workers from 1 to 1000
    max_workers       | -1        | a whole number of workers from 1 to 1000
    worker_idle_time  | 0         | a number of seconds from 0.05 to 86400
    worker_idle_time  | 0.049     | a number of seconds from 0.05 to 86400
    monitor_idle_time | 86400.1   | a number of seconds from 0.05 to 86400
    monitor_idle_time | 5s        | a number of seconds from 0.05 to 86400
    monitor_idle_time | ''        | a number of seconds from 0.05 to 86400
    result_ttl        | -0.001    | a number of seconds from 0 to 316224000
    result_ttl        | nan       | a number of seconds from 0 to 316224000
    failure_ttl       | inf       | a number of seconds from 0 to 316224000
    failure_ttl       | 1e999     | a number of seconds from 0 to 316224000
    """)
    def it_is_refused_outside_with_what_was_expected(self, name, word, expected):
        with pytest.raises(InvalidSetting) as refused:
            check_setting(name, word)
        assert str(refused.value) == f"{name}: {word!r} is not {expected}"
        assert isinstance(refused.value, AutocronError)
        assert isinstance(refused.value, ValueError)

    def it_is_refused_however_long(self):
        for name in NUMBERS:
            with pytest.raises(InvalidSetting):
                check_setting(name, "9" * 400)

    def it_is_a_whole_number_of_workers(self):
        workers = Settings.read({"max_workers": "7"}).max_workers
        assert type(workers) is int

    @given(st.sampled_from(list(NUMBERS)), st.data())
    def it_means_the_same_after_it_was_stored(self, name, data):
        smallest, largest, _ = NUMBERS[name]
        if name == "max_workers":
            number = data.draw(st.integers(int(smallest), int(largest)))
        else:
            number = data.draw(st.floats(smallest, largest))
        stored = check_setting(name, repr(number))
        assert getattr(Settings.read({name: stored}), name) == pytest.approx(number)
        # What is stored is a word that may be set again.
        assert check_setting(name, stored) == stored

    @given(st.sampled_from(NAMES), st.text())
    def it_is_taken_or_refused_and_nothing_else_happens(self, name, word):
        try:
            stored = check_setting(name, word)
        except InvalidSetting:
            return
        assert stored in ("on", "off") or float(stored) >= 0
        Settings.read({name: stored})
