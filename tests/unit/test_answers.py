"""What an evaluation takes from the answers of a model, besides its lists."""

import numpy as np

from movierank_core.bundle import read_bundle
from movierank_pipeline.evaluation.answers import answer
from movierank_pipeline.training.requests import Request
from tests.support.releases import release
from tests.support.simulated import SimulatedRatings


def test_a_movie_that_a_user_rated_later_is_judged_once_however_often_the_user_asked(
    simulated: SimulatedRatings,
) -> None:
    model = read_bundle(release().bundle).model
    history = simulated.data.history(0)
    after = int(history.timestamps[-1]) + 1
    candidates = model.score(history, as_of=after).rows[:6].tolist()
    later = dict(zip(candidates, [5.0, 2.0, 4.0, 1.0, 3.5, 4.5], strict=True))

    def request(user_id: int, as_of: int) -> Request:
        return Request(user_id, as_of, history, np.array(candidates[:1]), later)

    often = [request(1, after + day * 86_400) for day in range(3)]
    once = answer(model, often[:1], seed=0, only_main=True)
    assert sorted(once.liked.tolist()) == [False, False, False, True, True, True]
    again = answer(model, often, seed=0, only_main=True)
    np.testing.assert_array_equal(again.predicted, once.predicted)
    np.testing.assert_array_equal(again.liked, once.liked)
    another = answer(model, [*often, request(2, after)], seed=0, only_main=True)
    assert len(another.predicted) == 12
