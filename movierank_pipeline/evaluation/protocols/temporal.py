"""The temporal protocol: everything is fitted on events before T, and requests lie at moments after T.

In its rolling form the candidate sources are fitted again at later moments, and a request is answered by the
latest state before it. The requests and the trees stay the same: trees are trained once, at T, so that a
difference between both forms is the age of the sources alone.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import epoch_seconds, to_epoch
from movierank_core.errors import ConfigError
from movierank_core.features.movie_facts import FactsOverTime, facts_moment
from movierank_core.features.movie_state import MovieState
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, Progress, Protocol, draw_users
from movierank_pipeline.evaluation.protocols.targets import TargetsMode, choose_targets
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
    targets: TargetsMode = "all",
    n_refits: int = 0,
) -> Protocol:
    """The protocol on `data`. `requests` (of `plan_requests`) and `movies` (by moment) spare their making.

    `facts` decides which facts of movies the requests see; planned `requests` must have the same mode. With
    `n_refits` it is the rolling protocol, which needs the facts of the day: a refitted state knows movies
    that are no targets under the facts of T. Raises ConfigError otherwise.
    """
    if n_refits and facts != "day":
        raise ConfigError(
            f"The rolling protocol was given the facts of the {facts}", expected="facts of the day"
        )
    planned = plan_requests(data, catalogue, config, facts) if requests is None else requests
    return Protocol(
        catalogue=catalogue,
        config=config,
        episodes=partial(temporal_episodes, data, planned, catalogue, config, movies, facts),
        holdout=lambda progress: temporal_holdout(
            data,
            catalogue,
            config,
            progress,
            requests=planned,
            movies=movies,
            facts=facts,
            targets=targets,
            n_refits=n_refits,
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
    targets: TargetsMode = "all",
    n_refits: int = 0,
) -> HoldOut:
    """The test requests after T, at most `max_test_requests`, and a state fitted on events before T.

    `requests` are those of `plan_requests`; they are planned here where they are None. `movies` are movie
    states by fit moment. `facts` must be the mode of `requests`. With `n_refits`, a further state is fitted
    at each of `refit_moments`.
    """
    split = split_time(data, config)
    planned = plan_requests(data, catalogue, config, facts) if requests is None else requests
    over_time = facts_over_time(data, catalogue, facts)
    all_likes, n_possible = draw_users(planned.filter(pl.col("role") == "test"), config)
    test, target_facts = choose_targets(all_likes, data, catalogue, split, targets, config.seed)
    state = fit_state(data, catalogue, split, config, progress, movies=(movies or {}).get(split))
    moments = refit_moments(data, split, n_refits)
    test = _by_refit(test, moments)
    first = 0 if test.is_empty() else int(all_likes["episode"].max())  # type: ignore[arg-type]
    return HoldOut(
        protocol="rolling" if n_refits else "temporal",
        split=split,
        catalogue=catalogue,
        state=state,
        requests=test,
        replay=lambda: replay(test, data, catalogue),
        pool=_known(state, over_time, test),
        unknown_like_share=unknown_like_share(data, catalogue, split, over_time),
        facts=over_time,
        n_possible_requests=n_possible,
        targets=targets,
        target_facts=target_facts,
        refits={
            first + number: fit_state(data, catalogue, moment, config, progress)
            for number, moment in enumerate(moments, start=1)
        },
    )


def refit_moments(data: InteractionArrays, split: int, n_refits: int) -> list[int]:
    """The distinct moments after T (`split`) that cut the events from T on into `n_refits + 1` equal parts.

    Ascending, in seconds since 1970. There are fewer where many events share a second.
    """
    times = data.timestamps[data.timestamps >= split]
    shares = np.arange(1, n_refits + 1) / (n_refits + 1)
    found = np.quantile(times, shares, method="higher")
    return sorted({int(moment) for moment in found if moment > split})


def _by_refit(test: pl.DataFrame, moments: list[int]) -> pl.DataFrame:
    """`test` with the number of refits at or before each request added to its episode."""
    n_before = np.searchsorted(moments, test.select(epoch_seconds("as_of")).to_series(), side="right")
    return test.with_columns(episode=(pl.col("episode") + pl.Series(n_before)).cast(pl.Int32))


def _known(state: RankingState, facts: FactsOverTime | None, test: pl.DataFrame) -> NDArray[np.bool_]:
    """Per catalogue row, whether some test request knows the movie."""
    if facts is None or test.is_empty():
        return state.is_known
    latest: datetime = test["as_of"].max()  # type: ignore[assignment]
    return facts.at(facts_moment(to_epoch(latest), state.as_of)).arrays["n_events"] > 0
