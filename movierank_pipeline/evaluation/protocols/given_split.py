"""The given-split protocol: any train and test file, with everything fitted on the train file alone.

Each user of the test file makes one request, with all their train rows as history. Training requests hide
parts of the train file in the same way as the test file was made. So the sources of a training row never saw
its label, and are about as dense as in the test.
"""

import math
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import LIKE_THRESHOLD, History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import REQUESTS, TIMESTAMP
from movierank_core.data.timestamps import epoch_seconds, from_epoch
from movierank_core.recommender.state import fit_state
from movierank_pipeline.evaluation.judge import TargetFacts
from movierank_pipeline.evaluation.protocols.protocol import (
    HoldOut,
    Measures,
    Progress,
    Protocol,
    draw_users,
)
from movierank_pipeline.training.requests import Request
from movierank_pipeline.training.training_set import Episode

Relevance = Literal["all", "liked"]
Form = Literal["random", "sequential"]

N_FOLDS: Final = 8
"""Folds of the random hold-out: the sources of a training row keep 7/8 of the data."""
VALIDATION_SHARE: Final = 1 / 8
"""Share of the users who are asked for validation alone.

Features of the user tell users apart, so trees can learn what each user likes by heart. A validation by other
events of the same users takes that for success (docs/why.md)."""
MIN_LAST_EVENTS: Final = 5
MAX_LAST_EVENTS: Final = 20
"""Bounds of the events that the sequential hold-out hides at the end of each user. As many are hidden as give
all the requests that the configuration allows. On validation splits of 610 users, twenty raised nDCG@10 from
0.109, with five, to 0.114."""
MIN_PREFIX: Final = 3
"""Minimum number of events that a user keeps before the hidden ones."""
SEQUENTIAL_SHARE: Final = 0.9
"""Minimum share of test rows at or after all train rows of their user that makes a split sequential."""


def given_split_protocol(
    train: pl.DataFrame,
    test: pl.DataFrame,
    catalogue: Catalogue,
    config: ModelConfig,
    *,
    relevance: Relevance,
    k: int,
) -> Protocol:
    """The protocol on `train` (INTERACTIONS) and `test` (RATINGS); `k` ranks count.

    `all` makes every hidden row relevant, `liked` those rated at least 4. Users without relevant test rows
    make no request, and at most `max_test_requests` users are drawn. Timestamps may be only an order.
    """
    data = InteractionArrays.from_frame(train, catalogue)
    as_of = int(data.timestamps.max(initial=0)) + 1
    form = form_of(train, test)
    config = replace(config, missing_events=form == "random")

    def holdout(progress: Progress) -> HoldOut:
        if progress is not None:
            progress("fitting the candidate sources on all train rows")
        state = fit_state(data, catalogue, as_of, config)
        relevant = test if relevance == "all" else test.filter(pl.col("rating") >= LIKE_THRESHOLD)
        requests, n_possible = draw_users(_requests(relevant, as_of), config)
        times = dict(requests.select("request_id", "target_times").iter_rows())

        def is_tied(request: Request) -> NDArray[np.bool_]:
            latest = request.history.timestamps[-1] if len(request.history) else np.iinfo(np.int64).max
            return np.array(times[request.request_id]) == latest

        requests = requests.select(REQUESTS.names())
        return HoldOut(
            protocol="given split",
            split=None,
            catalogue=catalogue,
            state=state,
            requests=requests,
            replay=lambda: _replay(requests, data, catalogue, as_of),
            pool=np.ones(len(catalogue), np.bool_),
            unknown_like_share=float("nan"),
            measures=Measures(k=k, is_brief=True),
            n_possible_requests=n_possible,
            target_facts=TargetFacts(is_tied=is_tied),
        )

    return Protocol(
        catalogue=catalogue,
        config=config,
        episodes=lambda: _episodes(data, form, relevance, as_of, config),
        holdout=holdout,
    )


def form_of(train: pl.DataFrame, test: pl.DataFrame) -> Form:
    """The form of the test part, which training imitates."""
    return "sequential" if is_continuation(train, test) else "random"


def is_continuation(train: pl.DataFrame, test: pl.DataFrame) -> bool:
    """Whether the test rows come after the train rows of their users, judged by time alone.

    Only the form of the split is read, never which movies are in it. In deployment it is known as well
    whether a ranker predicts the next events or missing ones. Users whose train rows share one time do not
    count.
    """
    last = train.group_by("user_id").agg(pl.col("timestamp").max().alias("last"))
    first = train.group_by("user_id").agg(pl.col("timestamp").min().alias("first"))
    joined = test.join(last, on="user_id").join(first, on="user_id")
    spread = joined.filter(pl.col("last") > pl.col("first"))
    if spread.is_empty():
        return False
    return float((spread["timestamp"] >= spread["last"]).mean() or 0.0) >= SEQUENTIAL_SHARE  # type: ignore[arg-type]


class _Hidden(NamedTuple):
    """A request for events that were hidden from a user's history. Both arrays index the events."""

    role: str
    user: int
    """Dense user."""
    seen: NDArray[np.int64]
    hidden: NDArray[np.int64]


class _Part(NamedTuple):
    """One way of hiding events: the events that sources may see, and the requests for the others."""

    visible: NDArray[np.bool_]
    requests: list[_Hidden]
    n_parts: int
    """Number of parts that share the maximum number of requests."""


def _random_parts(data: InteractionArrays, seed: int, is_validation: NDArray[np.bool_]) -> Iterator[_Part]:
    """Folds drawn within each movie."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(data))
    by_movie = shuffled[np.argsort(data.rows[shuffled], kind="stable")]
    fold_of = np.empty(len(data), np.int64)
    fold_of[by_movie] = (np.arange(len(data)) + rng.integers(N_FOLDS)) % N_FOLDS
    for fold in range(N_FOLDS):
        visible = fold_of != fold
        requests = []
        for user in range(len(data.user_ids)):
            events = np.arange(data.offsets[user], data.offsets[user + 1])
            hidden = events[~visible[events]]
            if len(hidden):
                role = "validation" if is_validation[user] else "train"
                requests.append(_Hidden(role, user, events[visible[events]], hidden))
        yield _Part(visible, requests, N_FOLDS)


def _sequential_parts(
    data: InteractionArrays, config: ModelConfig, is_validation: NDArray[np.bool_]
) -> Iterator[_Part]:
    """The last events of each user, at most half of the history, each predicted from all events before it."""
    wanted = config.max_benchmark_requests // max(len(data.user_ids), 1)
    n_last = min(max(wanted, MIN_LAST_EVENTS), MAX_LAST_EVENTS)
    visible = np.ones(len(data), np.bool_)
    requests = []
    for user in range(len(data.user_ids)):
        start, stop = int(data.offsets[user]), int(data.offsets[user + 1])
        n_events = stop - start
        n_hidden = min(n_last, max(n_events // 2, 1), n_events - MIN_PREFIX)
        for back in range(n_hidden, 0, -1):
            target = stop - back
            visible[target] = False
            role = "validation" if is_validation[user] else "train"
            requests.append(_Hidden(role, user, np.arange(start, target), np.array([target])))
    yield _Part(visible, requests, 1)


def _episodes(
    data: InteractionArrays, form: Form, relevance: Relevance, as_of: int, config: ModelConfig
) -> Iterator[Episode]:
    """One episode per part, with a seeded sample of its requests where there are more than allowed."""
    rng = np.random.default_rng(config.seed)
    n_users = len(data.user_ids)
    is_validation = rng.permutation(n_users) < math.ceil(VALIDATION_SHARE * n_users)
    if form == "sequential":
        parts = _sequential_parts(data, config, is_validation)
    else:
        parts = _random_parts(data, config.seed, is_validation)
    n_before = 0
    for episode, part in enumerate(parts):
        requests = [
            each
            for each in part.requests
            if relevance == "all" or (data.ratings[each.hidden] >= LIKE_THRESHOLD).any()
        ]
        n_validation = int(VALIDATION_SHARE * config.max_benchmark_requests)
        n_train = config.max_benchmark_requests - n_validation
        limits = {"train": n_train // part.n_parts, "validation": n_validation // part.n_parts}
        sampled = [each for role, limit in limits.items() for each in _sample(requests, role, limit, rng)]
        made = [
            _training_request(data, each, relevance, as_of, n_before + index, episode)
            for index, each in enumerate(sampled)
        ]
        n_before += len(made)
        yield Episode(
            name=f"part-{episode}",
            title=f"part {episode + 1}: {len(made)} requests",
            data=data.select(part.visible),
            as_of=as_of,
            requests=lambda state, made=made: made,  # type: ignore[misc]
        )


def _sample(requests: list[_Hidden], role: str, limit: int, rng: np.random.Generator) -> list[_Hidden]:
    """The requests of `role` in order; a random sample of `limit` where there are more."""
    of_role = [each for each in requests if each.role == role]
    if len(of_role) <= limit:
        return of_role
    return [of_role[index] for index in np.sort(rng.choice(len(of_role), limit, replace=False))]


def _training_request(
    data: InteractionArrays, each: _Hidden, relevance: Relevance, as_of: int, request_id: int, episode: int
) -> Request:
    ratings = data.ratings[each.hidden]
    relevant = each.hidden if relevance == "all" else each.hidden[ratings >= LIKE_THRESHOLD]
    return Request(
        user_id=int(data.user_ids[each.user]),
        as_of=as_of,
        history=History(
            data.movie_ids[each.seen],
            data.ratings[each.seen],
            data.timestamps[each.seen],
            data.event_codes[each.seen],
        ),
        targets=data.rows[relevant].astype(np.int64),
        later_ratings=dict(zip(data.rows[each.hidden].tolist(), ratings.tolist(), strict=True)),
        request_id=request_id,
        episode=episode,
        role=each.role,
    )


def _requests(relevant: pl.DataFrame, as_of: int) -> pl.DataFrame:
    """REQUESTS: one row per user of `relevant` (RATINGS), in the order of user ids, and `target_times`.

    These are the times of the targets, in the order of the targets, in seconds since 1970.
    """
    return (
        relevant.group_by("user_id")
        .agg(pl.col("movie_id").alias("targets"), epoch_seconds("timestamp").alias("target_times"))
        .sort("user_id")
        .with_columns(
            pl.int_range(pl.len(), dtype=pl.Int64).alias("request_id"),
            pl.lit(0, pl.Int32).alias("episode"),
            pl.lit("test").alias("role"),
            pl.lit(from_epoch(as_of)).cast(TIMESTAMP).alias("as_of"),
        )
        .select(*REQUESTS.names(), "target_times")
    )


def _replay(
    requests: pl.DataFrame, data: InteractionArrays, catalogue: Catalogue, as_of: int
) -> Iterator[Request]:
    """The test requests, with all train rows as history. A test movie outside the catalogue stays a
    target."""
    user_of = {int(user_id): user for user, user_id in enumerate(data.user_ids)}
    for request_id, user_id, movie_ids in requests.select("request_id", "user_id", "targets").iter_rows():
        yield Request(
            user_id=user_id,
            as_of=as_of,
            history=data.history(user_of[user_id]) if user_id in user_of else History.empty(),
            targets=catalogue.rows_of(movie_ids),
            later_ratings={},
            request_id=request_id,
        )
