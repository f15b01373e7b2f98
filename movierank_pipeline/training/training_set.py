"""Training rows: the candidates of each replayed request, their features, and whether they were liked."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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

REQUEST_KEYS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "request_id": pl.Int64,
    "episode": pl.Int32,
    "role": pl.Enum(["train", "validation"]),
    "user_id": pl.Int64,
    "as_of": pl.Int64,
}
KEYS: Final = (*REQUEST_KEYS, "movie_id", "label", "rating", "like_share", "is_fused")
"""The columns of a training row besides its features."""
FIT: Final = "fit sources"
ROWS: Final = "training rows"
KEPT_WHEN_THINNED: Final = 0.75
"""Share of the negatives per request that stay each time that there are too many rows."""
BLOCK_ROWS: Final = 200_000
"""Minimum number of rows per block of `TrainingRows`. The features of a smaller block would be below 32 MB,
and the C library may keep such memory when it is freed."""


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
        self._blocks: list[_Block] = []
        self._latest: list[_Block] = []
        """Blocks of one request each that are not joined yet."""
        self._n_latest = 0

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
        self._latest.append(
            _Block(
                requests=[tuple(getattr(request, key) for key in REQUEST_KEYS)],
                like_shares=[found.query.like_share],
                sizes=[len(rows)],
                n_fused=[int((kept < found.candidates.n_fused).sum())],
                movie_ids=self._catalogue.movie_ids[rows],
                labels=is_target,
                ratings=np.array([later.get(row, np.nan) for row in rows.tolist()], np.float32),
                matrix=found.matrix[kept],
            )
        )
        self._n_latest += len(rows)
        if self._n_latest >= BLOCK_ROWS:
            self._join_latest()
        if request.role == "train":
            self._n_training_rows += len(kept)
            while self._n_training_rows > self._config.max_training_rows and self._n_negatives > 1:
                self._thin()

    def _join_latest(self) -> None:
        """Joins the requests since the last block into one."""
        if self._latest:
            self._blocks.append(_Block.joined(self._latest))
            self._latest.clear()
            self._n_latest = 0

    def _thin(self) -> None:
        """Drops negatives of the training requests at random; a share of KEPT_WHEN_THINNED stays."""
        self._join_latest()
        self._n_negatives = max(int(self._n_negatives * KEPT_WHEN_THINNED), 1)
        for index, block in enumerate(self._blocks):
            self._blocks[index] = block.thinned(self._n_negatives, self._rng)
        self._n_training_rows = sum(block.n_training_rows for block in self._blocks)

    def training_set(self) -> TrainingSet:
        """The collected rows. The collector is empty afterwards."""
        self._join_latest()
        features = [feature.name for feature in self._features]
        frames = [_Block.nothing(len(features)).frame(features)]
        self._blocks.reverse()
        while self._blocks:
            # A block is freed once it is a frame: all rows as blocks and as frames would double the memory.
            frames.append(self._blocks.pop().frame(features))
        return TrainingSet(pl.concat(frames, rechunk=False), self._fusion or {})


@dataclass(frozen=True)
class _Block:
    """The rows of some requests, one request after the other."""

    requests: list[tuple[object, ...]]
    """The values of REQUEST_KEYS per request."""
    like_shares: list[float]
    """Share of likes of the user, per request."""
    sizes: list[int]
    """Number of rows per request."""
    n_fused: list[int]
    """Number of fused candidates per request. They come first."""
    movie_ids: NDArray[np.int64]
    labels: NDArray[np.bool_]
    ratings: NDArray[np.float32]
    matrix: NDArray[np.float32]
    """[n_rows, n_features]."""

    @classmethod
    def nothing(cls, n_features: int) -> "_Block":
        """The block without a request."""
        empty = np.zeros((0, n_features), np.float32)
        return cls([], [], [], [], np.zeros(0, np.int64), np.zeros(0, np.bool_), empty[:, 0], empty)

    @classmethod
    def joined(cls, blocks: list["_Block"]) -> "_Block":
        """The requests of all `blocks`, at least one, in order."""
        return cls(
            requests=[request for block in blocks for request in block.requests],
            like_shares=[share for block in blocks for share in block.like_shares],
            sizes=[size for block in blocks for size in block.sizes],
            n_fused=[n for block in blocks for n in block.n_fused],
            movie_ids=np.concatenate([block.movie_ids for block in blocks]),
            labels=np.concatenate([block.labels for block in blocks]),
            ratings=np.concatenate([block.ratings for block in blocks]),
            matrix=np.concatenate([block.matrix for block in blocks]),
        )

    @property
    def is_training(self) -> list[bool]:
        """Per request, whether it is a training request."""
        role = list(REQUEST_KEYS).index("role")
        return [request[role] == "train" for request in self.requests]

    @property
    def n_training_rows(self) -> int:
        return sum(size for size, trains in zip(self.sizes, self.is_training, strict=True) if trains)

    def thinned(self, n_negatives: int, rng: np.random.Generator) -> "_Block":
        """The same requests; each training request keeps at most `n_negatives` negatives, drawn at random."""
        kept, sizes, n_fused, start = [np.zeros(0, np.int64)], [], [], 0
        for size, n, trains in zip(self.sizes, self.n_fused, self.is_training, strict=True):
            if trains:
                kept.append(
                    start + with_sampled_negatives(self.labels[start : start + size], n_negatives, rng)
                )
                n = len(kept[-1])  # A training request has fused candidates alone.
            else:
                kept.append(np.arange(start, start + size))
            sizes.append(len(kept[-1]))
            n_fused.append(n)
            start += size
        rows = np.concatenate(kept)
        return replace(
            self,
            sizes=sizes,
            n_fused=n_fused,
            movie_ids=self.movie_ids[rows],
            labels=self.labels[rows],
            ratings=self.ratings[rows],
            matrix=self.matrix[rows],
        )

    def frame(self, features: list[str]) -> pl.DataFrame:
        """The rows as a table of KEYS and `features`."""
        sizes = np.array(self.sizes, np.int64)
        keys = pl.DataFrame(self.requests, schema=REQUEST_KEYS, orient="row")
        return keys[np.repeat(np.arange(len(sizes)), sizes)].with_columns(
            pl.from_epoch("as_of", "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
            pl.Series("movie_id", self.movie_ids),
            pl.Series("label", self.labels.astype(np.int8)),
            pl.Series("rating", self.ratings).fill_nan(None),
            pl.Series("like_share", np.repeat(np.array(self.like_shares, np.float32), sizes)),
            pl.Series("is_fused", _index_within(sizes) < np.repeat(np.array(self.n_fused, np.int64), sizes)),
            *(
                pl.Series(name, np.ascontiguousarray(self.matrix[:, column]))
                for column, name in enumerate(features)
            ),
        )


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
