"""Training rows: for each replayed request its candidates, their features and whether they were liked."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import to_epoch
from movierank_core.features.feature import SOURCE_PREFIX
from movierank_core.features.registry import feature_list
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.training.fusion_weights import measure_fusion
from movierank_pipeline.training.requests import episode_moments
from movierank_pipeline.training.state_cache import FittedStates

REQUEST_KEYS = {
    "request_id": pl.Int64,
    "episode": pl.Int32,
    "role": pl.String,
    "user_id": pl.Int64,
    "as_of": pl.Int64,
}
KEYS = (*REQUEST_KEYS, "movie_id", "label", "rating", "like_share")
"""What a row carries besides its features."""


@dataclass(frozen=True)
class TrainingSet:
    """What a ranker is trained on."""

    frame: pl.DataFrame
    """KEYS and the features; one row per candidate, grouped by request, best-fused first."""
    fusion: dict[str, float]
    """The weights of the sources that these candidates were fused with; serving has to use the same."""

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.frame.write_parquet(folder / "rows.parquet")
        (folder / "fusion.json").write_text(json.dumps(self.fusion, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        fusion = json.loads((folder / "fusion.json").read_text("utf-8"))
        return cls(pl.read_parquet(folder / "rows.parquet"), fusion)


def build_training_set(
    data: InteractionArrays,
    requests: pl.DataFrame,
    catalogue: Catalogue,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
    *,
    without: tuple[str, ...] = (),
    states: FittedStates | None = None,
) -> TrainingSet:
    """One row per candidate of every `train` and `validation` request, grouped by request.

    `label` is 1 where the movie is a target. `rating` is what the user went on to rate it, null if they
    did not. A training request keeps its `training_depth` best-fused candidates, liked or not: thinning out
    negatives alone, as is often done, tells the ranker that low-ranked movies are liked more than they
    are (docs/why.md). Training requests none of whose rows is a target teach nothing and are left out.
    Little-known movies that are candidates in any case are not kept: hardly ever could they be targets.
    Validation requests keep all candidates, as in serving. How much each source weighs in the fusion is
    measured on the requests of the first origin; the sources among `without` (`source:als`) propose nothing.
    """
    states = states or FittedStates()
    moments = [to_epoch(moment) for moment in episode_moments(data, config)]
    users = {int(user_id): number for number, user_id in enumerate(data.user_ids)}
    rows = TrainingRows(catalogue, config, without)
    wanted = requests.filter(pl.col("role") != "test")
    for (episode,), group in wanted.group_by("episode", maintain_order=True):
        if progress is not None:
            progress(f"training rows of origin {episode}: {len(group)} requests")
        fit = partial(fit_state, data, catalogue, moments[int(str(episode))], config)
        state = states.get(f"origin-{episode}", fit)
        examples = []
        for request in group.iter_rows(named=True):
            user = users[request["user_id"]]
            as_of = to_epoch(request["as_of"])
            examples.append(
                Example(
                    Request(
                        request["request_id"], request["episode"], request["role"], request["user_id"], as_of
                    ),
                    data.history(user, as_of),
                    catalogue.rows_of(request["targets"]),
                    data.ratings_between(user, as_of, moments[request["episode"] + 1]),
                )
            )
        rows.add(state, examples)
    return rows.training_set()


class Request(NamedTuple):
    """The keys that every row of one request carries."""

    request_id: int
    episode: int
    role: str
    user_id: int
    as_of: int
    """Seconds since 1970, exclusive."""


class Example(NamedTuple):
    """A request with its answer."""

    request: Request
    history: History
    targets: NDArray[np.int64]
    """Catalogue rows."""
    later_ratings: dict[int, float]
    """What the user rated afterwards, by catalogue row."""


class TrainingRows:
    """Collects the rows of one request after another; see `build_training_set` for what is kept."""

    def __init__(self, catalogue: Catalogue, config: ModelConfig, without: tuple[str, ...] = ()) -> None:
        """The sources among `without` (`source:als`) propose nothing."""
        self._silent = [
            part.removeprefix(SOURCE_PREFIX) for part in without if part.startswith(SOURCE_PREFIX)
        ]
        self._catalogue = catalogue
        self._depth = config.training_depth
        self._features = feature_list(without=())  # Those that a ranker leaves out as well.
        self._fusion: dict[str, float] | None = None
        self._requests: list[Request] = []
        self._sizes: list[int] = []
        self._like_shares: list[float] = []
        self._movie_ids: list[NDArray[np.int64]] = []
        self._labels: list[NDArray[np.bool_]] = []
        self._ratings: list[NDArray[np.float32]] = []
        self._matrices: list[NDArray[np.float32]] = []

    def add(self, state: RankingState, examples: list[Example]) -> None:
        """Add requests to one state. The first call also settles the weights of the fusion."""
        if self._fusion is None:
            measured = measure_fusion(
                state,
                self._catalogue,
                ((each.history, each.request.as_of, each.targets) for each in examples),
            )
            self._fusion = {**measured, **dict.fromkeys(self._silent, 0.0)}
        state = state.with_fusion(self._fusion)
        for example in examples:
            self._add(state, example)

    def _add(self, state: RankingState, example: Example) -> None:
        request = example.request
        found = candidate_rows(state, self._catalogue, example.history, request.as_of, self._features)
        depth = len(found.matrix)
        if request.role == "train":
            depth = min(self._depth, found.candidates.n_fused)
        rows = found.candidates.rows[:depth]
        is_target = np.isin(rows, example.targets)
        if request.role == "train" and not is_target.any():
            return
        later = example.later_ratings
        self._requests.append(request)
        self._sizes.append(len(rows))
        self._like_shares.append(found.query.like_share)
        self._movie_ids.append(self._catalogue.movie_ids[rows])
        self._labels.append(is_target)
        self._ratings.append(np.array([later.get(row, np.nan) for row in rows.tolist()], np.float32))
        self._matrices.append(found.matrix[:depth])

    def training_set(self) -> TrainingSet:
        """All that was added; the collector is empty afterwards."""
        sizes = np.array(self._sizes, np.int64)
        keys = pl.DataFrame(self._requests, schema=REQUEST_KEYS, orient="row")
        position = np.repeat(np.arange(len(sizes)), sizes)
        features = [feature.name for feature in self._features]
        matrix = np.concatenate([np.zeros((0, len(features)), np.float32), *self._matrices])
        self._matrices.clear()
        frame = keys[position].with_columns(
            pl.from_epoch("as_of", "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
            pl.Series("movie_id", np.concatenate([np.zeros(0, np.int64), *self._movie_ids])),
            pl.Series("label", np.concatenate([np.zeros(0, np.bool_), *self._labels]).astype(np.int8)),
            pl.Series("rating", np.concatenate([np.zeros(0, np.float32), *self._ratings])).fill_nan(None),
            pl.Series("like_share", np.repeat(np.array(self._like_shares, np.float32), sizes)),
            *(pl.Series(name, matrix[:, column]) for column, name in enumerate(features)),
        )
        return TrainingSet(frame, self._fusion or {})
