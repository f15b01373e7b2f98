"""Evaluation answers of a chosen quality, for tests of the gate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.ranker.score_calibration import ScoreCalibration
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.state import fit_state
from movierank_pipeline.evaluation.answers import Answers
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN
from movierank_pipeline.evaluation.evaluate import report_of, values_of
from movierank_pipeline.evaluation.protocols.protocol import HoldOut
from movierank_pipeline.evaluation.report import Report
from movierank_pipeline.promotion.incumbent import Incumbent, compare_with_incumbent
from tests.support.lightgbm_models import BY_HAND
from tests.support.simulated import CONFIG, SimulatedRatings

LENGTHS = (0, 2, 10, 50, 200)
"""One history length per slice."""
Quality = float | Sequence[float]
"""Probability that a rank among the first ten is a hit: one for all slices, or one for each."""
SOURCE, RECENT = "ease_likes", "popularity_365d"


def planted(
    ranker: Quality,
    source: Quality = 0.3,
    popular: Quality = 0.2,
    *,
    noise: float = 0.0,
    users_per_slice: int = 60,
    is_calibrated: bool = True,
) -> Answers:
    """One request of each user for ten movies. A better system has all hits of a worse one, and more.

    `noise` is the share of the ranker's hits that are drawn independently of the other systems.
    """
    rng = np.random.default_rng(0)
    n = users_per_slice * len(LENGTHS)
    luck = rng.random((n, 10))
    own = np.where(rng.random((n, 10)) < noise, rng.random((n, 10)), luck)
    hits = {
        MAIN: own < _by_request(ranker, users_per_slice),
        SOURCE: luck < _by_request(source, users_per_slice),
        RECENT: luck < _by_request(popular, users_per_slice),
        "popularity": luck < 0.1,
        "fused": luck < 0.95,
        "random": luck < 0.01,
    }
    predicted = rng.random(4000)
    return Answers(
        hits={name: np.pad(found, ((0, 0), (0, 90))) for name, found in hits.items()},
        top={name: np.tile(np.arange(10), (n, 1)) for name in hits},
        n_relevant=np.full(n, 10),
        user_ids=np.arange(n),
        moments=np.full(n, 2**40),
        history_lengths=np.repeat(LENGTHS, users_per_slice),
        predicted=predicted,
        liked=rng.random(4000) < (predicted if is_calibrated else predicted**2),
    )


def _by_request(quality: Quality, users_per_slice: int) -> NDArray[np.float64]:
    of_slices = np.broadcast_to(np.asarray(quality, np.float64), len(LENGTHS))
    return np.repeat(of_slices, users_per_slice)[:, None]


def report_on(simulated: SimulatedRatings, answers: Answers) -> Report:
    """The evaluation report on answers. The state and the trees have no influence on it."""
    catalogue: Catalogue = simulated.catalogue
    state = fit_state(simulated.data, catalogue, int(simulated.data.timestamps.max()), CONFIG)
    trees = TreeEnsemble.from_text(BY_HAND)
    model = RankingModel(catalogue, state, (), trees, ScoreCalibration(1.0, 0.0, 0.0))
    holdout = HoldOut(
        protocol="temporal",
        split=state.as_of,
        catalogue=catalogue,
        state=state,
        requests=simulated.interactions.head(0),
        replay=lambda: iter(()),
        pool=state.is_known,
        unknown_like_share=0.1,
    )
    return report_of(holdout, model, answers, CONFIG)


def incumbent_with(answers: Answers, production: Quality) -> Incumbent:
    """Version 1 in production, of a planted quality on the same requests."""
    theirs = planted(production, users_per_slice=len(answers.user_ids) // len(LENGTHS))
    return compare_with_incumbent(
        1,
        "tiny",
        ours=values_of(answers)[MAIN][HEADLINE],
        theirs=values_of(theirs)[MAIN][HEADLINE],
        user_ids=answers.user_ids,
        history_lengths=answers.history_lengths,
        seed=1,
    )
