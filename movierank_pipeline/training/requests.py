"""Replayed requests: users, moments and the movies that they went on to like.

A request at a moment sees the user's history strictly before it. Its targets are the user's likes at or after
it. Each training request belongs to an origin: candidate sources and movie states are fitted on the events
before the origin, and the request lies between this origin and the next one. Serving works the same way: the
model is fitted on the events up to last night.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import REQUESTS, TIMESTAMP
from movierank_core.data.timestamps import from_epoch, to_epoch
from movierank_core.errors import DataError

MIN_EVENTS: Final = 50
"""Minimum number of events that can be cut into origins and a test period."""


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


def plan_requests(data: InteractionArrays, catalogue: Catalogue, config: ModelConfig) -> pl.DataFrame:
    """REQUESTS of every role. Episodes are numbered by origin; the test's episode is the last.

    Requests of the last origin have the role `validation`, those of earlier origins `train`, and those after
    T `test`. Where there are more than `max_training_requests` training and validation requests, a seeded
    sample of that size is kept.
    """
    *starts, split = fit_moments(data, config)
    rng = np.random.default_rng(config.seed)
    tables = []
    for episode, start in enumerate(starts):
        is_last = episode == len(starts) - 1
        stop = split if is_last else starts[episode + 1]
        tables.append(
            draw_requests(
                data,
                catalogue,
                start,
                stop,
                moments=config.training_moments,
                rng=rng,
                episode=episode,
                role="validation" if is_last else "train",
            )
        )
    tables.append(
        draw_requests(
            data,
            catalogue,
            split,
            int(data.timestamps.max()) + 1,
            moments=config.moments,
            rng=np.random.default_rng(config.seed),
            episode=len(starts),
            role="test",
        )
    )
    requests = pl.concat(tables)
    training = requests.filter(pl.col("role") != "test")
    if len(training) > config.max_training_requests:
        chosen = rng.choice(len(training), config.max_training_requests, replace=False)
        requests = pl.concat([training[np.sort(chosen)], requests.filter(pl.col("role") == "test")])
    return requests.with_columns(request_id=pl.int_range(len(requests), dtype=pl.Int64)).select(
        REQUESTS.names()
    )


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
) -> pl.DataFrame:
    """Requests of every user with a like in [start, stop), at up to `moments` of their own event times.

    Moments are event times of the user in [start, stop), up to their last like there. Targets are the likes
    that stand in [moment, stop), distinct and sorted by movie id. Movies without presence before `start`, and
    movies that the user had an opinion of before the moment, are no targets. Moments without a target are
    left out.
    """
    known = data.is_known_before(start, len(catalogue))
    in_window = (data.timestamps >= start) & (data.timestamps < stop)
    is_target = data.stands_within(start, stop) & data.is_like & known[data.rows]
    is_opinion = data.is_opinion
    user_ids: list[int] = []
    as_ofs: list[int] = []
    targets: list[list[int]] = []
    for user in np.unique(data.users[is_target]):
        part = slice(int(data.offsets[user]), int(data.offsets[user + 1]))
        liked = np.flatnonzero(is_target[part])
        times = np.unique(data.timestamps[part][in_window[part]])
        times = times[times <= data.timestamps[part][liked[-1]]]
        if len(times) > moments:
            times = np.sort(rng.choice(times, moments, replace=False))
        for moment in times:
            chosen = liked[data.timestamps[part][liked] >= moment]
            rated_before = data.movie_ids[part][is_opinion[part] & (data.timestamps[part] < moment)]
            wanted = np.setdiff1d(data.movie_ids[part][chosen], rated_before)
            if len(wanted):
                user_ids.append(int(data.user_ids[user]))
                as_ofs.append(int(moment))
                targets.append(wanted.tolist())
    return pl.DataFrame(
        {
            "episode": pl.Series([episode] * len(user_ids), dtype=pl.Int32),
            "role": pl.Series([role] * len(user_ids), dtype=pl.String),
            "user_id": pl.Series(user_ids, dtype=pl.Int64),
            "as_of": pl.Series([from_epoch(moment) for moment in as_ofs], dtype=TIMESTAMP),
            "targets": pl.Series(targets, dtype=pl.List(pl.Int64)),
        }
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


def unknown_like_share(data: InteractionArrays, catalogue: Catalogue, split: int) -> float:
    """The share of likes after T on movies without presence before T; NaN without likes after T."""
    known = data.is_known_before(split, len(catalogue))
    later: NDArray[np.bool_] = data.is_like & data.stands_within(split)
    return float((~known[data.rows[later]]).mean()) if later.any() else float("nan")
