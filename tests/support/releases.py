"""A finished training of the small world, for tests of what comes after training."""

from pathlib import Path

from movierank_core.data.timestamps import from_epoch
from movierank_core.recommender.state import fit_state
from movierank_pipeline.artifacts import InteractionFacts
from movierank_pipeline.evaluation.evaluate import evaluate_temporal
from movierank_pipeline.release.build_bundle import pack_bundle
from movierank_pipeline.release.log_run import Release
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.training_set import build_training_set
from tests.support.world import CONFIG, World


def make_release(folder: Path, world: World) -> Release:
    data, catalogue = world.data, world.catalogue
    training_set = build_training_set(data, plan_requests(data, catalogue, CONFIG), catalogue, CONFIG)
    ranker = train_ranker(training_set, CONFIG)
    report = evaluate_temporal(data, catalogue, ranker, CONFIG)
    last = int(data.timestamps.max())
    manifest = pack_bundle(
        folder / "packed",
        data=data,
        catalogue=catalogue,
        state=fit_state(data, catalogue, last + 1, CONFIG),
        ranker=ranker,
        report=report,
        facts=InteractionFacts(dataset="tiny", ratings_are_simulated=True, feedback_through=None),
        config=CONFIG,
    )
    return Release(
        bundle=folder / "packed",
        manifest=manifest,
        report=report,
        config=CONFIG,
        training_metrics=ranker.metrics,
        data_from=from_epoch(int(data.timestamps.min())).isoformat(),
        data_until=from_epoch(last).isoformat(),
        fingerprint="f1",
        dagster_run_id="a-dagster-run",
        dagster_url="http://127.0.0.1:3000",
        plots={"importance": b"\x89PNG"},
        report_html="<!doctype html><title>Evaluation</title>",
    )
