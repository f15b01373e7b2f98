"""A film that does not exist yet is proposed neither at a training origin nor in an evaluation."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import CATALOGUE
from movierank_core.data.timestamps import to_epoch
from movierank_core.recommender.state import RankingState, fit_state
from movierank_core.reranking.filters import Filters, broken_rules, exists_at
from movierank_pipeline.evaluation.evaluate import unreleased_share
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.training_set import build_training_set
from tests.support.simulated import CONFIG, START, SimulatedRatings, make_catalogue

N_KNOWN, N_NEW = 80, 20
MOMENT = to_epoch(START)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The movies of the simulated ratings, and twenty without an event, released on 20 January 2024."""
    is_new = pl.int_range(pl.len()) >= N_KNOWN
    release = pl.when(is_new).then(pl.lit(date(2024, 1, 20))).otherwise("release_date")
    year = pl.when(is_new).then(2024).otherwise("release_year").cast(pl.Int32)
    frame = make_catalogue(N_KNOWN + N_NEW).with_columns(release_date=release, release_year=year)
    return Catalogue(frame.cast(dict(CATALOGUE)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(simulated: SimulatedRatings, catalogue: Catalogue) -> InteractionArrays:
    return InteractionArrays.from_frame(simulated.interactions, catalogue)


@pytest.fixture(scope="module")
def state(data: InteractionArrays, catalogue: Catalogue) -> RankingState:
    return fit_state(data, catalogue, MOMENT + 10 * 86_400, CONFIG)


def test_the_date_counts_before_the_year_and_an_unknown_date_counts_as_released() -> None:
    frame = make_catalogue(4).with_columns(
        release_year=pl.Series([2024, 2024, None, 2030], dtype=pl.Int32),
        release_date=pl.Series([date(2024, 3, 1), None, None, None], dtype=pl.Date),
    )
    catalogue = Catalogue(frame)
    no_events = np.zeros(4, np.float32)
    spring = MOMENT + 60 * 86_400  # 1 March 2024.
    assert catalogue.released_at[:2].tolist() == [spring, MOMENT]
    assert exists_at(spring, catalogue, no_events).tolist() == [False, True, True, False]
    assert exists_at(spring + 1, catalogue, no_events).tolist() == [True, True, True, False]
    assert exists_at(MOMENT, catalogue, no_events).tolist() == [False, False, True, False]
    # An event proves that the movie exists.
    assert exists_at(MOMENT, catalogue, np.array([0, 0, 0, 1], np.float32))[3]
    assert exists_at(2**40, catalogue, no_events).all()


def test_no_source_proposes_it_and_the_rule_has_a_name(state: RankingState, catalogue: Catalogue) -> None:
    history = History.of_arrays([20, 40, 60], [5.0, 4.5, 5.0], [1, 2, 3], [0, 0, 0])
    for days, is_released in ((12, False), (21, True)):
        as_of = MOMENT + days * 86_400
        query = state.query(history, catalogue, as_of)
        eligible = state.eligible(query, catalogue)
        assert eligible[N_KNOWN:].all() == eligible[N_KNOWN:].any() == is_released
        assert (state.candidates(query, eligible).rows >= N_KNOWN).any() == is_released
        broken = broken_rules(90, query, catalogue, state.movies.n_events, filters=Filters(year_min=2025))
        assert broken == [*([] if is_released else ["unreleased"]), "filters.year_min"]


def test_training_rows_hold_none(data: InteractionArrays, catalogue: Catalogue) -> None:
    requests = plan_requests(data, catalogue, CONFIG)
    rows = build_training_set(data, requests, catalogue, CONFIG).frame
    is_new = (rows["movie_id"] > 10 * N_KNOWN).to_numpy()
    is_early = (rows["as_of"].dt.epoch("s") <= MOMENT + 19 * 86_400).to_numpy()
    assert is_early.sum() > 100
    assert not (is_new & is_early).any()
    assert (is_new & ~is_early).any(), "later they are proposed by their content"


def test_the_share_of_an_evaluation_counts_results_by_the_moment_of_their_request(
    state: RankingState, catalogue: Catalogue
) -> None:
    as_ofs = np.array([MOMENT + 86_400, MOMENT + 30 * 86_400])
    top = np.array([[0, 85, 86, -1], [85, 86, -1, -1]])
    assert unreleased_share(top, as_ofs, catalogue, state.movies.n_events, 4) == 2 / 5
    assert unreleased_share(top, as_ofs, catalogue, state.movies.n_events, 2) == 1 / 4
    assert np.isnan(unreleased_share(np.full((2, 4), -1), as_ofs, catalogue, state.movies.n_events, 4))
