"""When a process is started again, and when the supervisor gives up."""

from ops.restarts import RestartPolicy, Restarts


def test_waits_double_from_a_fifth_of_a_second_to_ten_seconds() -> None:
    restarts = Restarts(RestartPolicy())
    delays = [restarts.next_delay(float(second)) for second in range(9)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]


def test_it_gives_up_after_ten_restarts_in_a_minute() -> None:
    restarts = Restarts(RestartPolicy())
    for second in range(10):
        restarts.became_ready()
        assert restarts.next_delay(second * 5.0) is not None
    assert restarts.next_delay(59.0) is None


def test_a_process_that_works_for_long_is_restarted_for_ever_at_once() -> None:
    restarts = Restarts(RestartPolicy())
    for hour in range(100):
        restarts.became_ready()
        assert restarts.next_delay(hour * 3600.0) == 0.2
    assert restarts.total == 100


def test_ten_starts_in_a_row_without_being_ready_are_enough_however_slow() -> None:
    restarts = Restarts(RestartPolicy())
    for attempt in range(10):
        assert restarts.next_delay(attempt * 600.0) is not None
    assert restarts.next_delay(6000.0) is None


def test_being_ready_in_between_forgives() -> None:
    restarts = Restarts(RestartPolicy())
    for attempt in range(30):
        assert restarts.next_delay(attempt * 600.0) is not None
        if attempt % 5 == 0:
            restarts.became_ready()
