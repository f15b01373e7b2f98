"""Small simulated ratings for tests: two groups of taste, forty days, fixed seed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import CATALOGUE, FEEDBACK, RATINGS, TIMESTAMP
from movierank_pipeline.ingest.interactions import build_interactions

START = datetime(2024, 1, 1, tzinfo=UTC)
CONFIG = ModelConfig(
    n_trees=20,
    n_candidates=40,
    n_per_source=25,
    als_factors=8,
    als_iterations=4,
    ease_l2=20.0,
    training_moments=3,
    moments=3,
    n_threads=1,
    missing_events=True,
)


@dataclass(frozen=True)
class SimulatedRatings:
    ratings: pl.DataFrame
    catalogue_frame: pl.DataFrame

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.catalogue_frame)

    @property
    def interactions(self) -> pl.DataFrame:
        return build_interactions(self.ratings, pl.DataFrame(schema=FEEDBACK))

    @property
    def data(self) -> InteractionArrays:
        return InteractionArrays.from_frame(self.interactions, self.catalogue)

    def with_ratings(self, rows: list[tuple[int, int, float, datetime]]) -> "SimulatedRatings":
        extra = pl.DataFrame(rows, schema=RATINGS, orient="row")
        joined = pl.concat([self.ratings, extra]).sort("user_id", "timestamp", maintain_order=True)
        return SimulatedRatings(joined, self.catalogue_frame)


def make_catalogue(n_movies: int) -> pl.DataFrame:
    """Movies 10, 20, 30, …; even ones are comedies, odd ones thrillers, some are dramas as well."""
    columns: dict[str, object] = {
        "movie_id": [10 * (k + 1) for k in range(n_movies)],
        "title": [f"Film {k}" for k in range(n_movies)],
        "release_year": [1980 + k % 40 for k in range(n_movies)],
        "genres": [
            ["Comedy" if k % 2 == 0 else "Thriller", *(["Drama"] if k % 5 == 0 else [])]
            for k in range(n_movies)
        ],
        "runtime_minutes": [90 + k % 60 for k in range(n_movies)],
        "original_language": ["en" if k % 3 else "fr" for k in range(n_movies)],
        "directors": [[f"Director {k % 7}"] for k in range(n_movies)],
    }
    return pl.DataFrame(
        [
            pl.Series(name, columns[name], dtype=kind)
            if name in columns
            else pl.Series(name, [None] * n_movies, dtype=kind)
            for name, kind in CATALOGUE.items()
        ]
    )


def simulate_ratings(n_users: int = 90, n_movies: int = 80, seed: int = 0) -> SimulatedRatings:
    """Odd users like thrillers and even users comedies, with noise; 10 to 30 ratings each."""
    rng = np.random.default_rng(seed)
    rows = []
    appeal = rng.zipf(1.6, n_movies).clip(1, 30).astype(float)
    for user in range(1, n_users + 1):
        group = user % 2
        weight = appeal * np.where(np.arange(n_movies) % 2 == group, 3.0, 1.0)
        n = int(rng.integers(10, 31))
        arrival = START + timedelta(days=float(rng.uniform(0, 40)))
        for rank, movie in enumerate(rng.choice(n_movies, n, replace=False, p=weight / weight.sum())):
            taste = 1.2 if movie % 2 == group else -0.8
            stars = np.clip(np.round(2 * (3.3 + taste + rng.normal(0, 0.7))) / 2, 0.5, 5.0)
            # Some ratings share their second, as they do in MovieLens.
            rows.append(
                (user, 10 * (int(movie) + 1), float(stars), arrival + timedelta(minutes=rank // 2 * 90))
            )
    ratings = (
        pl.DataFrame(rows, schema={**RATINGS, "timestamp": TIMESTAMP}, orient="row")
        .with_columns(pl.col("timestamp").dt.truncate("1s"))
        .sort("user_id", "timestamp", maintain_order=True)
    )
    return SimulatedRatings(ratings, make_catalogue(n_movies))
