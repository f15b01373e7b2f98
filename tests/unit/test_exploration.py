"""Drawn rankings, and that their propensities are true."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from movierank_core.reranking.exploration import draw_ranking


def draw(scores: list[float], k: int, temperature: float, seed: int) -> tuple[list[int], list[float]]:
    order, propensities = draw_ranking(np.array(scores), k, temperature, np.random.default_rng(seed))
    return order.tolist(), propensities.tolist()


def test_propensities_are_those_of_plackett_luce_and_lists_come_as_often_as_they_say() -> None:
    scores = np.array([0.4, -0.3, 0.1])
    z = scores / scores.std()
    weights = np.exp(z / 0.7)
    expected = {
        order: np.prod([weights[order[place]] / weights[list(order[place:])].sum() for place in range(3)])
        for order in permutations(range(3))
    }
    assert sum(expected.values()) == pytest.approx(1)
    rng = np.random.default_rng(7)
    n = 20_000
    counts: Counter[tuple[int, ...]] = Counter()
    for _ in range(n):
        order, propensities = draw_ranking(scores, 3, 0.7, rng)
        drawn = tuple(order.tolist())
        counts[drawn] += 1
        assert np.prod(propensities) == pytest.approx(expected[drawn])
    for drawn, probability in expected.items():
        deviation = np.sqrt(n * probability * (1 - probability))
        assert abs(counts[drawn] - n * probability) < 4.5 * deviation


def test_the_first_propensities_do_not_depend_on_k() -> None:
    scores = np.random.default_rng(1).normal(size=50).tolist()
    whole, short = draw(scores, 50, 0.5, 3), draw(scores, 5, 0.5, 3)
    assert (whole[0][:5], whole[1][:5]) == short
    assert sorted(whole[0]) == list(range(50))
    assert whole[1][-1] == 1.0


def test_a_temperature_close_to_nothing_keeps_the_order() -> None:
    scores = [3.0, 2.0, 1.0, 0.0, -50.0]
    order, propensities = draw(scores, 5, 0.001, 1)
    assert order == [0, 1, 2, 3, 4]
    assert propensities == pytest.approx([1.0] * 5)


def test_scores_of_any_size_give_propensities_that_are_numbers() -> None:
    for scores in ([1e100, -1e100, 0.0], [0.0, 0.0, 0.0], [5.0], [1e-300, 0.0]):
        for temperature in (1e-6, 1.0):
            order, propensities = draw(scores, 10, temperature, 2)
            assert sorted(order) == list(range(len(scores)))
            assert all(0 <= propensity <= 1 for propensity in propensities)
    assert draw([0.0, 0.0, 0.0], 3, 0.5, 1)[1] == pytest.approx([1 / 3, 1 / 2, 1])
    assert draw([], 3, 0.5, 1) == ([], [])


def test_a_temperature_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"temperature is 0\.0, expected above 0"):
        draw([1.0], 1, 0.0, 1)
