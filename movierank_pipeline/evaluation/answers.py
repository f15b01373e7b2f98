"""Every compared system on the same requests: the ranker, each source, their fusion, and random order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.history import LIKE_THRESHOLD
from movierank_core.features.movie_facts import FactsOverTime
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.scored import Scored
from movierank_core.retrieval.fusion import fuse, proposals_of
from movierank_pipeline.evaluation.compare import MAIN
from movierank_pipeline.ranking_metrics import Hits, hits_of
from movierank_pipeline.training.requests import Request
from movierank_pipeline.training.state_of_day import StateOfDay

DEPTH: Final = 100
"""Ranks of each list that are judged."""
TOP: Final = 10
"""Default number of ranks of which the movies are kept."""
FUSED: Final = "fused"
RANDOM: Final = "random"
_BLOCK: Final = 1000
"""Maximum number of requests whose complete lists are held at a time."""


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


def answer(
    model: RankingModel,
    requests: Iterable[Request],
    *,
    seed: int,
    only_main: bool = False,
    with_fused: bool = True,
    pool: NDArray[np.bool_] | None = None,
    facts: FactsOverTime | None = None,
    n_top: int = TOP,
    progress: Callable[[str], None] | None = None,
) -> Answers:
    """Answers `requests` by the serving code and, unless `only_main`, by the baselines.

    With `facts`, the ranker and every baseline see those of the midnight before each request. The random
    baseline permutes the eligible rows of `pool`, by default the movies with an event; with `facts`, those
    with an event by then.
    """
    rng = np.random.default_rng(seed)
    pool = model.state.is_known if pool is None else pool
    of_day = StateOfDay(model.state, facts)
    baselines = [*model.state.sources, *([FUSED] if with_fused else []), RANDOM]
    names = [MAIN] if only_main else [MAIN, *baselines]
    hits: dict[str, list[Hits]] = {name: [] for name in names}
    top: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    lists: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    targets: list[NDArray[np.int64]] = []
    n_relevant, user_ids, moments, lengths = [], [], [], []
    predicted, liked = [np.zeros(0)], [np.zeros(0, np.bool_)]
    judged: dict[int, set[int]] = {}  # Rows by user: a movie may be a candidate at every moment of a user.

    def close_block() -> None:
        """Judges the lists of a block and drops them, which bounds memory."""
        for name in names:
            ranked = np.full((len(targets), DEPTH), -1, np.int64)
            for index, rows in enumerate(lists[name]):
                ranked[index, : len(rows)] = rows
            hits[name].append(hits_of(ranked, targets))
            top[name].append(ranked[:, :n_top].copy())
            lists[name].clear()
        targets.clear()

    for n_answered, request in enumerate(requests):
        if progress is not None and n_answered and n_answered % 500 == 0:
            progress(f"{n_answered} requests answered")
        state = of_day.at(request.as_of)
        if state is not model.state:
            model = replace(model, state=state)
        scored = model.score(request.history, as_of=request.as_of)
        lists[MAIN].append(scored.listed[:DEPTH])
        if not only_main:
            known = pool if facts is None else pool & state.is_known
            found = _baselines(model, scored, known, rng, with_fused=with_fused)
            for name in baselines:
                # A copy: a view would keep the permutation of all movies until the block is judged.
                lists[name].append(found[name][:DEPTH].copy())
        targets.append(request.targets)
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
        if len(targets) == _BLOCK:
            close_block()
    close_block()
    return Answers(
        hits={name: np.concatenate(blocks) for name, blocks in hits.items()},
        top={name: np.concatenate(blocks) for name, blocks in top.items()},
        n_relevant=np.array(n_relevant, np.int64),
        user_ids=np.array(user_ids, np.int64),
        moments=np.array(moments, np.int64),
        history_lengths=np.array(lengths, np.int64),
        predicted=np.concatenate(predicted),
        liked=np.concatenate(liked),
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
