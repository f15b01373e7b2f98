"""A model version on disk: one folder with all that requests need, and checks of its completeness.

    manifest.json      identity, features, and a hash of every other file
    catalogue.parquet  the movies
    ranker.txt         LightGBM text model
    state/             candidate sources and movie states as plain arrays, memory-mapped when read
    golden.json        requests with their expected scores

No pickle, and no data about any person: golden histories are made up from the catalogue.
"""

import hashlib
import importlib.metadata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.atomic import atomic_write
from movierank_core.background import throttle
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_TYPES, Event, History
from movierank_core.data.timestamps import from_epoch
from movierank_core.errors import BundleError
from movierank_core.features.registry import feature_list
from movierank_core.manifest import (
    FORMAT_VERSION,
    GOLDEN,
    IMAGE_BASE_URL,
    MANIFEST,
    RANKER,
    EvaluationSummary,
    FeatureInfo,
    GoldenEvent,
    GoldenRequest,
    Manifest,
)
from movierank_core.ranker.score_calibration import ScoreCalibration
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.recommender import Recommender
from movierank_core.recommender.state import RankingState

TOLERANCE = 1e-9
"""Maximum difference of a raw score or probability from the expected one."""
GOLDEN_LENGTHS = (0, 1, 3, 20, 100)
"""Movies in the history of each golden request."""
GOLDEN_DEPTH = 25
"""Maximum results that a golden request compares."""
LIBRARIES = ("lightgbm", "numba", "numpy", "polars")
RETRAIN = "run `movierank materialize` to make a new version"

PredictRaw = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def write_bundle(
    folder: Path,
    *,
    catalogue: Catalogue,
    state: RankingState,
    model_text: str,
    feature_names: list[str],
    calibration: ScoreCalibration,
    predict_raw: PredictRaw,
    dataset: str,
    ratings_are_simulated: bool,
    data_hash: str,
    n_users: int,
    n_interactions: int,
    metrics: dict[str, float],
    config: dict,
    evaluation: EvaluationSummary | None = None,
    seed: int = 1,
    image_base_url: str = IMAGE_BASE_URL,
) -> Manifest:
    """Writes a bundle to `folder` atomically and returns its manifest.

    `predict_raw` is LightGBM's own prediction for a feature matrix; the golden scores come from it.

    Raises BundleError if `folder` exists, or if our trees differ from LightGBM's on a golden request.
    """
    if folder.exists():
        raise BundleError(f"{folder} exists already", remedy="choose a folder that does not exist")
    by_name = {feature.name: feature for feature in feature_list(without=())}
    trees = TreeEnsemble.from_text(model_text)
    model = RankingModel(catalogue, state, tuple(by_name[name] for name in feature_names), trees, calibration)
    with atomic_write(folder) as partial:
        partial.mkdir(parents=True, exist_ok=True)
        (partial / RANKER).write_text(model_text, "utf-8")
        catalogue.write(partial / "catalogue.parquet")
        state.save(partial / "state")
        golden = [_golden(model, history, predict_raw) for history in _golden_histories(model, seed)]
        (partial / GOLDEN).write_bytes(msgspec.json.encode(golden))
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            name="movie-ranker",
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            data_as_of=from_epoch(state.as_of).isoformat(),
            dataset=dataset,
            ratings_are_simulated=ratings_are_simulated,
            data_hash=data_hash,
            n_movies=len(catalogue),
            n_users=n_users,
            n_interactions=n_interactions,
            features=[FeatureInfo(feature.name, feature.group) for feature in model.features],
            calibration=msgspec.to_builtins(calibration),
            metrics=metrics,
            evaluation=evaluation,
            config=config,
            library_versions={name: importlib.metadata.version(name) for name in LIBRARIES},
            files={path: _sha256(partial / path) for path in _files(partial)},
            image_base_url=image_base_url,
        )
        (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle. Raises BundleError without one, or for another format."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} holds no {MANIFEST}", expected="a model bundle", remedy=RETRAIN)
    content = path.read_bytes()
    try:
        version = msgspec.json.decode(content, type=_Versioned).format_version
        if version != FORMAT_VERSION:
            # Arrays of another format could be read with a wrong meaning.
            raise BundleError(
                f"The bundle in {folder} has format {version}",
                expected=f"format {FORMAT_VERSION}",
                remedy=RETRAIN
                if version < FORMAT_VERSION
                else "upgrade movierank, or promote a version that this one wrote",
            )
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BundleError(f"{path} cannot be read: {error}", expected="a manifest", remedy=RETRAIN) from error


def read_bundle(folder: Path, *, verify: bool = True) -> Recommender:
    """The recommender of a bundle.

    Always checks the format, the presence of every file, that this code computes the bundle's features, and
    the bounds of every index array. With `verify`, also checks the hash of every file and replays the golden
    requests, which compiles the code of a first request.

    Raises BundleError with the stored value, the expected value and a remedy.
    """
    manifest = read_manifest(folder)
    by_name = {feature.name: feature for feature in feature_list(without=())}
    unknown = [feature.name for feature in manifest.features if feature.name not in by_name]
    if unknown:
        raise BundleError(
            f"The bundle in {folder} uses features that this code does not compute: {unknown}",
            expected="features of docs/features.md",
            remedy="upgrade movierank, or promote a version that this one wrote",
        )
    present = set(_files(folder)) - {MANIFEST}
    if missing := sorted(set(manifest.files) - present):
        raise BundleError(
            f"The bundle in {folder} lacks {missing}", expected="every file of its manifest", remedy=RETRAIN
        )
    if verify:
        for path, expected in manifest.files.items():
            found = _sha256(folder / path)
            if found != expected:
                raise BundleError(
                    f"{path} in the bundle {folder} has the hash {found[:12]}…",
                    expected=f"{expected[:12]}…, as the manifest says",
                    remedy=f"copy the bundle again, or {RETRAIN}",
                )
    try:
        model = RankingModel(
            catalogue=Catalogue.read(folder / "catalogue.parquet"),
            state=RankingState.load(folder / "state"),
            features=tuple(by_name[feature.name] for feature in manifest.features),
            trees=TreeEnsemble.from_text((folder / RANKER).read_text("utf-8")),
            calibration=msgspec.convert(manifest.calibration, ScoreCalibration),
        )
        model.state.check_bounds(len(model.catalogue))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BundleError(
            f"The bundle in {folder} cannot be loaded: {error}", expected="files as written", remedy=RETRAIN
        ) from error
    model.state.movies.prepare(model.features)
    recommender = Recommender(model, manifest)
    if verify:
        _replay(folder, recommender)
    return recommender


class _Versioned(msgspec.Struct):
    format_version: int


def _replay(folder: Path, recommender: Recommender) -> None:
    model = recommender.model
    golden = msgspec.json.decode((folder / GOLDEN).read_bytes(), type=list[GoldenRequest])
    for index, request in enumerate(golden):
        throttle()
        history = History.from_events(
            Event(event.movie_id, event.event_type, event.timestamp, event.rating)
            for event in request.history
        )
        scored = model.score(history, as_of=request.as_of)
        shown = scored.shown[: len(request.movie_ids)]
        movie_ids = model.catalogue.movie_ids[scored.rows[shown]].tolist()
        raw, probabilities = scored.raw_scores[shown], scored.probabilities[shown]
        if (
            movie_ids != request.movie_ids
            or not np.allclose(raw, request.raw_scores, rtol=0, atol=TOLERANCE)
            or not np.allclose(probabilities, request.scores, rtol=0, atol=TOLERANCE)
        ):
            raise BundleError(
                f"Golden request {index} of the bundle in {folder} gives {movie_ids[:3]} with "
                f"{raw[:3].tolist()}",
                expected=f"{request.movie_ids[:3]} with {request.raw_scores[:3]}",
                remedy=f"install the library versions of the manifest, or {RETRAIN}",
            )
        # Reasons are not compared; this compiles their code before the first request.
        recommender.rank(history, as_of=request.as_of, k=GOLDEN_DEPTH)
    # Compiles the code of similar movies as well.
    recommender.similar(0, 1)


def _golden_histories(model: RankingModel, seed: int) -> list[History]:
    """Made-up histories of several lengths, drawn from the popular part of the catalogue."""
    rng = np.random.default_rng(seed)
    pool = np.argsort(-model.state.movies.n_events, kind="stable")[:1000]
    as_of = model.state.as_of
    rating = EVENT_TYPES["rating"].code
    histories = []
    for length in GOLDEN_LENGTHS:
        n = min(length, len(pool) // 2)
        rows = rng.choice(pool, n, replace=False)
        histories.append(
            History.of_arrays(
                model.catalogue.movie_ids[rows],
                rng.integers(1, 11, n) / 2,
                as_of - 60 * np.arange(n, 0, -1),
                np.full(n, rating),
            )
        )
    return histories


def _golden(model: RankingModel, history: History, predict_raw: PredictRaw) -> GoldenRequest:
    as_of = model.state.as_of
    scored = model.score(history, as_of=as_of)
    raw = scored.raw_scores if scored.features is None else predict_raw(scored.features)
    if not np.allclose(raw, scored.raw_scores, rtol=0, atol=TOLERANCE):
        raise BundleError(
            f"Our trees differ from LightGBM's by {float(np.abs(raw - scored.raw_scores).max())}",
            expected=f"at most {TOLERANCE}",
            remedy="report this with the model text; it is a defect",
        )
    shown = scored.shown[:GOLDEN_DEPTH]
    return GoldenRequest(
        history=[
            GoldenEvent(event.movie_id, event.event_type, event.timestamp, event.rating)
            for event in history.events()
        ],
        as_of=as_of,
        movie_ids=model.catalogue.movie_ids[scored.rows[shown]].tolist(),
        raw_scores=raw[shown].tolist(),
        scores=scored.probabilities[shown].tolist(),
    )


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
            throttle()
    return digest.hexdigest()
