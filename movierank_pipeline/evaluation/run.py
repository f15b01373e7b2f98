"""`movierank evaluate`: an evaluation of a folder of ratings. It needs no registry and registers nothing."""

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
    ablate_groups,
    ablate_sources,
    holm_corrected_ablations,
    require_parts,
)
from movierank_pipeline.evaluation.evaluate import scored_requests
from movierank_pipeline.evaluation.experiment import Stage, rows_of, run_experiment
from movierank_pipeline.evaluation.protocols.protocol import Protocol
from movierank_pipeline.evaluation.protocols.strong import strong_protocol
from movierank_pipeline.evaluation.protocols.temporal import temporal_protocol
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.ingest.catalogue import build_catalogue
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.ingest.movielens.reader import read_dataset
from movierank_pipeline.ingest.tmdb.metadata import read_metadata
from movierank_pipeline.ingest.tmdb.progress import ProgressLines
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.requests import FactsMode
from movierank_pipeline.training.state_cache import FittedStates

ProtocolName = Literal["temporal", "strong"]


def evaluate_dataset(
    settings: Settings,
    paths: Paths,
    stage: Stage,
    *,
    protocol: ProtocolName = "temporal",
    facts: FactsMode = "day",
    without: tuple[str, ...] = (),
    with_ablations: bool = False,
) -> StoredEvaluation:
    """Trains and evaluates a ranker on the data set of `settings`, without the parts `without`.

    `facts` decides what requests of the temporal protocol see. With `with_ablations`, further rankers are
    trained without each other group of features, and without each other source. Feedback is left out, so the
    same folder always gives the same figures. Raises ConfigError for an unknown part, and DataError where the
    data are too few.
    """
    config = settings.model_parameters
    require_parts(without)
    with stage("reading") as progress:
        interactions, catalogue = read_events(settings, paths, progress)
    plan = _protocol(protocol, interactions, catalogue, config, facts)
    with _states_folder(paths, is_needed=with_ablations) as folder:
        states = FittedStates(folder)
        whole = run_experiment(
            plan, stage, tune_seconds=settings.tune_seconds, without=without, states=states
        )
        report = whole.report
        if with_ablations:
            chosen = whole.ranker.config(config)
            groups = ablate_groups(whole, chosen, stage, without=without)
            sources = ablate_sources(
                lambda less, progress: rows_of(plan, progress, without=less, states=states),
                whole,
                chosen,
                stage,
                without=without,
            )
            groups, sources = holm_corrected_ablations(groups, sources)
            report = msgspec.structs.replace(report, ablations=groups, source_ablations=sources)
    return StoredEvaluation.of(
        report, whole.ranker.importance, scored_requests(whole.holdout, whole.answers), whole.holdout.state
    )


def read_events(
    settings: Settings, paths: Paths, progress: Callable[[str], None]
) -> tuple[pl.DataFrame, Catalogue]:
    """INTERACTIONS of the data set of `settings`, without feedback, and its catalogue.

    `progress` receives lines about requests to TMDB.
    """
    dataset = read_dataset(dataset_folder(settings, paths))
    lines = ProgressLines(progress)
    metadata = read_metadata(dataset.movies, dataset.links, metadata_settings(settings, paths), lines)
    progress(f"TMDB facts: {metadata.source}")
    catalogue = Catalogue(build_catalogue(dataset.movies, dataset.links, metadata.frame))
    ratings = settings.within_period(dataset.ratings)
    return build_interactions(ratings, pl.DataFrame(schema=FEEDBACK)), catalogue


def _protocol(
    name: ProtocolName,
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    config: ModelConfig,
    facts: FactsMode,
) -> Protocol:
    if name == "strong":
        return strong_protocol(interactions, catalogue, config)
    data = InteractionArrays.from_frame(interactions, catalogue)
    return temporal_protocol(data, catalogue, config, facts=facts)


@contextmanager
def _states_folder(paths: Paths, *, is_needed: bool) -> Iterator[Path | None]:
    """A temporary folder for cached states, below MOVIERANK_HOME because they may be too large for /tmp."""
    if not is_needed:
        yield None
        return
    paths.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".states-", dir=paths.home) as folder:
        yield Path(folder)
