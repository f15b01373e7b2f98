"""Long work rests only where its thread has promised to."""

import threading
import time

import pytest

from movierank_core import background as module
from movierank_core.background import rest, resting


def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    return slept


def work(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        rest()


def test_a_thread_that_promised_rests_after_every_bit_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = naps(monkeypatch)
    with resting():
        rest()
        assert slept == [], "nothing was done yet"
        work(0.02)
    assert 5 <= len(slept) <= 20
    assert set(slept) == {module.REST_SECONDS}
    work(0.005)
    assert len(slept) <= 20, "the promise ends with the block"


def test_other_threads_do_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = naps(monkeypatch)
    with resting():
        thread = threading.Thread(target=work, args=(0.01,))
        thread.start()
        thread.join()
    assert slept == []
