"""The bundle as an MLflow pyfunc model, for `mlflow models serve` and batch scoring.

MLflow stores this file beside the bundle and executes it to load the model (models from code, no pickle). One
input row is one request and gives the same ranking as `/rank` for that history.
"""

import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from movierank_core.bundle import read_bundle
from movierank_core.data.history import Event, History

DEFAULT_K = 25


class Ranker(PythonModel):
    """Ranks movies for histories given as columns.

    Inputs: `movie_ids`, `ratings` (NaN for no opinion) and `timestamps` (seconds since 1970, UTC), lists of
    equal length in any order. Optional: `event_types` (default: all `rating`), `k` (default 25) and `as_of`
    (seconds since 1970, default now; events at or after it are ignored). Outputs: `movie_ids`, best first,
    and `scores`: the probability that the user likes the movie.
    """

    def load_context(self, context: PythonModelContext) -> None:
        self._recommender = read_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        return pd.DataFrame([self._rank(row) for row in model_input.to_dict("records")])

    def _rank(self, row: dict[str, Any]) -> dict[str, list]:
        k = DEFAULT_K if _is_absent(row.get("k")) else int(row["k"])
        as_of = int(time.time()) if _is_absent(row.get("as_of")) else int(row["as_of"])
        ranking = self._recommender.rank(_history_of(row, as_of), as_of=as_of, k=k)
        movie_ids = self._recommender.catalogue.movie_ids
        return {
            "movie_ids": [int(movie_ids[movie.row]) for movie in ranking.results],
            "scores": [movie.score for movie in ranking.results],
        }


def _history_of(row: dict[str, Any], as_of: int) -> History:
    movie_ids = list(row["movie_ids"])
    given = row.get("event_types")
    event_types = ["rating"] * len(movie_ids) if given is None or _is_absent(given) else list(given)
    columns = zip(movie_ids, event_types, row["timestamps"], row["ratings"], strict=True)
    events = [
        Event(int(movie_id), event_type, int(timestamp), None if np.isnan(rating) else float(rating))
        for movie_id, event_type, timestamp, rating in columns
    ]
    return History.from_events(events, as_of=as_of)


def _is_absent(value: object) -> bool:
    """Whether a column is missing: MLflow fills missing optional columns with None or NaN."""
    return value is None or (isinstance(value, float) and np.isnan(value))


mlflow.models.set_model(Ranker())
