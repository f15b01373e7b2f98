"""Writes the bundle of a trained ranker on the state of all events."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.bundle import write_bundle
from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.manifest import IMAGE_BASE_URL, Manifest
from movierank_core.recommender.state import RankingState
from movierank_pipeline.artifacts import InteractionFacts
from movierank_pipeline.evaluation.compare import MAIN
from movierank_pipeline.evaluation.report import Report
from movierank_pipeline.training.trained_ranker import TrainedRanker

BUNDLE_PREFIX = ".bundle-"
"""First characters of the name of a folder that a bundle is packed in."""


def pack_bundle(
    folder: Path,
    *,
    data: InteractionArrays,
    catalogue: Catalogue,
    state: RankingState,
    ranker: TrainedRanker,
    report: Report,
    facts: InteractionFacts,
    config: ModelConfig,
    image_base_url: str = IMAGE_BASE_URL,
) -> Manifest:
    """Writes the bundle of `ranker` on `state` to `folder`, which must not exist; returns its manifest."""
    return write_bundle(
        folder,
        catalogue=catalogue,
        state=state.with_fusion(ranker.fusion),
        model_text=ranker.model_text,
        feature_names=[feature.name for feature in ranker.features],
        calibration=ranker.calibration,
        predict_raw=lambda matrix: lightgbm_scores(ranker.model_text, matrix),
        dataset=facts.dataset,
        ratings_are_simulated=facts.ratings_are_simulated,
        data_hash=data_hash(data),
        n_users=len(data.user_ids),
        n_interactions=len(data),
        metrics={metric: interval.mean for metric, interval in report.systems[MAIN].items()},
        evaluation=report.summary(),
        config=msgspec.to_builtins(config),
        seed=config.seed,
        image_base_url=image_base_url,
    )


def lightgbm_scores(text: str, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Raw scores [n_rows] by LightGBM itself, as reference for our trees."""
    import lightgbm

    booster = lightgbm.Booster(model_str=text)
    return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1), np.float64)


def data_hash(data: InteractionArrays) -> str:
    """SHA-256 of all events in order. Equal events give equal hashes, whatever file they came from."""
    digest = hashlib.sha256()
    for column in (data.user_ids, data.offsets, data.movie_ids, data.ratings, data.timestamps):
        digest.update(np.ascontiguousarray(column).data)
    digest.update(np.ascontiguousarray(data.event_codes).data)
    return digest.hexdigest()
