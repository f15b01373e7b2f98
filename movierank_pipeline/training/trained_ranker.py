"""A trained ranker as the asset graph keeps it: a text file of LightGBM and one JSON file."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.features.feature import Feature
from movierank_core.features.registry import feature_list
from movierank_core.ranker.score_calibration import ScoreCalibration
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.state import RankingState


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One training of the parameter search in `movierank_pipeline.training.tuning`."""

    parameters: dict[str, int | float]
    """Values of the searched fields of `ModelConfig`."""
    ndcg: float
    """Validation nDCG@10."""
    seconds: float


@dataclass(frozen=True)
class TrainedRanker:
    """The trees, the calibration of their scores, and the figures of the training."""

    model_text: str
    """LightGBM text model."""
    features: tuple[Feature, ...]
    fusion: dict[str, float]
    """Source weights that fused the candidates in training."""
    calibration: ScoreCalibration
    metrics: dict[str, float]
    """Counts, and figures on the validation requests."""
    importance: dict[str, float]
    """Share of the total gain per feature."""
    trials: tuple[Trial, ...] = ()
    """All trials of tuning, in order; empty where tuning is off."""
    chosen: dict[str, int | float] = field(default_factory=dict)
    """Configuration fields with better values, found by tuning."""

    def config(self, given: ModelConfig) -> ModelConfig:
        """`given` with the values that tuning chose: the configuration of these trees."""
        return msgspec.structs.replace(given, **self.chosen)

    @property
    def trees(self) -> TreeEnsemble:
        return TreeEnsemble.from_text(self.model_text)

    def on(self, catalogue: Catalogue, state: RankingState) -> RankingModel:
        """The complete model on `state`, with the fusion weights of training."""
        return RankingModel(
            catalogue, state.with_fusion(self.fusion), self.features, self.trees, self.calibration
        )

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.txt").write_text(self.model_text, "utf-8")
        facts = {
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
            model_text=(folder / "model.txt").read_text("utf-8"),
            features=tuple(by_name[name] for name in facts["features"]),
            fusion=facts["fusion"],
            calibration=msgspec.convert(facts["calibration"], ScoreCalibration),
            metrics=facts["metrics"],
            importance=facts["importance"],
            trials=msgspec.convert(facts["trials"], tuple[Trial, ...]),
            chosen=facts["chosen"],
        )
