"""An evaluation from a folder of ratings, without Dagster, MLflow or anything registered."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import polars as pl

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import FEEDBACK
from movierank_core.paths import Paths
from movierank_pipeline.datasets import dataset_folder, metadata_settings
from movierank_pipeline.evaluation.ablation import (
    MakeRows,
    Step,
    ablate_groups,
    ablate_sources,
    require_parts,
)
from movierank_pipeline.evaluation.answers import answer
from movierank_pipeline.evaluation.evaluate import model_on, report_of, scored_requests
from movierank_pipeline.evaluation.holdout import HoldOut, Progress, strong_holdout, temporal_holdout
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.evaluation.strong import strong_split, strong_training_set
from movierank_pipeline.ingest.catalogue import build_catalogue
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.ingest.movielens.reader import read_dataset
from movierank_pipeline.ingest.tmdb.metadata import read_metadata
from movierank_pipeline.ingest.tmdb.progress import ProgressLines
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.state_cache import FittedStates
from movierank_pipeline.training.training_set import build_training_set
from movierank_pipeline.training.tuning import tune_ranker

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

    The ranker is trained without the groups of features and the sources `without`; `with_ablations` also
    trains one without each other group, and one without each other source. Feedback is left out, so that the
    same folder always gives the same figures.
    """
    config = settings.model_parameters
    require_parts(without)
    with step("reading") as say:
        interactions, catalogue = read_events(settings, paths, say)
    with _states_folder(paths, is_needed=with_ablations) as folder:
        make_rows, make_holdout = _parts_of(protocol, interactions, catalogue, config, FittedStates(folder))
        with step("training rows") as say:
            rows = make_rows(without, say)
        with step("state") as say:
            holdout = make_holdout(say)
        with step("ranker") as say:
            ranker = tune_ranker(rows, config, settings.tune_seconds, say, without=without)
        with step("evaluation") as say:
            model = model_on(holdout, ranker)
            answers = answer(model, holdout.ask(), seed=config.seed, progress=say)
            report = msgspec.structs.replace(
                report_of(holdout, model, answers, config), without=list(without)
            )
        if with_ablations:
            config = ranker.config(config)
            groups = ablate_groups(rows, holdout, answers, config, step, without=without)
            sources = ablate_sources(make_rows, holdout, answers, config, step, without=without)
            report = msgspec.structs.replace(report, ablations=groups, source_ablations=sources)
    return StoredEvaluation.of(report, ranker.importance, scored_requests(holdout, answers), holdout.state)


def read_events(
    settings: Settings, paths: Paths, say: Callable[[str], None]
) -> tuple[pl.DataFrame, Catalogue]:
    """INTERACTIONS of the data set of `settings`, without feedback, and its catalogue.

    `say` is told how asking TMDB goes on.
    """
    dataset = read_dataset(dataset_folder(settings, paths))
    report = ProgressLines(say)
    metadata = read_metadata(dataset.movies, dataset.links, metadata_settings(settings, paths), report)
    say(f"TMDB facts: {metadata.source}")
    catalogue = Catalogue(build_catalogue(dataset.movies, dataset.links, metadata.frame))
    ratings = settings.within_period(dataset.ratings)
    return build_interactions(ratings, pl.DataFrame(schema=FEEDBACK)), catalogue


def _parts_of(
    protocol: Protocol,
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    config: ModelConfig,
    states: FittedStates,
) -> tuple[MakeRows, Callable[[Progress], HoldOut]]:
    """What makes the training rows of a protocol, and what makes its test."""
    if protocol == "strong":
        split = strong_split(interactions, config)
        return (
            lambda without, say: strong_training_set(
                split.train, catalogue, config, say, without=without, states=states
            ),
            lambda say: strong_holdout(split, catalogue, config, say),
        )
    data = InteractionArrays.from_frame(interactions, catalogue)
    requests = plan_requests(data, catalogue, config)
    return (
        lambda without, say: build_training_set(
            data, requests, catalogue, config, say, without=without, states=states
        ),
        lambda say: temporal_holdout(data, catalogue, config, say),
    )


@contextmanager
def _states_folder(paths: Paths, *, is_needed: bool) -> Iterator[Path | None]:
    """A folder for states that are used again, gone afterwards; they may be too large for /tmp."""
    if not is_needed:
        yield None
        return
    paths.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".states-", dir=paths.home) as folder:
        yield Path(folder)
