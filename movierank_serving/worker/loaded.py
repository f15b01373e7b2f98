"""What a worker has loaded: one model version, one snapshot of histories, one of movie facts."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

import msgspec

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.history_snapshot import Histories
from movierank_core.data.timestamps import from_epoch
from movierank_core.events.store import Watermark
from movierank_core.features.facts_snapshot import PublishedFacts
from movierank_core.features.movie_facts import MovieFacts
from movierank_core.manifest import Manifest
from movierank_core.recommender.degradation import Degradation, PartLatency
from movierank_core.recommender.explanation import Explanation
from movierank_core.recommender.ranking import Ranking, RankOptions
from movierank_serving.catalogue.view import CatalogueView
from movierank_serving.settings import Settings


class ServedRecommender(Protocol):
    """The part of a recommender's interface that the service uses."""

    @property
    def manifest(self) -> Manifest: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def source_names(self) -> tuple[str, ...]: ...
    def with_facts(self, facts: MovieFacts | None) -> "ServedRecommender": ...
    def rank(
        self,
        history: History,
        *,
        as_of: int,
        k: int,
        options: RankOptions = ...,
        degradation: Degradation = ...,
    ) -> Ranking: ...
    def explain(
        self, history: History, *, as_of: int, row: int, options: RankOptions = ...
    ) -> Explanation: ...
    def similar(self, row: int, k: int) -> list[tuple[int, float]]: ...
    def popular(self, k: int) -> list[int]: ...


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model version, ready to answer requests."""

    version: str
    run_id: str
    loaded_at: str
    """Time at which this worker loaded it, ISO 8601, UTC."""
    recommender: ServedRecommender
    view: CatalogueView
    facts_as_of: str
    """Time before which the events are that its facts of movies count, ISO 8601, UTC."""
    latency: PartLatency = msgspec.field(default_factory=PartLatency)
    """Recent durations of the parts of a ranking, measured in this worker."""


class LoadedHistories(msgspec.Struct, frozen=True, kw_only=True):
    """One published snapshot of histories, opened."""

    histories: Histories
    watermark: Watermark | None
    """Newest event of the event store that the snapshot contains; None if it contains no event."""


def with_newest_facts(loaded: LoadedModel, published: PublishedFacts | None) -> LoadedModel:
    """The version with the published facts if they are newer than its own and of its data set."""
    manifest = loaded.recommender.manifest
    is_newer = (
        published is not None
        and published.manifest.dataset == manifest.dataset
        and from_epoch(published.manifest.as_of) > datetime.fromisoformat(manifest.data_as_of)
    )
    facts = published.of(loaded.recommender.catalogue) if published is not None and is_newer else None
    return msgspec.structs.replace(
        loaded,
        recommender=loaded.recommender.with_facts(facts),
        facts_as_of=manifest.data_as_of if facts is None else from_epoch(facts.as_of).isoformat(),
    )


def view_of(recommender: ServedRecommender, old: CatalogueView | None, settings: Settings) -> CatalogueView:
    """The view of the recommender's catalogue: `old` if catalogue and image addresses are equal, else new.

    Building a view indexes all titles, so a version with the same catalogue reuses it.
    """
    bases = settings.image_bases(recommender.manifest.image_base_url)
    if (
        old is not None
        and old.image_bases == bases
        and old.catalogue.frame.equals(recommender.catalogue.frame)
    ):
        return old
    return CatalogueView(recommender.catalogue, recommender.popular(len(recommender.catalogue)), bases)


@contextmanager
def exempt_from_garbage_collection(*, is_first: bool) -> Iterator[None]:
    """Runs the block with collection off, then `gc.freeze()`: its objects are never scanned for cycles.

    A version holds about a hundred thousand lists and no cycle. A full collection that scans them stalls
    all requests of the worker by about 100 ms. Garbage that exists before the block is collected first,
    because `gc.freeze()` would keep it. `is_first` collects after the block too: compiling leaves garbage,
    and before the first version there are no requests to stall.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
        if is_first:
            gc.collect()
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
