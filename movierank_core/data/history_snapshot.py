"""The published snapshot of all users' events: written by the pipeline, memory-mapped by the service.

A snapshot is a folder with one `.npy` file per column. The file CURRENT names the snapshot to read. A
snapshot is written atomically and never changed. The event store has the events after it.
"""

import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.atomic import atomic_write
from movierank_core.data.history import EVENT_TYPES, Event, History
from movierank_core.data.schema import INTERACTIONS, require_schema
from movierank_core.data.standing import which_stand
from movierank_core.data.timestamps import epoch_seconds
from movierank_core.errors import HistoriesError

FORMAT_VERSION: Final = 1
CURRENT: Final = "CURRENT"
MANIFEST: Final = "manifest.json"
SNAPSHOTS_KEPT: Final = 2
"""Number of newest snapshots that stay after a publication."""
PUBLISH: Final = "run `movierank materialize` to publish it again"

_TYPES: Final[dict[str, np.dtype]] = {
    "user_ids": np.dtype(np.int64),
    "offsets": np.dtype(np.int64),
    "movie_ids": np.dtype(np.int64),
    "ratings": np.dtype(np.float32),
    "timestamps": np.dtype(np.int64),
    "event_codes": np.dtype(np.uint8),
    "is_standing": np.dtype(np.bool_),
}
"""Type by column. `user_ids` has one row per user, `offsets` one more, the other columns one per event."""


class HistoriesManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Description of a snapshot: format, origin and sizes."""

    format_version: int
    snapshot_id: str
    created_at: str
    """ISO 8601, UTC."""
    data_as_of: str | None
    """Time of the last event, ISO 8601, UTC; None without events."""
    feedback_through: str | None
    """Watermark up to which the snapshot has the event store's events; None if it has none of a store."""
    dataset: str
    ratings_are_simulated: bool
    n_users: int
    n_events: int
    file_bytes: dict[str, int]
    """Size of each column's file, in bytes."""


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
    snapshot_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
    timestamps = columns["timestamps"]
    with atomic_write(folder / snapshot_id, is_durable=True) as written:
        written.mkdir()
        for name, column in columns.items():
            np.save(written / f"{name}.npy", column)
        manifest = HistoriesManifest(
            format_version=FORMAT_VERSION,
            snapshot_id=snapshot_id,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            data_as_of=(
                datetime.fromtimestamp(int(timestamps.max()), UTC).isoformat() if len(timestamps) else None
            ),
            feedback_through=feedback_through,
            dataset=dataset,
            ratings_are_simulated=ratings_are_simulated,
            n_users=len(columns["user_ids"]),
            n_events=len(timestamps),
            file_bytes={name: (written / f"{name}.npy").stat().st_size for name in columns},
        )
        (written / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    with atomic_write(folder / CURRENT) as pointer:
        pointer.write_text(snapshot_id + "\n", "ascii")
    _delete_old(folder, current=snapshot_id)
    return manifest


def open_histories(folder: Path) -> Histories:
    """The current snapshot below `folder`, memory-mapped.

    Raises HistoriesError if nothing was published, or if the snapshot is damaged or of a newer format.
    """
    pointer = folder / CURRENT
    try:
        snapshot_id = pointer.read_text("ascii").strip()
    except FileNotFoundError as error:
        raise HistoriesError(
            f"No histories are published in {folder}",
            expected=f"a file {CURRENT} that names a snapshot",
            remedy="run `movierank materialize`",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise HistoriesError(f"{pointer} cannot be read: {error}", remedy=PUBLISH) from error
    snapshot = folder / snapshot_id
    if not snapshot_id or "/" in snapshot_id or snapshot_id.startswith(".") or not snapshot.is_dir():
        raise HistoriesError(
            f"{pointer} names the snapshot {snapshot_id!r}, which is not there",
            expected=f"a folder in {folder}",
            remedy=PUBLISH,
        )
    manifest = _read_manifest(snapshot)
    columns = {name: _open_column(snapshot, name, manifest) for name in _TYPES}
    _require_consistent(snapshot, manifest, columns)
    return Histories(manifest, columns)


class _Versioned(msgspec.Struct):
    format_version: int


def _read_manifest(snapshot: Path) -> HistoriesManifest:
    path = snapshot / MANIFEST
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Versioned).format_version
        if version > FORMAT_VERSION:
            raise HistoriesError(
                f"The histories snapshot {snapshot.name} has format {version}",
                expected=f"format {FORMAT_VERSION} or older",
                remedy="upgrade movierank",
            )
        return msgspec.json.decode(content, type=HistoriesManifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise HistoriesError(f"{path} cannot be read: {error}", remedy=PUBLISH) from error


def _open_column(snapshot: Path, name: str, manifest: HistoriesManifest) -> NDArray:
    path = snapshot / f"{name}.npy"
    try:
        found = path.stat().st_size
    except OSError as error:
        raise HistoriesError(
            f"The histories snapshot {snapshot.name} lacks {path.name}", remedy=PUBLISH
        ) from error
    expected = manifest.file_bytes.get(name)
    if found != expected:
        raise HistoriesError(
            f"{path.name} of the histories snapshot {snapshot.name} has {found} bytes",
            expected=f"{expected} bytes",
            remedy=PUBLISH,
        )
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise HistoriesError(
            f"{path.name} of the histories snapshot {snapshot.name} cannot be read: {error}",
            remedy=PUBLISH,
        ) from error
    if mapped.ndim != 1 or mapped.dtype != _TYPES[name]:
        raise HistoriesError(
            f"{path.name} of the histories snapshot {snapshot.name} holds {mapped.dtype}{list(mapped.shape)}",
            expected=f"a column of {_TYPES[name]}",
            remedy=PUBLISH,
        )
    # A plain view, because slicing a memmap takes several microseconds more.
    return mapped.view(np.ndarray)


def _require_consistent(snapshot: Path, manifest: HistoriesManifest, columns: dict[str, NDArray]) -> None:
    """Raises HistoriesError unless lengths match the manifest, users ascend and offsets cover all events."""
    lengths = dict.fromkeys(_TYPES, manifest.n_events)
    lengths["user_ids"] = manifest.n_users
    lengths["offsets"] = manifest.n_users + 1
    for name, expected in lengths.items():
        if len(columns[name]) != expected:
            raise HistoriesError(
                f"{name}.npy of the histories snapshot {snapshot.name} has {len(columns[name])} rows",
                expected=f"{expected} rows",
                remedy=PUBLISH,
            )
    offsets = columns["offsets"]
    if offsets[0] != 0 or offsets[-1] != manifest.n_events or bool((np.diff(offsets) < 0).any()):
        raise HistoriesError(
            f"offsets.npy of the histories snapshot {snapshot.name} do not rise from 0 to "
            f"{manifest.n_events}",
            remedy=PUBLISH,
        )
    if bool((np.diff(columns["user_ids"]) <= 0).any()):
        raise HistoriesError(
            f"user_ids.npy of the histories snapshot {snapshot.name} are not ascending", remedy=PUBLISH
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
    columns: dict[str, NDArray] = {
        "user_ids": users[first],
        "offsets": np.append(first, len(users)),
        "movie_ids": movies,
        "ratings": interactions["rating"].fill_null(float("nan")).to_numpy(),
        "timestamps": timestamps,
        "event_codes": event_codes,
        "is_standing": which_stand(users, movies, event_codes).is_standing,
    }
    return {name: np.ascontiguousarray(column, dtype=_TYPES[name]) for name, column in columns.items()}


def _delete_old(folder: Path, *, current: str) -> None:
    """Delete all but the newest SNAPSHOTS_KEPT snapshots; `current` is kept in any case."""
    snapshots = sorted(
        (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: (path.name == current, path.name),
    )
    for path in snapshots[:-SNAPSHOTS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
