"""The given-split protocol: any train and test file, everything fitted on the train file alone.

Every user of the test file asks once, with all of their train rows as history. The trees are trained by
hiding parts of the train file the way the test part was hidden, so that the sources behind a training row
never saw its label and are about as dense as in the test.
"""

import resource
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import LIKE_THRESHOLD, History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.state import fit_state
from movierank_core.retrieval.fusion import proposals_of
from movierank_pipeline.evaluation.answers import DEPTH, RANDOM
from movierank_pipeline.evaluation.bootstrap import Difference
from movierank_pipeline.evaluation.compare import MAIN, compare
from movierank_pipeline.ranking_metrics import coverage, hits_of
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.training_set import Example, Request, TrainingRows, TrainingSet

Relevance = Literal["all", "liked"]
Progress = Callable[[str], None] | None

N_FOLDS: Final = 8
"""Of the random hold-out: sources for training rows keep 7/8 of the data."""
MIN_LAST_POSITIONS: Final = 5
MAX_LAST_POSITIONS: Final = 20
"""Of the sequential hold-out: hidden at the end of each user, as many as give all the requests that the
configuration allows, within these bounds; the last of them is validation. With few users five each teach too
little: on validation splits of 610 users, twenty raised nDCG@10 from 0.109 to 0.114."""
MIN_PREFIX: Final = 3
"""Events that a user keeps before the hidden ones."""
SEQUENTIAL_SHARE: Final = 0.9
"""If so many test rows come after all of their user's train rows, the test is a continuation."""


class BenchmarkReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `movierank benchmark` writes."""

    systems: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    """The 95 % interval of each figure over users; coverage is of all lists together and has none."""
    differences: dict[str, dict[str, Difference]]
    """By metric, then system: the ranker minus that system, paired by user."""
    n_users: int
    holdout: str
    """`random` or `sequential`: the form of the test part, which training imitates."""
    n_training_requests: int
    n_trees: int
    seconds: dict[str, float]
    """`fit` and `rank`."""
    stages: dict[str, float]
    """Where the seconds of `fit` went."""
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
    clock = _Clock()
    data = InteractionArrays.from_frame(train, catalogue)
    as_of = int(data.timestamps.max(initial=0)) + 1
    holdout = "sequential" if is_continuation(train, test) else "random"
    parts = _sequential_parts(data, config) if holdout == "sequential" else _random_parts(data, config.seed)
    rows = _training_rows(data, catalogue, parts, relevance, as_of, config, clock, progress)
    ranker = train_ranker(rows, config, progress)
    clock.lap("train the ranker")
    if progress is not None:
        progress("fitting the candidate sources on all train rows")
    model = ranker.on(catalogue, fit_state(data, catalogue, as_of, config))
    clock.lap("fit sources")
    relevant = test if relevance == "all" else test.filter(pl.col("rating") >= LIKE_THRESHOLD)
    requests = relevant.group_by("user_id").agg("movie_id").sort("user_id")
    ranked, targets = _rank_all(model, data, requests, as_of, config.seed, max(DEPTH, k), progress)
    clock.lap("rank")
    compared = compare(
        {name: hits_of(lists, targets) for name, lists in ranked.items()},
        np.array([len(rows) for rows in targets], np.int64),
        requests["user_id"].to_numpy(),
        seed=config.seed,
        k=k,
    )
    stages = {name: seconds for name, seconds in clock.laps.items() if name != "rank"}
    return BenchmarkReport(
        systems={
            name: {
                **{metric: interval.mean for metric, interval in figures.items()},
                f"coverage@{k}": coverage(ranked[name], len(catalogue), k),
            }
            for name, figures in compared.systems.items()
        },
        intervals={
            name: {metric: (interval.low, interval.high) for metric, interval in figures.items()}
            for name, figures in compared.systems.items()
        },
        differences=compared.differences,
        n_users=len(requests),
        holdout=holdout,
        n_training_requests=int(ranker.metrics["n_training_requests"]),
        n_trees=int(ranker.metrics["n_trees"]),
        seconds={"fit": sum(stages.values()), "rank": clock.laps["rank"]},
        stages=stages,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What passed since the last lap belongs to `stage`."""
        now = time.perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self._last
        self._last = now


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


class _Hidden(NamedTuple):
    """A request for what was hidden from a user's events."""

    role: str
    user: int
    """Dense."""
    seen: NDArray[np.int64]
    """Positions of the history."""
    hidden: NDArray[np.int64]
    """Positions of the hidden events."""


class _Part(NamedTuple):
    """One way of hiding events: what sources may see, and who asks for what."""

    visible: NDArray[np.bool_]
    requests: list[_Hidden]
    n_alike: int
    """Parts with training requests in all, among which these are shared out."""


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
                requests.append(_Hidden(role, user, positions[visible[positions]], hidden))
        yield _Part(visible, requests, N_FOLDS - 1)


def _sequential_parts(data: InteractionArrays, config: ModelConfig) -> Iterator[_Part]:
    """The last events of each user, at most half of them, one after another, each
    predicted from all before it."""
    wanted = config.max_benchmark_requests // max(len(data.user_ids), 1)
    n_last = min(max(wanted, MIN_LAST_POSITIONS), MAX_LAST_POSITIONS)
    visible = np.ones(len(data), np.bool_)
    requests = []
    for user in range(len(data.user_ids)):
        start, stop = int(data.offsets[user]), int(data.offsets[user + 1])
        n_events = stop - start
        n_hidden = min(n_last, max(n_events // 2, 1), n_events - MIN_PREFIX)
        for back in range(n_hidden, 0, -1):
            target = stop - back
            visible[target] = False
            role = "validation" if back == 1 else "train"
            requests.append(_Hidden(role, user, np.arange(start, target), np.array([target])))
    yield _Part(visible, requests, 1)


def _training_rows(
    data: InteractionArrays,
    catalogue: Catalogue,
    parts: Iterator[_Part],
    relevance: Relevance,
    as_of: int,
    config: ModelConfig,
    clock: _Clock,
    progress: Progress,
) -> TrainingSet:
    """Rows of every part, from a seeded sample of users where all would be too many requests."""
    rng = np.random.default_rng(config.seed)
    rows = TrainingRows(catalogue, config)
    number = 0
    for episode, part in enumerate(parts):
        requests = [
            each
            for each in part.requests
            if relevance == "all" or (data.ratings[each.hidden] >= LIKE_THRESHOLD).any()
        ]
        limits = {
            "train": config.max_benchmark_requests * (N_FOLDS - 1) // N_FOLDS // part.n_alike,
            "validation": config.max_benchmark_requests // N_FOLDS,
        }
        requests = [each for role, limit in limits.items() for each in _some(requests, role, limit, rng)]
        if progress is not None:
            progress(f"training rows of part {episode + 1}: {len(requests)} requests")
        state = fit_state(data.select(part.visible), catalogue, as_of, config)
        clock.lap("fit sources")
        examples = []
        for role, user, seen, hidden in requests:
            ratings = data.ratings[hidden]
            counted = hidden if relevance == "all" else hidden[ratings >= LIKE_THRESHOLD]
            examples.append(
                Example(
                    Request(number, episode, role, int(data.user_ids[user]), as_of),
                    _history(data, seen),
                    data.rows[counted].astype(np.int64),
                    dict(zip(data.rows[hidden].tolist(), ratings.tolist(), strict=True)),
                )
            )
            number += 1
        rows.add(state, examples)
        clock.lap("training rows")
    return rows.training_set()


def _some(requests: list[_Hidden], role: str, limit: int, rng: np.random.Generator) -> list[_Hidden]:
    """The requests of a role in their order, a random `limit` of them where there are more."""
    of_role = [each for each in requests if each.role == role]
    if len(of_role) <= limit:
        return of_role
    return [of_role[place] for place in np.sort(rng.choice(len(of_role), limit, replace=False))]


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
            name: proposals_of(source, source.scores(scored.query), mask, depth)
            for name, source in model.state.sources.items()
        }
        lists[MAIN] = scored.listed
        lists[RANDOM] = rng.permutation(np.flatnonzero(mask))
        for name, rows in lists.items():
            n = min(len(rows), depth)
            ranked[name][place, :n] = rows[:n]
        rows = model.catalogue.rows_of(movie_ids)
        # A test movie that the catalogue does not have stays a target that nobody finds.
        targets.append(rows)
    return ranked, targets
