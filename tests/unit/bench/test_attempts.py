"""What the figures of a soak make of requests that failed and were repeated."""

from bench.soak.attempts import Attempt, figures, longest_s


def test_a_span_of_errors_ends_with_the_next_answer_that_anybody_had() -> None:
    found = figures(
        [
            Attempt(1, "post", 0.0, 2.0, "503"),
            Attempt(2, "post", 1.0, 3.0),
            Attempt(1, "post", 2.1, 4.1, "503"),
            Attempt(1, "post", 4.2, 5.0),
        ]
    )["post"]
    assert found.errors == {"503": 2}
    assert found.answered == 2
    # From 0 to 3 nobody but the second had an answer; the first waited for its own from 0 to 5.
    assert (found.longest_span_s, found.longest_wait_s) == (3.0, 5.0)


def test_kinds_are_told_apart_and_what_succeeded_at_once_is_no_error_however_long_it_took() -> None:
    found = figures([Attempt(1, "home", 0.0, 12.0), Attempt(2, "post", 0.0, 1.0, "504"), Attempt(2, "post", 1.0, 1.5)])
    assert found["home"].errors == {} and found["home"].p50_ms == 12_000
    assert longest_s(found) == 1.5


def test_a_kind_that_nobody_had_an_answer_to_counts_from_its_first_error_to_its_last() -> None:
    found = figures([Attempt(1, "follow", 1.0, 3.0, "503"), Attempt(1, "follow", 3.0, 14.0, "504")])
    assert longest_s(found) == 13.0
