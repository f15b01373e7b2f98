"""Fitting the ranker: LightGBM LambdaMART on training rows, its length and calibration from validation."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.errors import DataError
from movierank_core.features.definitions import DEFAULT_WITHOUT, Feature, feature_list
from movierank_core.ranking.score_calibration import ScoreCalibration, fit_score_calibration
from movierank_core.ranking.trees import TreeEnsemble

MIN_REQUESTS = 5
"""Training requests that a ranker needs at the least."""


MAX_BINS = 63
"""Distinct values that a feature may be split at; fewer than the default 255 save time and memory."""


@dataclass(frozen=True)
class TrainedRanker:
    """The trees, the calibration of their scores, and what training measured."""

    model_texts: list[str]
    """LightGBM text models."""
    weights: list[float]
    """What each model's raw score counts."""
    features: tuple[Feature, ...]
    calibration: ScoreCalibration
    metrics: dict[str, float]
    """Counts, and figures on the validation requests."""
    importance: dict[str, float]
    """Share of the total gain per feature."""

    @property
    def trees(self) -> TreeEnsemble:
        return TreeEnsemble.from_texts(self.model_texts, self.weights)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(self.model_texts):
            (folder / f"model_{number}.txt").write_text(text, "utf-8")
        facts = {
            "weights": self.weights,
            "features": [feature.name for feature in self.features],
            "calibration": msgspec.to_builtins(self.calibration),
            "metrics": self.metrics,
            "importance": self.importance,
        }
        (folder / "ranker.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "TrainedRanker":
        facts = json.loads((folder / "ranker.json").read_text("utf-8"))
        by_name = {feature.name: feature for feature in feature_list(without=())}
        return cls(
            model_texts=[
                (folder / f"model_{number}.txt").read_text("utf-8") for number in range(len(facts["weights"]))
            ],
            weights=facts["weights"],
            features=tuple(by_name[name] for name in facts["features"]),
            calibration=msgspec.convert(facts["calibration"], ScoreCalibration),
            metrics=facts["metrics"],
            importance=facts["importance"],
        )


def train_ranker(
    training_set: pl.DataFrame,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
    *,
    without: tuple[str, ...] = (),
) -> TrainedRanker:
    """The ranker of `training_set` (see `build_training_set`).

    It reads the features of a model by default, less the groups `without`.

    The number of trees is the one with the best validation nDCG@10 among `n_trees` rounds; the score
    calibration is fitted on the validation rows that their user went on to rate, which the trees never
    saw. Raises DataError where there are too few requests.
    """
    import lightgbm

    features = feature_list(without=(*DEFAULT_WITHOUT, *without))
    names = [feature.name for feature in features]
    train = _Rows.of(training_set.filter(pl.col("role") == "train"), names)
    validation = _Rows.of(training_set.filter(pl.col("role") == "validation"), names)
    if len(train.group_sizes) < MIN_REQUESTS:
        raise DataError(
            f"Only {len(train.group_sizes)} training requests have a candidate that the user went on to like",
            expected=f"at least {MIN_REQUESTS}",
            remedy="use a larger data set, or raise `training_moments`",
        )
    parameters = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "lambdarank_truncation_level": 30,
        "learning_rate": config.learning_rate,
        "num_leaves": config.n_leaves,
        "min_data_in_leaf": min(config.min_rows_per_leaf, max(20, len(train.labels) // 100)),
        "max_bin": MAX_BINS,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.ranker_l2,
        "num_threads": config.n_threads,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    dataset = lightgbm.Dataset(
        train.matrix, train.labels, group=train.group_sizes, feature_name=names, free_raw_data=True
    )
    history: dict[str, dict[str, list[float]]] = {}
    callbacks = [lightgbm.record_evaluation(history)]
    if progress is not None:
        progress(f"training the ranker on {len(train.labels)} rows of {len(train.group_sizes)} requests")
        callbacks.append(_report_rounds(progress, config.n_trees))
    valid_sets = []
    if len(validation.group_sizes):
        valid_sets.append(
            lightgbm.Dataset(
                validation.matrix, validation.labels, group=validation.group_sizes, reference=dataset
            )
        )
        callbacks.append(lightgbm.early_stopping(config.early_stopping_rounds, verbose=False))
    booster = lightgbm.train(
        parameters,
        dataset,
        config.n_trees,
        valid_sets=valid_sets,
        valid_names=["validation"][: len(valid_sets)],
        callbacks=callbacks,
    )
    n_trees = _best_round(history["validation"]["ndcg@10"]) if valid_sets else config.n_trees
    text = booster.model_to_string(num_iteration=n_trees)
    gain = booster.feature_importance("gain", iteration=n_trees)
    raw = TreeEnsemble.from_texts([text], [1.0]).predict(validation.matrix)
    rated = ~np.isnan(validation.ratings)
    calibration = fit_score_calibration(
        raw[rated], validation.like_shares[rated], validation.ratings[rated] >= 4
    )
    return TrainedRanker(
        model_texts=[text],
        weights=[1.0],
        features=features,
        calibration=calibration,
        metrics={
            "n_trees": float(n_trees),
            "n_training_requests": float(len(train.group_sizes)),
            "n_training_rows": float(len(train.labels)),
            "n_validation_requests": float(len(validation.group_sizes)),
            "n_calibration_rows": float(rated.sum()),
        },
        importance=dict(zip(names, (gain / max(gain.sum(), 1e-12)).tolist(), strict=True)),
    )


@dataclass(frozen=True)
class _Rows:
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


SMOOTHING_ROUNDS = 21
"""Validation nDCG is noisy from round to round; the best round is that of a running mean this wide."""


def _best_round(ndcg: list[float]) -> int:
    """The number of trees with the highest running mean of validation nDCG."""
    width = min(SMOOTHING_ROUNDS, len(ndcg))
    means = np.convolve(ndcg, np.ones(width) / width, mode="valid")
    return int(np.argmax(means)) + width // 2 + 1


def _report_rounds(progress: Callable[[str], None], n_rounds: int) -> Callable[..., None]:
    def report(env: object) -> None:
        iteration: int = env.iteration + 1  # type: ignore[attr-defined]  # lightgbm.callback.CallbackEnv
        if iteration % 100 == 0:
            progress(f"tree {iteration} of {n_rounds}")

    return report
