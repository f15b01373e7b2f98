"""Replayed requests: users, moments and the movies that they went on to like.

A request at a moment sees the user's history strictly before it. Its targets are the user's likes at or after
it. Each training request belongs to an origin: candidate sources are fitted on the events before the origin,
and the request lies between this origin and the next one. Facts of movies are those of the midnight before
the request (`FactsMode`). Serving works the same way: the sources are as old as the version, the facts are of
last night.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import REQUESTS, TIMESTAMP
from movierank_core.data.timestamps import DAY_SECONDS, from_epoch, to_epoch
from movierank_core.errors import DataError
from movierank_core.features.movie_facts import FactsOverTime, facts_moment

FactsMode = Literal["day", "origin"]
"""Facts of movies that a request sees, and with them the movies that may be its targets. `day`: those of the
midnight before the request. `origin`: those of the moment at which the sources were fitted, as if a version
ranked with the popularity of its own date. A list may hold movies that are new since then under `day` alone,
so targets follow the same rule."""
MIN_EVENTS: Final = 50
"""Minimum number of events that can be cut into origins and a test period."""

_DRAWN: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "episode": pl.Int32,
    "role": pl.String,
    "user_id": pl.Int64,
    "as_of": TIMESTAMP,
    "targets": pl.List(pl.Int64),
}
"""Columns of drawn requests: REQUESTS without their ids."""


class Request(NamedTuple):
    """One replayed request, with the later events of its user that it is judged by."""

    user_id: int
    as_of: int
    """Seconds since 1970. The history ends strictly before this moment."""
    history: History
    targets: NDArray[np.int64]
    """Catalogue rows to find; -1 for a movie that is not in the catalogue."""
    later_ratings: dict[int, float]
    """The later opinions of the user that stand, as ratings by catalogue row."""
    request_id: int = 0
    episode: int = 0
    """Index of the fitted state that answers the request."""
    role: str = "test"
    """`train`, `validation` or `test`."""


def split_time(data: InteractionArrays, config: ModelConfig) -> int:
    """T: the `split_quantile` of the event times, in seconds since 1970.

    Raises DataError below MIN_EVENTS events.
    """
    if len(data) < MIN_EVENTS:
        raise DataError(
            f"There are {len(data)} events to learn from",
            expected=f"at least {MIN_EVENTS}",
            remedy="use a larger data set, or `movierank synth` to make one",
        )
    return int(np.quantile(data.timestamps, config.split_quantile, method="higher"))


def origins(data: InteractionArrays, split: int, config: ModelConfig) -> list[int]:
    """The distinct moments before T at which training states are fitted, ascending."""
    times = data.timestamps[data.timestamps < split]
    if not len(times):
        return []
    moments = np.quantile(times, config.training_origins, method="higher")
    return sorted({int(moment) for moment in moments if times.min() < moment < split})


def fit_moments(data: InteractionArrays, config: ModelConfig) -> list[int]:
    """The fit moment of each episode of `plan_requests`: the origins, then T, in seconds since 1970."""
    split = split_time(data, config)
    return [*origins(data, split, config), split]


def episode_moments(data: InteractionArrays, config: ModelConfig) -> list[datetime]:
    """`fit_moments` as aware UTC times."""
    return [from_epoch(moment) for moment in fit_moments(data, config)]


def facts_over_time(data: InteractionArrays, catalogue: Catalogue, facts: FactsMode) -> FactsOverTime | None:
    """The facts of `data` under `day`; None under `origin`, where the fitted state has them."""
    return FactsOverTime.of(data, len(catalogue)) if facts == "day" else None


def plan_requests(
    data: InteractionArrays, catalogue: Catalogue, config: ModelConfig, facts: FactsMode = "day"
) -> pl.DataFrame:
    """REQUESTS of every role. Episodes are numbered by origin; the test's episode is the last.

    Requests of the last origin have the role `validation`, those of earlier origins `train`, and those after
    T `test`. Training and validation requests come within `retrain_days` of their origin, so that the sources
    are as old as in service. While that gives fewer than `min_training_requests`, the time doubles, up to the
    next origin. Where there are more than `max_training_requests`, a seeded sample of that size is kept.
    """
    *_, split = moments = fit_moments(data, config)
    over_time = facts_over_time(data, catalogue, facts)
    longest = max((stop - start for start, stop in pairwise(moments)), default=0)
    max_age = int(config.retrain_days * DAY_SECONDS)
    while True:
        rng = np.random.default_rng(config.seed)
        training = _training_requests(data, catalogue, moments, config, over_time, max_age, rng)
        if len(training) >= config.min_training_requests or max_age >= longest:
            break
        max_age *= 2
    if len(training) > config.max_training_requests:
        chosen = rng.choice(len(training), config.max_training_requests, replace=False)
        training = training[np.sort(chosen)]
    test = draw_requests(
        data,
        catalogue,
        split,
        int(data.timestamps.max()) + 1,
        moments=config.moments,
        rng=np.random.default_rng(config.seed),
        episode=len(moments) - 1,
        role="test",
        facts=over_time,
    )
    requests = pl.concat([training, test])
    return requests.with_columns(request_id=pl.int_range(len(requests), dtype=pl.Int64)).select(
        REQUESTS.names()
    )


def _training_requests(
    data: InteractionArrays,
    catalogue: Catalogue,
    moments: list[int],
    config: ModelConfig,
    facts: FactsOverTime | None,
    max_age: int,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """The requests of every origin of `moments` (the last one is T), at most `max_age` seconds after it."""
    tables = [
        draw_requests(
            data,
            catalogue,
            start,
            stop,
            moments=config.training_moments,
            rng=rng,
            episode=episode,
            role="validation" if stop == moments[-1] else "train",
            facts=facts,
            last_moment=start + max_age,
        )
        for episode, (start, stop) in enumerate(pairwise(moments))
    ]
    return pl.concat(tables) if tables else pl.DataFrame(schema=_DRAWN)


def draw_requests(
    data: InteractionArrays,
    catalogue: Catalogue,
    start: int,
    stop: int,
    *,
    moments: int,
    rng: np.random.Generator,
    episode: int,
    role: str,
    facts: FactsOverTime | None = None,
    last_moment: int | None = None,
) -> pl.DataFrame:
    """Requests of every user with a like in [start, stop), at up to `moments` of their own event times.

    Moments are event times of the user in [start, stop), at most `last_moment`, up to their last like there.
    Targets are the likes that stand in [moment, stop), distinct and sorted by movie id. A target must have
    presence in `facts` at the midnight before the moment; without `facts`, before `start`. Movies that the
    user had an opinion of before the moment are no targets. Moments without a target are left out.
    """
    in_window = (data.timestamps >= start) & (data.timestamps < stop)
    is_target = data.stands_within(start, stop) & data.is_like & (data.rows >= 0)
    if facts is None:
        is_target &= data.is_known_before(start, len(catalogue))[data.rows]
    is_opinion = data.is_opinion
    user_ids: list[int] = []
    as_ofs: list[int] = []
    targets: list[list[int]] = []
    for user in np.unique(data.users[is_target]):
        part = slice(int(data.offsets[user]), int(data.offsets[user + 1]))
        liked = np.flatnonzero(is_target[part])
        times = np.unique(data.timestamps[part][in_window[part]])
        times = times[times <= data.timestamps[part][liked[-1]]]
        if last_moment is not None:
            times = times[times <= last_moment]
        if len(times) > moments:
            times = np.sort(rng.choice(times, moments, replace=False))
        for moment in times.tolist():
            chosen = liked[data.timestamps[part][liked] >= moment]
            if facts is not None:
                moments_of_facts = np.full(len(chosen), facts_moment(moment, start))
                chosen = chosen[facts.n_events(data.rows[part][chosen], moments_of_facts) > 0]
            rated_before = data.movie_ids[part][is_opinion[part] & (data.timestamps[part] < moment)]
            wanted = np.setdiff1d(data.movie_ids[part][chosen], rated_before)
            if len(wanted):
                user_ids.append(int(data.user_ids[user]))
                as_ofs.append(int(moment))
                targets.append(wanted.tolist())
    return pl.DataFrame(
        {
            "episode": [episode] * len(user_ids),
            "role": [role] * len(user_ids),
            "user_id": user_ids,
            "as_of": [from_epoch(moment) for moment in as_ofs],
            "targets": targets,
        },
        schema=_DRAWN,
    )


def replay(
    requests: pl.DataFrame, data: InteractionArrays, catalogue: Catalogue, stop: int | None = None
) -> Iterator[Request]:
    """Each row of `requests` (REQUESTS) as a Request, in order, made one at a time.

    Histories are cut strictly before the request's moment. `later_ratings` are those from that moment on, and
    strictly before `stop` (seconds since 1970) where it is given.
    """
    users = {int(user_id): user for user, user_id in enumerate(data.user_ids)}
    for row in requests.iter_rows(named=True):
        user, as_of = users[row["user_id"]], to_epoch(row["as_of"])
        yield Request(
            user_id=row["user_id"],
            as_of=as_of,
            history=data.history(user, as_of),
            targets=catalogue.rows_of(row["targets"]),
            later_ratings=data.ratings_between(user, as_of, stop),
            request_id=row["request_id"],
            episode=row["episode"],
            role=row["role"],
        )


def unknown_like_share(
    data: InteractionArrays, catalogue: Catalogue, split: int, facts: FactsOverTime | None = None
) -> float:
    """The share of likes after T on movies that could not be known; NaN without likes after T.

    These are movies without presence in `facts` at the midnight before the like; without `facts`, before T.
    """
    later = np.flatnonzero(data.is_like & data.stands_within(split))
    if not len(later):
        return float("nan")
    if facts is None:
        return float((~data.is_known_before(split, len(catalogue))[data.rows[later]]).mean())
    times = data.timestamps[later]
    moments = np.maximum(times - times % DAY_SECONDS, split)  # `facts_moment` of each like.
    return float((facts.n_events(data.rows[later], moments) == 0).mean())
