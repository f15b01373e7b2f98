"""How many requests reach TMDB in a second, whatever the network does to them."""

import random
import threading
import time
from collections.abc import Callable

import pytest

from movierank_pipeline.ingest.tmdb.rate_limit import RateLimiter, StoppedError


def most_in_a_second(moments: list[float]) -> int:
    """The largest number of `moments` in any window of one second, its end not included."""
    ordered = sorted(moments)
    most, first = 0, 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def drive(pace: RateLimiter, n_threads: int, n_each: int, on_the_way: Callable[[], float]) -> list[float]:
    """When requests reach a server: each travels for as long as `on_the_way` says, and back at once."""
    reached, lock = list[float](), threading.Lock()

    def work() -> None:
        for _ in range(n_each):
            with pace.turn() as turn:
                time.sleep(on_the_way())
                with lock:
                    reached.append(time.monotonic())
                turn.answered = True

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reached


def test_sends_are_spaced_out() -> None:
    moments = drive(RateLimiter(200, 0.1, 1.0), 6, 10, lambda: 0.0)
    assert max(moments) - min(moments) >= 59 / 200 - 0.1


def test_requests_that_the_network_bunches_are_not_too_many() -> None:
    """Those of one second arrive together, at the end of it, with those of the next one at its beginning."""
    began = time.monotonic()

    def until_the_next_gate() -> float:
        passed = time.monotonic() - began
        return max(0.0, 0.9 - passed) if passed < 0.9 else random.uniform(0.0, 0.05)

    reached = drive(RateLimiter(30, 0.1, 1.0), 40, 2, until_the_next_gate)
    assert len(reached) == 80
    assert most_in_a_second(reached) <= 30


def test_bunches_are_found_by_this_measure() -> None:
    """The measure itself: what spacing out the sends alone lets through."""
    spaced_out = [place / 30 for place in range(60)]
    assert most_in_a_second(spaced_out) <= 31
    bunched = [max(0.9, moment) for moment in spaced_out]
    assert most_in_a_second(bunched) > 45


def test_slow_rate() -> None:
    moments = drive(RateLimiter(2.5, 0.1, 1.0), 3, 1, lambda: 0.0)
    assert most_in_a_second(moments) <= 2


def test_request_without_an_answer_counts_for_longer() -> None:
    pace = RateLimiter(2, 0.1, 1.0)
    for answered in (True, False):
        with pace.turn() as turn:
            turn.answered = answered
    began = time.monotonic()
    for _ in range(2):
        with pace.turn() as turn:
            turn.answered = True
    assert time.monotonic() - began > 1.3  # One at a time, while the other still counts.


def test_refusals_of_one_burst_lengthen_the_pause_once() -> None:
    pace = RateLimiter(1_000, 0.1, 10.0)
    with pace.turn() as first, pace.turn() as second, pace.turn() as third:
        pauses = [pace.refused(turn, None) for turn in (first, second, third)]
    assert max(pauses) <= 0.1
    with pace.turn() as later:
        assert 0.1 <= pace.refused(later, None) <= 0.2
    with pace.turn() as good:
        pace.accepted(good)
    with pace.turn() as last:
        assert pace.refused(last, None) <= 0.1


def test_pauses_of_ours_have_a_limit() -> None:
    pace = RateLimiter(1_000, 0.001, 0.004)
    for _ in range(40):
        with pace.turn() as turn:
            assert pace.refused(turn, None) <= 0.004


def test_stop_wakes_whoever_waits() -> None:
    pace = RateLimiter(1_000, 0.1, 1.0)
    pace.hold(60.0)
    threading.Timer(0.1, pace.stop).start()
    with pytest.raises(StoppedError), pace.turn():
        pass
    with pytest.raises(StoppedError):
        pace.sleep(60.0)
