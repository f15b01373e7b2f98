"""Fits the ranker: LightGBM on training rows; validation rows set its length and its score calibration."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.history import LIKE_THRESHOLD
from movierank_core.errors import DataError
from movierank_core.features.feature import DEFAULT_WITHOUT
from movierank_core.features.registry import feature_list
from movierank_core.ranker.score_calibration import fit_score_calibration, margins_of
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_pipeline.training.early_stopping import best_n_trees, staged_scores
from movierank_pipeline.training.listwise import ranking_objective
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet

MIN_REQUESTS: Final = 5
"""Minimum number of training requests for a ranker."""


def train_ranker(
    training_set: TrainingSet,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
    *,
    without: tuple[str, ...] = (),
    off_by_default: tuple[str, ...] = DEFAULT_WITHOUT,
) -> TrainedRanker:
    """The ranker of `training_set` without the feature groups and sources (`source:als`) `without`.

    One model with the objective of `listwise.py`. It keeps the number of trees, up to
    `n_trees`, with the highest validation nDCG@10. The score calibration is fitted on the validation rows
    that their user rated later. No tree saw a validation row.

    The groups `off_by_default` are left out too, and the features of sources that the states of the rows do
    not have. The rows must have been made without the same sources.
    Raises DataError below MIN_REQUESTS training requests.
    """
    import lightgbm

    features = feature_list((*off_by_default, *without), training_set.fusion)
    names = [feature.name for feature in features]
    train = _Rows.of(training_set.frame, "train")
    validation = _Rows.of(training_set.frame, "validation")
    n_rows, n_requests = len(train.labels), len(train.group_sizes)
    if n_requests < MIN_REQUESTS:
        raise DataError(
            f"Only {n_requests} training requests have a candidate that the user went on to like",
            expected=f"at least {MIN_REQUESTS}",
            remedy="use a larger data set, or raise `training_moments`",
        )
    if progress is not None:
        progress(f"training on {n_rows} rows of {n_requests} requests")
    parameters = _parameters(n_rows, config)
    dataset = lightgbm.Dataset(
        _matrix(training_set.frame, "train", names),
        train.labels,
        group=train.group_sizes,
        feature_name=names,
        params=parameters,
        free_raw_data=True,
    ).construct()  # Frees the matrix: LightGBM keeps bins of its own.
    objective = ranking_objective(train.labels, train.group_sizes, config.pointwise_weight)
    booster = lightgbm.train(
        {**parameters, "objective": objective},
        dataset,
        config.n_trees,
        callbacks=[] if progress is None else [_report_rounds(progress, config.n_trees)],
    )
    validation_matrix = _matrix(training_set.frame, "validation", names)
    staged = staged_scores(booster, validation_matrix)
    n_trees, ndcg = best_n_trees(staged, validation.labels, validation.group_sizes, config.n_trees)
    text = booster.model_to_string(num_iteration=n_trees)
    gain = booster.feature_importance("gain", iteration=n_trees)
    # Score calibration, on the validation rows that their user rated later.
    margins = validation.margins(TreeEnsemble.from_text(text).predict(validation_matrix))
    rated = ~np.isnan(validation.ratings)
    calibration = fit_score_calibration(
        margins[rated], validation.like_shares[rated], validation.ratings[rated] >= LIKE_THRESHOLD
    )
    return TrainedRanker(
        model_text=text,
        features=features,
        fusion=training_set.fusion,
        calibration=calibration,
        metrics={
            "n_trees": float(n_trees),
            "validation_ndcg@10": ndcg,
            "n_training_requests": float(n_requests),
            "n_training_rows": float(n_rows),
            "n_validation_requests": float(len(validation.group_sizes)),
            "n_calibration_rows": float(rated.sum()),
        },
        importance=dict(zip(names, (gain / max(gain.sum(), 1e-12)).tolist(), strict=True)),
    )


def _parameters(n_rows: int, config: ModelConfig) -> dict[str, object]:
    return {
        "metric": "none",
        "learning_rate": config.learning_rate,
        "num_leaves": config.n_leaves,
        "min_data_in_leaf": min(config.min_rows_per_leaf, max(20, n_rows // 100)),
        "max_bin": config.max_bins,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.ranker_l2,
        "num_threads": config.n_threads,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


@dataclass(frozen=True)
class _Rows:
    """What is known of the rows of one role besides their features, grouped by request."""

    labels: NDArray[np.int8]
    ratings: NDArray[np.float32]
    like_shares: NDArray[np.float32]
    is_fused: NDArray[np.bool_]
    group_sizes: NDArray[np.int64]

    @classmethod
    def of(cls, frame: pl.DataFrame, role: str) -> "_Rows":
        chosen = frame["role"] == role
        keys = frame.select("request_id", "label", "rating", "like_share", "is_fused").filter(chosen)
        sizes = keys.group_by("request_id", maintain_order=True).len()["len"]
        return cls(
            labels=keys["label"].to_numpy(),
            ratings=keys["rating"].fill_null(float("nan")).to_numpy(),
            like_shares=keys["like_share"].to_numpy(),
            is_fused=keys["is_fused"].to_numpy(),
            group_sizes=sizes.to_numpy().astype(np.int64),
        )

    def margins(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """The margins of the raw scores of all rows, by request."""
        stops = np.cumsum(self.group_sizes)
        parts = [slice(stop - size, stop) for stop, size in zip(stops, self.group_sizes, strict=True)]
        margins = [margins_of(raw[part], int(self.is_fused[part].sum())) for part in parts]
        return np.concatenate([np.zeros(0), *margins])


def _matrix(frame: pl.DataFrame, role: str, names: list[str]) -> NDArray[np.float32]:
    """[n_rows, n_features]: the features `names` of the rows of one role."""
    chosen = frame["role"] == role
    # One column after the other: a filtered copy of the frame would double the memory.
    matrix = np.empty((int(chosen.sum()), len(names)), np.float32)
    for column, name in enumerate(names):
        matrix[:, column] = frame[name].filter(chosen)
    return matrix


def _report_rounds(progress: Callable[[str], None], n_rounds: int) -> Callable[..., None]:
    def report(env: object) -> None:
        iteration: int = env.iteration + 1  # type: ignore[attr-defined]  # lightgbm.callback.CallbackEnv
        if iteration % 100 == 0:
            progress(f"tree {iteration} of {n_rounds}")

    return report
