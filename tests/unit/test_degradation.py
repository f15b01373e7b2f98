"""Graceful degradation: which parts it leaves out, and when it tries them again."""

import pytest

from movierank_core.recommender.degradation import FAIL_FAST, GracefulDegradation, PartLatency


class Clock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> str:
        self.now += seconds
        return "done"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_fail_fast_raises_every_exception() -> None:
    assert FAIL_FAST.attempt("model", lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        FAIL_FAST.attempt("model", lambda: 1 // 0)


def test_what_fails_is_left_out_with_its_reason(clock: Clock) -> None:
    degradation = GracefulDegradation(PartLatency(), 1.0, clock)
    assert degradation.attempt("model", lambda: 1 // 0) is None
    [left] = degradation.left_out
    assert (left.part, left.why, type(left.error)) == ("model", "failure", ZeroDivisionError)


def test_a_part_that_would_end_after_the_deadline_at_its_recent_pace_is_left_out(clock: Clock) -> None:
    latency = PartLatency()
    assert GracefulDegradation(latency, 10.0, clock).attempt("model", lambda: clock.spend(0.4)) == "done"
    assert latency.expected("model") == pytest.approx(0.4)
    enough, too_little = (
        GracefulDegradation(latency, clock.now + 0.5, clock),
        GracefulDegradation(latency, clock.now + 0.3, clock),
    )
    assert too_little.attempt("model", lambda: clock.spend(0.0)) is None
    assert [(left.part, left.why, left.error) for left in too_little.left_out] == [
        ("model", "deadline", None)
    ]
    assert enough.attempt("model", lambda: clock.spend(0.4)) == "done"
    assert enough.left_out == []


def test_after_the_deadline_nothing_is_begun(clock: Clock) -> None:
    degradation = GracefulDegradation(PartLatency(), 0.0, clock)
    assert degradation.attempt("candidates", lambda: pytest.fail("begun")) is None
    assert [left.why for left in degradation.left_out] == ["deadline"]


def test_a_part_that_was_slow_for_a_while_is_tried_again(clock: Clock) -> None:
    latency = PartLatency()
    latency.observe("model", 60.0)
    tries = 0
    while (
        GracefulDegradation(latency, clock.now + 0.5, clock).attempt("model", lambda: clock.spend(0.004))
        is None
    ):
        tries += 1
        assert tries < 100
    assert tries > 10
