"""Every compared system on the same requests: the ranker, each source, their fusion, and random order."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.history import LIKE_THRESHOLD
from movierank_core.features.movie_facts import FactsOverTime
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.scored import Scored
from movierank_core.recommender.state import RankingState
from movierank_core.retrieval.fusion import fuse, proposals_of
from movierank_pipeline.evaluation.compare import MAIN
from movierank_pipeline.evaluation.judge import DEPTH, NO_FACTS, Judge, TargetFacts
from movierank_pipeline.ranking_metrics import Hits
from movierank_pipeline.training.requests import Request
from movierank_pipeline.training.state_of_day import StateOfDay

TOP: Final = 10
"""Minimum number of ranks of which the movies are kept."""
FUSED: Final = "fused"
RANDOM: Final = "random"


@dataclass(frozen=True)
class Answers:
    """The answers of every system to the same requests."""

    hits: dict[str, Hits]
    """Per system [n_requests, DEPTH]: whether the movie at a rank is a target. The first rank is the best."""
    top: dict[str, NDArray[np.int64]]
    """Per system [n_requests, n_top] catalogue rows; -1 pads shorter lists."""
    n_relevant: NDArray[np.int64]
    """Targets per request, found or not."""
    user_ids: NDArray[np.int64]
    moments: NDArray[np.int64]
    """Moment of each request, in seconds since 1970."""
    history_lengths: NDArray[np.int64]
    predicted: NDArray[np.float64]
    """The main system's scores of movies that the user rated later; each user and movie once, at the first
    of the requests."""
    liked: NDArray[np.bool_]
    """Whether the user liked these movies."""
    values: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    """Metrics that need more than hits: per system, then metric, one value per request. They replace those
    of the same name that are made from hits."""
    debiased: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    """Per system, then debiased metric, one value per request: see `debiased_values`."""
    debiased_weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Weight of each request in the means of debiased metrics."""
    band: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    """Per system `worst` and `best`: nDCG per request over all choices of the target among tied events."""
    tied_hits: dict[str, Hits] = field(default_factory=dict)
    """Like `hits`, of the targets that are tied with the last event of the history alone."""
    n_tied: NDArray[np.int64] | None = None
    """Number of these targets per request; None if the protocol does not know."""
    n_choices: NDArray[np.int64] | None = None
    """Number of choices of the only target per request; None if nothing was chosen."""


def answer(
    model: RankingModel,
    requests: Iterable[Request],
    *,
    seed: int,
    only_main: bool = False,
    with_fused: bool = True,
    pool: NDArray[np.bool_] | None = None,
    facts: FactsOverTime | None = None,
    refits: Mapping[int, RankingState] | None = None,
    target_facts: TargetFacts = NO_FACTS,
    k: int = TOP,
    progress: Callable[[str], None] | None = None,
) -> Answers:
    """Answers `requests` by the serving code and, unless `only_main`, by the baselines.

    With `facts`, the ranker and every baseline see those of the midnight before each request. A request of an
    episode in `refits` is answered on that state, any other on the state of `model`. The random baseline
    permutes the eligible rows of `pool`, by default the movies with an event; with `facts`, those with an
    event by then. `k` ranks count.
    """
    rng = np.random.default_rng(seed)
    pool = model.state.is_known if pool is None else pool
    of_day = {
        episode: StateOfDay(state.with_fusion(model.state.fusion), facts)
        for episode, state in (refits or {}).items()
    }
    first = StateOfDay(model.state, facts)
    baselines = [*model.state.sources, *([FUSED] if with_fused else []), RANDOM]
    names = [MAIN] if only_main else [MAIN, *baselines]
    judge = Judge(names, target_facts, k=k, n_top=max(TOP, k))
    n_relevant, user_ids, moments, lengths = [], [], [], []
    predicted, liked = [np.zeros(0)], [np.zeros(0, np.bool_)]
    judged: dict[int, set[int]] = {}  # Rows by user: a movie may be a candidate at every moment of a user.
    for n_answered, request in enumerate(requests):
        if progress is not None and n_answered and n_answered % 500 == 0:
            progress(f"{n_answered} requests answered")
        state = of_day.get(request.episode, first).at(request.as_of)
        if state is not model.state:
            model = replace(model, state=state)
        scored = model.score(request.history, as_of=request.as_of)
        lists = {MAIN: scored.listed}
        if not only_main:
            known = pool if facts is None else pool & state.is_known
            lists |= _baselines(model, scored, known, rng, with_fused=with_fused)
        n_events = np.where(request.targets >= 0, state.movies.n_events[request.targets], 0)
        judge.add(request, lists, n_events)
        n_relevant.append(len(request.targets))
        user_ids.append(request.user_id)
        moments.append(request.as_of)
        lengths.append(len(scored.query))
        later = request.later_ratings
        of_user = judged.setdefault(request.user_id, set())
        listed = scored.rows.tolist()
        ratings = np.array(
            [np.nan if row in of_user else later.get(row, np.nan) for row in listed], np.float64
        )
        of_user.update(row for row in listed if row in later)
        is_rated = ~np.isnan(ratings)
        predicted.append(scored.probabilities[is_rated])
        liked.append(ratings[is_rated] >= LIKE_THRESHOLD)
    found = judge.figures()
    return Answers(
        hits=found.hits,
        top=found.top,
        n_relevant=np.array(n_relevant, np.int64),
        user_ids=np.array(user_ids, np.int64),
        moments=np.array(moments, np.int64),
        history_lengths=np.array(lengths, np.int64),
        predicted=np.concatenate(predicted),
        liked=np.concatenate(liked),
        values=found.values,
        debiased=found.debiased,
        debiased_weights=found.debiased_weights,
        band=found.band,
        tied_hits=found.tied_hits,
        n_tied=found.n_tied,
        n_choices=found.n_choices,
    )


def _baselines(
    model: RankingModel,
    scored: Scored,
    pool: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    with_fused: bool,
) -> dict[str, NDArray[np.int64]]:
    """The lists of all systems except the ranker, best rows first."""
    eligible = model.eligible(scored.query)
    proposals = {
        name: proposals_of(source, source.scores(scored.query), eligible, model.state.n_per_source)
        for name, source in model.state.sources.items()
    }
    fused = {FUSED: fuse(proposals, model.state.fusion, DEPTH).rows} if with_fused else {}
    return {**proposals, **fused, RANDOM: rng.permutation(np.flatnonzero(eligible & pool))}
