"""The temporal protocol: everything is fitted on events before T, and requests lie at moments after T."""

from collections.abc import Mapping
from functools import partial

import polars as pl

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.movie_state import MovieState
from movierank_core.recommender.state import fit_state
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, Progress, Protocol
from movierank_pipeline.training.requests import plan_requests, replay, split_time, unknown_like_share
from movierank_pipeline.training.training_set import temporal_episodes


def temporal_protocol(
    data: InteractionArrays,
    catalogue: Catalogue,
    config: ModelConfig,
    requests: pl.DataFrame | None = None,
    movies: Mapping[int, MovieState] | None = None,
) -> Protocol:
    """The protocol on `data`. `requests` (of `plan_requests`) and `movies` (by moment) spare their making."""
    planned = plan_requests(data, catalogue, config) if requests is None else requests
    return Protocol(
        catalogue=catalogue,
        config=config,
        episodes=partial(temporal_episodes, data, planned, catalogue, config, movies),
        holdout=lambda progress: temporal_holdout(
            data, catalogue, config, progress, requests=planned, movies=movies
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
) -> HoldOut:
    """The test requests after T, and a state fitted on events before T.

    `requests` are those of `plan_requests`; they are planned here where they are None. `movies` are movie
    states by fit moment.
    """
    split = split_time(data, config)
    planned = plan_requests(data, catalogue, config) if requests is None else requests
    test = planned.filter(pl.col("role") == "test")
    state = fit_state(data, catalogue, split, config, progress, movies=(movies or {}).get(split))
    return HoldOut(
        protocol="temporal",
        split=split,
        catalogue=catalogue,
        state=state,
        requests=test,
        replay=lambda: replay(test, data, catalogue),
        pool=state.is_known,
        unknown_like_share=unknown_like_share(data, catalogue, split),
    )
