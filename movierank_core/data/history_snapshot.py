"""The published snapshot of all users' events (see `snapshot`). The event store has the events after it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.history import EVENT_TYPES, Event, History
from movierank_core.data.schema import INTERACTIONS, require_schema
from movierank_core.data.snapshot import PUBLISH, SnapshotFormat, SnapshotManifest
from movierank_core.data.standing import which_stand
from movierank_core.data.timestamps import epoch_seconds
from movierank_core.errors import HistoriesError


class HistoriesManifest(SnapshotManifest, frozen=True, kw_only=True):
    """Description of a snapshot of histories."""

    data_as_of: str | None
    """Time of the last event, ISO 8601, UTC; None without events."""
    feedback_through: str | None
    """Watermark up to which the snapshot has the event store's events; None if it has none of a store."""
    ratings_are_simulated: bool
    n_users: int
    n_events: int


HISTORIES: Final = SnapshotFormat(
    content="histories",
    version=1,
    # `user_ids` has one row per user, `offsets` one more, the other arrays one per event.
    dtypes={
        "user_ids": np.dtype(np.int64),
        "offsets": np.dtype(np.int64),
        "movie_ids": np.dtype(np.int64),
        "ratings": np.dtype(np.float32),
        "timestamps": np.dtype(np.int64),
        "event_codes": np.dtype(np.uint8),
        "is_standing": np.dtype(np.bool_),
    },
    manifest_type=HistoriesManifest,
    error=HistoriesError,
    has_hashes=False,
)


class Histories:
    """One open snapshot. Reading needs no lock and works on after the files are deleted."""

    def __init__(self, manifest: HistoriesManifest, columns: dict[str, NDArray]) -> None:
        self.manifest = manifest
        self._user_ids: NDArray[np.int64] = columns["user_ids"]
        self._offsets: NDArray[np.int64] = columns["offsets"]
        self._events = History(
            columns["movie_ids"], columns["ratings"], columns["timestamps"], columns["event_codes"]
        )
        self._is_standing: NDArray[np.bool_] = columns["is_standing"]

    def user_ids(self) -> NDArray[np.int64]:
        """Ids of the users in the snapshot, ascending."""
        return self._user_ids

    def n_events(self) -> NDArray[np.int64]:
        """Number of events per user, in the order of `user_ids`."""
        return np.diff(self._offsets)

    def history_of(self, user_id: int) -> History | None:
        """The history of a user; None for a user who is not in the snapshot."""
        rows = self._rows_of(user_id)
        if rows is None:
            return None
        is_standing = self._is_standing[rows]
        history = _slice(self._events, rows)
        return history if is_standing.all() else history.take(is_standing)

    def events_of(self, user_id: int) -> list[Event]:
        """All events of a user, replaced events included, oldest first; empty for an unknown user."""
        rows = self._rows_of(user_id)
        return [] if rows is None else _slice(self._events, rows).events()

    def has_replaced_events(self, user_id: int) -> bool:
        """Whether some events of the user do not stand, so that the history lacks them."""
        rows = self._rows_of(user_id)
        return rows is not None and not self._is_standing[rows].all()

    def _rows_of(self, user_id: int) -> slice | None:
        user = int(np.searchsorted(self._user_ids, user_id))
        if user == len(self._user_ids) or self._user_ids[user] != user_id:
            return None
        return slice(int(self._offsets[user]), int(self._offsets[user + 1]))


def _slice(events: History, rows: slice) -> History:
    return History(
        events.movie_ids[rows], events.ratings[rows], events.timestamps[rows], events.event_codes[rows]
    )


def publish_histories(
    interactions: pl.DataFrame,
    folder: Path,
    *,
    feedback_through: str | None,
    dataset: str,
    ratings_are_simulated: bool,
) -> HistoriesManifest:
    """Publish INTERACTIONS as the current snapshot below `folder`.

    `interactions` must be sorted by user and time. The caller must have removed the events of forgotten users
    that precede their forgetting. SNAPSHOTS_KEPT snapshots stay; older ones are deleted. Raises
    HistoriesError if the rows are not sorted, and DataError for another schema.
    """
    columns = _columns_of(interactions)
    timestamps = columns["timestamps"]
    last = datetime.fromtimestamp(int(timestamps.max()), UTC).isoformat() if len(timestamps) else None
    return HISTORIES.publish(
        folder,
        columns,
        data_as_of=last,
        feedback_through=feedback_through,
        dataset=dataset,
        ratings_are_simulated=ratings_are_simulated,
        n_users=len(columns["user_ids"]),
        n_events=len(timestamps),
    )


def open_histories(folder: Path) -> Histories:
    """The current snapshot below `folder`, memory-mapped.

    Raises HistoriesError if nothing was published, or if the snapshot is damaged or of a newer format.
    """
    manifest, columns = HISTORIES.open(folder)
    _require_consistent(manifest, columns)
    return Histories(manifest, columns)


def _require_consistent(manifest: HistoriesManifest, columns: dict[str, NDArray]) -> None:
    """Raises HistoriesError unless lengths match the manifest, users ascend and offsets cover all events."""
    lengths = dict.fromkeys(columns, manifest.n_events)
    lengths |= {"user_ids": manifest.n_users, "offsets": manifest.n_users + 1}
    HISTORIES.require_lengths(manifest, columns, lengths)
    offsets = columns["offsets"]
    if offsets[0] != 0 or offsets[-1] != manifest.n_events or bool((np.diff(offsets) < 0).any()):
        raise HistoriesError(
            f"offsets.npy of the histories snapshot {manifest.snapshot_id} do not rise from 0 to "
            f"{manifest.n_events}",
            remedy=PUBLISH,
        )
    if bool((np.diff(columns["user_ids"]) <= 0).any()):
        raise HistoriesError(
            f"user_ids.npy of the histories snapshot {manifest.snapshot_id} are not ascending",
            remedy=PUBLISH,
        )


def _columns_of(interactions: pl.DataFrame) -> dict[str, NDArray]:
    require_schema(interactions, INTERACTIONS, "interactions")
    users = interactions["user_id"].to_numpy()
    timestamps = interactions.select(epoch_seconds("timestamp")).to_series().to_numpy()
    movies = interactions["movie_id"].to_numpy()
    codes = {name: event.code for name, event in EVENT_TYPES.items()}
    event_codes = interactions["event_type"].replace_strict(codes, return_dtype=pl.UInt8).to_numpy()
    is_next_user = np.diff(users)
    if bool((is_next_user < 0).any()) or bool(((is_next_user == 0) & (np.diff(timestamps) < 0)).any()):
        raise HistoriesError(
            "The interactions are not sorted", expected="rows sorted by user_id, then timestamp"
        )
    first = np.flatnonzero(np.diff(users, prepend=users[:1] - 1))
    return {
        "user_ids": users[first],
        "offsets": np.append(first, len(users)),
        "movie_ids": movies,
        "ratings": interactions["rating"].fill_null(float("nan")).to_numpy(),
        "timestamps": timestamps,
        "event_codes": event_codes,
        "is_standing": which_stand(users, movies, event_codes).is_standing,
    }
