"""Logs one training as an MLflow run and registers its bundle as a version.

Marking the version as ready is the last step. An earlier failure leaves a failed run, and possibly a version
that is not ready and never gets an alias.
"""

import importlib.metadata
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

import movierank_core
from movierank_core.config import ModelConfig
from movierank_core.errors import BundleError
from movierank_core.manifest import GOLDEN, GoldenRequest, Manifest
from movierank_core.mlflow_store import BUNDLE_IN_MODEL, MODEL_NAME
from movierank_core.paths import Paths
from movierank_pipeline.evaluation.compare import MAIN
from movierank_pipeline.evaluation.report import Report
from movierank_pipeline.release.mlflow_client import experiment_id
from movierank_pipeline.release.model_card import model_card
from movierank_pipeline.release.registry import Registry, Version
from movierank_pipeline.training.trained_ranker import Trial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

FINGERPRINT_TAG = "movierank.fingerprint"
DAGSTER_RUN_TAG = "dagster.run_id"
PARENT_TAG = "mlflow.parentRunId"
"""MLflow's tag of a child run: the run of the training that a trial belongs to."""
VERSION_PREFIX = ".version-"
"""First characters of the name of a folder that a bundle is downloaded to."""
SERVING_LIBRARIES = ("mlflow", "msgspec", "numba", "numpy", "pandas", "polars")


@dataclass(frozen=True)
class Release:
    """Everything about one training that is stored with its run and version."""

    bundle: Path
    """Folder that is logged as the version; not modified."""
    manifest: Manifest
    report: Report
    config: ModelConfig
    training_metrics: dict[str, float]
    data_from: str
    """Time of the first event, ISO 8601, UTC."""
    data_until: str
    """Time of the last event, ISO 8601, UTC."""
    fingerprint: str
    """Fingerprint of code, data and settings that the version was made from."""
    dagster_run_id: str
    dagster_url: str
    plots: dict[str, bytes] = field(default_factory=dict)
    """PNG images by name."""
    report_html: str | None = None
    trials: Sequence[Trial] = ()
    """All trials of tuning; `config` holds the chosen parameters."""


def log_release(client: "MlflowClient", paths: Paths, release: Release) -> Version:
    """Logs the run, logs the bundle as a model and registers it; returns the ready version."""
    import mlflow

    manifest = release.manifest
    links = {
        DAGSTER_RUN_TAG: release.dagster_run_id,
        "dagster.run_url": f"{release.dagster_url}/runs/{release.dagster_run_id}",
    }
    data = {
        "dataset": manifest.dataset,
        "dataset.ratings_are_simulated": str(manifest.ratings_are_simulated).lower(),
        "dataset.hash": manifest.data_hash,
        "dataset.from": release.data_from,
        "dataset.until": release.data_until,
    }
    card = model_card(manifest, release.report, release.data_from, release.data_until)
    with mlflow.start_run(
        experiment_id=experiment_id(client, paths),
        run_name=f"{manifest.dataset} {manifest.created_at}",
        tags={**data, **links, FINGERPRINT_TAG: release.fingerprint},
        description=card,
    ) as run:
        run_id = run.info.run_id
        mlflow.log_params(
            {
                **{f"model.{name}": value for name, value in msgspec.to_builtins(release.config).items()},
                **{f"data.{name.removeprefix('dataset.')}": value for name, value in data.items()},
                **{f"library.{name}": version for name, version in manifest.library_versions.items()},
            }
        )
        _log_data(client, run_id, release)
        metrics = {**metrics_of(release.report), **_finite(_training(release.training_metrics))}
        mlflow.log_metrics(metrics)
        client.log_text(run_id, release.report.to_json().decode(), "evaluation/evaluation.json")
        if release.report_html is not None:
            client.log_text(run_id, release.report_html, "evaluation/report.html")
        for name, png in release.plots.items():
            _log_bytes(client, run_id, png, f"plots/{name}.png")
        _log_trials(client, run_id, release)
        client.log_text(run_id, card, "model_card.md")
        model_uri = _log_model(release, card)
        tags = {
            **data,
            **links,
            FINGERPRINT_TAG: release.fingerprint,
            "ndcg_at_10": f"{metrics['ndcg_at_10']:.4f}",
            "data_as_of": manifest.data_as_of,
        }
        # Inside the run: if the registration fails, the run has failed as well.
        return Registry(client).register(model_uri, run_id, tags, description=card)


@contextmanager
def version_bundle(paths: Paths, number: int) -> Iterator[Path]:
    """Downloads the bundle of a registered version to a temporary folder, deleted on exit.

    Raises BundleError if the registry has the version but its files cannot be fetched.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    paths.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=VERSION_PREFIX, dir=paths.home) as folder:
        try:
            mlflow.artifacts.download_artifacts(f"models:/{MODEL_NAME}/{number}", dst_path=folder)
        except (MlflowException, OSError) as error:
            raise BundleError(
                f"The files of version {number} cannot be fetched: {error}",
                remedy="look at its run in MLflow (`movierank mlflow`)",
            ) from error
        yield Path(folder, BUNDLE_IN_MODEL)


def metrics_of(report: Report) -> dict[str, float]:
    """The report's figures under names that MLflow accepts (no `@`).

    The ranker's figures have no prefix (`ndcg_at_10`, with `_low` and `_high`). Other systems have their name
    as prefix (`popularity/ndcg_at_10`), slices their history length (`history_1-4/ndcg_at_10`), and
    differences `ahead_of_` with the other system's name (`ahead_of_popularity/ndcg_at_10`).
    """
    metrics: dict[str, float] = {"expected_calibration_error": report.expected_calibration_error}
    for system, figures in report.systems.items():
        prefix = "" if system == MAIN else f"{system}/"
        for metric, interval in figures.items():
            name = prefix + _metric_name(metric)
            metrics[name] = interval.mean
            if interval.low < interval.high:
                metrics[f"{name}_low"], metrics[f"{name}_high"] = interval.low, interval.high
    for metric, differences in report.differences.items():
        for system, difference in differences.items():
            name = f"ahead_of_{system}/{_metric_name(metric)}"
            metrics |= {name: difference.mean, f"{name}_low": difference.low, f"{name}_high": difference.high}
    for label, part in report.slices.items():
        for metric, interval in part.systems[MAIN].items():
            metrics[f"history_{label.replace('+', '_or_more')}/{_metric_name(metric)}"] = interval.mean
    return _finite(metrics)


def _metric_name(metric: str) -> str:
    return metric.replace("@", "_at_")


def _training(metrics: dict[str, float]) -> dict[str, float]:
    return {f"training/{_metric_name(name)}": value for name, value in metrics.items()}


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """Only finite values: some databases refuse NaN, and MLflow stores infinity as a large number."""
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def _log_data(client: "MlflowClient", run_id: str, release: Release) -> None:
    """Logs the training data for the Datasets column of MLflow's UI."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    manifest = release.manifest
    profile = msgspec.json.encode(
        {"users": manifest.n_users, "movies": manifest.n_movies, "events": manifest.n_interactions}
    )
    dataset = Dataset(
        name=manifest.dataset,
        digest=manifest.data_hash[:36],
        source_type="local",
        source=msgspec.json.encode({"dataset": manifest.dataset}).decode(),
        profile=profile.decode(),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _log_trials(client: "MlflowClient", run_id: str, release: Release) -> None:
    """Logs each trial as a child run of `run_id`."""
    from mlflow.entities import Metric, Param

    parent = client.get_run(run_id).info
    for number, trial in enumerate(release.trials, start=1):
        metrics = {"validation_ndcg_at_10": trial.ndcg, "seconds": trial.seconds}
        now = int(time.time() * 1000)
        child = client.create_run(
            parent.experiment_id,
            run_name=f"trial {number}",
            tags={PARENT_TAG: run_id},
        )
        client.log_batch(
            child.info.run_id,
            [Metric(name, value, now, 0) for name, value in metrics.items()],
            [Param(f"model.{name}", str(value)) for name, value in trial.parameters.items()],
        )
        client.set_terminated(child.info.run_id)


def _log_bytes(client: "MlflowClient", run_id: str, content: bytes, artifact: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, Path(artifact).name)
        file.write_bytes(content)
        client.log_artifact(run_id, str(file), str(Path(artifact).parent))


def _log_model(release: Release, card: str) -> str:
    """Logs the bundle together with `movierank_core`, which reads it; returns the model's URI."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        # MLflow names an artifact after its folder.
        bundle = Path(folder, Path(BUNDLE_IN_MODEL).name)
        shutil.copytree(release.bundle, bundle, copy_function=_link_or_copy)
        code = Path(folder, movierank_core.__name__)
        shutil.copytree(
            Path(movierank_core.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__")
        )
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(code)],
            signature=signature(),
            input_example=_input_example(release.bundle),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in SERVING_LIBRARIES],
            metadata={"dataset": release.manifest.dataset, "data_as_of": release.manifest.data_as_of},
        )
    return str(info.model_uri)


def signature() -> "ModelSignature":
    """Input and output columns of the pyfunc model; see `pyfunc_model.Ranker`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(Array(DataType.long), "movie_ids"),
                ColSpec(Array(DataType.double), "ratings"),
                ColSpec(Array(DataType.long), "timestamps"),
                ColSpec(Array(DataType.string), "event_types", required=False),
                ColSpec(DataType.long, "k", required=False),
                ColSpec(DataType.long, "as_of", required=False),
            ]
        ),
        outputs=Schema(
            [ColSpec(Array(DataType.long), "movie_ids"), ColSpec(Array(DataType.double), "scores")]
        ),
    )


def _input_example(bundle: Path) -> Any:
    """The synthetic history of one golden request, in the pyfunc model's input format."""
    import pandas as pd

    golden = msgspec.json.decode((bundle / GOLDEN).read_bytes(), type=list[GoldenRequest])
    request = next((request for request in golden if len(request.history) > 1), golden[-1])
    columns = {
        "movie_ids": [event.movie_id for event in request.history],
        "ratings": [np.nan if event.rating is None else event.rating for event in request.history],
        "timestamps": [event.timestamp for event in request.history],
        "event_types": [event.event_type for event in request.history],
        "k": 10,
        "as_of": request.as_of,
    }
    return pd.DataFrame([columns])


def _link_or_copy(source: str, target: str) -> None:
    """A hard link if the file system supports it, else a copy: large bundles have hundreds of megabytes."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
