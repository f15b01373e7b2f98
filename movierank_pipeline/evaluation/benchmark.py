"""`movierank benchmark`: the given-split protocol with the figures and the cost that its report has."""

import resource
from contextlib import nullcontext
from typing import Any, NamedTuple

import msgspec
import polars as pl

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_pipeline.evaluation.experiment import RANK, SHUFFLE, run_experiment
from movierank_pipeline.evaluation.protocols.given_split import (
    Form,
    Relevance,
    form_of,
    given_split_protocol,
)
from movierank_pipeline.evaluation.protocols.protocol import Progress
from movierank_pipeline.evaluation.report import Report
from movierank_pipeline.training.stage_times import StageTimes


class Benchmark(NamedTuple):
    """A report on a given split, and the cost of making it."""

    report: Report
    holdout: Form
    """The form of the test part, which training imitates."""
    training: dict[str, float]
    """The metrics of the trained ranker."""
    seconds: dict[str, float]
    """Seconds per stage."""
    peak_memory_mb: float
    """The largest resident set of this process so far."""

    @property
    def fit_seconds(self) -> float:
        return sum(self.fit_stages.values())

    @property
    def fit_stages(self) -> dict[str, float]:
        """Seconds per stage of fitting."""
        return {stage: took for stage, took in self.seconds.items() if stage not in (RANK, SHUFFLE)}

    @property
    def rank_seconds(self) -> float:
        return self.seconds[RANK]

    def to_json(self) -> bytes:
        """The JSON of `movierank benchmark`.

        `systems` has means alone and `intervals` the bounds, which coverage does not have. `seconds` has
        `fit` and `rank`; `stages` divides `fit`.
        """
        figures = self.report.systems.items()
        content: dict[str, Any] = {
            "systems": {
                name: {metric: interval.mean for metric, interval in of_system.items()}
                for name, of_system in figures
            },
            "intervals": {
                name: {
                    metric: (interval.low, interval.high)
                    for metric, interval in of_system.items()
                    if not metric.startswith("coverage@")
                }
                for name, of_system in figures
            },
            "differences": self.report.differences,
            "ties": self.report.ties,
            "shuffled": self.report.shuffled,
            "shuffled_ties": self.report.shuffled_ties,
            "n_users": self.report.n_users,
            "n_possible_requests": self.report.n_possible_requests,
            "holdout": self.holdout,
            "n_training_requests": int(self.training["n_training_requests"]),
            "n_trees": int(self.training["n_trees"]),
            "seconds": {"fit": self.fit_seconds, "rank": self.rank_seconds},
            "stages": self.fit_stages,
            "peak_memory_mb": self.peak_memory_mb,
        }
        return msgspec.json.format(msgspec.json.encode(content), indent=1)


def run_benchmark(
    train: pl.DataFrame,
    test: pl.DataFrame,
    catalogue: Catalogue,
    *,
    relevance: Relevance,
    k: int,
    config: ModelConfig,
    progress: Progress = None,
    with_shuffled: bool = False,
) -> Benchmark:
    """Fits on `train` (INTERACTIONS), ranks for each user of `test` (RATINGS), and judges the lists.

    Lists come from the full catalogue without the user's train movies. See `given_split_protocol` for
    `relevance` and `k`. `with_shuffled` ranks once more for shuffled histories.
    """
    times = StageTimes()
    protocol = given_split_protocol(train, test, catalogue, config, relevance=relevance, k=k)
    show = progress or (lambda message: None)
    experiment = run_experiment(
        protocol, lambda name: nullcontext(show), times=times, with_shuffled=with_shuffled
    )
    return Benchmark(
        report=experiment.report,
        holdout=form_of(train, test),
        training=experiment.ranker.metrics,
        seconds=times.seconds,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
