"""The manifest of a bundle: its identity, features, metrics and files."""

from typing import Annotated

import msgspec
from msgspec import Meta

FORMAT_VERSION = 3
"""Format of the bundle; increased when older code cannot read a new bundle."""
MANIFEST = "manifest.json"
RANKER = "ranker.txt"
"""LightGBM text model of the ranker."""
GOLDEN = "golden.json"
IMAGE_BASE_URL = "https://image.tmdb.org/t/p/"
"""Base URL of TMDB's images, unless TMDB's configuration names another."""


class FeatureInfo(msgspec.Struct, frozen=True):
    name: str
    group: str
    dtype: str = "float32"


class Estimate(msgspec.Struct, frozen=True):
    """A mean over users with its 95 % interval."""

    mean: float
    low: Annotated[float, Meta(description="Lower bound of the 95 % interval.")]
    high: Annotated[float, Meta(description="Upper bound of the 95 % interval.")]


class ReliabilityBin(msgspec.Struct, frozen=True):
    """Predictions with similar probabilities."""

    n: Annotated[int, Meta(description="Number of predictions.")]
    predicted: Annotated[float, Meta(description="Mean predicted probability, 0 to 1.")]
    observed: Annotated[float, Meta(description="Share of the movies that were liked, 0 to 1.")]


class EvaluationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of a version and of the baselines, on requests after the split. All numbers are finite."""

    protocol: str
    split_time: Annotated[
        str, Meta(description="ISO 8601, UTC: every evaluated system was fitted on events before this.")
    ]
    n_requests: int
    n_users: int
    systems: Annotated[
        dict[str, dict[str, Estimate]],
        Meta(description="System to metric to estimate; `movierank` is the whole ranker."),
    ]
    reliability: Annotated[
        list[ReliabilityBin],
        Meta(description="Bins of the score in ascending order, without empty bins."),
    ]
    expected_calibration_error: Annotated[
        float | None,
        Meta(
            description="Mean absolute difference of predicted probability and observed share, 0 to 1; null "
            "without predictions."
        ),
    ] = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest, which is read first; every other file is checked against it."""

    format_version: int
    name: str
    created_at: str
    """ISO 8601, UTC."""
    data_as_of: str
    """ISO 8601, UTC: the model was fitted on events strictly before this moment."""
    dataset: str
    ratings_are_simulated: bool
    data_hash: str
    n_movies: int
    n_users: int
    n_interactions: int
    features: list[FeatureInfo]
    """In the order of the matrix columns."""
    calibration: dict[str, float]
    metrics: dict[str, float]
    """Metrics on requests after the split, with the same trees on the state before it."""
    evaluation: EvaluationSummary | None = None
    """The metrics of every system with intervals; None in bundles written before it existed."""
    config: dict
    library_versions: dict[str, str]
    files: dict[str, str]
    """SHA-256 of every other file, by its path in the bundle."""
    image_base_url: str = IMAGE_BASE_URL
    """Base URL of the catalogue's posters; size and path follow."""


class GoldenEvent(msgspec.Struct, frozen=True):
    movie_id: int
    event_type: str
    timestamp: int
    rating: float | None


class GoldenRequest(msgspec.Struct, frozen=True):
    """A made-up history with the expected answer."""

    history: list[GoldenEvent]
    as_of: int
    movie_ids: list[int]
    raw_scores: list[float]
    """Computed by LightGBM, so that a replay checks the tree kernels too; the fused scores for an empty
    history."""
    scores: list[float]
