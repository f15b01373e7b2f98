"""Inputs from outside: the files of a MovieLens edition, and the events of our own users."""

from collections.abc import Iterator
from contextlib import closing

import dagster as dg
import polars as pl

from movierank_core.events.store import open_event_store
from movierank_core.paths import Paths
from movierank_pipeline.artifacts import DatasetFacts, FeedbackFacts, StoredFeedback, StoredRatings
from movierank_pipeline.datasets import dataset_folder
from movierank_pipeline.defs.metadata import describe
from movierank_pipeline.defs.provenance import fingerprint_of_step
from movierank_pipeline.ingest.movielens.reader import read_dataset
from movierank_pipeline.settings import Settings, events_url


@dg.multi_asset(
    outs={
        "ratings": dg.AssetOut(
            dagster_type=StoredRatings,
            io_manager_key="folders",
            kinds={"polars", "parquet"},
            description="Ratings with their times: the last one of each user and movie.",
        ),
        **{
            name: dg.AssetOut(
                dagster_type=pl.DataFrame,
                io_manager_key="parquet",
                kinds={"polars", "parquet"},
                description=description,
            )
            for name, description in {
                "movies": "Title, year and genres of each movie of the edition.",
                "links": "IMDb and TMDB ids of each movie; null where the edition has none.",
            }.items()
        },
    },
    name="movielens",
    group_name="raw",
)
def movielens(context: dg.AssetExecutionContext, settings: Settings) -> Iterator[dg.MaterializeResult]:
    """Reads the files of one MovieLens edition in one step."""
    paths = Paths.from_environment()
    folder = dataset_folder(settings, paths)
    dataset = read_dataset(folder)
    ratings = settings.within_period(dataset.ratings)
    facts = DatasetFacts(name=dataset.name, ratings_are_simulated=dataset.ratings_are_simulated)
    tables = {
        "ratings": (ratings, "timestamp", StoredRatings(ratings, facts)),
        "movies": (dataset.movies, None, dataset.movies),
        "links": (dataset.links, None, dataset.links),
    }
    about = {
        "dataset": dataset.name,
        "ratings_are_simulated": dataset.ratings_are_simulated,
        "folder": dg.MetadataValue.path(str(folder)),
    }
    for name, (frame, time_column, value) in tables.items():
        more = {"duplicates_dropped": dataset.n_duplicate_ratings} if name == "ratings" else {}
        yield dg.MaterializeResult(
            asset_key=name,
            value=value,
            metadata=describe(frame, time_column, **about, **more),
            data_version=dg.DataVersion(fingerprint_of_step(context, name, settings, paths)),
        )


@dg.asset(group_name="raw", kinds={"polars", "parquet"}, io_manager_key="folders")
def feedback(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult[StoredFeedback]:
    """The events that the service stored (clicks, likes, ratings and others), and the forgotten users."""
    paths = Paths.from_environment()
    version = fingerprint_of_step(context, "feedback", settings, paths)
    with closing(open_event_store(events_url(paths))) as store:
        snapshot = store.snapshot()
    facts = FeedbackFacts(watermark=snapshot.watermark, forgotten_user_ids=snapshot.forgotten_user_ids)
    return dg.MaterializeResult(
        value=StoredFeedback(snapshot.feedback, facts),
        metadata=describe(
            snapshot.feedback,
            "timestamp",
            watermark=snapshot.watermark,
            forgotten_users=len(snapshot.forgotten_user_ids),
        ),
        data_version=dg.DataVersion(version),
    )
