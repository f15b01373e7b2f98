"""Strong generalisation (Liang et al. 2018): train on some users, test on others.

A test user's history is a random 80 % of their events. The likes among the remaining 20 % are the targets.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_CODES, LIKE_THRESHOLD, History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import REQUESTS, TIMESTAMP
from movierank_core.data.standing import which_stand
from movierank_core.data.timestamps import from_epoch, to_epoch
from movierank_core.errors import DataError
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, Measures, Progress, Protocol
from movierank_pipeline.evaluation.protocols.split import UserSplit, hold_out, split_users
from movierank_pipeline.training.requests import Request
from movierank_pipeline.training.training_set import Episode

TEST_SHARE: Final = 0.2
"""Share of all users that is held out for the test."""
MAX_TEST_USERS: Final = 10_000
"""Maximum number of test users: the number that Liang et al. hold out of MovieLens 20M."""
N_FOLDS: Final = 8
"""Groups of training users, each held out once to make training rows. The last group is for validation."""
MIN_USERS: Final = 5 * N_FOLDS
"""Minimum number of users that can be split into training and test."""


def strong_protocol(interactions: pl.DataFrame, catalogue: Catalogue, config: ModelConfig) -> Protocol:
    """The protocol on `interactions` (INTERACTIONS). Raises DataError below MIN_USERS users."""
    split = strong_split(interactions, config)
    return Protocol(
        catalogue=catalogue,
        config=config,
        episodes=lambda: strong_episodes(split.train, catalogue, config),
        holdout=lambda progress: strong_holdout(split, catalogue, config, progress),
    )


def strong_split(interactions: pl.DataFrame, config: ModelConfig) -> UserSplit:
    """Test users and the 20 % of their standing events to find, drawn with the seed of `config`.

    `interactions` are INTERACTIONS, sorted.

    Raises DataError below MIN_USERS users.
    """
    n_users = interactions["user_id"].n_unique()
    if n_users < MIN_USERS:
        raise DataError(
            f"There are {n_users} users",
            expected=f"at least {MIN_USERS}, to hold some users out",
            remedy="use a larger data set, or the protocol `temporal`",
        )
    n_test = min(round(TEST_SHARE * n_users), MAX_TEST_USERS)
    is_standing = which_stand(
        interactions["user_id"],
        interactions["movie_id"],
        interactions["event_type"].replace_strict(EVENT_CODES, return_dtype=pl.UInt8),
    ).is_standing
    standing = interactions.filter(pl.Series(is_standing))
    return split_users(standing, n_test, np.random.default_rng(config.seed))


def strong_episodes(
    interactions: pl.DataFrame, catalogue: Catalogue, config: ModelConfig
) -> Iterator[Episode]:
    """One episode per fold of the training users `interactions`, made the way the test is.

    The sources of a fold are fitted on the users of all other folds. Each user of the fold makes a request
    for a random fifth of their events. With few users each makes several requests, each for another fifth. At
    most `max_training_requests` users make requests.
    """
    rng = np.random.default_rng(config.seed)
    users = rng.permutation(np.unique(interactions["user_id"].to_numpy()))[: config.max_training_requests]
    n_draws = int(np.clip(config.max_training_requests // len(users), 1, config.training_moments))
    n_before = 0

    def requests_of(splits: list[UserSplit], as_of: int, fold: int, state: RankingState) -> list[Request]:
        nonlocal n_before
        role = "validation" if fold == N_FOLDS - 1 else "train"
        made = [
            request
            for split in splits
            for request in strong_requests(split, catalogue, as_of, state.is_known)
        ]
        numbered = [
            request._replace(request_id=n_before + index, episode=fold, role=role)
            for index, request in enumerate(made)
        ]
        n_before += len(made)
        return numbered

    for fold in range(N_FOLDS):
        splits = [hold_out(interactions, users[fold::N_FOLDS], rng) for _ in range(n_draws)]
        as_of = last_moment(splits[0]) + 1
        yield Episode(
            name=f"users-{fold}",
            title=f"users {fold + 1}/{N_FOLDS}",
            data=InteractionArrays.from_frame(splits[0].train, catalogue),
            as_of=as_of,
            requests=lambda state, splits=splits, as_of=as_of, fold=fold: requests_of(  # type: ignore[misc]
                splits, as_of, fold, state
            ),
        )


def strong_holdout(
    split: UserSplit, catalogue: Catalogue, config: ModelConfig, progress: Progress = None
) -> HoldOut:
    """One request of each test user of `split` (of INTERACTIONS) with a target.

    The state is fitted on the training users alone. Targets are hidden likes of movies that the training
    users have an event with. Every request lies one second after the last event of the data, since the
    protocol ignores time.
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
        replay=lambda: strong_requests(split, catalogue, as_of, is_known),
        pool=is_known,
        unknown_like_share=1 - len(likes) / len(rows) if len(rows) else float("nan"),
        measures=Measures(is_deep=True),
    )


def strong_requests(
    split: UserSplit, catalogue: Catalogue, as_of: int, is_known: NDArray[np.bool_]
) -> Iterator[Request]:
    """One request per held-out user with a known like among `split.targets`, in the order of user ids."""
    shown = InteractionArrays.from_frame(split.history, catalogue)
    hidden = InteractionArrays.from_frame(split.targets, catalogue)
    user_of = {int(user_id): user for user, user_id in enumerate(shown.user_ids)}
    for user, user_id in enumerate(hidden.user_ids.tolist()):
        part = slice(int(hidden.offsets[user]), int(hidden.offsets[user + 1]))
        rows, ratings = hidden.rows[part], hidden.ratings[part]
        targets = np.unique(rows[(ratings >= LIKE_THRESHOLD) & (rows >= 0) & is_known[rows]])
        if len(targets):
            yield Request(
                user_id=user_id,
                as_of=as_of,
                history=shown.history(user_of[user_id]) if user_id in user_of else History.empty(),
                targets=targets.astype(np.int64),
                later_ratings=hidden.ratings_between(user, None),
            )


def last_moment(split: UserSplit) -> int:
    """The time of the last event of all parts, in seconds since 1970; 0 without events."""
    times = [part["timestamp"].max() for part in split if len(part)]
    return max((to_epoch(moment) for moment in times), default=0)  # type: ignore[arg-type]  # Datetimes.
