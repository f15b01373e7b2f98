"""Fits the ranker: LightGBM on training rows; validation rows set its length and its score calibration."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.errors import DataError
from movierank_core.features.feature import DEFAULT_WITHOUT
from movierank_core.features.registry import feature_list
from movierank_core.ranker.score_calibration import fit_score_calibration
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_pipeline.training.early_stopping import best_n_trees, staged_scores
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet

MIN_REQUESTS: Final = 5
"""Minimum number of training requests for a ranker."""
OBJECTIVES: Final = ("lambdarank", "binary")


def train_ranker(
    training_set: TrainingSet,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
    *,
    without: tuple[str, ...] = (),
    off_by_default: tuple[str, ...] = DEFAULT_WITHOUT,
    after_model: Callable[[int, float], None] | None = None,
) -> TrainedRanker:
    """The ranker of `training_set` without the feature groups and sources (`source:als`) `without`.

    Two models are trained on the same rows: LambdaMART, which learns the order, and a classifier, which
    learns the probability of a like. Each raw score is divided by its standard deviation on the validation
    rows, and the sum ranks better than either model (docs/evaluation.md). Both keep the number of trees, up
    to `n_trees`, at which the sum has the highest validation nDCG@10. The score calibration is fitted on the
    validation rows that their user rated later. No tree saw a validation row.

    `after_model` receives each model's index and its own best validation nDCG@10 (NaN without validation
    requests). An exception that it raises ends the training. The groups `off_by_default` are left out too.
    The rows must have been made without the same sources. Raises DataError below MIN_REQUESTS training
    requests.
    """
    import lightgbm

    features = feature_list(without=(*off_by_default, *without))
    names = [feature.name for feature in features]
    frame = training_set.frame
    train = _Rows.of(frame.filter(pl.col("role") == "train"), names)
    validation = _Rows.of(frame.filter(pl.col("role") == "validation"), names)
    if len(train.group_sizes) < MIN_REQUESTS:
        raise DataError(
            f"Only {len(train.group_sizes)} training requests have a candidate that the user went on to like",
            expected=f"at least {MIN_REQUESTS}",
            remedy="use a larger data set, or raise `training_moments`",
        )
    dataset = lightgbm.Dataset(
        train.matrix,
        train.labels,
        group=train.group_sizes,
        feature_name=names,
        params={"max_bin": config.max_bins, "verbosity": -1},
        free_raw_data=True,
    )
    length_of = partial(
        best_n_trees,
        labels=validation.labels,
        group_sizes=validation.group_sizes,
        n_trees=config.n_trees,
    )
    # Each model has all its trees first; the sum of both decides how many are kept.
    boosters, staged = [], []
    for index, objective in enumerate(OBJECTIVES):
        callbacks = []
        if progress is not None:
            progress(f"training {objective} on {len(train.labels)} rows of {len(train.group_sizes)} requests")
            callbacks.append(_report_rounds(progress, config.n_trees))
        parameters = _parameters(objective, len(train.labels), config, config.seed + index)
        boosters.append(lightgbm.train(parameters, dataset, config.n_trees, callbacks=callbacks))
        staged.append(staged_scores(boosters[-1], validation.matrix))
        if after_model is not None:
            after_model(index, length_of(staged[-1])[1])
    # Each score is divided by its standard deviation, so that both models have the same say in the sum.
    spreads = [max(float(scores[-1].std()), 1e-9) if scores.size else 1.0 for scores in staged]
    sums = np.sum([scores / spread for scores, spread in zip(staged, spreads, strict=True)], axis=0)
    n_trees, ndcg = length_of(sums)
    texts = [booster.model_to_string(num_iteration=n_trees) for booster in boosters]
    weights = [1.0 / spread for spread in spreads]
    # Importance: each model's shares of its own gain, averaged over the models.
    gain = sum(
        shares / max(shares.sum(), 1e-12)
        for shares in (booster.feature_importance("gain", iteration=n_trees) for booster in boosters)
    ) / len(boosters)
    # Score calibration, on the validation rows that their user rated later.
    raw = TreeEnsemble.from_texts(texts, weights).predict(validation.matrix)
    rated = ~np.isnan(validation.ratings)
    calibration = fit_score_calibration(
        raw[rated], validation.like_shares[rated], validation.ratings[rated] >= 4
    )
    return TrainedRanker(
        model_texts=texts,
        weights=weights,
        features=features,
        fusion=training_set.fusion,
        calibration=calibration,
        metrics={
            "n_trees": float(n_trees * len(boosters)),
            "validation_ndcg@10": ndcg,
            "n_training_requests": float(len(train.group_sizes)),
            "n_training_rows": float(len(train.labels)),
            "n_validation_requests": float(len(validation.group_sizes)),
            "n_calibration_rows": float(rated.sum()),
        },
        importance=dict(zip(names, np.asarray(gain).tolist(), strict=True)),
    )


def _parameters(objective: str, n_rows: int, config: ModelConfig, seed: int) -> dict[str, object]:
    return {
        "objective": objective,
        "metric": "none",
        "lambdarank_truncation_level": config.lambdarank_truncation,
        "learning_rate": config.learning_rate,
        "num_leaves": config.n_leaves,
        "min_data_in_leaf": min(config.min_rows_per_leaf, max(20, n_rows // 100)),
        "max_bin": config.max_bins,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.ranker_l2,
        "num_threads": config.n_threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


@dataclass(frozen=True)
class _Rows:
    """The rows of one role as arrays, grouped by request."""

    matrix: NDArray[np.float32]
    labels: NDArray[np.int8]
    ratings: NDArray[np.float32]
    like_shares: NDArray[np.float32]
    group_sizes: NDArray[np.int64]

    @classmethod
    def of(cls, rows: pl.DataFrame, names: list[str]) -> "_Rows":
        sizes = rows.group_by("request_id", maintain_order=True).len()["len"]
        return cls(
            matrix=rows.select(names).to_numpy(order="c"),
            labels=rows["label"].to_numpy(),
            ratings=rows["rating"].fill_null(float("nan")).to_numpy(),
            like_shares=rows["like_share"].to_numpy(),
            group_sizes=sizes.to_numpy().astype(np.int64),
        )


def _report_rounds(progress: Callable[[str], None], n_rounds: int) -> Callable[..., None]:
    def report(env: object) -> None:
        iteration: int = env.iteration + 1  # type: ignore[attr-defined]  # lightgbm.callback.CallbackEnv
        if iteration % 100 == 0:
            progress(f"tree {iteration} of {n_rounds}")

    return report
