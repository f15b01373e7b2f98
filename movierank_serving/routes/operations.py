"""Routes for operators: the served version, health probes, metrics."""

import gzip
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from litestar import Request, Response, get
from litestar.config.compression import CompressionConfig
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client import CONTENT_TYPE_LATEST

from movierank_core.features.families import FAMILIES
from movierank_core.features.registry import feature_list
from movierank_core.manifest import Manifest
from movierank_core.retrieval.registry import source_types
from movierank_serving.routes.dependencies import model_of, problems, state_of, why_no_model
from movierank_serving.schemas.operations import (
    FamilyInfo,
    FeatureDescription,
    Health,
    HistoriesInfo,
    Live,
    LoadedVersion,
    ModelInfo,
    NotReady,
    RefusedVersion,
    SourceInfo,
)
from movierank_serving.settings import Settings
from movierank_serving.web.access import caller_of, needs, open_to_all
from movierank_serving.web.keys import Scope
from movierank_serving.web.problems import PROBLEM_JSON, no_model
from movierank_serving.web.static_files import accepts_gzip
from movierank_serving.worker.age import ages, old_parts
from movierank_serving.worker.loaded import LoadedHistories, LoadedModel, ServedRecommender
from movierank_serving.worker.state import WorkerState

MODEL_ASSET: Final = "model_version"
"""The Dagster asset that makes model versions."""


# The page asks every few seconds, and the descriptions are 30 kB.
@get(
    "/model",
    operation_id="get_model",
    tags=["operations"],
    summary="The version that is served",
    responses=problems(503),
    **needs(Scope.RANK, tokens="any"),
    middleware=[
        DefineMiddleware(CompressionMiddleware, config=CompressionConfig("gzip", gzip_compress_level=6))
    ],
)
async def model(request: Request[Any, Any, Any]) -> ModelInfo:
    loaded = await model_of(request)
    manifest = loaded.recommender.manifest
    histories = state_of(request).histories
    return ModelInfo(
        name=manifest.name,
        model_version=loaded.version,
        run_id=loaded.run_id,
        created_at=manifest.created_at,
        loaded_at=loaded.loaded_at,
        data_as_of=manifest.data_as_of,
        facts_as_of=loaded.facts_as_of,
        dataset=manifest.dataset,
        ratings_are_simulated=manifest.ratings_are_simulated,
        n_movies=manifest.n_movies,
        n_users=manifest.n_users,
        n_interactions=manifest.n_interactions,
        n_features=len(manifest.features),
        sources=_sources(loaded.recommender),
        features=_features(manifest),
        families=[
            FamilyInfo(name=family.name, label=family.label, reason=family.reason)
            for family in FAMILIES.values()
        ],
        metrics=manifest.metrics,
        library_versions=manifest.library_versions,
        histories=None if histories is None else _info(histories),
        evaluation=manifest.evaluation,
        challenger=_loaded_version(state_of(request).challenger),
        links=_links(state_of(request).settings, loaded.version),
    )


@get(
    "/health/live",
    operation_id="is_live",
    tags=["operations"],
    summary="Whether the process answers",
    **open_to_all(),
)
async def live() -> Live:
    return Live()


@get(
    "/health/ready",
    operation_id="is_ready",
    tags=["operations"],
    summary="Whether requests can be answered, and all known problems",
    responses={
        503: ResponseSpec(
            data_container=NotReady,
            description="No model is loaded.",
            media_type=PROBLEM_JSON,
            generate_examples=False,
        )
    },
    **open_to_all(),
)
async def ready(request: Request[Any, Any, Any]) -> Response[Health | NotReady]:
    state = state_of(request)
    is_operator = caller_of(request).may(Scope.OPERATE)
    health = _health(state, is_operator=is_operator)
    if health.model is not None:
        return Response(health)
    problem = no_model(why_no_model(state, is_operator=is_operator)).problem
    return Response(
        NotReady(
            type=problem.type,
            title=problem.title,
            detail=problem.detail,
            remedy=problem.remedy,
            health=health,
        ),
        status_code=503,
        media_type=PROBLEM_JSON,
        headers={"Retry-After": "5"},
    )


@get(
    "/metrics",
    operation_id="get_metrics",
    tags=["operations"],
    summary="Metrics in the Prometheus text format",
    media_type="text/plain",
    responses=problems(),
    **needs(Scope.OPERATE),
)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    state = state_of(request)
    is_gzipped = accepts_gzip(request.headers.get("accept-encoding", ""))
    text = await state.other.run(_metrics, state, is_gzipped=is_gzipped)
    headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if is_gzipped else {})}
    # Litestar appends the character set to every text type.
    return Response(text, media_type=CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8"), headers=headers)


def _metrics(state: WorkerState, *, is_gzipped: bool) -> bytes:
    text = state.metrics.text(ages(state, datetime.now(UTC)))
    return gzip.compress(text, compresslevel=1) if is_gzipped else text


def _health(state: WorkerState, *, is_operator: bool) -> Health:
    """What the worker's watchers found last. Reads memory only: a probe waits for nothing.

    Only operators see causes, which may have paths, addresses and texts of drivers. The log has them too.
    """
    loaded, histories, status = state.model, state.histories, state.sync_status
    found = _problems(state)
    return Health(
        status="not_ready" if loaded is None else "ready",
        model=_loaded_version(loaded),
        histories=None if histories is None else histories.histories.manifest.snapshot_id,
        events="available" if state.events_error is None else "unavailable",
        registry="unknown"
        if status is None
        else "available"
        if status.registry_error is None
        else "unavailable",
        problems=[cause if is_operator else summary for summary, cause in found],
        refused_versions=[
            RefusedVersion(
                model_version=entry.version,
                run_id=entry.run_id,
                error=entry.error if is_operator else _REFUSED,
                refused_at=entry.refused_at,
            )
            for entry in (status.refused if status is not None else [])
        ],
    )


_REFUSED: Final = "The version is unusable. The log has the cause."
_NOT_LOADED: Final = "The part `{part}` cannot be loaded. The log has the cause."
_EVENTS_AWAY: Final = "The event store is unavailable. The log has the cause."
_REGISTRY_AWAY: Final = "The registry is unavailable or has no usable version. The log has the cause."


def _problems(state: WorkerState) -> list[tuple[str, str]]:
    """Every problem as (summary for everybody, cause for operators)."""
    found = [(_NOT_LOADED.format(part=part), cause) for part, cause in state.refusals.items()]
    if state.events_error is not None:
        found.append((_EVENTS_AWAY, state.events_error))
    if state.histories_of_other_data is not None:
        found.append(("The published histories are of another data set.", state.histories_of_other_data))
    found += _registry_problems(state)
    if state.model is not None and state.histories is not None:
        found += _age_problems(state.histories, state.model.recommender.manifest)
    return found + [("A part is too old.", str(part)) for part in old_parts(state, datetime.now(UTC))]


def _registry_problems(state: WorkerState) -> list[tuple[str, str]]:
    status = state.sync_status
    if status is None:
        return [("The registry has not been checked yet.",) * 2]
    found = [] if status.registry_error is None else [(_REGISTRY_AWAY, status.registry_error)]
    max_age = timedelta(seconds=max(30.0, 10 * state.settings.registry_poll_seconds))
    if datetime.now(UTC) - datetime.fromisoformat(status.checked_at) > max_age:
        text = (
            f"The registry was last checked at {status.checked_at}. Expected: every "
            f"{state.settings.registry_poll_seconds:g} s. Remedy: restart `movierank serve`."
        )
        found.append((text, text))
    return found


def _age_problems(loaded: LoadedHistories, manifest: Manifest) -> list[tuple[str, str]]:
    """A problem if the snapshot of histories ends before the model's data; it is used nevertheless."""
    data_as_of = loaded.histories.manifest.data_as_of
    fitted_before = datetime.fromisoformat(manifest.data_as_of)
    if data_as_of is not None and datetime.fromisoformat(data_as_of) >= fitted_before - timedelta(seconds=1):
        return []
    text = (
        f"The histories end at {data_as_of}, earlier than the model's data ({manifest.data_as_of}). "
        "Remedy: run `movierank materialize`."
    )
    return [("The histories end earlier than the model's data.", text)]


def _loaded_version(loaded: LoadedModel | None) -> LoadedVersion | None:
    if loaded is None:
        return None
    return LoadedVersion(model_version=loaded.version, run_id=loaded.run_id, loaded_at=loaded.loaded_at)


def _sources(recommender: ServedRecommender) -> list[SourceInfo]:
    """The candidate sources of a version, described by their classes."""
    types = source_types()
    return [
        SourceInfo(name=name, label=types[name].label, family=types[name].family, meaning=types[name].meaning)
        for name in recommender.source_names
    ]


def _features(manifest: Manifest) -> list[FeatureDescription]:
    """The features of a version in column order, described by the registry."""
    by_name = {feature.name: feature for feature in feature_list(())}
    return [
        FeatureDescription(
            name=feature.name,
            group=feature.group,
            family=feature.family,
            unit=feature.unit,
            meaning=feature.meaning,
        )
        for feature in (by_name[info.name] for info in manifest.features)
    ]


def _links(settings: Settings, version: str) -> dict[str, str]:
    """URLs of a version's pages in the MLflow and Dagster UIs; only of UIs whose address is configured."""
    links = {}
    if settings.mlflow_url:
        links["mlflow"] = (
            f"{settings.mlflow_url.rstrip('/')}/#/models/{settings.model_name}/versions/{version}"
        )
    if settings.dagster_url:
        links["dagster"] = f"{settings.dagster_url.rstrip('/')}/assets/{MODEL_ASSET}"
    return links


def _info(loaded: LoadedHistories) -> HistoriesInfo:
    manifest = loaded.histories.manifest
    return HistoriesInfo(
        snapshot_id=manifest.snapshot_id,
        dataset=manifest.dataset,
        ratings_are_simulated=manifest.ratings_are_simulated,
        data_as_of=manifest.data_as_of,
        n_users=manifest.n_users,
        n_events=manifest.n_events,
    )
