"""Asset checks find what they are there to find."""

from datetime import timedelta

import dagster as dg
import polars as pl
import pytest

from movierank_core.data.schema import RATINGS
from movierank_pipeline.artifacts import DatasetFacts, StoredRatings
from movierank_pipeline.defs.data_checks import catalogue_keys, ratings_checks, tmdb_links
from movierank_pipeline.training.parity import compare_training_rows, sample_requests
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet, build_training_set
from tests.support.releases import training
from tests.support.simulated import CONFIG, SimulatedRatings, make_catalogue

FACTS = DatasetFacts(name="tiny", ratings_are_simulated=True)


def failures(ratings: pl.DataFrame) -> dict[str, dict[str, object]]:
    """Failed checks of a table of ratings, with what they say."""
    results = list(ratings_checks(StoredRatings(ratings, FACTS)))  # type: ignore[call-overload]
    return {
        result.check_name: {name: value.value for name, value in result.metadata.items()}
        for result in results
        if not result.passed
    }


def test_good_ratings_pass(simulated: SimulatedRatings) -> None:
    assert failures(simulated.ratings) == {}


def test_a_pair_that_comes_twice_is_counted(simulated: SimulatedRatings) -> None:
    assert failures(pl.concat([simulated.ratings, simulated.ratings.head(2)])) == {
        "unique_keys": {"repeated": 2}
    }


@pytest.mark.parametrize("rating", [0.0, 5.5, 3.3, None, float("nan")])
def test_a_rating_that_is_no_half_star_is_counted(simulated: SimulatedRatings, rating: float | None) -> None:
    row = simulated.ratings.head(1).with_columns(pl.lit(-1, pl.Int64).alias("movie_id"))
    wrong = row.with_columns(pl.lit(rating, RATINGS["rating"]).alias("rating"))
    assert failures(pl.concat([simulated.ratings, wrong])) == {"rating_range": {"outside": 1}}


def test_a_column_of_another_type_is_named(simulated: SimulatedRatings) -> None:
    retyped = simulated.ratings.with_columns(pl.col("movie_id").cast(pl.Int32))
    results = list(ratings_checks(StoredRatings(retyped, FACTS)))  # type: ignore[call-overload]
    assert not results[0].passed
    assert "movie_id is Int32 instead of Int64" in str(results[0].description)


def test_a_catalogue_with_too_few_tmdb_ids_only_warns() -> None:
    frame = make_catalogue(10).with_columns(tmdb_id=pl.Series([1] * 8 + [None, None], dtype=pl.Int64))
    result = tmdb_links(frame)  # type: ignore[call-arg]
    assert isinstance(result, dg.AssetCheckResult)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.metadata["share"].value == pytest.approx(0.8)
    assert tmdb_links(frame.head(8)).passed  # type: ignore[call-arg, union-attr]


def test_a_catalogue_out_of_order_or_with_a_film_twice_fails() -> None:
    frame = make_catalogue(5)
    assert catalogue_keys(frame).passed  # type: ignore[call-arg, union-attr]
    assert not catalogue_keys(frame.reverse()).passed  # type: ignore[call-arg, union-attr]
    assert not catalogue_keys(frame[[0, 1, 1, 2]]).passed  # type: ignore[call-arg, union-attr]


@pytest.fixture(scope="module")
def training_set() -> TrainingSet:
    return training().rows


@pytest.fixture(scope="module")
def ranker() -> TrainedRanker:
    return training().ranker


def differences(simulated: SimulatedRatings, rows: pl.DataFrame, ranker: TrainedRanker) -> tuple[int, int]:
    return compare_training_rows(rows, simulated.interactions, simulated.catalogue, ranker, CONFIG)


def test_honest_training_rows_are_the_same_when_recomputed(
    simulated: SimulatedRatings, training_set: TrainingSet, ranker: TrainedRanker
) -> None:
    rows = sample_requests(training_set)
    assert 1 < rows["request_id"].n_unique() <= 20
    assert differences(simulated, rows, ranker) == (0, 0)


def test_a_movie_rated_again_since_is_no_difference(simulated: SimulatedRatings) -> None:
    last = simulated.ratings["timestamp"].max()
    assert last is not None
    firsts = simulated.ratings.group_by("user_id", maintain_order=True).first()
    changed = simulated.with_ratings(
        [(user_id, movie_id, 0.5, last) for user_id, movie_id, *_ in firsts.iter_rows()]
    )
    requests = plan_requests(changed.data, changed.catalogue, CONFIG)
    training_set = build_training_set(changed.data, requests, changed.catalogue, CONFIG)
    ranker = train_ranker(training_set, CONFIG)
    assert differences(changed, sample_requests(training_set), ranker) == (0, 0)


def test_rows_that_knew_a_later_rating_are_found(simulated: SimulatedRatings, ranker: TrainedRanker) -> None:
    """Training rows from a table in which the future was moved before the first origin."""
    early = simulated.interactions["timestamp"].min()
    assert early is not None
    leaky = SimulatedRatings(
        simulated.ratings.with_columns(
            pl.when(pl.int_range(pl.len()) % 7 == 0)
            .then(pl.lit(early) + timedelta(seconds=1))
            .otherwise("timestamp")
            .alias("timestamp")
        ).sort("user_id", "timestamp", maintain_order=True),
        simulated.catalogue_frame,
    )
    requests = plan_requests(simulated.data, simulated.catalogue, CONFIG)
    rows = sample_requests(build_training_set(leaky.data, requests, simulated.catalogue, CONFIG))
    n_future, n_serving = differences(simulated, rows, ranker)
    assert n_future > 0
    assert n_serving > 0


def test_one_changed_feature_is_one_different_row(
    simulated: SimulatedRatings, training_set: TrainingSet, ranker: TrainedRanker
) -> None:
    rows = sample_requests(training_set)
    feature = ranker.features[0].name
    changed = rows.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.col(feature) + 1).otherwise(feature).alias(feature)
    )
    assert differences(simulated, changed, ranker)[0] == 1
