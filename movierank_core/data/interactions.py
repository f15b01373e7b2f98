"""An INTERACTIONS table as arrays over dense users and catalogue rows: what fitting reads."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_TYPES, LIKE_THRESHOLD, History
from movierank_core.data.timestamps import epoch_seconds


@dataclass(frozen=True)
class InteractionArrays:
    """One row per event, sorted by user, then time, then order of appearance."""

    user_ids: NDArray[np.int64]
    """One id per dense user, ascending."""
    offsets: NDArray[np.int64]
    """User u's events are rows `offsets[u]:offsets[u + 1]`."""
    users: NDArray[np.int32]
    rows: NDArray[np.int32]
    """Catalogue rows; -1 for movies that are not in it."""
    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    """NaN where the event holds no opinion."""
    timestamps: NDArray[np.int64]
    event_codes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def from_frame(cls, interactions: pl.DataFrame, catalogue: Catalogue) -> "InteractionArrays":
        frame = interactions.sort("user_id", "timestamp", maintain_order=True)
        user_column = frame["user_id"].to_numpy()
        user_ids, first, users = np.unique(user_column, return_index=True, return_inverse=True)
        movie_ids = frame["movie_id"].to_numpy()
        codes = {name: event.code for name, event in EVENT_TYPES.items()}
        return cls(
            user_ids=user_ids,
            offsets=np.append(first, len(frame)).astype(np.int64),
            users=users.astype(np.int32),
            rows=catalogue.rows_of(movie_ids).astype(np.int32),
            movie_ids=movie_ids,
            ratings=frame["rating"].fill_null(float("nan")).to_numpy(),
            timestamps=frame.select(epoch_seconds("timestamp")).to_series().to_numpy(),
            event_codes=frame["event_type"].replace_strict(codes, return_dtype=pl.UInt8).to_numpy(),
        )

    def select(self, mask: NDArray[np.bool_]) -> "InteractionArrays":
        """The events of `mask`; every user stays, some perhaps with none."""
        counts = np.bincount(self.users[mask], minlength=len(self.user_ids))
        return InteractionArrays(
            user_ids=self.user_ids,
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            users=self.users[mask],
            rows=self.rows[mask],
            movie_ids=self.movie_ids[mask],
            ratings=self.ratings[mask],
            timestamps=self.timestamps[mask],
            event_codes=self.event_codes[mask],
        )

    def without_idle_users(self) -> "InteractionArrays":
        """The same events, without the users who have none, so that they leave no trace in a fit."""
        counts = np.diff(self.offsets)
        active = counts > 0
        return InteractionArrays(
            user_ids=self.user_ids[active],
            offsets=np.concatenate([[0], np.cumsum(counts[active])]).astype(np.int64),
            users=(np.cumsum(active) - 1).astype(np.int32)[self.users],
            rows=self.rows,
            movie_ids=self.movie_ids,
            ratings=self.ratings,
            timestamps=self.timestamps,
            event_codes=self.event_codes,
        )

    def before(self, as_of: int) -> "InteractionArrays":
        """The events strictly before `as_of` (seconds since 1970)."""
        return self.select(self.timestamps < as_of)

    def latest_per_movie(self) -> "InteractionArrays":
        """One event per user and movie of the catalogue: the latest one, in the order of the latest ones."""
        known = np.flatnonzero(self.rows >= 0)
        pairs = self.users[known].astype(np.int64) * (int(self.rows.max(initial=0)) + 1) + self.rows[known]
        _, last_from_end = np.unique(pairs[::-1], return_index=True)
        mask = np.zeros(len(self), np.bool_)
        mask[known[len(known) - 1 - last_from_end]] = True
        return self.select(mask)

    def history(self, user: int, as_of: int | None = None) -> History:
        """The history of dense user `user`, strictly before `as_of` where given."""
        start, stop = int(self.offsets[user]), int(self.offsets[user + 1])
        if as_of is not None:
            stop = start + int(np.searchsorted(self.timestamps[start:stop], as_of, side="left"))
        part = slice(start, stop)
        history = History(
            self.movie_ids[part], self.ratings[part], self.timestamps[part], self.event_codes[part]
        )
        if len(np.unique(history.movie_ids)) < len(history):
            return History.from_events(history.events())
        return history

    @property
    def is_like(self) -> NDArray[np.bool_]:
        return self.ratings >= LIKE_THRESHOLD  # NaN compares false: no opinion is no like.
