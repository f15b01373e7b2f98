"""Long work pauses only in a throttled thread."""

import threading

import pytest

from movierank_core import background as module
from movierank_core.background import throttle, throttled


class Clock:
    """A clock that moves by 0.3 of the allowed work at each look; pauses are noted, not slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        monkeypatch.setattr(module.time, "perf_counter", self)
        monkeypatch.setattr(module.time, "sleep", self.pauses.append)

    def __call__(self) -> float:
        self.now += 0.3 * module.WORK_SECONDS
        return self.now


def test_a_throttled_thread_pauses_after_the_allowed_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    with throttled():
        throttle()
        assert clock.pauses == [], "nothing was done yet"
        for _ in range(23):
            throttle()
    # Four calls exceed the allowed work.
    assert clock.pauses == [module.PAUSE_SECONDS] * 6
    for _ in range(20):
        throttle()
    assert len(clock.pauses) == 6, "the block has ended"


def test_other_threads_do_not_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with throttled():
        thread = threading.Thread(target=lambda: [throttle() for _ in range(100)])
        thread.start()
        thread.join()
    assert clock.pauses == []
