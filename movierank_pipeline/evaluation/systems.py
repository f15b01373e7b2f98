"""Every system that is compared, on the same requests: the ranker, each source, their fusion, chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.history import LIKE_THRESHOLD
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.model import RankingModel
from movierank_core.point_in_time import to_epoch
from movierank_core.retrieval.sources import best_rows, fuse

DEPTH = 100
"""Places kept of every list."""
MAIN = "movierank"
FUSED = "fused"
RANDOM = "random"


@dataclass(frozen=True)
class Answers:
    """What every system answered to the same requests."""

    ranked: dict[str, NDArray[np.int64]]
    """Per system [n_requests, DEPTH] catalogue rows, best first, -1 where a list is shorter."""
    targets: list[NDArray[np.int64]]
    """Target rows per request."""
    user_ids: NDArray[np.int64]
    history_lengths: NDArray[np.int64]
    predicted: NDArray[np.float64]
    """The main system's scores of movies that the user went on to rate, over all requests."""
    liked: NDArray[np.bool_]
    """Whether they liked them."""


def answer_requests(
    model: RankingModel,
    data: InteractionArrays,
    requests: pl.DataFrame,
    *,
    until: int,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> Answers:
    """Replay `requests` (REQUESTS) through the serving code; likes and ratings count up to `until`."""
    users = {int(user_id): number for number, user_id in enumerate(data.user_ids)}
    rng = np.random.default_rng(seed)
    names = [MAIN, *model.state.sources, FUSED, RANDOM]
    ranked = {name: np.full((len(requests), DEPTH), -1, np.int64) for name in names}
    targets, lengths, predicted, liked = [], [], [], []
    n_movies = len(model.catalogue)
    is_known = model.state.is_known
    for number, request in enumerate(requests.iter_rows(named=True)):
        if progress is not None and number % 500 == 0:
            progress(f"request {number} of {len(requests)}")
        user = users[request["user_id"]]
        as_of = to_epoch(request["as_of"])
        history = data.history(user, as_of)
        scored = model.score(history, as_of=as_of)
        query = scored.query
        mask = model.eligible(query)
        proposals = {}
        for name, source in model.state.sources.items():
            proposals[name] = best_rows(source.scores(query), mask, model.state.n_per_source)
            _place(ranked[name], number, proposals[name])
        _place(ranked[FUSED], number, fuse(proposals, n_movies, DEPTH)[0])
        _place(ranked[RANDOM], number, rng.permutation(np.flatnonzero(mask & is_known)))
        _place(ranked[MAIN], number, scored.rows)
        targets.append(model.catalogue.rows_of(request["targets"]))
        lengths.append(len(query))
        later = _later_ratings(data, user, as_of, until)
        is_rated = ~np.isnan(ratings := later[scored.rows])
        predicted.append(scored.probabilities[is_rated])
        liked.append(ratings[is_rated] >= LIKE_THRESHOLD)
    return Answers(
        ranked=ranked,
        targets=targets,
        user_ids=requests["user_id"].to_numpy(),
        history_lengths=np.array(lengths, np.int64),
        predicted=np.concatenate(predicted) if predicted else np.zeros(0),
        liked=np.concatenate(liked) if liked else np.zeros(0, np.bool_),
    )


def _place(ranked: NDArray[np.int64], request: int, rows: NDArray[np.int64]) -> None:
    n = min(len(rows), DEPTH)
    ranked[request, :n] = rows[:n]


def _later_ratings(data: InteractionArrays, user: int, start: int, stop: int) -> "_RatingsByRow":
    part = slice(int(data.offsets[user]), int(data.offsets[user + 1]))
    later = (data.timestamps[part] >= start) & (data.timestamps[part] < stop) & (data.rows[part] >= 0)
    return _RatingsByRow(data.rows[part][later], data.ratings[part][later])


class _RatingsByRow:
    """The last rating per row of a few rows; NaN for the others."""

    def __init__(self, rows: NDArray[np.int32], ratings: NDArray[np.float32]) -> None:
        self._ratings = dict(zip(rows.tolist(), ratings.tolist(), strict=True))

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([self._ratings.get(row, float("nan")) for row in rows.tolist()], np.float64)
