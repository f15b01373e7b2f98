"""An evaluation from a folder of ratings, without Dagster, MLflow or anything registered."""

from typing import Literal

import msgspec
import polars as pl

from movierank_core.catalogue import Catalogue
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.paths import Paths
from movierank_core.schema import FEEDBACK
from movierank_pipeline.asset_folders import StoredEvaluation
from movierank_pipeline.catalogue_table import build_catalogue
from movierank_pipeline.datasets import dataset_folder, metadata_settings
from movierank_pipeline.evaluation.ablation import Step, ablate, require_groups
from movierank_pipeline.evaluation.answers import answer
from movierank_pipeline.evaluation.evaluate import model_on, report_of, scored_requests
from movierank_pipeline.evaluation.holdout import strong_holdout, temporal_holdout
from movierank_pipeline.evaluation.strong import strong_split, strong_training_set
from movierank_pipeline.interactions import build_interactions
from movierank_pipeline.ranking_requests import plan_requests
from movierank_pipeline.settings import Settings
from movierank_pipeline.sources.movielens import read_dataset
from movierank_pipeline.sources.tmdb import read_metadata
from movierank_pipeline.training_set import build_training_set
from movierank_pipeline.tuning import tune_ranker

Protocol = Literal["temporal", "strong"]


def evaluate_dataset(
    settings: Settings,
    paths: Paths,
    step: Step,
    *,
    protocol: Protocol = "temporal",
    without: tuple[str, ...] = (),
    with_ablations: bool = False,
) -> StoredEvaluation:
    """A protocol on the data set of `settings`; the temporal one takes the same steps as the asset graph.

    The ranker is trained without the groups of features `without`; `with_ablations` also trains one
    without each other group. Feedback is left out, so that the same folder always gives the same figures.
    """
    config = settings.model_parameters
    require_groups(without)
    with step("reading"):
        dataset = read_dataset(dataset_folder(settings, paths))
        metadata = read_metadata(dataset.links["tmdb_id"], metadata_settings(settings, paths))
        catalogue = Catalogue(build_catalogue(dataset.movies, dataset.links, metadata.frame))
        ratings = settings.within_period(dataset.ratings)
        interactions = build_interactions(ratings, pl.DataFrame(schema=FEEDBACK))
    if protocol == "strong":
        split = strong_split(interactions, config)
        with step("training rows") as say:
            rows = strong_training_set(split.train, catalogue, config, say)
        with step("state") as say:
            holdout = strong_holdout(split, catalogue, config, say)
    else:
        data = InteractionArrays.from_frame(interactions, catalogue)
        with step("training rows") as say:
            rows = build_training_set(data, plan_requests(data, catalogue, config), catalogue, config, say)
        with step("state") as say:
            holdout = temporal_holdout(data, catalogue, config, say)
    with step("ranker") as say:
        ranker = tune_ranker(rows, config, settings.tune_seconds, say, without=without)
        config = ranker.config(config)
    with step("evaluation") as say:
        model = model_on(holdout, ranker)
        answers = answer(model, holdout.ask(), seed=config.seed, progress=say)
        report = msgspec.structs.replace(report_of(holdout, model, answers, config), without=list(without))
    if with_ablations:
        ablations = ablate(rows, holdout, answers, config, step, without=without)
        report = msgspec.structs.replace(report, ablations=ablations)
    return StoredEvaluation.of(report, ranker.importance, scored_requests(holdout, answers), holdout.state)
