"""Which of the later likes of a request are its targets, and when they happened."""

from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_pipeline.evaluation.judge import TargetFacts
from movierank_pipeline.training.requests import Request

TargetsMode = Literal["all", "last", "random"]
"""`all`: every later like. `last`: the user's last later like alone. `random`: one later like at random."""


class LikeEvents:
    """The likes of each user that stand among their events from a moment on."""

    def __init__(self, data: InteractionArrays, start: int) -> None:
        """`start` is in seconds since 1970."""
        self._data = data
        self._is_like = data.stands_within(start) & data.is_like
        self._users = {int(user_id): user for user, user_id in enumerate(data.user_ids)}

    def of(self, user_id: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The event of each of `rows` (catalogue rows that the user likes), as an index of the data.

        Events are sorted by time, and in one second by appearance.
        """
        user = self._users[user_id]
        first, stop = int(self._data.offsets[user]), int(self._data.offsets[user + 1])
        events = first + np.flatnonzero(self._is_like[first:stop])
        order = np.argsort(self._data.rows[events])
        return events[order[np.searchsorted(self._data.rows[events], rows, sorter=order)]]

    def times(self, request: Request) -> NDArray[np.int64]:
        """The time of each target of `request`, in seconds since 1970."""
        return self._data.timestamps[self.of(request.user_id, request.targets)]


class ChosenTargets(NamedTuple):
    """Requests with the targets of a mode."""

    requests: pl.DataFrame
    """REQUESTS."""
    facts: TargetFacts


def choose_targets(
    requests: pl.DataFrame,
    data: InteractionArrays,
    catalogue: Catalogue,
    start: int,
    mode: TargetsMode,
    seed: int,
) -> ChosenTargets:
    """The test `requests` (REQUESTS, `all` later likes from `start` on) with the targets of `mode`.

    Of several likes in the last second, the last to appear counts. Under `last`, these likes are the choices
    of the tie band.
    """
    likes = LikeEvents(data, start)

    def is_tied(request: Request) -> NDArray[np.bool_]:
        if not len(request.history):
            return np.zeros(len(request.targets), np.bool_)
        return likes.times(request) == request.history.timestamps[-1]

    if mode == "all":
        return ChosenTargets(requests, TargetFacts(is_tied=is_tied))
    rng = np.random.default_rng(seed)
    chosen: list[list[int]] = []
    choices: dict[int, NDArray[np.int64]] = {}
    for request_id, user_id, targets in requests.select("request_id", "user_id", "targets").iter_rows():
        rows = catalogue.rows_of(targets)
        if mode == "random":
            chosen.append([targets[rng.integers(len(targets))]])
            continue
        events = likes.of(user_id, rows)
        times = data.timestamps[events]
        chosen.append([targets[int(np.argmax(events))]])
        choices[request_id] = rows[times == times.max()]
    return ChosenTargets(
        requests.with_columns(pl.Series("targets", chosen, requests.schema["targets"])),
        TargetFacts(
            is_tied=is_tied,
            choices=(lambda request: choices[request.request_id]) if mode == "last" else None,
        ),
    )
