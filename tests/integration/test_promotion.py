"""Promotion through the asset and the registry: a new version beside the one in production."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import msgspec
import numpy as np
import polars as pl
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from movierank_core.bundle import read_manifest
from movierank_core.data.timestamps import from_epoch
from movierank_core.errors import BundleError, DataError
from movierank_core.manifest import MANIFEST, FeatureInfo, Manifest
from movierank_core.mlflow_store import (
    ANCHOR,
    BUNDLE_IN_MODEL,
    CHALLENGER,
    MODEL_NAME,
    PREVIOUS,
    PRODUCTION,
)
from movierank_core.paths import Paths
from movierank_core.recommender.state import RankingState
from movierank_pipeline.definitions import build_defs
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.materialize import dagster_instance
from movierank_pipeline.promotion import bundle_checks as bundle_facts
from movierank_pipeline.promotion import incumbent
from movierank_pipeline.promotion.bundle_checks import measure_bundle
from movierank_pipeline.release.log_run import Release, version_bundle
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry, Version
from movierank_pipeline.settings import Settings
from tests.support.tiny_pipeline import OTHER_TRAINING, prove, run

VERSION = "key:model_version or key:promotion"


def registry() -> Registry:
    return Registry(connect(Paths.from_environment()))


def newest() -> Version:
    return registry().versions()[0]


def aliases() -> dict[str, int]:
    return {
        alias: version.number
        for version in registry().versions()
        for alias in version.aliases
        if alias != ANCHOR
    }


def stored() -> StoredEvaluation:
    return StoredEvaluation.load(Paths.from_environment().assets / "evaluation")


def promotion_metadata() -> dict[str, object]:
    with dagster_instance(Paths.from_environment()) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("promotion"))
        assert event is not None
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@contextmanager
def manifest_of_version(number: int) -> Iterator[Path]:
    """Where the registry keeps the manifest of a version."""
    version = connect(Paths.from_environment()).get_model_version("movie-ranker", str(number))
    found = list(Paths.from_environment().artifacts.rglob(f"{BUNDLE_IN_MODEL}/{MANIFEST}"))
    model_id = version.source.rpartition("/")[2]
    yield next(path for path in found if model_id in path.parts)


def change_manifest(number: int, **fields: object) -> None:
    with manifest_of_version(number) as path:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, **fields)))


def never_fit(*args: object) -> RankingState:
    pytest.fail("a state was fitted that is there already")


def test_the_same_model_takes_the_place_of_production_and_nothing_is_fitted_for_it(
    proven_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incumbent, "fit_state", never_fit)
    run(select="promotion")
    assert aliases() == {PRODUCTION: 2, PREVIOUS: 1}
    tags = newest().tags
    assert tags["gate.verdict"] == "passed"
    assert (tags["gate.production_version"], tags["gate.difference_to_production"]) == ("1", "0")
    assert float(tags["gate.ndcg_at_10_production"]) == pytest.approx(
        stored().report.systems[MAIN][HEADLINE].mean, abs=1e-6
    )
    assert float(tags["gate.scorer_difference"]) <= 1e-9
    assert float(tags["gate.bundle_megabytes"]) > 0.1
    metadata = promotion_metadata()
    assert metadata["alias"] == PRODUCTION
    assert metadata["reason"] == tags["gate.reason"]
    assert "| not below production (version 1) | +0.0000 on 0." in str(metadata["checks"])
    client = connect(Paths.from_environment())
    names = [entry.path for entry in client.list_artifacts(newest().run_id)]
    assert "gate.md" in names


def test_the_anchor_is_the_best_version_in_production_lately(proven_root: Path) -> None:
    assert registry().versions()[1].aliases == (ANCHOR, PRODUCTION)
    run(select="promotion")  # No difference: the newer version is the anchor.
    assert newest().aliases == (ANCHOR, PRODUCTION)


def test_a_trial_from_the_launchpad_waits_for_a_person(proven_root: Path) -> None:
    config = {"resources": {"settings": {"config": {"model": {"n_leaves": 7}}}}}
    with dagster_instance(Paths.from_environment()) as instance:
        result = (
            build_defs()
            .resolve_job_def("retrain")
            .execute_in_process(
                run_config=config, instance=instance, asset_selection=[dg.AssetKey("promotion")]
            )
        )
    assert result.success
    assert aliases() == {PRODUCTION: 1, CHALLENGER: 2}


def test_the_version_in_production_is_judged_beside_the_one_before_it_and_stays(proven_root: Path) -> None:
    run(select="promotion")
    prove(ndcg_share=0.9)
    run(select="promotion")
    assert aliases() == {PRODUCTION: 2, PREVIOUS: 1}
    assert newest().tags["gate.verdict"] == "refused"
    assert newest().tags["gate.reason"].startswith("Not met: not below previous (version 1): -0.0")


def test_a_worse_model_is_refused_and_production_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prove(ndcg_share=0.9)
    for name, value in OTHER_TRAINING.items():
        monkeypatch.setenv(name, value)
    run(select=VERSION)
    assert aliases() == {PRODUCTION: 1}
    tags = newest().tags
    assert tags["gate.verdict"] == "refused"
    assert tags["gate.reason"].startswith("Not met: not below production (version 1): -0.0")
    assert float(tags["gate.relative_difference_to_production"]) == pytest.approx(-0.1, abs=1e-3)
    assert promotion_metadata()["alias"] == "none"
    with dagster_instance(Paths.from_environment()) as instance:
        key = dg.AssetCheckKey(dg.AssetKey("promotion"), "accepted")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.status is AssetCheckExecutionRecordStatus.FAILED


def test_a_training_on_unchanged_data_registers_no_twin(root: Path) -> None:
    run(select="key:model_version or key:promotion or key:recommendations")
    assert [version.number for version in registry().versions()] == [1]
    assert aliases() == {PRODUCTION: 1}


def test_a_version_whose_files_are_gone_has_no_twin(root: Path) -> None:
    with manifest_of_version(1) as path:
        path.unlink()
    run(select="key:model_version")
    assert [version.number for version in registry().versions()] == [2, 1]


def test_a_version_that_was_taken_back_is_not_promoted_again(proven_root: Path) -> None:
    run(select="promotion")
    registry().rollback(by="a person")
    assert aliases() == {PRODUCTION: 1, PREVIOUS: 2}
    run(select="promotion")
    assert aliases() == {PRODUCTION: 1, PREVIOUS: 2, CHALLENGER: 2}
    assert PRODUCTION in registry().promote(2, by="a person").aliases


def test_recommendations_come_from_production_not_from_the_newest_ranker(root: Path) -> None:
    table = Paths.from_environment().assets / "recommendations.parquet"
    before = pl.read_parquet(table)
    ranker = Paths.from_environment().assets / "ranker"
    for model in ranker.glob("model_*.txt"):
        model.write_text("not a model: the newest ranker is never read\n")
    run(select="recommendations")
    assert pl.read_parquet(table).equals(before)


def test_without_production_nothing_is_recommended(root: Path) -> None:
    connect(Paths.from_environment()).delete_registered_model_alias("movie-ranker", PRODUCTION)
    run(select="recommendations")
    assert pl.read_parquet(Paths.from_environment().assets / "recommendations.parquet").height == 0


def test_a_model_that_passes_waits_under_the_manual_policy(
    proven_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_PROMOTION_POLICY", "manual")
    run(select="promotion")
    assert aliases() == {PRODUCTION: 1, CHALLENGER: 2}
    assert (newest().tags["gate.verdict"], newest().tags["gate.policy"]) == ("passed", "manual")
    assert promotion_metadata()["alias"] == CHALLENGER


def test_a_production_of_other_features_does_not_hold_the_alias(proven_root: Path) -> None:
    change_manifest(1, features=[FeatureInfo("mood", "user")])
    run(select="promotion")
    assert aliases() == {PRODUCTION: 2, PREVIOUS: 1}
    tags = newest().tags
    assert tags["gate.verdict"] == "passed"
    assert (
        "The bundle in the registry uses features that this code does not compute: ['mood']"
        in (tags["gate.reason"])
    )


def test_a_production_that_makes_this_code_fail_cannot_be_judged(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> object:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(bundle_facts, "read_bundle", fail)
    assert judge_version_1().problem == "The bundle cannot be read: ZeroDivisionError: division by zero."


def test_a_production_whose_files_are_gone_does_not_hold_the_alias(proven_root: Path) -> None:
    with manifest_of_version(1) as path:
        path.unlink()
    run(select="promotion")
    assert newest().tags["gate.verdict"] == "passed"
    assert aliases() == {PRODUCTION: 2, PREVIOUS: 1}
    assert "holds no manifest.json" in newest().tags["gate.reason"]


def test_a_version_of_another_data_set_waits_for_a_person(proven_root: Path) -> None:
    client = connect(Paths.from_environment())
    client.set_model_version_tag(MODEL_NAME, "1", "dataset", "another")
    run(select="promotion")
    assert newest().tags["gate.verdict"] == "passed"
    assert aliases() == {PRODUCTION: 1, CHALLENGER: 2}
    assert (
        newest()
        .tags["gate.reason"]
        .endswith("Version 1, production, is no rival: It is of the data set another, this one of tiny.")
    )


def test_a_bundle_over_its_budget_is_refused(proven_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIERANK_GATE_LATENCY_MS", "0.001")
    monkeypatch.setenv("MOVIERANK_GATE_MEGABYTES", "0.001")
    run(select="promotion")
    assert aliases() == {PRODUCTION: 1}
    assert "size: " in newest().tags["gate.reason"]
    assert "latency: median of the golden requests " in newest().tags["gate.reason"]


def test_other_limits_make_the_verdict_stale(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIERANK_GATE_MARGIN", "0.01")
    assert run().made == ["promotion", "recommendations"]
    assert aliases() == {PRODUCTION: 1}


def judge_version_1() -> incumbent.Incumbent:
    """Version 1 on the requests of the evaluation that is there."""
    from movierank_core.data.catalogue import Catalogue
    from movierank_core.data.interactions import InteractionArrays

    paths = Paths.from_environment()
    catalogue = Catalogue(pl.read_parquet(paths.assets / "catalogue.parquet"))
    frame = pl.read_parquet(paths.assets / "interactions" / "table.parquet")
    data = InteractionArrays.from_frame(frame, catalogue)
    connect(paths)
    with version_bundle(paths, 1) as folder:
        return incumbent.judge_production(
            1, folder, stored(), data, catalogue, Settings.from_environment().model_parameters
        )


def test_production_is_judged_with_its_own_configuration_on_events_before_the_same_moment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with manifest_of_version(1) as path:
        config = read_manifest(path.parent).config
    change_manifest(1, config={**config, "als_factors": 3, "n_trees": 7})
    original, fitted = incumbent.fit_state, []

    def record(data: object, catalogue: object, as_of: int, config: object) -> RankingState:
        fitted.append((as_of, config))
        return original(data, catalogue, as_of, config)  # type: ignore[arg-type]

    monkeypatch.setattr(incumbent, "fit_state", record)
    found = judge_version_1()
    assert [(as_of, config.als_factors) for as_of, config in fitted] == [(stored().state.as_of, 3)]  # type: ignore[attr-defined]
    assert from_epoch(fitted[0][0]).isoformat() == stored().report.split_time
    assert found.difference is not None
    assert found.difference.mean != 0


def test_parameters_of_training_alone_ask_for_no_other_state(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with manifest_of_version(1) as path:
        config = read_manifest(path.parent).config
    change_manifest(1, config={**config, "n_trees": 7, "learning_rate": 0.01, "moments": 2})
    monkeypatch.setattr(incumbent, "fit_state", never_fit)
    found = judge_version_1()
    assert found.difference is not None
    assert (found.difference.mean, found.difference.low) == (0, 0)


def test_production_keeps_to_the_sources_that_it_was_made_with(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that is newer than production would change the candidates under its trees."""
    seen: list[list[str]] = []
    original = incumbent.answer

    def record(model: object, *args: object, **more: object) -> object:
        seen.append(list(model.state.sources))  # type: ignore[attr-defined]
        return original(model, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(incumbent, "answer", record)
    evaluation = stored()
    evaluation.state.sources["newer"] = evaluation.state.sources["popularity"]
    monkeypatch.setattr(StoredEvaluation, "load", lambda folder: evaluation)
    found = judge_version_1()
    assert "newer" not in seen[0]
    assert found.difference is not None
    assert found.difference.mean == 0


def test_a_parameter_that_this_code_does_not_have_keeps_production_from_being_judged(root: Path) -> None:
    with manifest_of_version(1) as path:
        config = read_manifest(path.parent).config
    change_manifest(1, config={**config, "mood": 1.0})
    assert judge_version_1().problem == (
        "The bundle was trained with parameters that this code does not have: mood. Expected: parameters of"
        " `ModelConfig`"
    )


def test_a_verdict_on_other_interactions_is_not_given(proven_root: Path) -> None:
    change_manifest(2, data_hash="0" * 64)
    with pytest.raises(DataError, match="The interactions have changed since the version was made"):
        run(select="promotion")
    assert aliases() == {PRODUCTION: 1}


def test_a_bundle_is_measured_as_it_is(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = measure_bundle(release.bundle)
    assert facts.problem == ""
    assert facts.scorer_difference <= 1e-9
    assert facts.megabytes == pytest.approx(
        sum(path.stat().st_size for path in release.bundle.rglob("*") if path.is_file()) / 1e6
    )
    assert facts.latency_ms > 0
    assert facts.data_hash == release.manifest.data_hash
    original = bundle_facts.lightgbm_scores

    def askew(*args: object) -> np.ndarray:
        return original(*args) + 1e-6  # type: ignore[arg-type]

    monkeypatch.setattr(bundle_facts, "lightgbm_scores", askew)
    assert measure_bundle(release.bundle).scorer_difference == pytest.approx(1e-6, rel=1e-3)


def test_a_bundle_that_cannot_be_read_has_a_problem(tmp_path: Path) -> None:
    assert "holds no manifest.json" in measure_bundle(tmp_path).problem


def test_a_version_without_files_is_named(root: Path) -> None:
    connect(Paths.from_environment())
    with (
        pytest.raises(BundleError, match="The files of version 9 cannot be fetched"),
        version_bundle(Paths.from_environment(), 9),
    ):
        pass
