"""An evaluation from a folder of ratings, without Dagster, MLflow or anything registered."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import polars as pl

from movierank_core.catalogue import Catalogue
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.paths import Paths
from movierank_core.schema import FEEDBACK
from movierank_pipeline.asset_folders import StoredEvaluation
from movierank_pipeline.catalogue_table import build_catalogue
from movierank_pipeline.datasets import dataset_folder, metadata_settings
from movierank_pipeline.evaluation.evaluate import evaluate_temporal
from movierank_pipeline.interactions import build_interactions
from movierank_pipeline.ranking_requests import plan_requests
from movierank_pipeline.settings import Settings
from movierank_pipeline.sources.movielens import read_dataset
from movierank_pipeline.sources.tmdb import read_metadata
from movierank_pipeline.training import train_ranker
from movierank_pipeline.training_set import build_training_set

Step = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""Opens a step by name; inside it, the function it gives says how the step goes on."""


def evaluate_dataset(settings: Settings, paths: Paths, step: Step) -> StoredEvaluation:
    """The temporal protocol on the data set of `settings`: the same steps as the asset graph takes.

    Feedback is left out, so that the same folder always gives the same figures.
    """
    config = settings.model_parameters
    with step("reading"):
        dataset = read_dataset(dataset_folder(settings, paths))
        metadata = read_metadata(dataset.links["tmdb_id"], metadata_settings(settings, paths))
        catalogue = Catalogue(build_catalogue(dataset.movies, dataset.links, metadata.frame))
        ratings = settings.within_period(dataset.ratings)
        interactions = build_interactions(ratings, pl.DataFrame(schema=FEEDBACK))
        data = InteractionArrays.from_frame(interactions, catalogue)
    with step("training rows") as say:
        requests = plan_requests(data, catalogue, config)
        rows = build_training_set(data, requests, catalogue, config, say)
    with step("ranker") as say:
        ranker = train_ranker(rows, config, say)
        del rows
    with step("evaluation") as say:
        report = evaluate_temporal(data, catalogue, ranker, config, say)
    return StoredEvaluation.of(report, ranker.importance)
