"""The manifest of a bundle: its identity, features, metrics and files."""

import msgspec

FORMAT_VERSION = 2
"""Format of the bundle; increased when older code cannot read a new bundle."""
MANIFEST = "manifest.json"
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
    low: float
    high: float


class ReliabilityBin(msgspec.Struct, frozen=True):
    """One bin of predictions with similar probabilities."""

    n: int
    predicted: float
    """Mean prediction, 0 to 1."""
    observed: float
    """Share of the predicted likes that happened, 0 to 1."""


class EvaluationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of a version and of every baseline on requests after the split. All figures are finite."""

    protocol: str
    split_time: str
    """ISO 8601, UTC: every system was fitted on events before this moment."""
    n_requests: int
    n_users: int
    systems: dict[str, dict[str, Estimate]]
    """Estimates by metric, by system; `movierank` is the whole ranker."""
    reliability: list[ReliabilityBin]
    """Bins of the score in ascending order, without empty ones."""
    expected_calibration_error: float | None = None
    """Mean gap between predicted and observed share, 0 to 1; None without predictions."""


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
    model_weights: list[float]
    """Weight of the raw score of each `ranker/model_<n>.txt`."""
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
    """Computed by LightGBM, so that a replay checks the tree kernels too."""
    scores: list[float]
