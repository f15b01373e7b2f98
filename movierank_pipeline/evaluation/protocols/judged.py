"""The judged protocol: users graded movies, and the whole history of a user is the request.

Everything is fitted on all events, as a version in service is; trees are trained before T, as there. Movies
that the user has rated are not in a list, so their judgments do not count.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import REQUESTS
from movierank_core.data.timestamps import from_epoch
from movierank_core.errors import DataError
from movierank_core.recommender.state import fit_state
from movierank_pipeline.evaluation.judge import TargetFacts
from movierank_pipeline.evaluation.measures.judged import Judgments
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, Progress, Protocol
from movierank_pipeline.training.requests import Request, plan_requests
from movierank_pipeline.training.training_set import temporal_episodes

MIN_RELEVANT_GRADE: Final = 1
"""Minimum grade of a relevant movie."""


def judged_protocol(
    interactions: pl.DataFrame, catalogue: Catalogue, config: ModelConfig, qrels: pl.DataFrame
) -> Protocol:
    """The protocol on `interactions` (INTERACTIONS) and `qrels` (QRELS).

    Raises DataError for a judged user without an event in the data.
    """
    data = InteractionArrays.from_frame(interactions, catalogue)
    users = {int(user_id): user for user, user_id in enumerate(data.user_ids)}
    for user_id, line in qrels.select("user_id", "line").iter_rows():
        if user_id not in users:
            raise DataError(
                f"Line {line} of the judgments has the user {user_id}, who has no rating",
                expected="users of the data set",
                remedy="add their ratings to the ratings file, or leave out their judgments",
            )
    return Protocol(
        catalogue=catalogue,
        config=config,
        episodes=lambda: temporal_episodes(data, plan_requests(data, catalogue, config), catalogue, config),
        holdout=lambda progress: judged_holdout(data, catalogue, config, qrels, progress),
    )


class _Judged(NamedTuple):
    """A request with the judgments of its user."""

    request: Request
    relevant: list[int]
    """Movie ids of the targets."""
    judgments: Judgments


def judged_holdout(
    data: InteractionArrays,
    catalogue: Catalogue,
    config: ModelConfig,
    qrels: pl.DataFrame,
    progress: Progress = None,
) -> HoldOut:
    """One request of each judged user with a relevant movie, just after the last event of the data.

    Judgments of movies in the user's history are left out. A relevant movie outside the catalogue stays a
    target that is never found. Raises DataError if no relevant movie is left.
    """
    as_of = int(data.timestamps.max(initial=0)) + 1
    unseen = _unseen(qrels, data)
    judged = _judged(unseen, data, catalogue, as_of)
    if not judged:
        raise DataError(
            "No judged user has a relevant movie outside their history",
            expected=f"movies of grade {MIN_RELEVANT_GRADE} or more that the user has not rated",
        )
    return HoldOut(
        protocol="judged",
        split=None,
        catalogue=catalogue,
        state=fit_state(data, catalogue, as_of, config, progress),
        requests=_requests_table(judged, as_of),
        replay=lambda: (each.request for each in judged),
        pool=np.ones(len(catalogue), np.bool_),
        unknown_like_share=float("nan"),
        target_facts=TargetFacts(judgments=lambda request: judged[request.request_id].judgments),
        judged={"n_judgments": len(qrels), "n_judgments_of_history": len(qrels) - len(unseen)},
    )


def _unseen(qrels: pl.DataFrame, data: InteractionArrays) -> pl.DataFrame:
    """`qrels` without movies that a list for their user leaves out, sorted by user."""
    users = {int(user_id): user for user, user_id in enumerate(data.user_ids)}
    kept = []
    for (key,), of_user in qrels.sort("user_id", maintain_order=True).group_by(
        "user_id", maintain_order=True
    ):
        history = data.history(users[int(str(key))])
        known = history.movie_ids[history.is_seen | history.is_hidden]
        kept.append(of_user.filter(~pl.col("movie_id").is_in(known.tolist())))
    return pl.concat([qrels.clear(), *kept])


def _judged(qrels: pl.DataFrame, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> list[_Judged]:
    """The requests of users with a relevant movie in `qrels`, in the order of user ids."""
    users = {int(user_id): user for user, user_id in enumerate(data.user_ids)}
    found: list[_Judged] = []
    for (key,), of_user in qrels.group_by("user_id", maintain_order=True):
        user_id = int(str(key))
        movie_ids, grades = of_user["movie_id"].to_numpy(), of_user["grade"].to_numpy()
        relevant = movie_ids[grades >= MIN_RELEVANT_GRADE]
        if len(relevant):
            request = Request(
                user_id=user_id,
                as_of=as_of,
                history=data.history(users[user_id]),
                targets=catalogue.rows_of(relevant),
                later_ratings={},
                request_id=len(found),
            )
            judgments = Judgments(catalogue.rows_of(movie_ids), grades.astype(np.float64))
            found.append(_Judged(request, relevant.tolist(), judgments))
    return found


def _requests_table(judged: list[_Judged], as_of: int) -> pl.DataFrame:
    """REQUESTS."""
    moment = from_epoch(as_of)
    rows = [
        (each.request.request_id, 0, "test", each.request.user_id, moment, each.relevant) for each in judged
    ]
    return pl.DataFrame(rows, schema=REQUESTS, orient="row")
