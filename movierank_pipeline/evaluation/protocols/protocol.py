"""The interface of an evaluation protocol: how events are hidden, and which requests ask for them.

Everything else of an evaluation is the same for all protocols: see
`movierank_pipeline.evaluation.experiment`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.features.movie_facts import FactsOverTime
from movierank_core.recommender.state import RankingState
from movierank_pipeline.evaluation.judge import NO_FACTS, TargetFacts
from movierank_pipeline.evaluation.protocols.targets import TargetsMode
from movierank_pipeline.training.requests import Request
from movierank_pipeline.training.training_set import Episode

Progress = Callable[[str], None] | None


class Measures(NamedTuple):
    """The figures that a protocol reports."""

    k: int = 10
    """Ranks that count for every figure except recall@100."""
    is_deep: bool = False
    """Adds recall@20, recall@50 and ndcg@100, the figures of Liang et al. 2018."""
    is_brief: bool = False
    """Only figures of published tables: no fused list, slices, novelty, diversity or calibration."""


@dataclass(frozen=True)
class HoldOut:
    """The test part of a protocol. Any number of models can answer the same requests."""

    protocol: str
    split: int | None
    """T, in seconds since 1970; None where time does not separate training from test."""
    catalogue: Catalogue
    state: RankingState
    """Fitted on the events that the protocol allows. It answers the requests of every episode that `refits`
    does not have."""
    requests: pl.DataFrame
    """REQUESTS, one row per test request."""
    replay: Callable[[], Iterator[Request]]
    """The test requests in the order of `requests`, made one at a time."""
    pool: NDArray[np.bool_]
    """Per catalogue row: the random baseline proposes from these rows, and coverage counts them."""
    unknown_like_share: float
    """Share of hidden likes on movies that could not be known. They are no targets."""
    facts: FactsOverTime | None = None
    """Facts of movies by moment: each request sees those of the midnight before it. None: the state's own."""
    measures: Measures = field(default_factory=Measures)
    n_possible_requests: int | None = None
    """Requests of all users, where `requests` are those of a sample of users; None: of all users."""
    targets: TargetsMode = "all"
    """The later likes that are targets."""
    target_facts: TargetFacts = NO_FACTS
    """What is known about the targets of each request."""
    refits: Mapping[int, RankingState] = field(default_factory=dict)
    """By episode, later states of the same protocol, each fitted on the events before its own moment."""
    judged: Mapping[str, int] = field(default_factory=dict)
    """Numbers of judgments, for the report."""


@dataclass(frozen=True)
class Protocol:
    """One way to make training rows and a test from a set of events."""

    catalogue: Catalogue
    config: ModelConfig
    episodes: Callable[[], Iterable[Episode]]
    """Training requests with the states to fit for them."""
    holdout: Callable[[Progress], HoldOut]
    """Fits the test state, telling its progress, and gives the test."""


class Drawn(NamedTuple):
    """Test requests of a sample of users."""

    requests: pl.DataFrame
    n_possible: int | None
    """Requests of all users; None where every user is kept."""


def draw_users(requests: pl.DataFrame, config: ModelConfig) -> Drawn:
    """The REQUESTS of users drawn at random with the seed, at most `max_test_requests`, in order.

    A drawn user keeps all requests, since metrics are averaged per user; at least one user is drawn.
    """
    if len(requests) <= config.max_test_requests:
        return Drawn(requests, None)
    users = requests.group_by("user_id").len().sort("user_id")
    order = np.random.default_rng(config.seed).permutation(len(users))
    n_requests = np.cumsum(users["len"].to_numpy()[order])
    n_users = max(int(np.searchsorted(n_requests, config.max_test_requests, side="right")), 1)
    drawn = users["user_id"].gather(order[:n_users])
    return Drawn(requests.filter(pl.col("user_id").is_in(drawn.implode())), len(requests))
