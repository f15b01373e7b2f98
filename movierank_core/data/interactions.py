"""An INTERACTIONS table as arrays over dense users and catalogue rows: the input of every fit."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_TYPES, LIKE_THRESHOLD, History, hidden_codes
from movierank_core.data.standing import CLICK_CODE, which_stand
from movierank_core.data.timestamps import epoch_seconds


@dataclass(frozen=True)
class InteractionArrays:
    """One row per event, sorted by user, then time, then order of appearance."""

    user_ids: NDArray[np.int64]
    """One id per dense user, ascending."""
    offsets: NDArray[np.int64]
    """The events of user u are `offsets[u]:offsets[u + 1]`."""
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
        """The arrays of INTERACTIONS, in any order; equal timestamps of a user keep their order."""
        frame = interactions.sort("user_id", "timestamp", maintain_order=True)
        user_column = frame["user_id"].to_numpy()
        is_first = np.ones(len(frame), np.bool_)
        is_first[1:] = user_column[1:] != user_column[:-1]
        movie_ids = frame["movie_id"].to_numpy()
        codes = {name: event.code for name, event in EVENT_TYPES.items()}
        return cls(
            user_ids=user_column[is_first],
            offsets=np.append(np.flatnonzero(is_first), len(frame)).astype(np.int64),
            users=np.cumsum(is_first, dtype=np.int32) - np.int32(1),
            rows=catalogue.rows_of(movie_ids).astype(np.int32),
            movie_ids=movie_ids,
            ratings=frame["rating"].fill_null(float("nan")).to_numpy(),
            timestamps=frame.select(epoch_seconds("timestamp")).to_series().to_numpy(),
            event_codes=frame["event_type"].replace_strict(codes, return_dtype=pl.UInt8).to_numpy(),
        )

    def select(self, mask: NDArray[np.bool_]) -> "InteractionArrays":
        """The events of `mask`, one entry per event. Every user stays, also one without an event left."""
        if mask.all():
            return self
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
        """The same events without the users who have none, so that such users cannot change a fit."""
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

    def standing(self) -> "InteractionArrays":
        """The events that stand (see `which_stand`), one per user and movie of the catalogue, in order."""
        is_standing = which_stand(self.users, self.movie_ids, self.event_codes).is_standing
        return self.select(is_standing & (self.rows >= 0))

    def presence(self) -> "InteractionArrays":
        """The events less those of hidden movies: hiding a movie is neither watching it nor popularity."""
        return self.select(self.is_presence)

    def history(self, user: int, as_of: int | None = None) -> History:
        """The history of dense user `user`, strictly before `as_of` (seconds since 1970) where given."""
        part = self._part(user, None, as_of)
        history = History(
            self.movie_ids[part], self.ratings[part], self.timestamps[part], self.event_codes[part]
        )
        is_standing = which_stand(self.users[part], history.movie_ids, history.event_codes).is_standing
        return history if is_standing.all() else history.take(is_standing)

    def ratings_between(self, user: int, start: int | None, stop: int | None = None) -> dict[int, float]:
        """The opinions of dense user `user` that stand in [start, stop), as ratings by catalogue row.

        Events before `start` are not looked at. Events without an opinion and unknown movies are left out.
        """
        part = self._part(user, start, stop)
        stands = which_stand(self.users[part], self.movie_ids[part], self.event_codes[part]).is_standing
        kept = stands & (self.rows[part] >= 0) & ~np.isnan(self.ratings[part])
        return dict(zip(self.rows[part][kept].tolist(), self.ratings[part][kept].tolist(), strict=True))

    def stands_within(self, start: int, stop: int | None = None) -> NDArray[np.bool_]:
        """Per event, whether it is in [start, stop) and stands among the events there."""
        in_window = self.timestamps >= start
        if stop is not None:
            in_window &= self.timestamps < stop
        stands = np.zeros(len(self), np.bool_)
        stands[in_window] = which_stand(
            self.users[in_window], self.movie_ids[in_window], self.event_codes[in_window]
        ).is_standing
        return stands

    def is_known_before(self, moment: int, n_movies: int) -> NDArray[np.bool_]:
        """Per catalogue row, whether it has presence in what stands before `moment`; one more, False.

        The last entry answers for row -1, the movies that the catalogue does not have.
        """
        known = np.zeros(n_movies + 1, np.bool_)
        known[self.before(moment).standing().presence().rows] = True
        return known

    def _part(self, user: int, start: int | None, stop: int | None) -> slice:
        """The events of dense user `user` in [start, stop)."""
        first, end = int(self.offsets[user]), int(self.offsets[user + 1])
        times = self.timestamps[first:end]
        begin = 0 if start is None else int(np.searchsorted(times, start, side="left"))
        until = len(times) if stop is None else int(np.searchsorted(times, stop, side="left"))
        return slice(first + begin, first + until)

    @property
    def is_presence(self) -> NDArray[np.bool_]:
        """Per event, whether the user chose the movie: every event but one that hides it."""
        return ~hidden_codes(self.event_codes)

    @property
    def is_opinion(self) -> NDArray[np.bool_]:
        """Per event, whether it is an opinion, which a click never replaces."""
        return self.event_codes != CLICK_CODE

    @property
    def is_like(self) -> NDArray[np.bool_]:
        """Per event, whether it is a rating (or its equivalent) of at least LIKE_THRESHOLD."""
        return self.ratings >= LIKE_THRESHOLD  # NaN, no opinion, compares false.
