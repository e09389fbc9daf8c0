"""Workers: how many are wanted, and for which queues.

``start(workers=…)`` takes a whole number from 0 to 1000, or a mapping of queues to such numbers
from 1; ``--set-max-workers`` takes the same as text.

- A number of workers takes tasks of any queue.
- A key of a mapping names a queue, or several that its workers take alike, separated by commas.
  Among those priority decides, then the due time, as ever. ``"*"`` is any queue, and stands alone.
- A queue that no key names is worked on by nobody; its tasks wait.
- As text each count stands after its queues: ``default=2,mail,bulk=1`` is two workers for
  ``default``, and one for ``mail`` and ``bulk``.
- The order of the names of a key does not matter, nor do blanks around them; no two keys are the
  same. A queue may be in several keys. There are at most 1000 workers in all.

What can not be used is an error that says what was given and what was expected.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.workforce import (
    Group,
    InvalidWorkers,
    check_workers,
    groups,
    parse_workers,
    total,
)
from spec.tables import table

QUEUES = st.sampled_from(["default", "mail", "bulk", "a.b-c_1"])


@st.composite
def mappings(draw):
    keys = draw(
        st.lists(
            st.one_of(st.just("*"), st.sets(QUEUES, min_size=1).map(lambda q: ",".join(sorted(q)))),
            min_size=1,
            unique=True,
        )
    )
    return {key: draw(st.integers(1, 50)) for key in keys}


class DescribeANumber:
    @pytest.mark.parametrize("count", [1, 2, 1000])
    def it_is_so_many_workers_for_any_queue(self, count):
        assert groups(check_workers(count)) == [Group(None, count)]
        assert groups(parse_workers(str(count))) == [Group(None, count)]

    def it_may_be_0_in_start_which_starts_none(self):
        assert check_workers(0) == 0

    @pytest.mark.parametrize("value", [-1, 1001, 1.0, True, "2", None, [1], {"mail"}])
    def it_is_nothing_else(self, value):
        with pytest.raises(InvalidWorkers) as refused:
            check_workers(value)
        assert str(refused.value) == (
            f"{value!r} is not a whole number from 0 to 1000, nor a mapping of queues to such "
            'numbers, as {"default": 2, "mail": 1}'
        )

    @pytest.mark.parametrize("text", ["0", "1001", "two", "", "1.5"])
    def it_is_no_other_word(self, text):
        with pytest.raises(InvalidWorkers) as refused:
            parse_workers(text)
        assert str(refused.value) == (
            f"{text!r} is not a whole number of workers from 1 to 1000, nor one for each queue, "
            "such as default=2,mail=1"
        )


class DescribeAMapping:
    def it_is_workers_for_each_key(self):
        workers = check_workers({"default": 2, "bulk, mail": 1, "*": 3})
        assert groups(workers) == [
            Group(("default",), 2),
            Group(("bulk", "mail"), 1),
            Group(None, 3),
        ]
        assert total(workers) == 6

    def it_may_be_a_thousand_in_all(self):
        assert total(check_workers({"default": 1000})) == 1000
        assert total(check_workers({"default": 999, "mail": 1})) == 1000

    @given(mappings())
    def it_means_the_same_as_text(self, mapping):
        workers = check_workers(mapping)
        assert parse_workers(workers) == workers
        assert total(workers) == sum(mapping.values())

    def it_does_not_matter_in_which_order_a_key_names_its_queues(self):
        assert check_workers({"mail,bulk": 1}) == check_workers({" bulk , mail": 1})

    @pytest.mark.parametrize(
        ("mapping", "message"),
        [
            ({}, "an empty mapping names no workers; 0 is the way to start none"),
            ({"mail": 0}, "mail: 0 is not a whole number of workers from 1 to 1000"),
            ({"mail": True}, "mail: True is not a whole number of workers from 1 to 1000"),
            ({"mail": 1.5}, "mail: 1.5 is not a whole number of workers from 1 to 1000"),
            ({"mail": None}, "mail: None is not a whole number of workers from 1 to 1000"),
            (
                {"ma il": 1},
                "'ma il' is no name of a queue: letters, digits, '_', '.' and '-', at most 64 of "
                "them",
            ),
            (
                {"": 1},
                "'' is no name of a queue: letters, digits, '_', '.' and '-', at most 64 of them",
            ),
            (
                {"mail,": 1},
                "'' is no name of a queue: letters, digits, '_', '.' and '-', at most 64 of them",
            ),
            (
                {7: 1},
                "7 is no name of a queue: letters, digits, '_', '.' and '-', at most 64 of them",
            ),
            ({"mail,*": 1}, "'*' is any queue, and stands alone, unlike in 'mail,*'"),
            ({"mail,mail": 1}, "'mail' is named twice in 'mail,mail'"),
            (
                {"a,b": 1, "b,a": 2},
                "'a,b' has two counts in {'a,b': 1, 'b,a': 2}",
            ),
            ({"a": 600, "b": 600}, "1200 workers are more than 1000"),
        ],
    )
    def it_is_refused_with_what_was_expected(self, mapping, message):
        with pytest.raises(InvalidWorkers) as refused:
            check_workers(mapping)
        assert str(refused.value) == message


class DescribeText:
    @table("""
    text                     | normal
    default=2,mail=1         | default=2,mail=1
    mail,bulk=1,default=02   | bulk,mail=1,default=2
    default = 2 , *=1        | default=2,*=1
    """)
    def it_gives_each_count_after_its_queues(self, text, normal):
        assert parse_workers(text) == normal

    @table("""
    text          | message
    mail          | 'mail' is not a whole number of workers from 1 to 1000, nor one for each queue, such as default=2,mail=1
    mail=1,bulk   | 'bulk' has no count in 'mail=1,bulk'; write QUEUE=COUNT
    mail,bulk     | 'mail,bulk' has no count in 'mail,bulk'; write QUEUE=COUNT
    mail=x        | mail: 'x' is not a whole number of workers from 1 to 1000
    mail=         | mail: '' is not a whole number of workers from 1 to 1000
    mail=0        | mail: '0' is not a whole number of workers from 1 to 1000
    mail=1=2      | mail: '1=2' is not a whole number of workers from 1 to 1000
    mail=1,mail=2 | 'mail' has two counts in 'mail=1,mail=2'
    =1            | '' is no name of a queue: letters, digits, '_', '.' and '-', at most 64 of them
    """)  # noqa: E501
    def it_is_refused_with_what_was_expected(self, text, message):
        with pytest.raises(InvalidWorkers) as refused:
            parse_workers(text)
        assert str(refused.value) == message
