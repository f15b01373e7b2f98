"""A service for tests: a small catalogue, a recommender without a model, and histories."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.data.schema import CATALOGUE, INTERACTIONS
from movierank_core.errors import BundleError
from movierank_core.features.movie_facts import MovieFacts
from movierank_core.manifest import FORMAT_VERSION, MANIFEST, FeatureInfo, Manifest
from movierank_core.recommender.degradation import FAIL_FAST, Degradation
from movierank_core.recommender.explanation import Explanation
from movierank_core.recommender.ranking import DEFAULT_OPTIONS, RankedMovie, Ranking, RankOptions
from movierank_serving.app import create_app
from movierank_serving.model_sync.local_copies import CopiedVersion, ModelCopies, now
from movierank_serving.settings import Settings
from movierank_serving.worker.loaded import ServedRecommender

MOVIES: list[dict[str, Any]] = [
    {"movie_id": 1, "title": "Amélie", "release_year": 2001, "genres": ["Comedy", "Romance"], "tmdb_id": 194},
    {
        "movie_id": 550,
        "title": "Fight Club",
        "release_year": 1999,
        "genres": ["Drama", "Thriller"],
        "tmdb_id": 55000,
        "imdb_id": "tt0137523",
        "runtime_minutes": 139,
        "overview": "Two men fight.",
        "poster_path": "/poster.jpg",
        "tmdb_vote_average_snapshot": 8.4,
        "tmdb_popularity_snapshot": 62.1,
        "directors": ["David Fincher"],
        "retrieved_at": datetime(2024, 1, 1, tzinfo=UTC),
    },
    {"movie_id": 603, "title": "The Matrix", "release_year": 1999, "genres": ["Action"], "tmdb_id": 603},
    {"movie_id": 604, "title": "The Matrix Reloaded", "release_year": 2003, "genres": ["Action"]},
    {"movie_id": 700, "title": "A Film Without Facts", "release_year": None, "genres": None},
]


def small_catalogue() -> Catalogue:
    frame = pl.DataFrame(
        [{name: movie.get(name) for name in CATALOGUE} for movie in MOVIES], schema=CATALOGUE
    )
    return Catalogue(frame)


class FakeRecommender:
    """Ranks the movies that are not in the history by their row: every event changes the next answer."""

    def __init__(self, name: str = "fake", catalogue: Catalogue | None = None) -> None:
        self.catalogue = small_catalogue() if catalogue is None else catalogue
        self.manifest = Manifest(
            format_version=FORMAT_VERSION,
            name=name,
            created_at="2024-01-02T00:00:00+00:00",
            data_as_of="2024-01-01T00:00:00+00:00",
            dataset="tiny",
            ratings_are_simulated=True,
            data_hash="0" * 64,
            n_movies=len(self.catalogue),
            n_users=2,
            n_interactions=4,
            features=[FeatureInfo("movie_log_events", "movie"), FeatureInfo("movie_age_years", "movie")],
            calibration={},
            metrics={"ndcg_at_10": 0.2},
            config={},
            library_versions={"numpy": np.__version__},
            files={},
        )
        self.source_names = ("ease_likes", "popularity")
        self.asked: list[tuple[History, int, RankOptions]] = []

    def with_facts(self, facts: MovieFacts | None) -> "FakeRecommender":
        return self

    def rank(
        self,
        history: History,
        *,
        as_of: int,
        k: int,
        options: RankOptions = DEFAULT_OPTIONS,
        degradation: Degradation = FAIL_FAST,
    ) -> Ranking:
        self.asked.append((history, as_of, options))
        history = history.before(as_of)
        rows = np.arange(len(self.catalogue))
        hidden = history.movie_ids[history.is_hidden | (history.is_seen & options.exclude_seen)]
        rows = np.setdiff1d(rows, self.catalogue.rows_of(hidden))
        scores = 0.9 - 0.5 * rows / len(self.catalogue)
        return Ranking(
            results=[
                RankedMovie(
                    row=int(row),
                    score=float(score),
                    raw_score=2.0,
                    reasons=["popular_lately"],
                    contributions={"base": 1.5, "popular_lately": 0.5} if options.explain else None,
                )
                for row, score in zip(rows[:k], scores[:k], strict=True)
            ],
            served_by="model" if len(history) else "popularity",
            n_candidates=len(rows),
            stage_ms={"retrieve": 0.1, "score": 0.2},
        )

    def explain(
        self, history: History, *, as_of: int, row: int, options: RankOptions = DEFAULT_OPTIONS
    ) -> Explanation:
        raise NotImplementedError("explanations are tested with a recommender that was trained")

    def similar(self, row: int, k: int) -> list[tuple[int, float]]:
        others = [other for other in range(len(self.catalogue)) if other != row]
        return [(other, 1.0 / (1 + place)) for place, other in enumerate(others[:k])]

    def popular(self, k: int) -> list[int]:
        return list(range(len(self.catalogue)))[::-1][:k]


def load_fake(folder: Path) -> FakeRecommender:
    """Loads a folder whose manifest is only a name. Raises BundleError for the name `broken`."""
    try:
        name = (folder / MANIFEST).read_text()
    except OSError as error:
        raise BundleError(f"{folder} holds no {MANIFEST}", expected="a model bundle") from error
    if name == "broken":
        raise BundleError(f"The bundle in {folder} is broken", expected="a good one")
    return FakeRecommender(name)


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Settings below a folder: frequent polls, and a deadline that a busy machine keeps as well."""
    settings = Settings(
        root=str(folder),
        home=str(folder / "home"),
        tracking_uri=f"sqlite:///{folder}/mlruns/mlflow.db",
        events_url=f"sqlite:///{folder}/home/events.db",
        watch_seconds=0.05,
        registry_poll_seconds=0.1,
        log_requests=False,
        rank_deadline_ms=60_000,
        open_scopes="all",
    )
    return msgspec.structs.replace(settings, **changes)


def serve_version(settings: Settings, version: str, name: str = "good") -> None:
    """Makes a fake version the current local copy, as `sync` does."""
    copies = ModelCopies(settings.paths.model_cache)
    current = CopiedVersion(version=version, run_id=f"run{version}", folder=f"{version}-x", aliased_at=now())
    folder = copies.folder_of(current)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_text(name)
    copies.set_current(current)


def publish(
    settings: Settings,
    *rows: tuple[int, int, str, float | None, int],
    through: str | None = None,
    dataset: str = "tiny",
) -> None:
    """Publishes histories from rows of (user, movie, event type, rating, seconds)."""
    frame = pl.DataFrame(
        [(*row[:4], datetime.fromtimestamp(row[4], UTC)) for row in rows], schema=INTERACTIONS, orient="row"
    )
    publish_histories(
        frame,
        settings.paths.histories,
        feedback_through=through,
        dataset=dataset,
        ratings_are_simulated=True,
    )


@contextmanager
def client_of(
    settings: Settings, load: Callable[[Path], ServedRecommender] = load_fake
) -> Iterator[TestClient[Litestar]]:
    """The service in this process; `load` reads its versions, by default as fake recommenders."""
    with TestClient(create_app(settings, load), raise_server_exceptions=False) as client:
        yield client


def metric(client: TestClient[Litestar], line: str) -> float:
    """The value of a metric, named with its labels as `/metrics` prints it; 0 if it is not there."""
    found = [text for text in client.get("/metrics").text.splitlines() if text.startswith(f"{line} ")]
    return float(found[0].split()[-1]) if found else 0.0
