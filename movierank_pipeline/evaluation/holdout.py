"""What a protocol asks and what may answer it: requests with their targets, and a state that saw neither.

- `temporal_holdout`: fitted on events before T, asked at moments after it;
- `strong_holdout`: fitted on some users, asked by the others (Liang et al. 2018).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import LIKE_THRESHOLD, History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import REQUESTS, TIMESTAMP
from movierank_core.data.timestamps import from_epoch, to_epoch
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.evaluation.split import UserSplit
from movierank_pipeline.training.requests import plan_requests, split_time, unknown_like_share

Progress = Callable[[str], None] | None


class Question(NamedTuple):
    """One request, and what its user went on to do."""

    user_id: int
    as_of: int
    """Seconds since 1970, exclusive."""
    history: History
    targets: NDArray[np.int64]
    """Catalogue rows to be found; -1 for a movie that the catalogue does not have."""
    ratings: dict[int, float]
    """What the user rated afterwards, by catalogue row."""


@dataclass(frozen=True)
class HoldOut:
    """The test part of a protocol. The same requests can be asked of any number of models."""

    protocol: str
    split: int | None
    """T, in seconds since 1970; None where time does not separate."""
    catalogue: Catalogue
    state: RankingState
    """Fitted on what training may know."""
    requests: pl.DataFrame
    """REQUESTS, one row per question."""
    ask: Callable[[], Iterator[Question]]
    """The questions, in the order of `requests`, made one at a time."""
    unknown_like_share: float
    """Share of hidden likes on movies without an event in training; they are no targets."""


def temporal_holdout(
    data: InteractionArrays, catalogue: Catalogue, config: ModelConfig, progress: Progress = None
) -> HoldOut:
    """Everything before T is for training; each later user asks at moments of their own."""
    split = split_time(data, config)
    requests = plan_requests(data, catalogue, config).filter(pl.col("role") == "test")
    return HoldOut(
        protocol="temporal",
        split=split,
        catalogue=catalogue,
        state=fit_state(data, catalogue, split, config, progress),
        requests=requests,
        ask=lambda: temporal_questions(requests, data, catalogue),
        unknown_like_share=unknown_like_share(data, catalogue, split),
    )


def temporal_questions(
    requests: pl.DataFrame, data: InteractionArrays, catalogue: Catalogue
) -> Iterator[Question]:
    """Replays `requests` (REQUESTS): histories end strictly before the moment, whatever T is."""
    users = {int(user_id): number for number, user_id in enumerate(data.user_ids)}
    for user_id, moment, targets in requests.select("user_id", "as_of", "targets").iter_rows():
        user, as_of = users[user_id], to_epoch(moment)
        yield Question(
            user_id=user_id,
            as_of=as_of,
            history=data.history(user, as_of),
            targets=catalogue.rows_of(targets),
            ratings=data.ratings_between(user, as_of),
        )


def strong_holdout(
    split: UserSplit, catalogue: Catalogue, config: ModelConfig, progress: Progress = None
) -> HoldOut:
    """Strong generalisation: the held-out users of `split` (of INTERACTIONS) ask once each.

    The state is fitted on the other users alone. A held-out user's history is given; their likes among
    the rest are to be found, those of movies that the other users have no event with left out. All ask
    just after the last event of the data, since the protocol knows no time.
    """
    train = InteractionArrays.from_frame(split.train, catalogue)
    as_of = last_moment(split) + 1
    state = fit_state(train, catalogue, as_of, config, progress)
    is_known = state.is_known
    likes = split.targets.filter(pl.col("rating") >= LIKE_THRESHOLD)
    rows = catalogue.rows_of(likes["movie_id"])
    likes = likes.filter(pl.Series(is_known[rows] & (rows >= 0)))
    requests = (
        likes.group_by("user_id")
        .agg(pl.col("movie_id").alias("targets"))
        .sort("user_id")
        .select(
            pl.int_range(pl.len(), dtype=pl.Int64).alias("request_id"),
            pl.lit(0, pl.Int32).alias("episode"),
            pl.lit("test").alias("role"),
            "user_id",
            pl.lit(from_epoch(as_of)).cast(TIMESTAMP).alias("as_of"),
            "targets",
        )
        .select(REQUESTS.names())
    )
    return HoldOut(
        protocol="strong",
        split=None,
        catalogue=catalogue,
        state=state,
        requests=requests,
        ask=lambda: strong_questions(split, catalogue, as_of, is_known),
        unknown_like_share=1 - len(likes) / len(rows) if len(rows) else float("nan"),
    )


def strong_questions(
    split: UserSplit, catalogue: Catalogue, as_of: int, is_known: NDArray[np.bool_]
) -> Iterator[Question]:
    """One question per held-out user with a known like among `split.targets`, in order of user ids."""
    shown = InteractionArrays.from_frame(split.history, catalogue)
    hidden = InteractionArrays.from_frame(split.targets, catalogue)
    numbers = {int(user_id): number for number, user_id in enumerate(shown.user_ids)}
    for user, user_id in enumerate(hidden.user_ids.tolist()):
        part = slice(int(hidden.offsets[user]), int(hidden.offsets[user + 1]))
        rows, ratings = hidden.rows[part], hidden.ratings[part]
        targets = np.unique(rows[(ratings >= LIKE_THRESHOLD) & (rows >= 0) & is_known[rows]])
        if len(targets):
            yield Question(
                user_id=user_id,
                as_of=as_of,
                history=shown.history(numbers[user_id]) if user_id in numbers else History.empty(),
                targets=targets.astype(np.int64),
                ratings=hidden.ratings_between(user, None),
            )


def last_moment(split: UserSplit) -> int:
    """The time of the last event of all parts, in seconds since 1970; 0 without events."""
    times = [part["timestamp"].max() for part in split if len(part)]
    return max((to_epoch(moment) for moment in times), default=0)  # type: ignore[arg-type]  # Datetimes.
