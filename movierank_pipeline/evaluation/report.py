"""The evaluation report: every system on the same requests, with intervals and differences.

`movierank evaluate`, `movierank benchmark`, the asset graph, the gate, the model card and the bundle all read
this one type. Intervals are 95 %, over users.
"""

import math
from typing import Any, Final

import msgspec

from movierank_core.manifest import Estimate, EvaluationSummary, ReliabilityBin
from movierank_core.retrieval.sources.popularity import PopularityYear
from movierank_pipeline.evaluation.bootstrap import Difference, Interval
from movierank_pipeline.evaluation.compare import HEADLINE, RECALL
from movierank_pipeline.evaluation.protocols.targets import TargetsMode
from movierank_pipeline.training.requests import FactsMode

RECENT_POPULARITY: Final = PopularityYear.name
"""The popularity that answers requests with an empty history, and that every model has to beat."""
SUMMARY_METRICS: Final = (HEADLINE, RECALL)
"""The metrics that a bundle keeps."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of some of the requests, or of some of their targets."""

    n_requests: int
    n_users: int
    systems: dict[str, dict[str, Interval]]
    """Figures by system, then metric."""


class Slice(Part, frozen=True, kw_only=True):
    """The figures of the requests whose histories have about the same length."""

    differences: dict[str, dict[str, Difference]]
    """By metric, then system: the ranker minus that system, paired by user."""
    best_source: str = ""
    """The single candidate source with the highest nDCG in this slice."""
    leads: dict[str, Difference] = {}
    """By metric: the ranker minus `best_source`, its p value corrected for the number of slices; empty for a
    slice of fewer than `measures.slices.MIN_USERS` users."""


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """nDCG of one system if ties are resolved in the worst and in the best way for it."""

    worst: Interval
    best: Interval


class Ties(msgspec.Struct, frozen=True, kw_only=True):
    """Targets whose events have the timestamp of the last event of their history."""

    n_targets: int
    tied_share: float
    """Share of the targets that are tied; NaN without a target."""
    parts: dict[str, Part] = {}
    """Figures of `tied` and `untied` targets alone; a part without targets is left out."""
    choice_share: float = math.nan
    """Share of the requests with more than one choice of their only target; NaN if nothing was chosen."""
    band: dict[str, Band] = {}
    """By system, over all choices of the only target (see docs/protocols.md)."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """The ranker under another condition, on the same requests."""

    metrics: dict[str, Interval]
    """The figures under this condition, by metric."""
    differences: dict[str, Difference]
    """By metric: the ranker minus its figures under this condition, paired by user."""


class Ablation(Variant, frozen=True, kw_only=True):
    """A ranker trained without one part. The differences are the contribution of the part."""

    n_features: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one evaluation."""

    protocol: str
    split_time: str
    """T, ISO 8601 in UTC; empty where time does not separate training from test."""
    facts: FactsMode = "day"
    """The facts of movies that requests of the temporal protocol see."""
    targets: TargetsMode = "all"
    """The later likes of a request that are its targets."""
    refits: list[str] = []
    """Moments after T at which the candidate sources were fitted again, ISO 8601 in UTC."""
    n_requests: int
    n_users: int
    n_possible_requests: int | None = None
    """Requests of all users, where a sample of users was evaluated; None: all users were."""
    n_movies: int
    """Movies that coverage is a share of."""
    unknown_like_share: float
    """Share of hidden likes on movies that could not be known: without an event before the midnight before
    the like, or under other protocols and facts, in training. They are no targets."""
    best_source: str
    """The single candidate source with the highest nDCG."""
    recent_popularity: str = RECENT_POPULARITY
    """The source that stands for recent popularity."""
    without: list[str] = []
    """Parts that the ranker was trained without. Parts that are off by default are not listed."""
    systems: dict[str, dict[str, Interval]]
    """Figures by system, then metric. Coverage, novelty and diversity describe all lists together; their
    bounds equal their mean."""
    differences: dict[str, dict[str, Difference]]
    """By metric, then system: the ranker minus that system, paired by user."""
    slices: dict[str, Slice] = {}
    """By history length."""
    slice_verdict: str = ""
    """Whether the ranker is significantly below the best source of a slice."""
    ties: Ties | None = None
    """None if the protocol has no timestamps of targets."""
    shuffled: Variant | None = None
    """The ranker with the order of each history shuffled; None if it was not measured."""
    shuffled_ties: Variant | None = None
    """The same with only the order of events of the same second shuffled."""
    judged: dict[str, int] = {}
    """Numbers of judgments, of a protocol with judgments."""
    calibration: list[dict[str, float]] = []
    """The reliability table: see `movierank_pipeline.evaluation.reliability`."""
    expected_calibration_error: float = math.nan
    ablations: dict[str, Ablation] = {}
    """By the group of features that was left out; empty unless requested."""
    block_ablations: dict[str, Ablation] = {}
    """By the block of features that was left out, for blocks that are a part of a group; as above."""
    source_ablations: dict[str, Ablation] = {}
    """By the candidate source that was left out; empty unless requested."""

    @property
    def sample_text(self) -> str:
        """For a sentence: how many requests there are of all users; empty if no sample was drawn."""
        if self.n_possible_requests is None:
            return ""
        return f" (users drawn at random; {self.n_possible_requests:,} requests of all users)"

    def to_json(self) -> bytes:
        """The JSON of `movierank evaluate`. NaN becomes null.

        The differences by nDCG@10 are under `differences`, those by recall@100 under `recall_differences`.
        """
        content = _with_two_tables(self)
        content["slices"] = {label: _with_two_tables(part) for label, part in self.slices.items()}
        return msgspec.json.format(msgspec.json.encode(content), indent=1)

    def summary(self) -> EvaluationSummary:
        """The figures that a bundle keeps: SUMMARY_METRICS of each system, and the reliability of the score.

        Unknown figures (a mean over no users is NaN) are left out, never replaced.
        """
        systems = {
            name: {
                metric: Estimate(figures[metric].mean, figures[metric].low, figures[metric].high)
                for metric in SUMMARY_METRICS
                if _is_known(figures.get(metric))
            }
            for name, figures in self.systems.items()
        }
        error = self.expected_calibration_error
        return EvaluationSummary(
            protocol=self.protocol,
            split_time=self.split_time,
            n_requests=self.n_requests,
            n_users=self.n_users,
            systems={name: figures for name, figures in systems.items() if figures},
            reliability=[
                ReliabilityBin(n=int(row["n"]), predicted=row["mean_p"], observed=row["observed"])
                for row in self.calibration
            ],
            expected_calibration_error=error if math.isfinite(error) else None,
        )


def _with_two_tables(part: Report | Slice) -> dict[str, Any]:
    """The fields in order, with the differences of HEADLINE and of RECALL as two entries."""
    content: dict[str, Any] = {}
    for name in part.__struct_fields__:
        if name == "differences":
            content["differences"] = part.differences.get(HEADLINE, {})
            content["recall_differences"] = part.differences.get(RECALL, {})
        else:
            content[name] = getattr(part, name)
    return content


def _is_known(interval: Interval | None) -> bool:
    return interval is not None and all(map(math.isfinite, (interval.mean, interval.low, interval.high)))
