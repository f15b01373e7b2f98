"""`movierank evaluate`: an evaluation of a folder of ratings. It needs no registry and registers nothing."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec
import polars as pl

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import FEEDBACK
from movierank_core.errors import ConfigError
from movierank_core.paths import Paths
from movierank_pipeline.datasets import dataset_folder, metadata_settings
from movierank_pipeline.evaluation.ablation import (
    ablate_features,
    ablate_sources,
    feature_blocks,
    feature_groups,
    holm_corrected_ablations,
    require_parts,
)
from movierank_pipeline.evaluation.evaluate import scored_requests
from movierank_pipeline.evaluation.experiment import Stage, rows_of, run_experiment
from movierank_pipeline.evaluation.protocols.judged import judged_protocol
from movierank_pipeline.evaluation.protocols.qrels import read_qrels
from movierank_pipeline.evaluation.protocols.strong import strong_protocol
from movierank_pipeline.evaluation.protocols.targets import TargetsMode
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

ProtocolName = Literal["temporal", "rolling", "strong"]
N_REFITS: Final = 3
"""Default number of refits of the rolling protocol."""


def evaluate_dataset(
    settings: Settings,
    paths: Paths,
    stage: Stage,
    *,
    protocol: ProtocolName | None = None,
    facts: FactsMode = "day",
    targets: TargetsMode = "all",
    n_refits: int | None = None,
    qrels: Path | None = None,
    without: tuple[str, ...] = (),
    with_ablations: bool = False,
) -> StoredEvaluation:
    """Trains and evaluates a ranker on the data set of `settings`, without the parts `without`.

    `facts` and `targets` decide what requests of the temporal and the rolling protocol see and have to find;
    `n_refits` is for the rolling one (default N_REFITS). `qrels` is a file of judgments, which replaces the
    protocol. With `with_ablations`, further rankers are trained without each other group and block of
    features, and without each other source. Feedback is left out, so the same folder always gives the same
    figures. Raises ConfigError for an unknown part and for options that contradict each other, and DataError
    where the data are too few.
    """
    config = settings.model_parameters
    require_parts(without)
    _require_consistent(protocol, targets, n_refits, qrels)
    judgments = None if qrels is None else read_qrels(qrels)
    with stage("reading") as progress:
        interactions, catalogue = read_events(settings, paths, progress)
    if judgments is not None:
        plan = judged_protocol(interactions, catalogue, config, judgments)
    elif protocol == "strong":
        plan = strong_protocol(interactions, catalogue, config)
    else:
        plan = temporal_protocol(
            InteractionArrays.from_frame(interactions, catalogue),
            catalogue,
            config,
            facts=facts,
            targets=targets,
            n_refits=(n_refits or N_REFITS) if protocol == "rolling" else 0,
        )
    with _states_folder(paths, is_needed=with_ablations) as folder:
        states = FittedStates(folder)
        whole = run_experiment(
            plan, stage, tune_seconds=settings.tune_seconds, without=without, states=states
        )
        report = whole.report
        if with_ablations:
            chosen = whole.ranker.config(config)
            groups = ablate_features(feature_groups(without), whole, chosen, stage, without=without)
            blocks = ablate_features(feature_blocks(without), whole, chosen, stage, without=without)
            sources = ablate_sources(
                lambda less, progress: rows_of(plan, progress, without=less, states=states),
                whole,
                chosen,
                stage,
                without=without,
            )
            groups, blocks, sources = holm_corrected_ablations(groups, blocks, sources)
            report = msgspec.structs.replace(
                report, ablations=groups, block_ablations=blocks, source_ablations=sources
            )
    return StoredEvaluation.of(
        report, whole.ranker.importance, scored_requests(whole.holdout, whole.answers), whole.holdout.state
    )


def _require_consistent(
    protocol: ProtocolName | None, targets: TargetsMode, n_refits: int | None, qrels: Path | None
) -> None:
    """Raises ConfigError for options that contradict each other. They are named as on the command line."""
    name = "judged" if qrels is not None else protocol or "temporal"
    contradictions = (
        (qrels is not None and protocol is not None, f"--protocol {protocol}", "no `--protocol`"),
        (n_refits is not None and name != "rolling", "--refits", "`--protocol rolling`"),
        (targets != "all" and name in ("strong", "judged"), f"--targets {targets}", "`--targets all`"),
    )
    for is_wrong, option, expected in contradictions:
        if is_wrong:
            raise ConfigError(f"`{option}` was given for the {name} protocol", expected=expected)


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


@contextmanager
def _states_folder(paths: Paths, *, is_needed: bool) -> Iterator[Path | None]:
    """A temporary folder for cached states, below MOVIERANK_HOME because they may be too large for /tmp."""
    if not is_needed:
        yield None
        return
    paths.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".states-", dir=paths.home) as folder:
        yield Path(folder)
