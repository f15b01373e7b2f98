"""Fitting the ranker: LightGBM on training rows, its length and calibration from validation requests."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.errors import DataError
from movierank_core.features.feature import DEFAULT_WITHOUT, Feature
from movierank_core.features.registry import feature_list
from movierank_core.ranker.score_calibration import ScoreCalibration, fit_score_calibration
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.state import RankingState
from movierank_pipeline.ranking_metrics import ndcg
from movierank_pipeline.training.training_set import TrainingSet

if TYPE_CHECKING:
    from lightgbm import Booster

MIN_REQUESTS: Final = 5
"""Training requests that a ranker needs at the least."""
OBJECTIVES: Final = ("lambdarank", "binary")
STAGE: Final = 20
"""Trees between two looks at the validation requests."""
MAX_BINS: Final = 63
"""Distinct values that a feature may be split at; fewer than the default 255 save time and memory."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One training that `movierank_pipeline.training.tuning` tried."""

    parameters: dict[str, int | float]
    """The fields of `ModelConfig` that it searches, as they were here."""
    ndcg: float | None
    """Validation nDCG@10; None where the trial was ended early."""
    first_ndcg: float
    """The same of the first model alone, by which trials are ended early."""
    seconds: float


@dataclass(frozen=True)
class TrainedRanker:
    """The trees, the calibration of their scores, and what training measured."""

    model_texts: list[str]
    """LightGBM text models."""
    weights: list[float]
    """What each model's raw score counts."""
    features: tuple[Feature, ...]
    fusion: dict[str, float]
    """The weights of the candidate sources that it was trained on."""
    calibration: ScoreCalibration
    metrics: dict[str, float]
    """Counts, and figures on the validation requests."""
    importance: dict[str, float]
    """Share of the total gain per feature."""
    trials: tuple[Trial, ...] = ()
    """What tuning tried, in order; none where it is off."""
    chosen: dict[str, int | float] = field(default_factory=dict)
    """The fields of the configuration that tuning found better values for."""

    def config(self, given: ModelConfig) -> ModelConfig:
        """The configuration that the trees were trained with, where training was given `given`."""
        return msgspec.structs.replace(given, **self.chosen)

    @property
    def trees(self) -> TreeEnsemble:
        return TreeEnsemble.from_texts(self.model_texts, self.weights)

    def on(self, catalogue: Catalogue, state: RankingState) -> RankingModel:
        """The whole model with `state`, whose sources are fused as they were in training."""
        return RankingModel(
            catalogue, state.with_fusion(self.fusion), self.features, self.trees, self.calibration
        )

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(self.model_texts):
            (folder / f"model_{number}.txt").write_text(text, "utf-8")
        facts = {
            "weights": self.weights,
            "features": [feature.name for feature in self.features],
            "fusion": self.fusion,
            "calibration": msgspec.to_builtins(self.calibration),
            "metrics": self.metrics,
            "importance": self.importance,
            "trials": msgspec.to_builtins(self.trials),
            "chosen": self.chosen,
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
            fusion=facts["fusion"],
            calibration=msgspec.convert(facts["calibration"], ScoreCalibration),
            metrics=facts["metrics"],
            importance=facts["importance"],
            trials=msgspec.convert(facts["trials"], tuple[Trial, ...]),
            chosen=facts["chosen"],
        )


def train_ranker(
    training_set: TrainingSet,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
    *,
    without: tuple[str, ...] = (),
    unless_asked: tuple[str, ...] = DEFAULT_WITHOUT,
    after_model: Callable[[int, float], None] | None = None,
) -> TrainedRanker:
    """The ranker of `training_set`, less the groups of features and the sources (`source:als`) `without`.

    Two models are trained on the same rows and summed, each over the standard deviation of its validation
    scores: LambdaMART, which sees what comes before what, and a classifier of likes, which sees how likely
    each is. Their errors differ, so the sum is better than either (docs/evaluation.md). Both keep the
    number of trees, up to `n_trees`, with which the sum has the best validation nDCG@10; the score
    calibration is fitted on the validation rows that their user went on to rate. No tree saw either.
    `after_model` is told each model's number and its own best validation nDCG@10 (NaN without validation
    requests); what it raises ends the training. The groups of `unless_asked` are left out as well. The rows
    must have been made without the same sources.
    Raises DataError where there are too few requests.
    """
    import lightgbm

    features = feature_list(without=(*unless_asked, *without))
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
        params={"max_bin": MAX_BINS, "verbosity": -1},
        free_raw_data=True,
    )
    boosters, staged = [], []
    for number, objective in enumerate(OBJECTIVES):
        callbacks = []
        if progress is not None:
            progress(f"training {objective} on {len(train.labels)} rows of {len(train.group_sizes)} requests")
            callbacks.append(_report_rounds(progress, config.n_trees))
        parameters = _parameters(objective, len(train.labels), config, config.seed + number)
        boosters.append(lightgbm.train(parameters, dataset, config.n_trees, callbacks=callbacks))
        staged.append(_staged_scores(boosters[-1], validation.matrix))
        if after_model is not None:
            after_model(number, _best_length(staged[-1], validation, config.n_trees)[1])
    spreads = [max(float(scores[-1].std()), 1e-9) if scores.size else 1.0 for scores in staged]
    sums = np.sum([scores / spread for scores, spread in zip(staged, spreads, strict=True)], axis=0)
    n_trees, ndcg = _best_length(sums, validation, config.n_trees)
    texts = [booster.model_to_string(num_iteration=n_trees) for booster in boosters]
    weights = [1.0 / spread for spread in spreads]
    gain = sum(
        shares / max(shares.sum(), 1e-12)
        for shares in (booster.feature_importance("gain", iteration=n_trees) for booster in boosters)
    ) / len(boosters)
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
        "lambdarank_truncation_level": 30,
        "learning_rate": config.learning_rate,
        "num_leaves": config.n_leaves,
        "min_data_in_leaf": min(config.min_rows_per_leaf, max(20, n_rows // 100)),
        "max_bin": MAX_BINS,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.ranker_l2,
        "num_threads": config.n_threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _staged_scores(booster: "Booster", matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n stages, n rows]: raw scores after every STAGE trees."""
    stages = []
    total = np.zeros(len(matrix))
    for start in range(0, booster.num_trees(), STAGE):
        if len(matrix):
            total = total + booster.predict(
                matrix, start_iteration=start, num_iteration=STAGE, raw_score=True
            )
        stages.append(total)
    return np.array(stages)


def _best_length(staged: NDArray[np.float64], validation: "_Rows", n_trees: int) -> tuple[int, float]:
    """The number of trees with the best validation nDCG@10, and that; all of them without validation.

    The nDCG of neighbouring stages is averaged, since it is noisy from one to the next.
    """
    n_requests = len(validation.group_sizes)
    if not n_requests:
        return n_trees, float("nan")
    order_by_request = np.repeat(np.arange(n_requests), validation.group_sizes)
    starts = np.concatenate([[0], np.cumsum(validation.group_sizes)[:-1]])
    n_relevant = np.add.reduceat(validation.labels.astype(np.int64), starts)
    width = min(10, int(validation.group_sizes.min()))
    values = []
    for scores in staged:
        order = np.lexsort((-scores, order_by_request))
        hits = validation.labels[order[starts[:, None] + np.arange(width)]] > 0
        values.append(float(np.nan_to_num(np.nanmean(ndcg(hits, n_relevant, 10)))))
    padded = np.pad(values, 1, mode="edge")
    best = int(np.argmax(np.convolve(padded, np.ones(3) / 3, mode="valid")))
    return min((best + 1) * STAGE, n_trees), values[best]


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


def _report_rounds(progress: Callable[[str], None], n_rounds: int) -> Callable[..., None]:
    def report(env: object) -> None:
        iteration: int = env.iteration + 1  # type: ignore[attr-defined]  # lightgbm.callback.CallbackEnv
        if iteration % 100 == 0:
            progress(f"tree {iteration} of {n_rounds}")

    return report
