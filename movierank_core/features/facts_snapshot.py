"""The published facts of movies (see `snapshot`): counts and means per movie, no data about any person."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import CATALOGUE
from movierank_core.data.snapshot import SnapshotFormat, SnapshotManifest
from movierank_core.errors import FactsError
from movierank_core.features.movie_facts import WINDOW_DAYS, FactsOverTime, MovieFacts, count_name
from movierank_core.retrieval.source import Arrays


class FactsManifest(SnapshotManifest, frozen=True, kw_only=True):
    """Description of a snapshot of facts."""

    as_of: int
    """Exclusive upper bound of the counted events, in seconds since 1970."""
    n_movies: int


FACTS: Final = SnapshotFormat(
    content="facts",
    version=1,
    # `globals` has two rows, the other arrays one per movie.
    dtypes={
        "movie_ids": np.dtype(np.int64),
        **{count_name(days): np.dtype(np.float32) for days in (*WINDOW_DAYS, np.inf)},
        "mean_rating": np.dtype(np.float32),
        "like_share": np.dtype(np.float32),
        "rating_std": np.dtype(np.float32),
        "first_event": np.dtype(np.float64),
        "globals": np.dtype(np.float64),
    },
    manifest_type=FactsManifest,
    error=FactsError,
    has_hashes=True,
)


@dataclass(frozen=True)
class PublishedFacts:
    """One open snapshot; it works on after the files are deleted."""

    manifest: FactsManifest
    movie_ids: NDArray[np.int64]
    """Ascending."""
    arrays: Arrays

    def of(self, catalogue: Catalogue) -> MovieFacts:
        """The facts by row of `catalogue`. A movie that the snapshot lacks has no event."""
        columns = np.searchsorted(self.movie_ids, catalogue.movie_ids)
        columns = np.minimum(columns, max(len(self.movie_ids) - 1, 0))
        is_there = np.zeros(len(catalogue), np.bool_)
        if len(self.movie_ids):
            is_there = self.movie_ids[columns] == catalogue.movie_ids
        mean_of_all, share_of_all = self.arrays["globals"].tolist()
        absent = {"mean_rating": mean_of_all, "like_share": share_of_all}
        absent |= dict.fromkeys(("rating_std", "first_event"), np.nan)
        arrays: Arrays = {"globals": np.array([mean_of_all, share_of_all])}
        for name, array in self.arrays.items():
            if name != "globals":
                arrays[name] = np.full(len(catalogue), absent.get(name, 0.0), array.dtype)
                arrays[name][is_there] = array[columns[is_there]]
        return MovieFacts(self.manifest.as_of, arrays)


def publish_facts(interactions: pl.DataFrame, folder: Path, *, dataset: str) -> FactsManifest:
    """Publish the facts of INTERACTIONS, one second after the last event, as the current snapshot.

    `folder` is the parent of all snapshots. SNAPSHOTS_KEPT snapshots stay; older ones are deleted.
    """
    data = InteractionArrays.from_frame(interactions, Catalogue(pl.DataFrame(schema=CATALOGUE)))
    # Rows of the movies that have an event, since no catalogue is needed.
    movie_ids, rows = np.unique(data.movie_ids, return_inverse=True)
    data = replace(data, rows=rows.astype(np.int32))
    facts = FactsOverTime.of(data, len(movie_ids)).at(int(data.timestamps.max(initial=-1)) + 1)
    arrays = {"movie_ids": movie_ids, **facts.arrays}
    return FACTS.publish(folder, arrays, as_of=facts.as_of, dataset=dataset, n_movies=len(movie_ids))


def open_facts(folder: Path) -> PublishedFacts:
    """The current snapshot below `folder`, memory-mapped, with verified hashes.

    Raises FactsError if nothing was published, or if the snapshot is damaged or of a newer format.
    """
    manifest, arrays = FACTS.open(folder)
    FACTS.require_lengths(manifest, arrays, dict.fromkeys(arrays, manifest.n_movies) | {"globals": 2})
    return PublishedFacts(manifest, arrays.pop("movie_ids"), arrays)
