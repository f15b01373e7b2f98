"""Judges ranked lists against the targets of their requests, a block of requests at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_pipeline.evaluation.measures.debiased import (
    debiased_values,
    inverse_propensities,
    mean_weight,
)
from movierank_pipeline.evaluation.measures.judged import Judgments, judged_values
from movierank_pipeline.ranking_metrics import Hits, choice_ndcg, hits_of
from movierank_pipeline.training.requests import Request

DEPTH: Final = 100
"""Ranks of each list that are judged."""
_BLOCK: Final = 1000
"""Maximum number of requests whose complete lists are held at a time."""


class TargetFacts(NamedTuple):
    """What a protocol knows about the targets of a request. None: the protocol does not have it."""

    is_tied: Callable[[Request], NDArray[np.bool_]] | None = None
    """Per target, whether its event has the timestamp of the last event of the history."""
    choices: Callable[[Request], NDArray[np.int64]] | None = None
    """Rows that could have been the only target as well, since their events share its timestamp; with it."""
    judgments: Callable[[Request], Judgments] | None = None
    """The judgments of the request's user."""


NO_FACTS: Final = TargetFacts()


class Figures(NamedTuple):
    """What a judge found. Fields of the same names in `Answers` describe them."""

    hits: dict[str, Hits]
    top: dict[str, NDArray[np.int64]]
    values: dict[str, dict[str, NDArray[np.float64]]]
    debiased: dict[str, dict[str, NDArray[np.float64]]]
    debiased_weights: NDArray[np.float64]
    band: dict[str, dict[str, NDArray[np.float64]]]
    tied_hits: dict[str, Hits]
    n_tied: NDArray[np.int64] | None
    n_choices: NDArray[np.int64] | None


class Judge:
    """Collects the lists of every system, and keeps the figures of each block instead of its lists."""

    def __init__(self, names: Sequence[str], facts: TargetFacts, *, k: int, n_top: int) -> None:
        """`k` ranks count for metrics; of `n_top` ranks the movies are kept."""
        self._names, self._facts, self._k, self._n_top = names, facts, k, n_top
        self._lists: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
        self._targets: list[NDArray[np.int64]] = []
        self._weights: list[NDArray[np.float64]] = []
        self._tied: list[NDArray[np.int64]] = []
        self._choices: list[NDArray[np.int64]] = []
        self._judgments: list[Judgments] = []
        self._hits: dict[str, list[Hits]] = {name: [] for name in names}
        self._tied_hits: dict[str, list[Hits]] = {name: [] for name in names}
        self._top: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
        self._values: dict[str, dict[str, list[NDArray[np.float64]]]] = {name: {} for name in names}
        self._debiased: dict[str, dict[str, list[NDArray[np.float64]]]] = {name: {} for name in names}
        self._mean_weights: list[float] = []
        self._band: dict[str, dict[str, list[NDArray[np.float64]]]] = {name: {} for name in names}
        self._n_tied: list[int] = []
        self._n_choices: list[int] = []

    def add(
        self, request: Request, lists: Mapping[str, NDArray[np.int64]], n_events: NDArray[np.floating]
    ) -> None:
        """Adds the list of every system, best rows first. `n_events` are those of the targets by then."""
        for name in self._names:
            # A copy: a view would keep the permutation of all movies until the block is judged.
            self._lists[name].append(lists[name][:DEPTH].copy())
        self._targets.append(request.targets)
        self._weights.append(inverse_propensities(n_events))
        self._mean_weights.append(mean_weight(self._weights[-1]))
        if self._facts.is_tied is not None:
            tied = request.targets[self._facts.is_tied(request)]
            self._tied.append(tied)
            self._n_tied.append(len(tied))
        if self._facts.choices is not None:
            self._choices.append(self._facts.choices(request))
            self._n_choices.append(len(self._choices[-1]))
        if self._facts.judgments is not None:
            self._judgments.append(self._facts.judgments(request))
        if len(self._targets) == _BLOCK:
            self._close_block()

    def figures(self) -> Figures:
        """The figures of all requests so far."""
        self._close_block()
        is_tie_known = self._facts.is_tied is not None
        return Figures(
            hits={name: np.concatenate(blocks) for name, blocks in self._hits.items()},
            top={name: np.concatenate(blocks) for name, blocks in self._top.items()},
            values=_joined(self._values),
            debiased=_joined(self._debiased),
            debiased_weights=np.array(self._mean_weights),
            band=_joined(self._band),
            tied_hits={
                name: np.concatenate(blocks) for name, blocks in self._tied_hits.items() if is_tie_known
            },
            n_tied=np.array(self._n_tied, np.int64) if is_tie_known else None,
            n_choices=None if self._facts.choices is None else np.array(self._n_choices, np.int64),
        )

    def _close_block(self) -> None:
        """Judges the lists of a block and drops them, which bounds memory."""
        for name in self._names:
            ranked = np.full((len(self._targets), DEPTH), -1, np.int64)
            for index, rows in enumerate(self._lists[name]):
                ranked[index, : len(rows)] = rows
            self._hits[name].append(hits_of(ranked, self._targets))
            self._top[name].append(ranked[:, : self._n_top].copy())
            if self._facts.is_tied is not None:
                self._tied_hits[name].append(hits_of(ranked, self._tied))
            debiased = debiased_values(ranked, self._targets, self._weights, self._k)
            _append(self._debiased[name], debiased)
            if self._facts.choices is not None:
                _append(self._band[name], choice_ndcg(ranked, self._choices, self._k))
            if self._facts.judgments is not None:
                _append(self._values[name], judged_values(ranked, self._judgments, self._k))
            self._lists[name].clear()
        for parts in (self._targets, self._weights, self._tied, self._choices, self._judgments):
            parts.clear()


def _append(kept: dict[str, list[NDArray[np.float64]]], values: Mapping[str, NDArray[np.float64]]) -> None:
    for name, of_block in values.items():
        kept.setdefault(name, []).append(of_block)


def _joined(
    kept: Mapping[str, Mapping[str, list[NDArray[np.float64]]]],
) -> dict[str, dict[str, NDArray[np.float64]]]:
    return {
        system: {name: np.concatenate(blocks) for name, blocks in of_system.items()}
        for system, of_system in kept.items()
        if of_system
    }
