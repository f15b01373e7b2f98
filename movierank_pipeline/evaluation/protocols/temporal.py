"""The temporal protocol: everything is fitted on events before T, and requests lie at moments after T."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import to_epoch
from movierank_core.features.movie_facts import FactsOverTime, facts_moment
from movierank_core.features.movie_state import MovieState
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, Progress, Protocol, draw_users
from movierank_pipeline.training.requests import (
    FactsMode,
    facts_over_time,
    plan_requests,
    replay,
    split_time,
    unknown_like_share,
)
from movierank_pipeline.training.training_set import temporal_episodes


def temporal_protocol(
    data: InteractionArrays,
    catalogue: Catalogue,
    config: ModelConfig,
    requests: pl.DataFrame | None = None,
    movies: Mapping[int, MovieState] | None = None,
    facts: FactsMode = "day",
) -> Protocol:
    """The protocol on `data`. `requests` (of `plan_requests`) and `movies` (by moment) spare their making.

    `facts` decides which facts of movies the requests see; planned `requests` must have the same mode.
    """
    planned = plan_requests(data, catalogue, config, facts) if requests is None else requests
    return Protocol(
        catalogue=catalogue,
        config=config,
        episodes=partial(temporal_episodes, data, planned, catalogue, config, movies, facts),
        holdout=lambda progress: temporal_holdout(
            data, catalogue, config, progress, requests=planned, movies=movies, facts=facts
        ),
    )


def temporal_holdout(
    data: InteractionArrays,
    catalogue: Catalogue,
    config: ModelConfig,
    progress: Progress = None,
    *,
    requests: pl.DataFrame | None = None,
    movies: Mapping[int, MovieState] | None = None,
    facts: FactsMode = "day",
) -> HoldOut:
    """The test requests after T, at most `max_test_requests`, and a state fitted on events before T.

    `requests` are those of `plan_requests`; they are planned here where they are None. `movies` are movie
    states by fit moment. `facts` must be the mode of `requests`.
    """
    split = split_time(data, config)
    planned = plan_requests(data, catalogue, config, facts) if requests is None else requests
    over_time = facts_over_time(data, catalogue, facts)
    test, n_possible = draw_users(planned.filter(pl.col("role") == "test"), config)
    state = fit_state(data, catalogue, split, config, progress, movies=(movies or {}).get(split))
    return HoldOut(
        protocol="temporal",
        split=split,
        catalogue=catalogue,
        state=state,
        requests=test,
        replay=lambda: replay(test, data, catalogue),
        pool=_known(state, over_time, test),
        unknown_like_share=unknown_like_share(data, catalogue, split, over_time),
        facts=over_time,
        n_possible_requests=n_possible,
    )


def _known(state: RankingState, facts: FactsOverTime | None, test: pl.DataFrame) -> NDArray[np.bool_]:
    """Per catalogue row, whether some test request knows the movie."""
    if facts is None or test.is_empty():
        return state.is_known
    latest: datetime = test["as_of"].max()  # type: ignore[assignment]
    return facts.at(facts_moment(to_epoch(latest), state.as_of)).arrays["n_events"] > 0
