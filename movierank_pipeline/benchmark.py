"""The given-split protocol: any train and test file, everything fitted on the train file alone.

Every user of the test file asks once, with all of their train rows as history. The trees are trained by
hiding parts of the train file the way the test part was hidden, so that the sources behind a training row
never saw its label and are about as dense as in the test.
"""

import resource
import time
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.catalogue import Catalogue
from movierank_core.config import ModelConfig
from movierank_core.history import LIKE_THRESHOLD, History
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.model import RankingModel
from movierank_core.retrieval.sources import best_rows
from movierank_core.state import fit_state
from movierank_pipeline.evaluation.metrics import (
    average_precision,
    coverage,
    hits_of,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from movierank_pipeline.evaluation.systems import DEPTH, MAIN, RANDOM
from movierank_pipeline.training import TrainedRanker, train_ranker
from movierank_pipeline.training_set import Request, TrainingRows

Relevance = Literal["all", "liked"]
Progress = Callable[[str], None] | None

N_FOLDS = 8
"""Of the random hold-out: sources for training rows keep 7/8 of the data."""
LAST_POSITIONS = 5
"""Of the sequential hold-out: hidden at the end of each user; the last of them is validation."""
MIN_PREFIX = 3
"""Events that a user keeps before the hidden ones."""
SEQUENTIAL_SHARE = 0.9
"""If so many test rows come after all of their user's train rows, the test is a continuation."""


class BenchmarkReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `movierank benchmark` writes."""

    systems: dict[str, dict[str, float]]
    n_users: int
    holdout: str
    """`random` or `sequential`: the form of the test part, which training imitates."""
    seconds: dict[str, float]
    peak_memory_mb: float


def run_benchmark(
    train: pl.DataFrame,
    test: pl.DataFrame,
    catalogue: Catalogue,
    *,
    relevance: Relevance,
    k: int,
    config: ModelConfig,
    progress: Progress = None,
) -> BenchmarkReport:
    """Fit on `train` (INTERACTIONS), rank for every user of `test` (RATINGS), and judge.

    Lists come from the full catalogue less the user's train movies. `all` counts every test row as
    relevant, `liked` those rated at least 4; users without relevant rows are left out. Timestamps may be
    only an order.
    """
    started = time.perf_counter()
    data = InteractionArrays.from_frame(train, catalogue)
    as_of = int(data.timestamps.max(initial=0)) + 1
    holdout = "sequential" if is_continuation(train, test) else "random"
    parts = _sequential_parts(data) if holdout == "sequential" else _random_parts(data, config.seed)
    ranker = _fit_ranker(data, catalogue, parts, relevance, as_of, config, progress)
    if progress is not None:
        progress("fitting the candidate sources on all train rows")
    state = fit_state(data, catalogue, as_of, config)
    model = RankingModel(catalogue, state, ranker.features, ranker.trees, ranker.calibration)
    fitted = time.perf_counter()
    relevant = test if relevance == "all" else test.filter(pl.col("rating") >= LIKE_THRESHOLD)
    requests = relevant.group_by("user_id").agg("movie_id").sort("user_id")
    ranked, targets = _rank_all(model, data, requests, as_of, config.seed, max(DEPTH, k), progress)
    finished = time.perf_counter()
    n_relevant = np.array([len(rows) for rows in targets], np.int64)
    systems = {}
    for name, lists in ranked.items():
        hits = hits_of(lists, targets)
        systems[name] = {
            f"ndcg@{k}": float(np.nanmean(ndcg(hits, n_relevant, k))),
            f"precision@{k}": float(np.nanmean(precision(hits, n_relevant, k))),
            f"recall@{k}": float(np.nanmean(recall(hits, n_relevant, k))),
            f"map@{k}": float(np.nanmean(average_precision(hits, n_relevant, k))),
            "mrr": float(np.nanmean(reciprocal_rank(hits, n_relevant))),
            "recall@100": float(np.nanmean(recall(hits, n_relevant, 100))),
            f"coverage@{k}": coverage(lists, len(catalogue), k),
        }
    return BenchmarkReport(
        systems=systems,
        n_users=len(requests),
        holdout=holdout,
        seconds={"fit": fitted - started, "rank": finished - fitted},
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def is_continuation(train: pl.DataFrame, test: pl.DataFrame) -> bool:
    """Whether the test rows come after their users' train rows, by time alone.

    Only the form of the split is looked at, never which movies are in it: whoever deploys a ranker knows
    whether it is to predict what comes next or what is missing.
    """
    last = train.group_by("user_id").agg(pl.col("timestamp").max().alias("last"))
    first = train.group_by("user_id").agg(pl.col("timestamp").min().alias("first"))
    joined = test.join(last, on="user_id").join(first, on="user_id")
    spread = joined.filter(pl.col("last") > pl.col("first"))
    if spread.is_empty():
        return False
    return float((spread["timestamp"] >= spread["last"]).mean() or 0.0) >= SEQUENTIAL_SHARE  # type: ignore[arg-type]


class _Part(msgspec.Struct):
    """One way of hiding events: what sources may see, and who asks for what."""

    visible: NDArray[np.bool_]
    requests: list[tuple[str, int, NDArray[np.int64], NDArray[np.int64]]]
    """(role, dense user, positions of the history, positions of the hidden events)."""


def _random_parts(data: InteractionArrays, seed: int) -> Iterator[_Part]:
    """Folds drawn within each movie; the last one is validation."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(data))
    by_movie = shuffled[np.argsort(data.rows[shuffled], kind="stable")]
    fold = np.empty(len(data), np.int64)
    fold[by_movie] = (np.arange(len(data)) + rng.integers(N_FOLDS)) % N_FOLDS
    for number in range(N_FOLDS):
        visible = fold != number
        role = "validation" if number == N_FOLDS - 1 else "train"
        requests = []
        for user in range(len(data.user_ids)):
            positions = np.arange(data.offsets[user], data.offsets[user + 1])
            hidden = positions[~visible[positions]]
            if len(hidden):
                requests.append((role, user, positions[visible[positions]], hidden))
        yield _Part(visible=visible, requests=requests)


def _sequential_parts(data: InteractionArrays) -> Iterator[_Part]:
    """The last events of each user, one after another, each predicted from all before it."""
    visible = np.ones(len(data), np.bool_)
    requests = []
    for user in range(len(data.user_ids)):
        start, stop = int(data.offsets[user]), int(data.offsets[user + 1])
        n_hidden = min(LAST_POSITIONS, stop - start - MIN_PREFIX)
        for back in range(n_hidden, 0, -1):
            target = stop - back
            visible[target] = False
            role = "validation" if back == 1 else "train"
            requests.append((role, user, np.arange(start, target), np.array([target])))
    yield _Part(visible=visible, requests=requests)


def _fit_ranker(
    data: InteractionArrays,
    catalogue: Catalogue,
    parts: Iterator[_Part],
    relevance: Relevance,
    as_of: int,
    config: ModelConfig,
    progress: Progress,
) -> TrainedRanker:
    rows = TrainingRows(catalogue, config)
    number = 0
    for episode, part in enumerate(parts):
        if progress is not None:
            progress(f"training rows of part {episode}: {len(part.requests)} requests")
        state = fit_state(data.select(part.visible), catalogue, as_of, config)
        for role, user, seen, hidden in part.requests:
            ratings = data.ratings[hidden]
            counted = hidden if relevance == "all" else hidden[ratings >= LIKE_THRESHOLD]
            if not len(counted):
                continue
            rows.add(
                Request(number, episode, role, int(data.user_ids[user]), as_of),
                state,
                _history(data, seen),
                data.rows[counted].astype(np.int64),
                dict(zip(data.rows[hidden].tolist(), ratings.tolist(), strict=True)),
            )
            number += 1
    return train_ranker(rows.frame(), config, progress)


def _history(data: InteractionArrays, positions: NDArray[np.int64]) -> History:
    return History(
        data.movie_ids[positions],
        data.ratings[positions],
        data.timestamps[positions],
        data.event_codes[positions],
    )


def _rank_all(
    model: RankingModel,
    data: InteractionArrays,
    requests: pl.DataFrame,
    as_of: int,
    seed: int,
    depth: int,
    progress: Progress,
) -> tuple[dict[str, NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Per system [n_requests, depth] rows, and the target rows of every request."""
    rng = np.random.default_rng(seed)
    users = {int(user_id): number for number, user_id in enumerate(data.user_ids)}
    ranked = {
        name: np.full((len(requests), depth), -1, np.int64) for name in (MAIN, *model.state.sources, RANDOM)
    }
    targets = []
    for place, (user_id, movie_ids) in enumerate(requests.iter_rows()):
        if progress is not None and place % 1000 == 0:
            progress(f"ranking for user {place} of {len(requests)}")
        history = data.history(users[user_id]) if user_id in users else History.empty()
        scored = model.score(history, as_of=as_of)
        mask = model.eligible(scored.query)
        lists = {
            name: best_rows(source.scores(scored.query), mask, depth)
            for name, source in model.state.sources.items()
        }
        lists[MAIN] = scored.rows
        lists[RANDOM] = rng.permutation(np.flatnonzero(mask))
        for name, rows in lists.items():
            n = min(len(rows), depth)
            ranked[name][place, :n] = rows[:n]
        rows = model.catalogue.rows_of(movie_ids)
        # A test movie that the catalogue does not have stays a target that nobody finds.
        targets.append(rows)
    return ranked, targets
