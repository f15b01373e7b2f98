"""Recomputes training rows to find leakage and training/serving skew."""

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import from_epoch, to_epoch
from movierank_core.features.movie_facts import FactsOverTime, facts_moment
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import fit_state
from movierank_pipeline.training.requests import episode_moments
from movierank_pipeline.training.state_of_day import StateOfDay
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet

N_SAMPLED_REQUESTS: Final = 20
"""Maximum number of training requests that are recomputed."""


def sample_requests(training_set: TrainingSet) -> pl.DataFrame:
    """All rows of up to N_SAMPLED_REQUESTS requests, spread evenly over the first episode."""
    first = training_set.frame.filter(pl.col("episode") == pl.col("episode").min())
    ids = first["request_id"].unique(maintain_order=True)
    chosen = ids[np.unique(np.linspace(0, len(ids) - 1, min(N_SAMPLED_REQUESTS, len(ids))).astype(int))]
    return first.filter(pl.col("request_id").is_in(chosen.implode()))


def compare_training_rows(
    rows: pl.DataFrame,
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    ranker: TrainedRanker,
    config: ModelConfig,
) -> tuple[int, int]:
    """Counts training rows that differ when recomputed: (from past events alone, by the serving code).

    `rows` are training rows of one episode. `interactions` are the INTERACTIONS that they were made from.
    The first count recomputes each row from tables without any event at or after the origin (sources), at or
    after the midnight before the request (facts of movies), or of the user at or after the request (history):
    a difference is leakage. The second count scores the request as the service does, with facts of the whole
    table at that midnight: a difference is training/serving skew.
    """
    data = InteractionArrays.from_frame(interactions, catalogue)
    episode = int(rows["episode"][0])
    origin = episode_moments(data, config)[episode]
    before_origin = interactions.filter(pl.col("timestamp") < origin)
    state = fit_state(
        InteractionArrays.from_frame(before_origin, catalogue), catalogue, to_epoch(origin), config
    )
    model = ranker.on(catalogue, state)
    served = StateOfDay(state.with_fusion(ranker.fusion), FactsOverTime.of(data, len(catalogue)))
    n_future, n_serving = 0, 0
    for request in rows.partition_by("request_id", maintain_order=True):
        user_id, moment = request["user_id"][0], request["as_of"][0]
        as_of = to_epoch(moment)
        earlier = interactions.filter(pl.col("user_id") == user_id, pl.col("timestamp") < moment)
        history = (
            InteractionArrays.from_frame(earlier, catalogue).history(0) if len(earlier) else History.empty()
        )
        of_facts = facts_moment(as_of, state.as_of)
        past = interactions.filter(pl.col("timestamp") < from_epoch(of_facts))
        facts = FactsOverTime.of(InteractionArrays.from_frame(past, catalogue), len(catalogue)).at(of_facts)
        of_day = model.state.with_facts(facts)
        found = candidate_rows(of_day, catalogue, history, as_of, ranker.features)
        n_future += n_different(request, found.candidates.rows, found.matrix, catalogue, ranker)
        user = int(np.searchsorted(data.user_ids, user_id))
        serving = replace(model, state=served.at(as_of))
        scored = serving.score(data.history(user, as_of), as_of=as_of)
        if scored.features is not None:  # An empty history gets popularity, without features.
            n_serving += n_different(request, scored.rows, scored.features, catalogue, ranker)
    return n_future, n_serving


def n_different(
    request: pl.DataFrame,
    rows: NDArray[np.int64],
    matrix: NDArray[np.float32],
    catalogue: Catalogue,
    ranker: TrainedRanker,
) -> int:
    """Counts rows of one request that are missing from, or differ in, the recomputation.

    `rows` are the recomputed candidates and `matrix` their features, [len(rows), n_features]. More candidates
    than in training are no difference: training keeps the best-fused ones only.
    """
    names = [feature.name for feature in ranker.features]
    found = dict(zip(catalogue.movie_ids[rows].tolist(), matrix, strict=True))
    return sum(
        movie_id not in found or not np.array_equal(found[movie_id], features, equal_nan=True)
        for movie_id, features in zip(request["movie_id"], request.select(names).to_numpy(), strict=True)
    )
