"""Training rows: for each replayed request its candidates, their features and whether they were liked."""

from collections.abc import Callable

import numpy as np
import polars as pl

from movierank_core.catalogue import Catalogue
from movierank_core.config import ModelConfig
from movierank_core.features.definitions import feature_list
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.model import candidate_rows
from movierank_core.point_in_time import to_epoch
from movierank_core.state import fit_state
from movierank_pipeline.ranking_requests import episode_moments

KEYS = ("request_id", "episode", "role", "user_id", "movie_id", "as_of", "label", "rating", "like_share")
"""What a row carries besides its features."""


def build_training_set(
    data: InteractionArrays,
    requests: pl.DataFrame,
    catalogue: Catalogue,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """One row per candidate of every `train` and `validation` request, grouped by request.

    `label` is 1 where the movie is a target. `rating` is what the user went on to rate it, null if they
    did not. A training request keeps its `training_depth` best-fused candidates, liked or not: thinning out
    negatives alone, as is often done, tells the ranker that low-ranked movies are liked more than they
    are (docs/why.md). Training requests none of whose rows is a target teach nothing and are left out.
    Validation requests keep all candidates, as in serving.
    """
    features = feature_list()
    moments = [to_epoch(moment) for moment in episode_moments(data, config)]
    users = {int(user_id): number for number, user_id in enumerate(data.user_ids)}
    keys: dict[str, list[np.ndarray]] = {name: [] for name in KEYS}
    matrices = []
    wanted = requests.filter(pl.col("role") != "test")
    for (episode,), group in wanted.group_by("episode", maintain_order=True):
        if progress is not None:
            progress(f"training rows of origin {episode}: {len(group)} requests")
        state = fit_state(data, catalogue, moments[int(str(episode))], config)
        for request in group.iter_rows(named=True):
            user = users[request["user_id"]]
            as_of = to_epoch(request["as_of"])
            found = candidate_rows(state, catalogue, data.history(user, as_of), as_of, features)
            movie_ids = catalogue.movie_ids[found.candidates.rows]
            is_target = np.isin(movie_ids, request["targets"])
            matrix = found.matrix
            if request["role"] == "train":
                part = slice(config.training_depth)
                movie_ids, is_target, matrix = movie_ids[part], is_target[part], matrix[part]
                if not is_target.any():
                    continue
            n = len(is_target)
            for name in ("request_id", "user_id"):
                keys[name].append(np.full(n, request[name]))
            keys["episode"].append(np.full(n, request["episode"], np.int32))
            keys["role"].append(np.full(n, request["role"]))
            keys["as_of"].append(np.full(n, as_of * 1_000_000))
            keys["movie_id"].append(movie_ids)
            keys["label"].append(is_target.astype(np.int8))
            keys["rating"].append(_later_ratings(data, user, as_of, moments, request, movie_ids))
            keys["like_share"].append(np.full(n, found.query.like_share, np.float32))
            matrices.append(matrix)
    table = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in keys.items()}
    matrix = np.concatenate(matrices) if matrices else np.zeros((0, len(features)), np.float32)
    return pl.DataFrame(
        {**table, **{feature.name: matrix[:, k] for k, feature in enumerate(features)}}
    ).with_columns(
        pl.col("as_of").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        pl.col("rating").cast(pl.Float32).fill_nan(None),
    )


def _later_ratings(
    data: InteractionArrays, user: int, as_of: int, moments: list[int], request: dict, movie_ids: np.ndarray
) -> np.ndarray:
    """What the user rated each movie from the request to the end of its episode; NaN if they did not."""
    part = slice(int(data.offsets[user]), int(data.offsets[user + 1]))
    stop = moments[request["episode"] + 1]
    later = (data.timestamps[part] >= as_of) & (data.timestamps[part] < stop)
    rated = dict(zip(data.movie_ids[part][later], data.ratings[part][later], strict=True))
    return np.array([rated.get(movie_id, np.nan) for movie_id in movie_ids], np.float32)
