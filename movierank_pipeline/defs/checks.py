"""Asset checks: what must hold of the data, of the training rows and of the model.

The functions without a decorator hold the rules; those with one only say where they apply.
"""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import RATINGS, require_schema
from movierank_core.data.timestamps import to_epoch
from movierank_core.errors import DataError
from movierank_core.paths import Paths
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import fit_state
from movierank_pipeline.artifacts import StoredEvaluation, StoredInteractions, StoredRatings
from movierank_pipeline.datasets import metadata_settings
from movierank_pipeline.defs.metadata import markdown_table
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN
from movierank_pipeline.ingest.link_quality import MAX_YEARS_APART, coverage, suspicious_links
from movierank_pipeline.ingest.tmdb.metadata import HOW_TO_GET_MORE
from movierank_pipeline.promotion.gate import POPULARITY
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.ranker import TrainedRanker
from movierank_pipeline.training.requests import episode_moments
from movierank_pipeline.training.training_set import TrainingSet

MIN_TMDB_SHARE = 0.9
"""Films with a TMDB id, below which cards stay without facts; a warning."""
MIN_COVERED_MOVIES = 0.9
MIN_COVERED_RATINGS = 0.95
"""Films and ratings with facts from TMDB, below which there is a warning."""
MAX_SUSPICIOUS = 0.01
"""Films whose TMDB facts look like those of another one, above which there is a warning."""
N_WORST = 20
"""Of them, so many are listed."""
N_SAMPLED_REQUESTS = 20
"""Training requests that are recomputed."""


def ratings_out_of_range(ratings: pl.DataFrame) -> int:
    """Ratings that are not 0.5 to 5 in steps of a half."""
    rating = pl.col("rating")
    is_valid = rating.is_between(0.5, 5.0) & ((rating * 2).round() == rating * 2)
    return int(ratings.select((~is_valid.fill_null(False)).sum()).item())


def sample_requests(training_set: TrainingSet) -> pl.DataFrame:
    """The rows of a few requests of the first episode, spread evenly over it."""
    first = training_set.frame.filter(pl.col("episode") == pl.col("episode").min())
    ids = first["request_id"].unique(maintain_order=True)
    chosen = ids[np.unique(np.linspace(0, len(ids) - 1, min(N_SAMPLED_REQUESTS, len(ids))).astype(int))]
    return first.filter(pl.col("request_id").is_in(chosen.implode()))


def compare_training_rows(
    rows: pl.DataFrame,
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    ranker: TrainedRanker,
    config: ModelConfig,
) -> tuple[int, int]:
    """Training rows that differ when recomputed: (from earlier events alone, by the code of `/rank`).

    For the first, later events are taken out of the table before anything is fitted. For the second, the
    request is answered as the service does, from the table with everything in it.
    """
    data = InteractionArrays.from_frame(interactions, catalogue)
    episode = int(rows["episode"][0])
    origin = episode_moments(data, config)[episode]
    before_origin = interactions.filter(pl.col("timestamp") < origin)
    state = fit_state(
        InteractionArrays.from_frame(before_origin, catalogue), catalogue, to_epoch(origin), config
    )
    model = ranker.on(catalogue, state)
    n_future, n_serving = 0, 0
    for request in rows.partition_by("request_id", maintain_order=True):
        user_id, moment = request["user_id"][0], request["as_of"][0]
        as_of = to_epoch(moment)
        earlier = interactions.filter(pl.col("user_id") == user_id, pl.col("timestamp") < moment)
        history = (
            InteractionArrays.from_frame(earlier, catalogue).history(0) if len(earlier) else History.empty()
        )
        found = candidate_rows(model.state, catalogue, history, as_of, ranker.features)
        n_future += n_different(request, found.candidates.rows, found.matrix, catalogue, ranker)
        user = int(np.searchsorted(data.user_ids, user_id))
        scored = model.score(data.history(user, as_of), as_of=as_of)
        if scored.features is not None:  # A newcomer is answered without the ranker.
            n_serving += n_different(request, scored.rows, scored.features, catalogue, ranker)
    return n_future, n_serving


def n_different(
    request: pl.DataFrame,
    rows: NDArray[np.int64],
    matrix: NDArray[np.float32],
    catalogue: Catalogue,
    ranker: TrainedRanker,
) -> int:
    """Training rows of one request that are no candidate of the other side, or have other features there.

    The other side may have more candidates: training keeps the best-fused ones only.
    """
    names = [feature.name for feature in ranker.features]
    found = dict(zip(catalogue.movie_ids[rows].tolist(), matrix, strict=True))
    return sum(
        movie_id not in found or not np.array_equal(found[movie_id], features, equal_nan=True)
        for movie_id, features in zip(request["movie_id"], request.select(names).to_numpy(), strict=True)
    )


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec("schema", asset="ratings", description="Columns and types are those of RATINGS."),
        dg.AssetCheckSpec(
            "unique_keys", asset="ratings", description="A user rates a film once: the last rating counts."
        ),
        dg.AssetCheckSpec("rating_range", asset="ratings", description="Half stars from 0.5 to 5."),
    ],
    name="ratings_checks",
)
def ratings_checks(ratings: StoredRatings) -> Iterator[dg.AssetCheckResult]:
    """Keys, types and values of the ratings."""
    frame = ratings.frame
    try:
        require_schema(frame, RATINGS, "ratings")
        problem = ""
    except DataError as error:
        problem = str(error)
    yield dg.AssetCheckResult(passed=not problem, check_name="schema", description=problem or None)
    n_twice = frame.height - frame.select("user_id", "movie_id").n_unique()
    yield dg.AssetCheckResult(passed=n_twice == 0, check_name="unique_keys", metadata={"repeated": n_twice})
    n_outside = ratings_out_of_range(frame)
    yield dg.AssetCheckResult(
        passed=n_outside == 0, check_name="rating_range", metadata={"outside": n_outside}
    )


@dg.asset_check(
    asset="catalogue",
    name="tmdb_links",
    description=f"At least {MIN_TMDB_SHARE:.0%} of the films have a TMDB id; a warning, for cards without"
    " facts still work.",
)
def tmdb_links(catalogue: pl.DataFrame) -> dg.AssetCheckResult:
    """How much of the catalogue can be enriched."""
    share = 1 - catalogue["tmdb_id"].null_count() / max(1, catalogue.height)
    return dg.AssetCheckResult(
        passed=share >= MIN_TMDB_SHARE, severity=dg.AssetCheckSeverity.WARN, metadata={"share": share}
    )


@dg.asset_check(
    asset="catalogue",
    name="tmdb_coverage",
    additional_ins={"ratings": dg.AssetIn("ratings")},
    description=f"Facts from TMDB for at least {MIN_COVERED_MOVIES:.0%} of the films and"
    f" {MIN_COVERED_RATINGS:.0%} of the ratings, where there is a key or a file; a warning.",
)
def tmdb_coverage(catalogue: pl.DataFrame, ratings: StoredRatings, settings: Settings) -> dg.AssetCheckResult:
    """What people see of the films: those that are rated most matter most."""
    of_movies, of_ratings = coverage(catalogue, ratings.frame)
    sources = metadata_settings(settings, Paths.from_environment())
    has_source = sources.access is not None or sources.metadata_file is not None
    by_source = catalogue["metadata_source"].fill_null("none").value_counts(sort=True)
    return dg.AssetCheckResult(
        passed=not has_source or (of_movies >= MIN_COVERED_MOVIES and of_ratings >= MIN_COVERED_RATINGS),
        severity=dg.AssetCheckSeverity.WARN,
        description=None if has_source else f"No source of TMDB's facts: {HOW_TO_GET_MORE}.",
        metadata={
            "share_of_movies": of_movies,
            "share_of_ratings": of_ratings,
            "by_source": dg.MetadataValue.md(markdown_table(by_source)),
        },
    )


@dg.asset_check(
    asset="catalogue",
    name="tmdb_mismatches",
    additional_ins={name: dg.AssetIn(name) for name in ("movies", "tmdb_movies")},
    description=f"At most {MAX_SUSPICIOUS:.0%} of the films with facts have a TMDB title unlike theirs, or a"
    f" year more than {MAX_YEARS_APART} off: stale or mistaken links; a warning.",
)
def tmdb_mismatches(
    catalogue: pl.DataFrame, movies: pl.DataFrame, tmdb_movies: pl.DataFrame
) -> dg.AssetCheckResult:
    """Links that may lead to another film, the worst of them by name."""
    found = suspicious_links(movies, catalogue, tmdb_movies)
    share = found.height / max(1, catalogue["metadata_source"].count())
    return dg.AssetCheckResult(
        passed=share <= MAX_SUSPICIOUS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "suspicious": found.height,
            "share": share,
            "worst": dg.MetadataValue.md(markdown_table(found.head(N_WORST))),
        },
    )


@dg.asset_check(
    asset="catalogue", name="unique_keys", description="A film has one row, and rows are sorted by movie_id."
)
def catalogue_keys(catalogue: pl.DataFrame) -> dg.AssetCheckResult:
    """Row numbers of the model rely on it."""
    n_wrong = int((np.diff(catalogue["movie_id"].to_numpy()) <= 0).sum())
    return dg.AssetCheckResult(passed=n_wrong == 0, metadata={"out_of_order": n_wrong})


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "no_future",
            asset="ranker",
            additional_deps=["interactions", "catalogue", "training_set"],
            description="A sample of its training rows, recomputed from a table without any later event, is"
            " the same.",
        ),
        dg.AssetCheckSpec(
            "same_as_serving",
            asset="ranker",
            additional_deps=["interactions", "catalogue", "training_set"],
            description="A sample of training requests has the same features when the code of /rank answers.",
        ),
    ],
    ins={name: dg.AssetIn(name) for name in ("interactions", "catalogue", "training_set", "ranker")},
    name="training_row_checks",
)
def training_row_checks(
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    training_set: TrainingSet,
    ranker: TrainedRanker,
    settings: Settings,
) -> Iterator[dg.AssetCheckResult]:
    """Leakage and training/serving skew, on a sample.

    Both are checks of one asset: Dagster cannot run an asset alone that shares a check with another one.
    """
    rows = sample_requests(training_set)
    n_future, n_serving = compare_training_rows(
        rows, interactions.frame, Catalogue(catalogue), ranker, settings.model_parameters
    )
    about = {"rows_checked": len(rows), "requests_checked": rows["request_id"].n_unique()}
    yield dg.AssetCheckResult(
        check_name="no_future",
        passed=n_future == 0,
        metadata={**about, "different": n_future},
    )
    yield dg.AssetCheckResult(
        check_name="same_as_serving",
        passed=n_serving == 0,
        metadata={**about, "different": n_serving},
    )


@dg.asset_check(
    asset="evaluation",
    name="better_than_popularity",
    blocking=True,
    description=f"The ranker's {HEADLINE} is above that of overall popularity; else nothing is registered.",
)
def better_than_popularity(evaluation: StoredEvaluation) -> dg.AssetCheckResult:
    """The least that a personal model must do."""
    systems = evaluation.report.systems
    figures = {name: systems[name][HEADLINE].mean for name in (MAIN, POPULARITY)}
    return dg.AssetCheckResult(passed=figures[MAIN] > figures[POPULARITY], metadata=figures)


CHECKS = (
    *(ratings_checks, tmdb_links, tmdb_coverage, tmdb_mismatches, catalogue_keys),
    *(training_row_checks, better_than_popularity),
)
