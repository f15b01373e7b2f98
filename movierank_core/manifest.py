"""What a bundle says about itself."""

import msgspec

FORMAT_VERSION = 2
"""Raised when a bundle written by this code cannot be read by older code."""
MANIFEST = "manifest.json"
GOLDEN = "golden.json"
IMAGE_BASE_URL = "https://image.tmdb.org/t/p/"
"""Where TMDB's images are, unless TMDB has said otherwise."""


class FeatureInfo(msgspec.Struct, frozen=True):
    name: str
    group: str
    dtype: str = "float32"


class Estimate(msgspec.Struct, frozen=True):
    """A mean over people with the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float


class ReliabilityBin(msgspec.Struct, frozen=True):
    """Predictions of about the same probability."""

    n: int
    predicted: float
    """Their mean, 0 to 1."""
    observed: float
    """The share of them that came true."""


class EvaluationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How good a version is beside others, on requests after the split. Only finite figures are in it."""

    protocol: str
    split_time: str
    """ISO 8601, UTC: everything that was judged was fitted on events before this."""
    n_requests: int
    n_users: int
    systems: dict[str, dict[str, Estimate]]
    """By system (`movierank` is the whole ranker), estimate by metric."""
    reliability: list[ReliabilityBin]
    """Of the score, in ascending order; bins without predictions are left out."""
    expected_calibration_error: float | None = None
    """The mean gap between predicted and observed share, 0 to 1; None where nothing was predicted."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The first file read of a bundle; everything else is checked against it."""

    format_version: int
    name: str
    created_at: str
    """ISO 8601, UTC."""
    data_as_of: str
    """ISO 8601, UTC: the model was fitted on events strictly before this."""
    dataset: str
    ratings_are_simulated: bool
    data_hash: str
    n_movies: int
    n_users: int
    n_interactions: int
    features: list[FeatureInfo]
    """In the order of the matrix columns."""
    model_weights: list[float]
    """What the raw score of each `ranker/model_<n>.txt` counts."""
    calibration: dict[str, float]
    metrics: dict[str, float]
    """Measured on requests after the split, with the same trees on the state before it."""
    evaluation: EvaluationSummary | None = None
    """The same for every system, with intervals; None in bundles that were written without it."""
    config: dict
    library_versions: dict[str, str]
    files: dict[str, str]
    """SHA-256 of every other file, by its path in the bundle."""
    image_base_url: str = IMAGE_BASE_URL
    """What stands before the size and the path of a poster of the catalogue."""


class GoldenEvent(msgspec.Struct, frozen=True):
    movie_id: int
    event_type: str
    timestamp: int
    rating: float | None


class GoldenRequest(msgspec.Struct, frozen=True):
    """A made-up history with the answer that the writer of the bundle gave."""

    history: list[GoldenEvent]
    as_of: int
    movie_ids: list[int]
    raw_scores: list[float]
    """From LightGBM itself, so that a replay proves our traversal as well."""
    scores: list[float]
