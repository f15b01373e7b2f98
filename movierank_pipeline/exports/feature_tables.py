"""The states that the model reads, as tables for people: one row per film, one per user."""

import numpy as np
import polars as pl

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import from_epoch
from movierank_core.features.movie_state import MovieState
from movierank_core.retrieval.query import Query


def movie_table(data: InteractionArrays, catalogue: Catalogue, as_of: int) -> pl.DataFrame:
    """What `MovieState` holds per film from events strictly before `as_of` (seconds since 1970)."""
    state = MovieState.fit(data.before(as_of).standing(), catalogue, as_of)
    per_film = {
        name: values
        for name, values in state.arrays().items()
        if values.shape == (len(catalogue),) and name not in ("language", "directors")
    }
    return pl.DataFrame({"movie_id": catalogue.movie_ids, **per_film}).with_columns(
        pl.col(pl.Float32).fill_nan(None), as_of=pl.lit(from_epoch(as_of))
    )


def user_table(data: InteractionArrays, catalogue: Catalogue, as_of: int) -> pl.DataFrame:
    """What a request at `as_of` (seconds since 1970) knows of every user, by the code that answers it."""
    state = MovieState.fit(data.before(as_of).standing(), catalogue, as_of)
    n = len(data.user_ids)
    n_events, n_likes = np.zeros(n, np.int64), np.zeros(n, np.int64)
    mean_rating, like_share = np.zeros(n), np.zeros(n)
    last_event = np.zeros(n, np.int64)
    for user in range(n):
        query = Query.of(
            data.history(user, as_of), catalogue, as_of, state.mean_rating_of_all, state.like_share_of_all
        )
        n_events[user], n_likes[user] = len(query), int(query.is_liked.sum())
        mean_rating[user], like_share[user] = query.mean_rating, query.like_share
        last_event[user] = query.timestamps[-1] if len(query) else -1
    return pl.DataFrame(
        {
            "user_id": data.user_ids,
            "n_events": n_events,
            "n_likes": n_likes,
            "mean_rating": mean_rating,
            "like_share": like_share,
            "last_event": last_event,
        }
    ).with_columns(
        pl.from_epoch(pl.when(pl.col("last_event") >= 0).then("last_event"), "s").dt.replace_time_zone("UTC"),
        as_of=pl.lit(from_epoch(as_of)),
    )
