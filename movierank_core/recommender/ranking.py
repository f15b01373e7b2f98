"""The options of a ranking request, and its answer."""

import msgspec

from movierank_core.recommender.degradation import ServedBy
from movierank_core.reranking.filters import Filters


class RankOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one request."""

    exclude_seen: bool = True
    filters: Filters | None = None
    diversity: float = 0.0
    """0 (by score alone) to 1."""
    explain: bool = False
    """Whether results carry their contributions."""
    explore: float = 0.0
    """Temperature of a drawn order, at most 1; 0 sorts by score. Not together with `diversity`."""
    seed: int = 0
    """Seed of a drawn order."""


DEFAULT_OPTIONS = RankOptions()


class RankedMovie(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a ranking."""

    row: int
    """Catalogue row."""
    score: float
    """P(this user likes the movie | they rate it), in [0, 1]."""
    raw_score: float
    reasons: list[str]
    """At most three codes, the strongest first; may be empty."""
    contributions: dict[str, float] | None = None
    """Contribution by family, and `base`; they sum to `raw_score`. None unless `explain` was set."""
    propensity: float = 1.0
    """Probability that this movie was drawn here, given those above it; 1 if nothing was drawn."""


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one request."""

    results: list[RankedMovie]
    served_by: ServedBy
    """`model`, or `popularity` for an empty history; with graceful degradation also `candidates`."""
    n_candidates: int
    stage_ms: dict[str, float]
    """Milliseconds per stage."""
