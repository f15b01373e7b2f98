"""A finished training of the simulated ratings, for tests of release and serving."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from movierank_core.data.timestamps import from_epoch
from movierank_core.recommender.state import fit_state
from movierank_pipeline.artifacts import InteractionFacts
from movierank_pipeline.evaluation.evaluate import report_of
from movierank_pipeline.evaluation.experiment import answers_to, model_on
from movierank_pipeline.evaluation.protocols.temporal import temporal_holdout
from movierank_pipeline.release.build_bundle import pack_bundle
from movierank_pipeline.release.log_run import Release
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet, build_training_set
from tests.support.made_once import made_once
from tests.support.simulated import CONFIG, SimulatedRatings, simulate_ratings

T = TypeVar("T")


@dataclass(frozen=True)
class Training:
    """A training on the simulated ratings with `CONFIG`. It is shared: do not change it."""

    rows: TrainingSet
    ranker: TrainedRanker


def training() -> Training:
    """The training of the simulated ratings, made once."""
    folder = made_once(
        "training", lambda folder: _store(folder / "training.pickle", _train(simulate_ratings()))
    )
    return _stored(folder / "training.pickle", Training)


def release() -> Release:
    """The release of this training, made once. Its bundle is shared: copy it to change it."""

    def make(folder: Path) -> None:
        _store(folder / "release.pickle", make_release(folder, simulate_ratings(), training()))

    folder = made_once("release", make)
    return replace(_stored(folder / "release.pickle", Release), bundle=folder / "packed")


def _train(simulated: SimulatedRatings) -> Training:
    requests = plan_requests(simulated.data, simulated.catalogue, CONFIG)
    rows = build_training_set(simulated.data, requests, simulated.catalogue, CONFIG)
    return Training(rows, train_ranker(rows, CONFIG))


def _store(path: Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value))


def _stored(path: Path, kind: type[T]) -> T:
    value = pickle.loads(path.read_bytes())
    assert isinstance(value, kind)
    return value


def make_release(folder: Path, simulated: SimulatedRatings, trained: Training) -> Release:
    data, catalogue = simulated.data, simulated.catalogue
    ranker = trained.ranker
    holdout = temporal_holdout(data, catalogue, CONFIG)
    model = model_on(holdout, ranker)
    report = report_of(holdout, model, answers_to(holdout, model, CONFIG), CONFIG)
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
