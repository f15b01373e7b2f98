"""Fingerprints of the inputs of assets, and the assets that are stale.

A fingerprint covers the code, the settings and files that an asset reads, and the fingerprints of its
upstream assets. Each materialisation stores it as Dagster's data version. An asset is fresh if its
fingerprint has not changed and its output still exists.

"""

import functools
import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg
import msgspec
import polars as pl

import movierank_core
import movierank_pipeline
from movierank_core.data.snapshot import CURRENT
from movierank_core.events.store import Watermark, open_event_store
from movierank_core.mlflow_store import PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.artifacts import StoredFeedback
from movierank_pipeline.datasets import DATASET_FILES, dataset_folder, metadata_settings
from movierank_pipeline.ingest.movielens.editions import find_edition
from movierank_pipeline.ingest.tmdb.cache import TmdbCache
from movierank_pipeline.release.log_run import FINGERPRINT_TAG
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry
from movierank_pipeline.settings import Settings, events_url

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

DATA_VERSION_TAG: Final = "dagster/data_version"
_LIBRARIES: Final = ("implicit", "lightgbm", "numba", "numpy", "polars")


@functools.cache
def code_version() -> str:
    """A hash of everything that can change a result: our code and the versions of the numeric libraries."""
    digest = hashlib.sha256()
    for initial in (movierank_core.__file__, movierank_pipeline.__file__):
        folder = Path(str(initial)).parent
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in {".py", ".tsv", ".j2"}:
                digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
                digest.update(path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    return digest.hexdigest()[:16]


def _dataset(settings: Settings, paths: Paths) -> object:
    folder = find_edition(dataset_folder(settings, paths)).folder
    files = sorted(path for path in folder.iterdir() if path.name in DATASET_FILES)
    return [folder.name, settings.ratings_from, settings.ratings_until, *(_file(path) for path in files)]


def _file(path: Path) -> list[str]:
    if not path.is_file():
        return [path.name, "missing"]
    state = path.stat()
    return [path.name, _hash_of_file(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)]


@functools.lru_cache(maxsize=64)
def _hash_of_file(path: Path, *state: int) -> str:
    """A hash of the content. Several assets read the same files, so each state of a file is read once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _events(settings: Settings, paths: Paths) -> object:
    with closing(open_event_store(events_url(paths))) as store:
        return str(store.watermark())


def _tmdb(settings: Settings, paths: Paths) -> object:
    sources = metadata_settings(settings, paths)
    answers: list[object] = []
    if sources.cache_file.is_file():
        now = datetime.now(UTC)
        with TmdbCache(sources.cache_file) as cache:
            found, gone = cache.known(now)
            answers = [len(found), len(gone), cache.newest()]
            if sources.access is not None and cache.failed():
                answers.append(now.strftime("%Y-%m-%d %H"))  # Failed requests are repeated hourly.
            if sources.access is not None and cache.n_refreshed(now) < sources.refreshes_a_day:
                answers.append(bool(cache.to_refresh(now)))
    file = None if sources.metadata_file is None else _file(sources.metadata_file)
    return [file, answers, sources.access is not None]


def _model(settings: Settings, paths: Paths) -> object:
    return msgspec.to_builtins(settings.model_parameters)


def _fit_moments(settings: Settings, paths: Paths) -> object:
    config = settings.model_parameters
    return [config.split_quantile, config.training_origins]


def _ranker(settings: Settings, paths: Paths) -> object:
    tuned_by = [settings.tune_seconds, importlib.metadata.version("optuna")] if settings.tune_seconds else []
    return [_model(settings, paths), *tuned_by]


def _recommendations(settings: Settings, paths: Paths) -> object:
    production = Registry(connect(paths)).by_alias(PRODUCTION)
    return [settings.recommendations_k, None if production is None else production.number]


_READS: Final[dict[str, Callable[[Settings, Paths], object]]] = {
    **dict.fromkeys(("ratings", "movies", "links"), _dataset),
    "feedback": _events,
    "tmdb_movies": _tmdb,
    **dict.fromkeys(
        ("retrievers", "ranking_requests", "training_set", "evaluation", "model_version"), _model
    ),
    "movie_features": _fit_moments,
    "ranker": _ranker,
    "promotion": lambda settings, paths: [
        settings.promotion_policy,
        msgspec.to_builtins(settings.gate_limits),
    ],
    "recommendations": _recommendations,
}
"""By asset: the settings and files that it reads, besides its upstream assets."""


def fingerprint(asset: str, settings: Settings, paths: Paths, upstream: Mapping[str, str]) -> str:
    """The fingerprint that `asset` would get now, given the fingerprints of its upstream assets."""
    return _fingerprint(asset, _reads(asset, settings, paths), upstream)


def _reads(asset: str, settings: Settings, paths: Paths) -> object:
    return _READS[asset](settings, paths) if asset in _READS else None


def _fingerprint(asset: str, reads: object, upstream: Mapping[str, str]) -> str:
    content = msgspec.json.encode([asset, code_version(), reads, sorted(upstream.items())])
    return hashlib.sha256(content).hexdigest()[:32]


def fingerprint_of_step(
    context: dg.AssetExecutionContext, asset: str, settings: Settings, paths: Paths
) -> str:
    """The fingerprint of the asset in materialisation, given the stored ones of its upstream assets."""
    upstream = {}
    for key in context.assets_def.asset_deps[dg.AssetKey(asset)]:
        upstream[key.to_user_string()] = stored_fingerprint(context.instance, key) or "never made"
    return fingerprint(asset, settings, paths, upstream)


def stored_fingerprint(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    """The fingerprint of the latest materialisation; None without one."""
    event = instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        return None
    return (event.asset_materialization.tags or {}).get(DATA_VERSION_TAG)


@dataclass(frozen=True)
class Plan:
    """The fresh and the stale assets of a graph."""

    fingerprints: dict[str, str]
    """The current fingerprint of each asset, upstream assets first."""
    stale: list[str]
    """Assets to materialise, upstream assets first."""

    @property
    def fresh(self) -> list[str]:
        return [name for name in self.fingerprints if name not in self.stale]


def plan(
    graph: "AssetGraph",
    settings: Settings,
    paths: Paths,
    instance: dg.DagsterInstance,
    *,
    min_new_events: int = 1,
) -> Plan:
    """Compares the current fingerprint of each asset with the stored one.

    Fewer new feedback events than `min_new_events` count as none, since the service already uses them. A
    forgotten user always counts.
    """
    fingerprints: dict[str, str] = {}
    stale: list[str] = []
    for key in graph.toposorted_asset_keys:
        name = key.to_user_string()
        upstream = {parent.to_user_string() for parent in graph.get(key).parent_keys}
        reads = _reads(name, settings, paths)
        if name == "feedback":
            reads = _watermark_if_recent(paths, min_new_events) or reads
        fingerprints[name] = _fingerprint(name, reads, {parent: fingerprints[parent] for parent in upstream})
        if stored_fingerprint(instance, key) != fingerprints[name] or not _is_there(
            name, fingerprints, paths
        ):
            stale.append(name)
    # Assets of one step are materialised together.
    together = [
        {key.to_user_string() for key in graph.get(dg.AssetKey(name)).execution_set_asset_keys}
        for name in stale
    ]
    wanted = set(stale).union(*together)
    return Plan(fingerprints, [name for name in fingerprints if name in wanted])


def _watermark_if_recent(paths: Paths, min_new_events: int) -> str | None:
    """The watermark of the asset `feedback`; None if it lacks `min_new_events` events or a forgotten user."""
    folder = paths.assets / "feedback"
    if not folder.is_dir():
        return None
    try:
        facts = StoredFeedback.load(folder).facts
    except (OSError, ValueError, pl.exceptions.PolarsError):
        return None  # Damaged: the asset that reads it raises DataError.
    before = Watermark.parse(facts.watermark)
    with closing(open_event_store(events_url(paths))) as store:
        now, forgotten = store.watermark(), store.forgotten_users()
    if before is None or before.store_id != now.store_id or forgotten != facts.forgotten_user_ids:
        return None
    return facts.watermark if now.seq - before.seq < min_new_events else None


def _is_there(name: str, fingerprints: Mapping[str, str], paths: Paths) -> bool:
    """Whether the output of the last materialisation still exists outside Dagster's records."""
    match name:
        case "model_version":
            versions = Registry(connect(paths)).versions()
            return any(
                version.is_ready and version.tags.get(FINGERPRINT_TAG) == fingerprints[name]
                for version in versions
            )
        case "promotion":
            # A person may have moved the alias since, which is no staleness. A missing alias is.
            return Registry(connect(paths)).by_alias(PRODUCTION) is not None
        case "histories":
            return all((folder / CURRENT).is_file() for folder in (paths.histories, paths.facts))
        case _:
            return any((paths.assets / file).exists() for file in (name, f"{name}.parquet"))
