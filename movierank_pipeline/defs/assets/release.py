"""The registered version of a model, and the decision whether it serves."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import msgspec
import polars as pl

from movierank_core.data.timestamps import from_epoch
from movierank_core.errors import BundleError, DataError
from movierank_core.mlflow_store import ANCHOR, CHALLENGER, MODEL_NAME, PREVIOUS, PRODUCTION
from movierank_core.paths import Paths
from movierank_core.recommender.state import RankingState
from movierank_pipeline.artifacts import StoredInteractions, VersionFacts
from movierank_pipeline.datasets import metadata_settings
from movierank_pipeline.defs.assets.features import end_of, events_and_catalogue
from movierank_pipeline.defs.heavy_steps import HEAVY
from movierank_pipeline.defs.provenance import fingerprint_of_step
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.ingest.tmdb.metadata import stored_image_base
from movierank_pipeline.promotion.bundle_checks import BundleFacts, measure_bundle, read_registered
from movierank_pipeline.promotion.gate import judge, require_better_than_popularity
from movierank_pipeline.promotion.incumbent import Incumbent, judge_production
from movierank_pipeline.release.build_bundle import BUNDLE_PREFIX, data_hash, pack_bundle
from movierank_pipeline.release.log_run import FINGERPRINT_TAG, Release, log_release, version_bundle
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.model_card import model_card
from movierank_pipeline.release.registry import REFUSED, Registry, Version
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.trained_ranker import TrainedRanker


@dg.asset(group_name="model", kinds={"mlflow"}, io_manager_key="folders")
def model_version(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    retrievers: RankingState,
    ranker: TrainedRanker,
    evaluation: StoredEvaluation,
    settings: Settings,
) -> dg.MaterializeResult[VersionFacts]:
    """The training as an MLflow run, and its bundle as a registered version of `movie-ranker`.

    A version that was made from the same code, settings and data is taken again instead: a twin would fill
    the disk, and its promotion would replace the way back by the same model.
    """
    # Dagster's blocking check does not run when this asset is materialised alone.
    require_better_than_popularity(evaluation.report)
    paths = Paths.from_environment()
    data, movies = events_and_catalogue(interactions, catalogue)
    config = ranker.config(settings.model_parameters)
    fingerprint = fingerprint_of_step(context, "model_version", settings, paths)
    client = connect(paths)
    twin = _version_of(Registry(client), paths, fingerprint)
    if twin is not None:
        context.log.info(f"version {twin.number} was made from the same code, settings and data")
        return dg.MaterializeResult(
            value=VersionFacts(number=twin.number, run_id=twin.run_id),
            metadata={"version": twin.number, "mlflow_run_id": twin.run_id, "is_new": False},
            data_version=dg.DataVersion(fingerprint),
        )
    paths.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=BUNDLE_PREFIX, dir=paths.home) as folder:
        bundle = Path(folder, "bundle")
        context.log.info("writing the bundle")
        manifest = pack_bundle(
            bundle,
            data=data,
            catalogue=movies,
            state=retrievers,
            ranker=ranker,
            report=evaluation.report,
            facts=interactions.facts,
            config=config,
            image_base_url=stored_image_base(metadata_settings(settings, paths)),
        )
        release = Release(
            bundle=bundle,
            manifest=manifest,
            report=evaluation.report,
            config=config,
            training_metrics=ranker.metrics,
            trials=ranker.trials,
            data_from=from_epoch(int(data.timestamps.min())).isoformat(),
            data_until=from_epoch(end_of(data) - 1).isoformat(),
            fingerprint=fingerprint,
            dagster_run_id=context.run.run_id,
            dagster_url=settings.dagster_url,
            plots=evaluation.plots,
            report_html=evaluation.html,
        )
        context.log.info("logging to MLflow")
        version = log_release(client, paths, release)
        n_bytes = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    experiment = experiment_id(client, paths)
    return dg.MaterializeResult(
        value=VersionFacts(number=version.number, run_id=version.run_id),
        metadata={
            "version": version.number,
            "is_new": True,
            "mlflow_run_id": version.run_id,
            "mlflow_run": dg.MetadataValue.url(
                f"{settings.mlflow_url}/#/experiments/{experiment}/runs/{version.run_id}"
            ),
            "mlflow_version": dg.MetadataValue.url(
                f"{settings.mlflow_url}/#/models/{MODEL_NAME}/versions/{version.number}"
            ),
            "bundle_megabytes": round(n_bytes / 1e6, 2),
            "model_card": dg.MetadataValue.md(
                model_card(manifest, evaluation.report, release.data_from, release.data_until)
            ),
        },
        data_version=dg.DataVersion(fingerprint),
    )


def _version_of(registry: Registry, paths: Paths, fingerprint: str) -> Version | None:
    """The newest whole version with this fingerprint; None if there is none."""
    for version in registry.versions():
        if version.is_ready and version.tags.get(FINGERPRINT_TAG) == fingerprint:
            try:
                with version_bundle(paths, version.number) as folder:
                    read_registered(folder)
            except BundleError:
                continue  # Its files are gone or damaged.
            return version
    return None


@dg.asset(
    op_tags=HEAVY,
    group_name="model",
    kinds={"mlflow"},
    check_specs=[
        dg.AssetCheckSpec(
            "accepted",
            asset="promotion",
            description="The gate accepted the version, or it is in production already.",
        )
    ],
)
def promotion(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    model_version: VersionFacts,
    evaluation: StoredEvaluation,
    settings: Settings,
) -> dg.MaterializeResult:
    """The gate's verdict on the version, and the alias it got: production, challenger or none.

    The incumbent answers the same test requests: the version in production, or the previous one where the
    judged version is itself in production. So does the anchor. A refused version gets no alias. A passed one
    serves at once under the policy `auto`. It becomes the challenger under `manual`, if a rollback has taken
    it back, if production is of another data set, whose people it would not know, or if model parameters were
    changed in the launchpad: that is a trial, which later versions would have to be judged against. Fails
    with RegistryError, and changes no alias, if somebody moved `production` meanwhile.
    """
    paths = Paths.from_environment()
    client = connect(paths)
    registry = Registry(client)
    number = model_version.number
    production = registry.by_alias(PRODUCTION)
    serves = production is not None and production.number == number
    other = registry.by_alias(PREVIOUS) if serves else production
    with version_bundle(paths, number) as folder:
        bundle = measure_bundle(folder)
    best = registry.by_alias(ANCHOR)
    if best is not None and (
        best.number == number
        or datetime.now(UTC) - best.created_at > timedelta(days=settings.gate_limits.anchor_days)
    ):
        best = None

    dataset = interactions.facts.dataset

    def is_of_other_data(version: Version) -> bool:
        return version.tags.get("dataset", dataset) != dataset

    def compared(version: Version | None, alias: str) -> Incumbent | None:
        if version is None:
            return None
        if is_of_other_data(version):
            problem = f"It is of the data set {version.tags['dataset']}, this one of {dataset}."
            found = Incumbent(number=version.number, problem=problem)
        else:
            found = _judge_incumbent(
                context, version.number, interactions, catalogue, evaluation, bundle, settings
            )
        return msgspec.structs.replace(found, alias=alias)

    incumbent = compared(other, PREVIOUS if serves else PRODUCTION)
    is_third = best is not None and (other is None or best.number != other.number)
    anchor = compared(best, ANCHOR) if is_third else None
    verdict = judge(evaluation.report, incumbent, bundle, settings.gate_limits, anchor=anchor)
    is_trial = settings.model_parameters != Settings.from_environment().model_parameters
    registry.set_verdict(number, {**verdict.tags(), "gate.policy": settings.promotion_policy})
    client.log_text(model_version.run_id, verdict.markdown(), "gate.md")
    if serves:
        # A version in production keeps the alias, whatever the verdict; a person may roll back.
        outcome = PRODUCTION
    elif (
        verdict.may_serve
        and settings.promotion_policy == "auto"
        and not is_trial
        and not registry.get(number).is_taken_back
        and not (production is not None and is_of_other_data(production))
    ):
        registry.promote(number, by="gate", instead_of=None if production is None else production.number)
        rival = (anchor if is_third else incumbent) if best is not None else None
        if rival is None or rival.difference is None or rival.difference.mean >= 0:
            registry.anchor(number)
        outcome = PRODUCTION
    elif verdict.outcome != REFUSED:
        registry.challenge(number)
        outcome = CHALLENGER
    else:
        outcome = "none"
    context.log.info(f"version {number}: {verdict.outcome}, alias {outcome}. {verdict.reason}")
    return dg.MaterializeResult(
        metadata={
            "version": number,
            "alias": outcome,
            "verdict": verdict.outcome,
            "reason": verdict.reason,
            "policy": settings.promotion_policy,
            "checks": dg.MetadataValue.md(verdict.markdown()),
            **verdict.figures,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="accepted",
                passed=verdict.outcome != REFUSED or serves,
                severity=dg.AssetCheckSeverity.ERROR,
                description=verdict.reason,
            )
        ],
        data_version=dg.DataVersion(fingerprint_of_step(context, "promotion", settings, paths)),
    )


def _judge_incumbent(
    context: dg.AssetExecutionContext,
    number: int,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    evaluation: StoredEvaluation,
    bundle: BundleFacts,
    settings: Settings,
) -> Incumbent:
    """Evaluates version `number` on the test requests of `evaluation`, made with the version of `bundle`.

    Raises DataError where the interactions have changed since that version was made.
    """
    data, movies = events_and_catalogue(interactions, catalogue)
    if bundle.data_hash and data_hash(data) != bundle.data_hash:
        raise DataError(
            "The interactions have changed since the version was made and evaluated",
            remedy="run `movierank materialize`, which makes a version from the current ones first",
        )
    try:
        with version_bundle(Paths.from_environment(), number) as folder:
            return judge_production(
                number,
                folder,
                evaluation,
                data,
                movies,
                settings.model_parameters,
                progress=context.log.info,
            )
    except BundleError as error:
        return Incumbent(number=number, problem=str(error))
