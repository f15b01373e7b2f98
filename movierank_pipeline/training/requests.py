"""Replayed requests: who asked when, and what they went on to like.

A request at a moment sees the user's history strictly before it and is judged by the user's likes at or
after it. Training requests belong to an origin: candidate sources and movie states are fitted on what
came before the origin, and the request comes after it, up to the next origin, as in serving, where the
model is fitted up to last night.
"""

from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import REQUESTS, TIMESTAMP
from movierank_core.data.timestamps import from_epoch
from movierank_core.errors import DataError

MIN_EVENTS = 50
"""Fewer events than this cannot be cut into origins and a test period."""


def split_time(data: InteractionArrays, config: ModelConfig) -> int:
    """T: the `split_quantile` of event times, in seconds since 1970."""
    if len(data) < MIN_EVENTS:
        raise DataError(
            f"There are {len(data)} events to learn from",
            expected=f"at least {MIN_EVENTS}",
            remedy="use a larger data set, or `movierank synth` to make one",
        )
    return int(np.quantile(data.timestamps, config.split_quantile, method="higher"))


def origins(data: InteractionArrays, split: int, config: ModelConfig) -> list[int]:
    """The moments before T at which training states are fitted, ascending, each once."""
    times = data.timestamps[data.timestamps < split]
    if not len(times):
        return []
    moments = np.quantile(times, config.training_origins, method="higher")
    return sorted({int(moment) for moment in moments if times.min() < moment < split})


def plan_requests(data: InteractionArrays, catalogue: Catalogue, config: ModelConfig) -> pl.DataFrame:
    """REQUESTS of every role; episodes are numbered by their origin, the test's is the last.

    Requests of the last origin have the role `validation`, the earlier ones `train`, those after T `test`.
    """
    split = split_time(data, config)
    starts = origins(data, split, config)
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
    """Requests of everybody who likes something in [start, stop), at up to `moments` of their own events.

    Moments are event times of the user in [start, stop) up to their last like there. Targets are the likes
    that stand in [moment, stop), each once, by movie id, without the movies that nobody chose before `start`
    and those that the user had an opinion of before the moment. Moments without a target are left out.
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


def unknown_like_share(data: InteractionArrays, catalogue: Catalogue, split: int) -> float:
    """The share of likes after T on movies that nobody chose before T; NaN without likes."""
    known = data.is_known_before(split, len(catalogue))
    later: NDArray[np.bool_] = data.is_like & data.stands_within(split)
    return float((~known[data.rows[later]]).mean()) if later.any() else float("nan")


def episode_moments(data: InteractionArrays, config: ModelConfig) -> list[datetime]:
    """The fit moment of every episode of `plan_requests`, in order of their numbers."""
    split = split_time(data, config)
    return [from_epoch(moment) for moment in (*origins(data, split, config), split)]
