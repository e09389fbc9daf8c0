"""Settings: what a database keeps for all the processes that use it.

====================  ====================  ================  ======================================
name                  word                  default           meaning
====================  ====================  ================  ======================================
autocron_lock         on, off, true, false  off               on: ``start()`` starts nothing
max_workers           see workers_spec      ``start()``'s, 1  how many workers run, for which queues
max_tasks_per_worker  0 to 10^9             0                 a worker is replaced after so many
max_memory_mb         0 to 10^9             0                 a worker is replaced above so much
stop_grace            0 to 86400            5 s               what a task in hand has at the end
worker_idle_time      0.05 to 86400         30 s              when an idle worker looks unasked
monitor_idle_time     0.05 to 86400         30 s              when an idle supervisor looks unasked
result_ttl            0 to ten years        1800 s            how long results are kept
failure_ttl           0 to ten years        30 days           how long failed tasks are kept
====================  ====================  ================  ======================================

A word is checked before anything is stored. Flags are taken in any case. A word that does not fit
is an error that names the setting, the word, and what was expected, with its unit and bounds; and
it changes nothing. ``nan`` and ``inf`` are no numbers, and no count is a fraction. 0 tasks or
megabytes is "never".

What ``start()`` is given under these names is checked alike; a flag or a text is no number there.
"""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.errors import AutocronError
from autocron.core.settings import (
    MAX_WORKERS,
    NAMES,
    NUMBERS,
    InvalidSetting,
    Settings,
    check_number,
    check_setting,
)
from spec.tables import table


class DescribeDefaults:
    def it_has_a_default_for_each(self):
        assert Settings.read({}) == Settings(
            autocron_lock=False,
            max_workers=None,
            max_tasks_per_worker=0,
            max_memory_mb=0.0,
            stop_grace=5.0,
            worker_idle_time=30.0,
            monitor_idle_time=30.0,
            result_ttl=1800.0,
            failure_ttl=2_592_000.0,
        )

    def it_has_a_name_for_each(self):
        assert set(NAMES) == {field.name for field in dataclasses.fields(Settings)}

    @pytest.mark.parametrize("word", ["", "x", "nan", "inf", "-1", "1e999", "9" * 5000, "1,2"])
    def it_is_what_counts_for_what_could_not_have_been_set(self, word):
        """Somebody else may have written it; the others go on as they are."""
        read = Settings.read({**dict.fromkeys((*NUMBERS, MAX_WORKERS), word), "stop_grace": "7"})
        assert read == Settings(stop_grace=7.0)

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


class DescribeWorkers:
    @table("""
    word           | stored         | workers
    1              | 1              | 1
    007            | 7              | 7
    1000           | 1000           | 1000
    mail=1         | mail=1         | 'mail=1'
    b,a=1, mail=02 | a,b=1,mail=2   | 'a,b=1,mail=2'
    """)
    def it_is_a_number_or_one_for_each_queue(self, word, stored, workers):
        assert check_setting("max_workers", word) == stored
        assert str(Settings.read({"max_workers": stored}).max_workers) == str(workers)

    @table("""
    word   | message
    0      | '0' is not a whole number of workers from 1 to 1000, nor one for each queue, such as default=2,mail=1
    mail=0 | mail: '0' is not a whole number of workers from 1 to 1000
    """)  # noqa: E501
    def it_is_refused_with_what_was_expected(self, word, message):
        with pytest.raises(InvalidSetting) as refused:
            check_setting("max_workers", word)
        assert str(refused.value) == f"max_workers: {message}"


class DescribeANumber:
    @table("""
    name              | word      | stored
    max_memory_mb     | 0         | 0
    max_memory_mb     | 512.5     | 512.5
    stop_grace        | 0         | 0
    stop_grace        | 86400     | 86400
    max_tasks_per_worker | 0      | 0
    max_tasks_per_worker | 0100   | 100
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
    max_tasks_per_worker | -1     | a whole number of tasks from 0 to 1000000000
    max_tasks_per_worker | 1.5    | a whole number of tasks from 0 to 1000000000
    max_tasks_per_worker | many   | a whole number of tasks from 0 to 1000000000
    max_memory_mb     | -1        | a number of megabytes from 0 to 1000000000
    max_memory_mb     | 1GB       | a number of megabytes from 0 to 1000000000
    stop_grace        | -0.1      | a number of seconds from 0 to 86400
    stop_grace        | never     | a number of seconds from 0 to 86400
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

    def it_is_a_whole_number_of_tasks(self):
        tasks = Settings.read({"max_tasks_per_worker": "7"}).max_tasks_per_worker
        assert type(tasks) is int

    @pytest.mark.parametrize(
        ("name", "value"),
        [("stop_grace", 2.5), ("max_memory_mb", 100), ("max_tasks_per_worker", 7)],
    )
    def it_is_taken_as_a_number_by_start(self, name, value):
        assert check_number(name, value) == value

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("stop_grace", True),
            ("stop_grace", None),
            ("stop_grace", float("nan")),
            ("max_tasks_per_worker", 1.5),
            ("max_memory_mb", -1),
            ("max_memory_mb", [1]),
        ],
    )
    def it_is_nothing_else_there(self, name, value):
        with pytest.raises(InvalidSetting, match=name):
            check_number(name, value)

    @given(st.sampled_from(list(NUMBERS)), st.data())
    def it_means_the_same_after_it_was_stored(self, name, data):
        smallest, largest, _ = NUMBERS[name]
        if name == "max_tasks_per_worker":
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
        assert stored in ("on", "off") or name == "max_workers" or float(stored) >= 0
        Settings.read({name: stored})
