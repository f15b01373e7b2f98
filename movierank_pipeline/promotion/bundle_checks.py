"""What the bundle of a version weighs, how long it takes and whether its scores are LightGBM's."""

import math
import time
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from movierank_core.bundle import GOLDEN_DEPTH, read_bundle
from movierank_core.data.history import Event, History
from movierank_core.errors import BundleError
from movierank_core.manifest import GOLDEN, GoldenRequest
from movierank_core.recommender.recommender import Recommender
from movierank_pipeline.release.build_bundle import lightgbm_scores

N_REPEATS: Final = 5
"""Times that each golden request is asked for its latency."""


class BundleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Measured on the bundle as the registry holds it."""

    problem: str = ""
    """Why it cannot be served; then nothing else is known."""
    scorer_difference: float = math.nan
    """The largest difference between our raw scores and LightGBM's, over all candidates of the golden
    requests."""
    megabytes: float = math.nan
    latency_ms: float = math.nan
    """Median over the golden requests of the time from history to explained list, after warming up."""
    data_hash: str = ""
    """Of the events that the version was made from."""


def read_registered(folder: Path) -> Recommender:
    """The verified recommender of a bundle from the registry; BundleError, whatever is wrong with it.

    The error speaks of the registry, since `folder` is a copy that will be gone.
    """
    try:
        return read_bundle(folder)
    except BundleError as error:
        raise BundleError(str(error).replace(str(folder), "the registry")) from error
    except Exception as error:
        # What other code wrote can make this one raise anything, and that is what the verdict is about.
        raise BundleError(f"The bundle cannot be read: {type(error).__name__}: {error}") from error


def measure_bundle(folder: Path) -> BundleFacts:
    """Reads, verifies and asks the bundle in `folder`."""
    try:
        recommender = read_registered(folder)
    except BundleError as error:
        return BundleFacts(problem=str(error))
    model, manifest = recommender.model, recommender.manifest
    texts = [
        (folder / "ranker" / f"model_{number}.txt").read_text("utf-8")
        for number in range(len(manifest.model_weights))
    ]
    differences, times_ms = [0.0], []
    for request in msgspec.json.decode((folder / GOLDEN).read_bytes(), type=list[GoldenRequest]):
        history = History.from_events(
            Event(event.movie_id, event.event_type, event.timestamp, event.rating)
            for event in request.history
        )
        scored = model.score(history, as_of=request.as_of)
        if scored.features is not None and len(scored.features):
            theirs = lightgbm_scores(texts, manifest.model_weights, scored.features)
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
