"""A search for better parameters of the ranker, for as long as it may take.

A trial is a whole training, judged by its nDCG@10 on the validation requests, which lie inside the training
period; no test request is looked at. The first trial has the parameters that are configured, and they stay
unless another trial is better. The best of many trials looks better on the validation requests than it is,
the more so the fewer these are; whether it may serve is for the gate, on other requests.
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
from movierank_pipeline.training.ranker import TrainedRanker, Trial, train_ranker
from movierank_pipeline.training.training_set import TrainingSet

if TYPE_CHECKING:
    import optuna

Progress = Callable[[str], None] | None

MAX_TRIALS: Final = 200
"""More would fit the noise of the validation requests."""
RANDOM_TRIALS: Final = 8
"""Trials before the sampler goes by the earlier ones, and before any is ended early."""
METRIC: Final = "validation_ndcg@10"


class Bounds(NamedTuple):
    """What a parameter may be, both ends included; a configured value outside widens them."""

    low: int | float
    high: int | float
    is_log: bool
    """Whether steps are factors."""


SEARCHED: Final[dict[str, Bounds]] = {
    "learning_rate": Bounds(0.02, 0.15, True),
    "n_leaves": Bounds(7, 31, False),
    "min_rows_per_leaf": Bounds(50, 2000, True),
    "feature_fraction": Bounds(0.2, 0.8, False),
    "ranker_l2": Bounds(0.5, 100.0, True),
}
"""Fields of `ModelConfig`. What a request costs grows with the number of trees, which is not searched, and
with their leaves: with 31 instead of 15, scoring takes as long, and the reasons for 25 movies 5 ms instead
of 2.5."""


def tune_ranker(
    training_set: TrainingSet,
    config: ModelConfig,
    seconds: float,
    progress: Progress = None,
    *,
    without: tuple[str, ...] = (),
    max_trials: int = MAX_TRIALS,
) -> TrainedRanker:
    """The best ranker that is found within `seconds`; with 0, the one of `config`, without a search.

    A trial that is under way when the time is up is finished. How many there are depends on the machine;
    what the n-th is, on the rows and `config` alone, whose seed is the search's too. Trials are drawn by
    TPE (Bergstra et al. 2011). One whose first model is below the median of the earlier ones' is ended
    there, which saves half its time. Raises DataError where there are too few requests.
    """
    if seconds <= 0:
        return train_ranker(training_set, config, progress, without=without)
    deadline = time.monotonic() + seconds
    attempt = partial(_attempt, training_set, without=without)
    best, first = attempt(config, _numbered(progress, 1))
    if best is None or math.isnan(best.metrics[METRIC]):
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
            is_hopeless=partial(_is_hopeless, draw),
        )
        trials.append(trial)
        _tell(study, draw, trial)
        if ranker is not None and ranker.metrics[METRIC] > best.metrics[METRIC]:
            best = replace(ranker, chosen=dict(draw.params))
    figures = {"n_trials": float(len(trials)), f"configured_{METRIC}": configured_ndcg}
    return replace(best, trials=tuple(trials), metrics={**best.metrics, **figures})


class _HopelessError(Exception):
    """The trial is not worth its second half."""


def _attempt(
    training_set: TrainingSet,
    config: ModelConfig,
    say: Progress,
    *,
    without: tuple[str, ...],
    is_hopeless: Callable[[float], bool] = lambda ndcg: False,
) -> tuple[TrainedRanker | None, Trial]:
    """One training; without its ranker where `is_hopeless` says so of its first model's nDCG@10."""
    began = time.monotonic()
    firsts: list[float] = []

    def judge(number: int, ndcg: float) -> None:
        firsts.append(ndcg)
        if number == 0 and is_hopeless(ndcg):
            raise _HopelessError

    try:
        ranker = train_ranker(training_set, config, say, without=without, after_model=judge)
    except _HopelessError:
        ranker = None
    trial = Trial(
        parameters={name: getattr(config, name) for name in SEARCHED},
        ndcg=None if ranker is None else ranker.metrics[METRIC],
        first_ndcg=firsts[0],
        seconds=time.monotonic() - began,
    )
    if say is not None:
        say("ended early" if trial.ndcg is None else f"validation nDCG@10 {trial.ndcg:.4f}")
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
    """A search that knows its first trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS),
    )
    study.add_trial(
        optuna.trial.create_trial(
            params=first.parameters,
            distributions=distributions,
            value=first.ndcg,
            intermediate_values={0: first.first_ndcg},
        )
    )
    return study


def _is_hopeless(draw: "optuna.Trial", ndcg: float) -> bool:
    draw.report(ndcg, step=0)
    return draw.should_prune()


def _tell(study: "optuna.Study", draw: "optuna.Trial", trial: Trial) -> None:
    import optuna

    if trial.ndcg is None:
        study.tell(draw, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(draw, trial.ndcg)
