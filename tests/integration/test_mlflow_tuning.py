"""What tuning leaves in MLflow."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from mlflow import MlflowClient

from movierank_core.paths import Paths
from movierank_pipeline.definitions import build_defs
from movierank_pipeline.defs.provenance import plan
from movierank_pipeline.materialize import dagster_instance
from movierank_pipeline.release.log_run import Release, log_release
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.registry import Registry
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.trained_ranker import Trial
from tests.support.tiny_pipeline import run

TRIALS = (
    Trial(parameters={"n_leaves": 15, "learning_rate": 0.05}, ndcg=0.2, seconds=2.5),
    Trial(parameters={"n_leaves": 9, "learning_rate": 0.03}, ndcg=0.25, seconds=2.0),
    Trial(parameters={"n_leaves": 31, "learning_rate": 0.1}, ndcg=0.1, seconds=1.0),
)


def children(client: MlflowClient, paths: Paths, run_id: str) -> list:
    """The runs below a run, the first trial first."""
    wanted = f"tags.`mlflow.parentRunId` = '{run_id}'"
    found = client.search_runs([experiment_id(client, paths)], wanted)
    return sorted(found, key=lambda each: int(each.info.run_name.split()[1]))


def test_each_trial_is_a_run_below_the_training(release: Release, paths: Paths) -> None:
    client = connect(paths)
    config = msgspec.structs.replace(release.config, n_leaves=9, learning_rate=0.03)
    version = log_release(client, paths, replace(release, trials=TRIALS, config=config))
    parameters = client.get_run(version.run_id).data.params
    assert (parameters["model.n_leaves"], parameters["model.learning_rate"]) == ("9", "0.03")
    first, second, _ = trials = children(client, paths, version.run_id)
    assert first.data.params == {"model.n_leaves": "15", "model.learning_rate": "0.05"}
    assert second.data.metrics == {"validation_ndcg_at_10": 0.25, "seconds": 2.0}
    assert {each.info.status for each in trials} == {"FINISHED"}


def test_a_training_without_tuning_has_no_run_below_it(release: Release, paths: Paths) -> None:
    client = connect(paths)
    version = log_release(client, paths, release)
    assert children(client, paths, version.run_id) == []
    assert len(client.search_runs([experiment_id(client, paths)])) == 1


def test_the_asset_graph_tunes_where_it_is_given_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths.from_environment()
    monkeypatch.setenv("MOVIERANK_TUNE_SECONDS", "3")
    with dagster_instance(paths) as instance:
        stale = plan(build_defs().resolve_asset_graph(), Settings.from_environment(), paths, instance).stale
    assert set(stale) == {"ranker", "evaluation", "model_version", "promotion", "recommendations"}
    run(select="key:ranker or key:evaluation or key:model_version")
    client = connect(paths)
    versions = Registry(client).versions()
    assert [version.number for version in versions] == [2, 1]
    trials = children(client, paths, versions[0].run_id)
    assert len(trials) >= 2
    assert children(client, paths, versions[1].run_id) == []
    training = client.get_run(versions[0].run_id).data
    assert training.metrics["training/n_trials"] == len(trials)
    best = max(trials, key=lambda each: each.data.metrics["validation_ndcg_at_10"])
    assert training.metrics["training/validation_ndcg_at_10"] == best.data.metrics["validation_ndcg_at_10"]
    assert best.data.params.items() <= training.params.items()
