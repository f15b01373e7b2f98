"""Every system that is compared, on the same questions: the ranker, each source, their fusion, chance."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.history import LIKE_THRESHOLD
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.scored import Scored
from movierank_core.retrieval.fusion import fuse, proposals_of
from movierank_pipeline.evaluation.compare import MAIN
from movierank_pipeline.evaluation.holdout import Question
from movierank_pipeline.ranking_metrics import Hits, hits_of

DEPTH: Final = 100
"""Places judged of every list."""
TOP: Final = 10
"""Places of which the movies are kept."""
FUSED: Final = "fused"
RANDOM: Final = "random"
_BLOCK: Final = 1000
"""Requests whose whole lists are held at a time."""


@dataclass(frozen=True)
class Answers:
    """What every system answered to the same requests."""

    hits: dict[str, Hits]
    """Per system [n_requests, DEPTH]: whether a place, best first, holds a target."""
    top: dict[str, NDArray[np.int64]]
    """Per system [n_requests, TOP] catalogue rows, -1 where a list is shorter."""
    n_relevant: NDArray[np.int64]
    """Targets per request, found or not."""
    user_ids: NDArray[np.int64]
    history_lengths: NDArray[np.int64]
    predicted: NDArray[np.float64]
    """The main system's scores of movies that the user went on to rate, over all requests."""
    liked: NDArray[np.bool_]
    """Whether they liked them."""


def answer(
    model: RankingModel,
    questions: Iterable[Question],
    *,
    seed: int,
    only_main: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Answers:
    """Puts the questions to the serving code, and, unless `only_main`, to the systems beside it."""
    rng = np.random.default_rng(seed)
    names = [MAIN] if only_main else [MAIN, *model.state.sources, FUSED, RANDOM]
    hits: dict[str, list[Hits]] = {name: [] for name in names}
    top: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    lists: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    targets: list[NDArray[np.int64]] = []
    n_relevant, user_ids, lengths = [], [], []
    predicted, liked = [np.zeros(0)], [np.zeros(0, np.bool_)]

    def close_block() -> None:
        for name in names:
            ranked = np.full((len(targets), DEPTH), -1, np.int64)
            for request, rows in enumerate(lists[name]):
                ranked[request, : len(rows)] = rows
            hits[name].append(hits_of(ranked, targets))
            top[name].append(ranked[:, :TOP].copy())
            lists[name].clear()
        targets.clear()

    for number, question in enumerate(questions):
        if progress is not None and number and number % 500 == 0:
            progress(f"{number} requests answered")
        scored = model.score(question.history, as_of=question.as_of)
        lists[MAIN].append(scored.listed[:DEPTH])
        if not only_main:
            for name, rows in _others(model, scored, rng).items():
                lists[name].append(rows[:DEPTH])
        targets.append(question.targets)
        n_relevant.append(len(question.targets))
        user_ids.append(question.user_id)
        lengths.append(len(scored.query))
        ratings = np.array([question.ratings.get(row, np.nan) for row in scored.rows.tolist()], np.float64)
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
        history_lengths=np.array(lengths, np.int64),
        predicted=np.concatenate(predicted),
        liked=np.concatenate(liked),
    )


def _others(model: RankingModel, scored: Scored, rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
    """The lists of every system but the ranker: each source's own, their fusion, chance."""
    eligible = model.eligible(scored.query)
    proposals = {
        name: proposals_of(source, source.scores(scored.query), eligible, model.state.n_per_source)
        for name, source in model.state.sources.items()
    }
    return {
        **proposals,
        FUSED: fuse(proposals, model.state.fusion, DEPTH).rows,
        RANDOM: rng.permutation(np.flatnonzero(eligible & model.state.is_known)),
    }
