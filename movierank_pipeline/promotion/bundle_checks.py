"""Measurements on a registered bundle: size, latency, and equality of its scores with LightGBM's."""

import math
import time
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from movierank_core.bundle import GOLDEN_DEPTH, read_bundle
from movierank_core.data.history import Event, History
from movierank_core.errors import BundleError
from movierank_core.manifest import GOLDEN, RANKER, GoldenRequest
from movierank_core.recommender.recommender import Recommender
from movierank_pipeline.release.build_bundle import lightgbm_scores

N_REPEATS: Final = 5
"""Repetitions of each golden request for the latency median."""


class BundleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements on the bundle as stored in the registry."""

    problem: str = ""
    """Why the bundle cannot be served; the other fields are then unknown."""
    scorer_difference: float = math.nan
    """Largest absolute difference between our raw scores and LightGBM's, over all candidates of the golden
    requests."""
    megabytes: float = math.nan
    latency_ms: float = math.nan
    """Median time from history to explained list over the golden requests, after warm-up."""
    data_hash: str = ""
    """Hash of the events that the version was trained on."""


def read_registered(folder: Path) -> Recommender:
    """Reads and verifies a bundle from the registry. Raises BundleError for any failure.

    Error messages name the registry instead of `folder`, which is a temporary copy.
    """
    try:
        return read_bundle(folder)
    except BundleError as error:
        raise BundleError(str(error).replace(str(folder), "the registry")) from error
    except Exception as error:
        # A bundle written by other code can raise any exception here; all mean "cannot be read".
        raise BundleError(f"The bundle cannot be read: {type(error).__name__}: {error}") from error


def measure_bundle(folder: Path) -> BundleFacts:
    """Reads and verifies the bundle in `folder`, then replays its golden requests."""
    try:
        recommender = read_registered(folder)
    except BundleError as error:
        return BundleFacts(problem=str(error))
    model, manifest = recommender.model, recommender.manifest
    text = (folder / RANKER).read_text("utf-8")
    differences, times_ms = [0.0], []
    for request in msgspec.json.decode((folder / GOLDEN).read_bytes(), type=list[GoldenRequest]):
        history = History.from_events(
            Event(event.movie_id, event.event_type, event.timestamp, event.rating)
            for event in request.history
        )
        scored = model.score(history, as_of=request.as_of)
        if scored.features is not None and len(scored.features):
            theirs = lightgbm_scores(text, scored.features)
            differences.append(float(np.abs(scored.raw_scores - theirs).max()))
        for _ in range(N_REPEATS):
            began = time.perf_counter()
            recommender.rank(history, as_of=request.as_of, k=GOLDEN_DEPTH)
            times_ms.append(1000 * (time.perf_counter() - began))
    return BundleFacts(
        scorer_difference=max(differences),
        megabytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
        latency_ms=float(np.median(times_ms)),
        data_hash=manifest.data_hash,
    )
