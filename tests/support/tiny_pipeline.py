"""The whole pipeline on a set of ratings so small that it takes seconds."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import polars as pl
import pytest

from movierank_core.atomic import atomic_write
from movierank_core.paths import Paths
from movierank_pipeline.evaluation.bootstrap import Difference, Interval
from movierank_pipeline.evaluation.evaluate import report_of
from movierank_pipeline.evaluation.report import Report, Slice
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.ingest.sample.dataset import synthesize, write_dataset
from movierank_pipeline.materialize import Outcome, materialize
from movierank_pipeline.settings import Settings
from tests.support.made_once import made_once
from tests.support.releases import training
from tests.support.stores import give_store

MODEL = {
    "N_TREES": "30",
    "N_CANDIDATES": "60",
    "N_PER_SOURCE": "40",
    "ALS_FACTORS": "8",
    "ALS_ITERATIONS": "4",
    "EASE_L2": "20",
    "TRAINING_MOMENTS": "3",
    "MOMENTS": "3",
    "N_THREADS": "1",
}


OTHER_TRAINING = {"MOVIERANK_MODEL_MAX_BENCHMARK_REQUESTS": "23999"}
"""A setting of trainings that no result of the pipeline depends on. A version made under it is no twin."""


FROM_EVALUATION = "key:evaluation or key:model_version or key:promotion"
"""The selection that evaluates, registers and judges a version again, without training."""


class Recorder:
    """A reporter that keeps the names of finished steps and the results of checks."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.checks: dict[str, bool] = {}

    def started(self, step: str) -> None:
        pass

    def progressed(self, step: str, message: str) -> None:
        pass

    def finished(self, step: str, seconds: float) -> None:
        self.steps.append(step)

    def failed(self, step: str) -> None:
        pass

    def checked(self, asset: str, check: str, passed: bool, figures: Mapping[str, object]) -> None:
        self.checks[f"{asset}: {check}"] = passed


def environment(root: Path) -> dict[str, str]:
    """The variables that make a process work on the tiny set below `root`."""
    return {
        "MOVIERANK_ROOT": str(root),
        "MOVIERANK_DATA_DIR": str(root / "tiny"),
        # Neither a busy machine nor the calibration of so few users must decide what the gate says.
        "MOVIERANK_GATE_LATENCY_MS": "60000",
        "MOVIERANK_GATE_CALIBRATION_ERROR": "0.2",
        **{f"MOVIERANK_MODEL_{name}": value for name, value in MODEL.items()},
    }


def write_tiny_ratings(root: Path) -> None:
    write_dataset(synthesize(150, 6000, seed=1, n_movies=150, name="tiny"), root / "tiny")


def make_tiny_root(root: Path) -> None:
    """Ratings, and an empty store, so that no run waits for MLflow's migrations."""
    write_tiny_ratings(root)
    give_store(root)


def run(recorder: Recorder | None = None, **options: object) -> Outcome:
    """Materialises what is stale, or what `options` say, under the present environment."""
    return materialize(
        Settings.from_environment(),
        Paths.from_environment(),
        recorder or Recorder(),
        **options,  # type: ignore[arg-type]  # Those of `materialize`.
    )


def finished_run() -> tuple[Path, Recorder]:
    """A root with every asset, made once, and what was reported. It is shared: copy it to change it."""

    def make(root: Path) -> None:
        recorder = Recorder()
        training()  # The kernels are compiled by one process.
        make_tiny_root(root)
        with _only(environment(root)):
            run(recorder)
        (root / "reported.json").write_text(json.dumps(vars(recorder)))

    root = made_once("finished-run", make)
    recorder = Recorder()
    vars(recorder).update(json.loads((root / "reported.json").read_text()))
    return root, recorder


def proven_run() -> Path:
    """A finished root with a clearly good version 2 (see `prove`), not promoted yet. It is shared as well."""

    def make(root: Path) -> None:
        shutil.copytree(finished_run()[0], root, dirs_exist_ok=True)
        with _only({**environment(root), **OTHER_TRAINING}):
            prove()
            run(select="model_version")

    return made_once("proven-run", make)


@contextmanager
def _only(variables: Mapping[str, str]) -> Iterator[None]:
    """An environment with these of our variables and no other."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("MOVIERANK_", "MLFLOW_", "DAGSTER_")):
                patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def prove(ndcg_share: float = 1.0) -> None:
    """Changes the stored evaluation so that the ranker is significantly better; so few users cannot show it.

    The ranker's nDCG@10 of each request is multiplied by `ndcg_share`.
    """
    folder = Paths.from_environment().assets / "evaluation"
    stored = StoredEvaluation.load(folder)
    lead = Difference(0.1, 0.05, 0.15, 0.5, 0.25)

    def leading(part: Report | Slice) -> dict[str, dict[str, Difference]]:
        return {metric: dict.fromkeys(of_metric, lead) for metric, of_metric in part.differences.items()}

    slices = {
        label: msgspec.structs.replace(part, differences=leading(part))
        for label, part in stored.report.slices.items()
    }
    report = msgspec.structs.replace(
        stored.report,
        differences=leading(stored.report),
        slices=slices,
        expected_calibration_error=0.01,
    )
    requests = stored.requests.with_columns(pl.col("ndcg@10") * ndcg_share)
    with atomic_write(folder) as written:
        replace(stored, report=report, requests=requests).save(written)


def with_ranker_at(share: float, of: str) -> object:
    """`report_of`, but for the ranker's nDCG@10, which is `share` of that of `of`."""

    def report_with(*args: object) -> Report:
        report = report_of(*args)  # type: ignore[arg-type]
        other = report.best_source if of == "best" else of
        mean = share * report.systems[other]["ndcg@10"].mean
        report.systems["movierank"]["ndcg@10"] = Interval(mean, mean, mean)
        for name in report.differences["ndcg@10"]:
            theirs = report.systems[name]["ndcg@10"].mean
            lead = mean - theirs
            report.differences["ndcg@10"][name] = Difference(lead, lead, lead, lead / theirs, lead / theirs)
        return report

    return report_with
