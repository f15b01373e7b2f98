"""A search for better parameters of the ranker within a time budget.

A trial is a complete training. Its score is nDCG@10 on the validation requests, which lie inside the training
period; no test request is read. The first trial has the configured parameters, and they stay unless another
trial scores higher. The best of many trials looks better on validation requests than it is, most of all where
these are few. The gate decides on other requests whether the ranker may serve.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from movierank_core.config import ModelConfig
from movierank_core.errors import DataError
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.trained_ranker import TrainedRanker, Trial
from movierank_pipeline.training.training_set import TrainingSet

if TYPE_CHECKING:
    import optuna

Progress = Callable[[str], None] | None

MAX_TRIALS: Final = 200
"""Maximum number of trials. More would fit the noise of the validation requests."""
RANDOM_TRIALS: Final = 8
"""Number of random trials before the sampler models earlier trials."""
METRIC: Final = "validation_ndcg@10"


class Bounds(NamedTuple):
    """Inclusive bounds of a parameter. A configured value outside widens them."""

    low: int | float
    high: int | float
    is_log: bool
    """Whether the parameter is sampled on a log scale."""


SEARCHED: Final[dict[str, Bounds]] = {
    "learning_rate": Bounds(0.02, 0.15, True),
    "n_leaves": Bounds(7, 31, False),
    "min_rows_per_leaf": Bounds(50, 2000, True),
    "feature_fraction": Bounds(0.2, 0.8, False),
    "ranker_l2": Bounds(0.5, 100.0, True),
}
"""The searched fields of `ModelConfig`. The number of trees is not searched, because the cost of a request
grows with it. The cost of attributing scores to features grows with the number of leaves, which is bounded
here."""


def tune_ranker(
    training_set: TrainingSet,
    config: ModelConfig,
    seconds: float,
    progress: Progress = None,
    *,
    without: tuple[str, ...] = (),
    max_trials: int = MAX_TRIALS,
) -> TrainedRanker:
    """The best ranker found within `seconds`; with 0, the ranker of `config`, without a search.

    A running trial is finished when the time is up. The number of trials depends on the machine. The n-th
    trial depends on the rows and on `config` alone, whose seed also seeds the search. Trials are drawn by TPE
    (Bergstra et al. 2011). Raises DataError where there are too few requests.
    """
    if seconds <= 0:
        return train_ranker(training_set, config, progress, without=without)
    deadline = time.monotonic() + seconds
    attempt = partial(_attempt, training_set, without=without)
    best, first = attempt(config, _numbered(progress, 1))
    if math.isnan(best.metrics[METRIC]):
        raise DataError(
            "There are no validation requests to tune by",
            remedy="use a larger data set, or switch tuning off with MOVIERANK_TUNE_SECONDS=0",
        )
    configured_ndcg = best.metrics[METRIC]
    trials = [first]
    distributions = {name: _distribution(name, config) for name in SEARCHED}
    study = _study(config.seed, first, distributions)
    while len(trials) < max_trials and time.monotonic() < deadline:
        draw = study.ask(distributions)
        ranker, trial = attempt(
            msgspec.structs.replace(config, **draw.params),
            _numbered(progress, len(trials) + 1),
        )
        trials.append(trial)
        study.tell(draw, trial.ndcg)
        if ranker.metrics[METRIC] > best.metrics[METRIC]:
            best = replace(ranker, chosen=dict(draw.params))
    figures = {"n_trials": float(len(trials)), f"configured_{METRIC}": configured_ndcg}
    return replace(best, trials=tuple(trials), metrics={**best.metrics, **figures})


def _attempt(
    training_set: TrainingSet, config: ModelConfig, progress: Progress, *, without: tuple[str, ...]
) -> tuple[TrainedRanker, Trial]:
    """One training."""
    began = time.monotonic()
    ranker = train_ranker(training_set, config, progress, without=without)
    trial = Trial(
        parameters={name: getattr(config, name) for name in SEARCHED},
        ndcg=ranker.metrics[METRIC],
        seconds=time.monotonic() - began,
    )
    if progress is not None:
        progress(f"validation nDCG@10 {trial.ndcg:.4f}")
    return ranker, trial


def _numbered(progress: Progress, number: int) -> Progress:
    return None if progress is None else lambda message: progress(f"trial {number}: {message}")


def _distribution(name: str, config: ModelConfig) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    (low, high, is_log), given = SEARCHED[name], getattr(config, name)
    kind = IntDistribution if isinstance(given, int) else FloatDistribution
    return kind(min(low, given), max(high, given), log=is_log)


def _study(
    seed: int, first: Trial, distributions: "dict[str, optuna.distributions.BaseDistribution]"
) -> "optuna.Study":
    """A search whose first trial is `first`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS),
    )
    study.add_trial(
        optuna.trial.create_trial(params=first.parameters, distributions=distributions, value=first.ndcg)
    )
    return study
