"""Asset checks of the training rows and of the model: leakage, skew and quality."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from movierank_core.data.catalogue import Catalogue
from movierank_pipeline.artifacts import StoredInteractions
from movierank_pipeline.defs.heavy_steps import HEAVY
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.promotion.gate import POPULARITY
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.parity import compare_training_rows, sample_requests
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "no_future",
            asset="ranker",
            blocking=True,
            additional_deps=["interactions", "catalogue", "training_set"],
            description="Sampled training rows are unchanged when recomputed without any later event.",
        ),
        dg.AssetCheckSpec(
            "same_as_serving",
            asset="ranker",
            blocking=True,
            additional_deps=["interactions", "catalogue", "training_set"],
            description="Sampled training requests have the same features in the code that serves /rank.",
        ),
    ],
    ins={name: dg.AssetIn(name) for name in ("interactions", "catalogue", "training_set", "ranker")},
    name="training_row_checks",
    op_tags=HEAVY,
)
def training_row_checks(
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    training_set: TrainingSet,
    ranker: TrainedRanker,
    settings: Settings,
) -> Iterator[dg.AssetCheckResult]:
    """Finds leakage and training/serving skew in a sample of the training rows.

    Both checks belong to the asset `ranker`: Dagster cannot run one asset alone if a check spans two.
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
    description=f"The ranker has a higher {HEADLINE} than overall popularity; else nothing is registered.",
)
def better_than_popularity(evaluation: StoredEvaluation) -> dg.AssetCheckResult:
    """Blocks the release of a ranker that is no better than overall popularity."""
    systems = evaluation.report.systems
    figures = {name: systems[name][HEADLINE].mean for name in (MAIN, POPULARITY)}
    return dg.AssetCheckResult(passed=figures[MAIN] > figures[POPULARITY], metadata=figures)


MODEL_CHECKS = (training_row_checks, better_than_popularity)
