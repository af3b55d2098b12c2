"""Ids sort by time, never repeat and never go back."""

import itertools
import uuid

from hypothesis import given
from hypothesis import strategies as st

from runtime.ids import ClockProbe, SystemClock, Uuid7Ids, derived, ms_of, split_ids, uuid7_of


class Steps:
    def __init__(self, steps: list[int]) -> None:
        self.steps = iter(steps)

    def now_ms(self) -> int:
        return next(self.steps)

    def now_us(self) -> int:
        raise AssertionError("not asked for")


@given(st.lists(st.integers(0, 2**47), min_size=2, max_size=200))
def test_ids_rise_whatever_the_clock_does(steps: list[int]) -> None:
    """P29: a clock that stands or goes back gives neither a repeated nor a smaller id."""
    ids = Uuid7Ids(Steps(steps))
    made = [ids.next() for _ in steps]
    assert all(a.bytes < b.bytes for a, b in itertools.pairwise(made))


def test_ids_are_uuids_of_version_7_with_the_time_of_the_clock() -> None:
    before = SystemClock().now_ms()
    made = Uuid7Ids(SystemClock()).next()
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= ms_of(made.bytes) <= SystemClock().now_ms()


@given(st.integers(0, 2**48 - 2), st.integers(0, 2**74 - 1))
def test_the_least_id_of_a_millisecond_is_not_above_any_other_of_it(ms: int, rand: int) -> None:
    assert uuid7_of(ms).bytes <= uuid7_of(ms, rand).bytes < uuid7_of(ms + 1).bytes


def test_derived_ids_depend_on_kind_and_parts_alone() -> None:
    assert derived("a", b"x") == derived("a", b"x")
    assert len({derived("a", b"x"), derived("b", b"x"), derived("a", b"y")}) == 3


def test_packed_ids_are_split_in_order() -> None:
    ids = [uuid.uuid4().bytes for _ in range(3)]
    assert split_ids(b"".join(ids)) == ids
    assert split_ids(b"") == []


class SteppedClock:
    """A time of day that steps, beside a steady one; both stand still until they are told."""

    def __init__(self) -> None:
        self.ms = 1_000_000
        self.steady_ms = 0

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000

    def monotonic(self) -> float:
        return self.steady_ms / 1000

    def go_on(self, ms: int) -> None:
        self.ms += ms
        self.steady_ms += ms


async def ready(probe: ClockProbe) -> bool:
    try:
        await probe.check()
    except RuntimeError:
        return False
    return True


async def test_a_process_whose_clock_went_back_is_not_ready_until_it_caught_up() -> None:
    """P29. Seen although more time passed between two looks than the clock went back."""
    clock = SteppedClock()
    probe = ClockProbe(clock, clock.monotonic)
    clock.go_on(500)
    assert await ready(probe)
    clock.go_on(400)
    clock.ms -= 300
    clock.go_on(100)
    assert not await ready(probe)
    clock.go_on(298)
    assert not await ready(probe)
    clock.go_on(2)
    assert await ready(probe)


async def test_small_corrections_and_steps_ahead_are_borne() -> None:
    """P29: a clock that is slewed for an hour was never behind a time that it has shown."""
    clock = SteppedClock()
    probe = ClockProbe(clock, clock.monotonic)
    for _ in range(1000):
        clock.go_on(500)
        clock.ms -= 40
        assert await ready(probe)
    clock.ms += 3_600_000
    assert await ready(probe)
    clock.ms -= 51
    assert not await ready(probe)
