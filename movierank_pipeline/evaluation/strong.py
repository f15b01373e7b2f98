"""Training and testing a ranker on people it has never seen: strong generalisation (Liang et al. 2018)."""

from functools import partial
from typing import Final

import numpy as np
import polars as pl

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_CODES
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.standing import which_stand
from movierank_core.errors import DataError
from movierank_core.recommender.state import fit_state
from movierank_pipeline.evaluation.holdout import Progress, last_moment, strong_questions
from movierank_pipeline.evaluation.split import UserSplit, hold_out, split_users
from movierank_pipeline.training.state_cache import FittedStates
from movierank_pipeline.training.training_set import Example, Request, TrainingRows, TrainingSet

TEST_SHARE: Final = 0.2
"""Users held out for the test, as a share of all."""
MAX_TEST_USERS: Final = 10_000
"""And at the most: as many as Liang et al. hold out of MovieLens 20M."""
N_FOLDS: Final = 8
"""Groups of training users, each held out once to make training rows; the last is for validation."""
MIN_USERS: Final = 5 * N_FOLDS


def strong_split(interactions: pl.DataFrame, config: ModelConfig) -> UserSplit:
    """Test users and the 20 % of their events to be found, by the seed of `config`; only what stands.

    `interactions` are sorted INTERACTIONS.
    Raises DataError where there are too few users to train on some and ask others.
    """
    n_users = interactions["user_id"].n_unique()
    if n_users < MIN_USERS:
        raise DataError(
            f"There are {n_users} users",
            expected=f"at least {MIN_USERS}, to hold some of them out",
            remedy="use a larger data set, or the protocol `temporal`",
        )
    n_test = min(round(TEST_SHARE * n_users), MAX_TEST_USERS)
    is_standing = which_stand(
        interactions["user_id"],
        interactions["movie_id"],
        interactions["event_type"].replace_strict(EVENT_CODES, return_dtype=pl.UInt8),
    ).is_standing
    return split_users(
        interactions.filter(pl.Series(is_standing)), n_test, np.random.default_rng(config.seed)
    )


def strong_training_set(
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    config: ModelConfig,
    progress: Progress = None,
    *,
    without: tuple[str, ...] = (),
    states: FittedStates | None = None,
) -> TrainingSet:
    """Training rows made the way the test is: for people whom the candidate sources do not know.

    `interactions` are those of the training users. Each of N_FOLDS groups of them is held out in turn, the
    sources are fitted on all others, and the group's users ask for a random fifth of their events. Where
    there are few users they ask several times, each time for another fifth; where there are more than
    `max_training_requests`, only so many ask. The sources among `without` (`source:als`) propose nothing.
    """
    states = states or FittedStates()
    rows = TrainingRows(catalogue, config, without)
    rng = np.random.default_rng(config.seed)
    users = rng.permutation(np.unique(interactions["user_id"].to_numpy()))[: config.max_training_requests]
    n_draws = int(np.clip(config.max_training_requests // len(users), 1, config.training_moments))
    request_id = 0
    for fold in range(N_FOLDS):
        role = "validation" if fold == N_FOLDS - 1 else "train"
        splits = [hold_out(interactions, users[fold::N_FOLDS], rng) for _ in range(n_draws)]
        as_of = last_moment(splits[0]) + 1
        if progress is not None:
            progress(f"training rows of users {fold + 1}/{N_FOLDS}")
        known = InteractionArrays.from_frame(splits[0].train, catalogue)
        state = states.get(f"users-{fold}", partial(fit_state, known, catalogue, as_of, config))
        questions = [
            question
            for split in splits
            for question in strong_questions(split, catalogue, as_of, state.is_known)
        ]
        rows.add(
            state,
            [
                Example(
                    Request(request_id + place, fold, role, question.user_id, question.as_of),
                    question.history,
                    question.targets,
                    question.ratings,
                )
                for place, question in enumerate(questions)
            ],
        )
        request_id += len(questions)
    return rows.training_set()
