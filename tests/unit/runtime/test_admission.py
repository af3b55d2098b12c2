"""Ordinary calls leave room for those that come first, and nobody gets in beyond the bound."""

from runtime.admission import SHED, Admission
from runtime.errors import Overloaded


def taken(admission: Admission, *, first: bool) -> int:
    """How many get in."""
    count = 0
    while True:
        try:
            admission.enter("Test", first)
        except Overloaded as refused:
            assert refused.reason == "OVERLOADED" and refused.retry_after_s
            return count
        count += 1


def test_ordinary_calls_fill_most_of_the_room_and_the_first_the_rest() -> None:
    admission = Admission(10)
    assert taken(admission, first=False) == 8
    assert taken(admission, first=True) == 2
    assert taken(admission, first=False) == 0


def test_who_leaves_makes_room_and_who_was_refused_took_none() -> None:
    admission = Admission(10)
    before = SHED.labels("Test")._value.get()
    assert taken(admission, first=True) == 10
    admission.leave()
    assert taken(admission, first=True) == 1
    assert admission.at_work == 10
    assert SHED.labels("Test")._value.get() == before + 2


def test_the_smallest_room_takes_one() -> None:
    assert taken(Admission(1), first=False) == 1
