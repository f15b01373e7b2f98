"""Training rows: the candidates of each replayed request, their features, and whether they were liked."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.feature import SOURCE_PREFIX
from movierank_core.features.movie_facts import FactsOverTime
from movierank_core.features.movie_state import MovieState
from movierank_core.features.registry import feature_list
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.training.fusion_weights import measure_fusion
from movierank_pipeline.training.requests import FactsMode, Request, facts_over_time, fit_moments, replay
from movierank_pipeline.training.stage_times import StageTimes
from movierank_pipeline.training.state_cache import FittedStates
from movierank_pipeline.training.state_of_day import StateOfDay

REQUEST_KEYS: Final = {
    "request_id": pl.Int64,
    "episode": pl.Int32,
    "role": pl.String,
    "user_id": pl.Int64,
    "as_of": pl.Int64,
}
KEYS: Final = (*REQUEST_KEYS, "movie_id", "label", "rating", "like_share", "is_fused")
"""The columns of a training row besides its features."""
FIT: Final = "fit sources"
ROWS: Final = "training rows"
KEPT_WHEN_THINNED: Final = 0.75
"""Share of the negatives per request that stay each time that there are too many rows."""


@dataclass(frozen=True)
class TrainingSet:
    """The rows that a ranker is trained on."""

    frame: pl.DataFrame
    """KEYS and the features: one row per candidate, grouped by request, highest fused score first."""
    fusion: dict[str, float]
    """The source weights that fused these candidates. Serving uses the same weights."""

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.frame.write_parquet(folder / "rows.parquet")
        (folder / "fusion.json").write_text(json.dumps(self.fusion, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        fusion = json.loads((folder / "fusion.json").read_text("utf-8"))
        return cls(pl.read_parquet(folder / "rows.parquet"), fusion)


class Episode(NamedTuple):
    """Training requests that one fitted state answers."""

    name: str
    """Key of the state in a cache of fitted states."""
    title: str
    """Shown as progress."""
    data: InteractionArrays
    as_of: int
    """The state is fitted on the events of `data` strictly before this moment, in seconds since 1970."""
    requests: Callable[[RankingState], Iterable[Request]]
    """The requests, given the state."""
    facts: FactsOverTime | None = None
    """Facts of movies by moment: each request sees those of the midnight before it. None: the state's own."""
    movies: MovieState | None = None
    """The movie state at `as_of` where it is at hand; else it is fitted with the sources."""


def temporal_episodes(
    data: InteractionArrays,
    requests: pl.DataFrame,
    catalogue: Catalogue,
    config: ModelConfig,
    movies: Mapping[int, MovieState] | None = None,
    facts: FactsMode = "day",
) -> Iterator[Episode]:
    """One episode per origin, with the `train` and `validation` requests of `requests` (REQUESTS).

    The later ratings of a request end at the next origin. `movies` are movie states by fit moment. `facts`
    must be the mode that the requests were planned with.
    """
    over_time = facts_over_time(data, catalogue, facts)
    moments = fit_moments(data, config)
    training = requests.filter(pl.col("role") != "test")
    for (key,), group in training.group_by("episode", maintain_order=True):
        episode = int(str(key))
        stop = moments[episode + 1]
        yield Episode(
            name=f"origin-{episode}",
            title=f"origin {episode}: {len(group)} requests",
            data=data,
            as_of=moments[episode],
            requests=lambda state, group=group, stop=stop: replay(group, data, catalogue, stop),  # type: ignore[misc]
            facts=over_time,
            movies=(movies or {}).get(moments[episode]),
        )


def training_rows(
    episodes: Iterable[Episode],
    catalogue: Catalogue,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
    *,
    without: tuple[str, ...] = (),
    states: FittedStates | None = None,
    times: StageTimes | None = None,
) -> TrainingSet:
    """One row per candidate of every request of `episodes`, grouped by request.

    `label` is 1 where the movie is a target. `rating` is the user's later rating, null without one, and
    `is_fused` is false for a little-known movie that is scored beside the fused candidates. A training
    request keeps its `training_depth` best-fused candidates, liked or not: dropping low-ranked negatives
    alone would teach the ranker that low-ranked movies are liked more often (docs/why.md). Where the
    rows would exceed `max_training_rows`, every request keeps fewer of its negatives, drawn at random from
    all these ranks alike. Training requests without a target among these rows are left out. Validation
    requests keep all candidates, as in serving. The fusion weights are measured on the requests of the first
    episode. Sources among `without` (`source:als`) propose nothing.
    """
    states = states or FittedStates()
    times = times or StageTimes()
    rows = TrainingRows(catalogue, config, without)
    for episode in episodes:
        if progress is not None:
            progress(f"training rows of {episode.title}")
        fit = partial(fit_state, episode.data, catalogue, episode.as_of, config, movies=episode.movies)
        state = states.get(episode.name, fit)
        times.lap(FIT)
        rows.add(state, list(episode.requests(state)), episode.facts)
        times.lap(ROWS)
    return rows.training_set()


def build_training_set(
    data: InteractionArrays,
    requests: pl.DataFrame,
    catalogue: Catalogue,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
    *,
    without: tuple[str, ...] = (),
    states: FittedStates | None = None,
    facts: FactsMode = "day",
) -> TrainingSet:
    """`training_rows` of the `train` and `validation` requests of `plan_requests`, in the same mode."""
    episodes = temporal_episodes(data, requests, catalogue, config, facts=facts)
    return training_rows(episodes, catalogue, config, progress, without=without, states=states)


class TrainingRows:
    """Collects the rows of one request after another. See `training_rows` for the rows that are kept."""

    def __init__(self, catalogue: Catalogue, config: ModelConfig, without: tuple[str, ...] = ()) -> None:
        """Sources among `without` (`source:als`) propose nothing."""
        self._silent = [
            part.removeprefix(SOURCE_PREFIX) for part in without if part.startswith(SOURCE_PREFIX)
        ]
        self._catalogue = catalogue
        self._config = config
        self._features = feature_list(without=())  # Groups that are off by default are included.
        self._rng = np.random.default_rng(config.seed)
        self._n_negatives = config.training_depth
        self._n_training_rows = 0
        self._fusion: dict[str, float] | None = None
        self._requests: list[tuple[object, ...]] = []
        self._sizes: list[int] = []
        self._like_shares: list[float] = []
        self._n_fused: list[int] = []
        self._movie_ids: list[NDArray[np.int64]] = []
        self._labels: list[NDArray[np.bool_]] = []
        self._ratings: list[NDArray[np.float32]] = []
        self._matrices: list[NDArray[np.float32]] = []

    def add(self, state: RankingState, requests: list[Request], facts: FactsOverTime | None = None) -> None:
        """Adds requests that `state` answers. The first call also measures the fusion weights.

        With `facts`, each request sees those of the midnight before it.
        """
        if self._fusion is None:
            measured = measure_fusion(
                StateOfDay(state, facts),
                self._catalogue,
                ((each.history, each.as_of, each.targets) for each in requests),
                config=self._config,
            )
            self._fusion = {**measured, **dict.fromkeys(self._silent, 0.0)}
        of_day = StateOfDay(state.with_fusion(self._fusion), facts)
        for request in requests:
            self._add(of_day.at(request.as_of), request)

    def _add(self, state: RankingState, request: Request) -> None:
        found = candidate_rows(state, self._catalogue, request.history, request.as_of, self._features)
        depth = len(found.matrix)
        if request.role == "train":
            depth = min(self._config.training_depth, found.candidates.n_fused)
        kept = np.arange(depth)
        is_target = np.isin(found.candidates.rows[:depth], request.targets)
        if request.role == "train":
            if not is_target.any():
                return
            kept = with_sampled_negatives(is_target, self._n_negatives, self._rng)
        rows, is_target = found.candidates.rows[kept], is_target[kept]
        later = request.later_ratings
        self._requests.append(tuple(getattr(request, key) for key in REQUEST_KEYS))
        self._sizes.append(len(rows))
        self._like_shares.append(found.query.like_share)
        self._movie_ids.append(self._catalogue.movie_ids[rows])
        self._labels.append(is_target)
        self._ratings.append(np.array([later.get(row, np.nan) for row in rows.tolist()], np.float32))
        self._n_fused.append(int((kept < found.candidates.n_fused).sum()))
        self._matrices.append(found.matrix[kept])
        if request.role == "train":
            self._n_training_rows += len(kept)
            while self._n_training_rows > self._config.max_training_rows and self._n_negatives > 1:
                self._thin()

    def _thin(self) -> None:
        """Drops negatives of the training requests at random; a share of KEPT_WHEN_THINNED stays."""
        self._n_negatives = max(int(self._n_negatives * KEPT_WHEN_THINNED), 1)
        role = list(REQUEST_KEYS).index("role")
        self._n_training_rows = 0
        for index, request in enumerate(self._requests):
            if request[role] == "train":
                kept = with_sampled_negatives(self._labels[index], self._n_negatives, self._rng)
                for rows in (self._movie_ids, self._labels, self._ratings, self._matrices):
                    rows[index] = rows[index][kept]  # type: ignore[assignment]
                self._sizes[index] = self._n_fused[index] = len(kept)
                self._n_training_rows += len(kept)

    def training_set(self) -> TrainingSet:
        """The collected rows. The collector is empty afterwards."""
        sizes = np.array(self._sizes, np.int64)
        keys = pl.DataFrame(self._requests, schema=REQUEST_KEYS, orient="row")
        request_of_row = np.repeat(np.arange(len(sizes)), sizes)
        features = [feature.name for feature in self._features]
        empty = np.zeros(0, np.float32)
        frame = keys[request_of_row].with_columns(
            pl.from_epoch("as_of", "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
            pl.Series("movie_id", np.concatenate([np.zeros(0, np.int64), *self._movie_ids])),
            pl.Series("label", np.concatenate([np.zeros(0, np.bool_), *self._labels]).astype(np.int8)),
            pl.Series("rating", np.concatenate([np.zeros(0, np.float32), *self._ratings])).fill_nan(None),
            pl.Series("like_share", np.repeat(np.array(self._like_shares, np.float32), sizes)),
            pl.Series("is_fused", _index_within(sizes) < np.repeat(np.array(self._n_fused, np.int64), sizes)),
            # One column after the other: the matrix of all rows beside its parts would double the memory.
            *(
                pl.Series(name, np.concatenate([empty, *(matrix[:, column] for matrix in self._matrices)]))
                for column, name in enumerate(features)
            ),
        )
        self._matrices.clear()
        return TrainingSet(frame, self._fusion or {})


def with_sampled_negatives(
    is_target: NDArray[np.bool_], n_negatives: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Ascending indices of all targets and of at most `n_negatives` others, drawn at random."""
    negatives = np.flatnonzero(~is_target)
    if len(negatives) > n_negatives:
        negatives = rng.choice(negatives, n_negatives, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(is_target), negatives]))


def _index_within(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per row its index within its group; groups of `sizes` follow one another."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
