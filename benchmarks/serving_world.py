"""The data of the serving benchmark: a catalogue, all histories and model versions, created once.

Sizes are those of `ml-32m`. Titles, genres and years are real if its `movies.csv` is present, else synthetic;
directors, languages and runtimes are always synthetic. Ratings are simulated: history lengths resemble those
of MovieLens, movies are drawn by popularity. The bundle has sources of the shapes that the pipeline makes
(see `sources_of`), movie states fitted on the simulated ratings, and trees trained on the service's own
features of random requests with random labels. A request costs as much as with a trained version; its list
has no meaning.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from movierank_core.bundle import write_bundle
from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_TYPES
from movierank_core.data.history_snapshot import HISTORIES, HistoriesManifest, open_histories
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import CATALOGUE
from movierank_core.data.snapshot import CURRENT, MANIFEST
from movierank_core.features.movie_state import MovieState
from movierank_core.features.registry import feature_list
from movierank_core.kernels.sparse_rows import SparseRows
from movierank_core.paths import Paths
from movierank_core.ranker.score_calibration import ScoreCalibration
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import RankingState
from movierank_core.retrieval import registry
from movierank_core.retrieval.source import Source
from movierank_core.retrieval.sources.als import ImplicitALS
from movierank_core.retrieval.sources.item_to_item import ItemToItem
from movierank_core.retrieval.sources.popularity import Popularity
from movierank_core.retrieval.sources.sequence import HazardMarkov, NextItem
from movierank_pipeline.ingest.movielens.titles import plain_title, release_year
from movierank_pipeline.release.build_bundle import lightgbm_scores
from movierank_serving.model_sync.local_copies import CopiedVersion, ModelCopies, now

ROOT: Final = Path(__file__).resolve().parent.parent
CONFIG: Final = ModelConfig()
VERSIONS: Final = ("1", "2")
"""Two copies of one bundle, for the swap."""
FIRST_RATING: Final = int(datetime(1996, 1, 1, tzinfo=UTC).timestamp())
LAST_RATING: Final = int(datetime(2023, 10, 1, tzinfo=UTC).timestamp())
_WORLD_FORMAT: Final = 4
"""Version of the generated data; increased when the generator changes."""


@dataclass(frozen=True)
class Size:
    n_movies: int = 87_585
    n_users: int = 200_948
    n_ratings: int = 32_000_000
    n_collaborative: int = CONFIG.max_collaborative_movies
    n_sequence: int = CONFIG.max_sequence_movies
    n_factored: int = CONFIG.max_factored_movies
    n_neighbours: int = CONFIG.n_neighbours
    n_content_neighbours: int = CONFIG.n_content_neighbours
    n_factors: int = CONFIG.als_factors
    n_trees: int = CONFIG.n_trees
    n_training_requests: int = 150


FULL: Final = Size()
TINY: Final = Size(
    n_movies=1500,
    n_users=400,
    n_ratings=20_000,
    n_collaborative=800,
    n_sequence=500,
    n_factored=600,
    n_neighbours=40,
    n_content_neighbours=20,
    n_factors=8,
    n_trees=10,
    n_training_requests=20,
)


def popularity_of(rng: np.random.Generator, n_movies: int) -> NDArray[np.float64]:
    """Share of events per row: a power law in random row order."""
    weight = 1.0 / (np.arange(n_movies) + 50.0) ** 1.3
    return rng.permutation(weight / weight.sum())


def sources_of(rng: np.random.Generator, weight: NDArray[np.float64], size: Size = FULL) -> dict[str, Source]:
    """Every source of the registry, with arrays of the shapes that a fit gives, filled at random.

    An item-to-item source keeps as many of the most popular movies as its class says, with `n_neighbours`
    neighbours each, or the whole catalogue with `n_content_neighbours`. Neighbours are drawn by popularity.
    Raises TypeError for a source of a kind that has no simulation here.
    """
    config = msgspec.structs.replace(
        CONFIG,
        max_collaborative_movies=size.n_collaborative,
        max_sequence_movies=size.n_sequence,
        max_factored_movies=size.n_factored,
    )
    by_popularity = np.argsort(-weight)
    counts = (weight * size.n_ratings).astype(np.float32)
    n_events = np.ceil(counts).astype(np.int64)

    def neighbours(source: type[ItemToItem]) -> tuple[SparseRows, NDArray[np.int64]]:
        limit = source.max_movies(config)
        movies = np.sort(by_popularity[:limit])
        n = size.n_content_neighbours if limit is None else size.n_neighbours
        p = weight[movies] / weight[movies].sum()
        columns = np.sort(rng.choice(len(movies), (len(movies), n), p=p), axis=1)
        lengths = np.zeros(size.n_movies, np.int64)
        lengths[movies] = n
        rows = SparseRows(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            columns.ravel().astype(np.int32),
            rng.random(columns.size, np.float32),
        )
        return rows, movies

    made: dict[type[Source], Source] = {}
    for source in registry.sources_of(config):
        if issubclass(source, HazardMarkov):
            rows, movies = neighbours(source)
            log_hazard = np.log(2 + counts[movies])
            made[source] = source(rows, movies, log_hazard, config.transition_history_decay)
        elif issubclass(source, NextItem):
            near, movies = neighbours(source)
            decays = (config.next_item_near_decay, config.next_item_far_decay)
            made[source] = source(near, neighbours(source)[0], movies, decays)
        elif issubclass(source, ItemToItem):
            twin = None if source.shares_neighbours_of is None else made[source.shares_neighbours_of]
            shared = (twin.neighbours, twin.support.rows) if isinstance(twin, ItemToItem) else None
            made[source] = source.of_neighbours(*(shared or neighbours(source)), n_events, config)
        elif issubclass(source, ImplicitALS):
            movies = np.sort(by_popularity[: config.max_factored_movies])
            factors = rng.normal(0, 0.1, (len(movies), size.n_factors)).astype(np.float32)
            made[source] = source(movies, factors, config.als_alpha, config.als_l2, size.n_movies)
        elif issubclass(source, Popularity):
            made[source] = source(counts)
        else:
            raise TypeError(f"The benchmark has no simulation for a source of the kind of {source.name}")
    return {source.name: each for source, each in made.items()}


def history_lengths(rng: np.random.Generator, size: Size) -> NDArray[np.int64]:
    """Ratings per user, `n_ratings` in total: minimum 20, median below 73, as in ml-32m."""
    longest = min(5000, size.n_movies // 3)
    shape = np.exp(rng.normal(0, 1.25, size.n_users))
    low, high = 1.0, 10_000.0
    for _ in range(60):  # Bisection for the scale that gives the total.
        scale = (low + high) / 2
        total = np.clip(shape * scale, 20, longest).astype(np.int64).sum()
        low, high = (scale, high) if total < size.n_ratings else (low, scale)
    lengths = np.clip(shape * low, 20, longest).astype(np.int64)
    missing = size.n_ratings - int(lengths.sum())
    free = np.flatnonzero(lengths < longest)
    lengths[free[: max(missing, 0)]] += 1
    return lengths


@njit(cache=True)
def _draw(cumulative, offsets, rng, rows):  # type: ignore[no-untyped-def]  # numba
    """Fills `rows` with distinct movies per user, drawn by popularity."""
    drawn_for = np.full(len(cumulative), -1, np.int64)
    for user in range(len(offsets) - 1):
        place = offsets[user]
        while place < offsets[user + 1]:
            row = min(np.searchsorted(cumulative, rng.random()), len(cumulative) - 1)
            if drawn_for[row] != user:
                drawn_for[row] = user
                rows[place] = row
                place += 1


def publish(paths: Paths, catalogue: Catalogue, weight: NDArray[np.float64], size: Size) -> InteractionArrays:
    """Publishes all ratings as a history snapshot, in chunks of users, and returns them."""
    rng = np.random.default_rng(2)
    lengths = history_lengths(rng, size)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(offsets[-1])
    snapshot = paths.histories / "benchmark"
    shutil.rmtree(paths.histories, ignore_errors=True)
    snapshot.mkdir(parents=True)
    user_ids = np.arange(1, size.n_users + 1)
    np.save(snapshot / "user_ids.npy", user_ids)
    np.save(snapshot / "offsets.npy", offsets)
    kinds = {
        "movie_ids": np.int64,
        "ratings": np.float32,
        "timestamps": np.int64,
        "event_codes": np.uint8,
        "is_standing": np.bool_,
    }
    columns = {
        name: np.lib.format.open_memmap(snapshot / f"{name}.npy", mode="w+", dtype=kind, shape=(n,))
        for name, kind in kinds.items()
    }
    rows = np.empty(n, np.int32)
    _draw(np.cumsum(weight), offsets, rng, rows)
    appeal = rng.normal(0, 0.5, size.n_movies)
    columns["event_codes"][:] = EVENT_TYPES["rating"].code
    columns["is_standing"][:] = True
    chunk = 20_000
    for first in range(0, size.n_users, chunk):
        users = np.arange(first, min(first + chunk, size.n_users))
        part = slice(int(offsets[users[0]]), int(offsets[users[-1] + 1]))
        user_of = np.repeat(users, lengths[users])
        columns["movie_ids"][part] = catalogue.movie_ids[rows[part]]
        taste = rng.normal(3.5, 0.4, len(users))[user_of - first]
        stars = taste + appeal[rows[part]] + rng.normal(0, 0.8, len(user_of))
        columns["ratings"][part] = np.clip(np.round(2 * stars), 1, 10) / 2
        begun = rng.integers(FIRST_RATING, LAST_RATING - 90 * 86_400, len(users))[user_of - first]
        times = begun + rng.integers(0, 90 * 86_400, len(user_of))
        columns["timestamps"][part] = times[np.lexsort((times, user_of))]
    for column in columns.values():
        column.flush()
    names = ("user_ids", "offsets", *kinds)
    manifest = HistoriesManifest(
        format_version=HISTORIES.version,
        snapshot_id=snapshot.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data_as_of=datetime.fromtimestamp(int(columns["timestamps"].max()), UTC).isoformat(),
        feedback_through=None,
        dataset="benchmark",
        ratings_are_simulated=True,
        n_users=size.n_users,
        n_events=n,
        file_bytes={name: (snapshot / f"{name}.npy").stat().st_size for name in names},
    )
    (snapshot / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    (paths.histories / CURRENT).write_text(snapshot.name + "\n", "ascii")
    return InteractionArrays(
        user_ids=user_ids,
        offsets=offsets,
        users=np.repeat(np.arange(size.n_users, dtype=np.int32), lengths),
        rows=rows,
        movie_ids=columns["movie_ids"],
        ratings=columns["ratings"],
        timestamps=columns["timestamps"],
        event_codes=columns["event_codes"],
    )


def catalogue_of(rng: np.random.Generator, size: Size) -> tuple[Catalogue, bool]:
    """The movies, and whether titles, genres and years are real (`ml-32m`)."""
    folder = Path(os.environ.get("MOVIERANK_TEST_DATA", ROOT.parent / "shared" / "data"))
    file = folder / "ml-32m" / "movies.csv"
    if file.is_file():
        raw = pl.read_csv(file).sample(size.n_movies, seed=1).sort("movieId")
        known = raw.select(
            movie_id="movieId",
            title=plain_title(pl.col("title")),
            release_year=release_year(pl.col("title")),
            genres=pl.when(pl.col("genres") == "(no genres listed)")
            .then(pl.lit([], pl.List(pl.String)))
            .otherwise(pl.col("genres").str.split("|")),
        )
    else:
        numbers = range(1, size.n_movies + 1)
        genres = [f"Genre {number}" for number in range(19)]
        known = pl.DataFrame(
            {
                "movie_id": list(numbers),
                "title": [f"The Film of Number {number}" for number in numbers],
                "release_year": rng.integers(1920, 2024, size.n_movies).tolist(),
                "genres": [rng.choice(genres, rng.integers(1, 4), replace=False).tolist() for _ in numbers],
            }
        )
    directors = rng.zipf(1.5, size.n_movies) % 30_000
    languages = np.array(["en", "fr", "de", "ja", "es", "it", "ko", "sv"])
    made_up = known.with_columns(
        directors=pl.Series([[f"Director {number}"] for number in directors.tolist()]),
        original_language=pl.Series(languages[np.minimum(rng.geometric(0.5, size.n_movies) - 1, 7)]),
        runtime_minutes=pl.Series(rng.integers(60, 200, size.n_movies)),
        poster_path=pl.Series([f"/poster-{number}.jpg" for number in range(size.n_movies)]),
    )
    frame = made_up.select(
        pl.col(name).cast(kind) if name in made_up.columns else pl.lit(None, kind).alias(name)
        for name, kind in CATALOGUE.items()
    )
    return Catalogue(frame), file.is_file()


def make_world(folder: Path, size: Size, say: Callable[[str], None] = print) -> Paths:
    """The data of a size below `folder`, reused from an earlier run if present."""
    paths = Paths(root=folder, home=folder / "home")
    mark = folder / "made.json"
    wanted = msgspec.json.encode([_WORLD_FORMAT, size])
    if mark.is_file() and mark.read_bytes().startswith(wanted):
        return paths
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    catalogue, is_real = catalogue_of(rng, size)
    weight = popularity_of(rng, size.n_movies)
    say(f"making {size.n_ratings} ratings")
    data = publish(paths, catalogue, weight, size)
    say("making the bundle")
    copies = ModelCopies(paths.model_cache)
    copies.versions.mkdir(parents=True)
    _write_version(copies.versions / VERSIONS[0], catalogue, data, rng, weight, size)
    for version in VERSIONS[1:]:
        shutil.copytree(copies.versions / VERSIONS[0], copies.versions / version)
    set_version(paths, VERSIONS[0])
    open_histories(paths.histories)  # Raises if the service could not read the snapshot.
    mark.write_bytes(wanted + (b" real titles\n" if is_real else b" made-up titles\n"))
    return paths


def has_real_titles(folder: Path) -> bool:
    return b"real titles" in (folder / "made.json").read_bytes()


def set_version(paths: Paths, version: str) -> None:
    """Points the workers to a version, as the sync process does."""
    ModelCopies(paths.model_cache).set_current(
        CopiedVersion(version=version, run_id="benchmark", folder=version, aliased_at=now())
    )


def _write_version(
    folder: Path,
    catalogue: Catalogue,
    data: InteractionArrays,
    rng: np.random.Generator,
    weight: NDArray[np.float64],
    size: Size,
) -> None:
    as_of = LAST_RATING + 1
    state = RankingState(
        sources=sources_of(rng, weight, size),
        movies=MovieState.fit(data, catalogue, as_of),
        as_of=as_of,
        n_per_source=CONFIG.n_per_source,
        n_candidates=CONFIG.n_candidates,
        max_history=CONFIG.max_history,
        min_movie_events=CONFIG.min_movie_events,
        n_little_known=CONFIG.n_little_known,
    )
    features = feature_list(sources=state.sources)
    users = rng.choice(size.n_users, size.n_training_requests, replace=False)
    X = np.concatenate(
        [candidate_rows(state, catalogue, data.history(user), as_of, features).matrix for user in users]
    )
    filled = np.nan_to_num(X)
    scaled = (filled - filled.mean(axis=0)) / (filled.std(axis=0) + 1e-9)
    taste = scaled @ rng.normal(size=X.shape[1]) + rng.normal(0, 3, len(X))
    parameters = {
        "objective": "binary",
        "num_leaves": CONFIG.n_leaves,
        "learning_rate": CONFIG.learning_rate,
        "min_data_in_leaf": min(CONFIG.min_rows_per_leaf, len(X) // 100),
        "feature_fraction": CONFIG.feature_fraction,
        "num_threads": 1,
        "seed": 1,
        "verbosity": -1,
    }
    names = [feature.name for feature in features]
    rows = lgb.Dataset(X, (taste > 0).astype(int), feature_name=names)
    text = lgb.train(parameters, rows, size.n_trees).model_to_string()
    write_bundle(
        folder,
        catalogue=catalogue,
        state=state,
        model_text=text,
        feature_names=[feature.name for feature in features],
        calibration=ScoreCalibration(1.0, 0.0, 1.0),
        predict_raw=lambda matrix: lightgbm_scores(text, matrix),
        dataset="benchmark",
        ratings_are_simulated=True,
        data_hash="0" * 64,
        n_users=size.n_users,
        n_interactions=size.n_ratings,
        metrics={},
        config=msgspec.to_builtins(CONFIG),
    )
