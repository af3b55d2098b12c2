"""When silence counts as hanging."""

from ops.liveness import PINGS, Liveness

SILENT = "no answer to /healthz"


def heard(every_s: float = 2.0) -> Liveness:
    liveness = Liveness(every_s, at_start=90)
    assert liveness.count(None, 0.01) is None
    return liveness


def test_five_silences_in_a_row_are_hanging_and_four_are_not() -> None:
    liveness = heard()
    verdicts = [liveness.count(SILENT, 2.0) for _ in range(PINGS)]
    assert verdicts == [None] * 4 + ["no answer to /healthz for 10 s"]


def test_one_answer_in_between_forgives() -> None:
    liveness = heard()
    for _ in range(10):
        assert [liveness.count(SILENT, 2.0) for _ in range(PINGS - 1)] == [None] * 4
        assert liveness.count(None, 1.9) is None


def test_a_timeout_that_came_late_says_nothing_about_the_unit() -> None:
    liveness = heard()
    assert [liveness.count(SILENT, 3600.0) for _ in range(100)] == [None] * 100
    assert [liveness.count(SILENT, 2.1) for _ in range(PINGS - 1)] == [None] * 4


def test_a_refused_connection_counts_as_silence() -> None:
    liveness = heard()
    assert [liveness.count(SILENT, 0.001) for _ in range(PINGS)][-1] is not None


def test_a_start_may_be_silent_for_as_long_as_a_start_may_take() -> None:
    liveness = Liveness(2.0, at_start=90)
    verdicts = [liveness.count(SILENT, 2.0) for _ in range(90)]
    assert verdicts == [None] * 89 + ["no answer to /healthz for 180 s"]
