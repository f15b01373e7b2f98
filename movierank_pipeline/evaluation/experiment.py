"""One training with its evaluation, the same steps for every protocol.

Requests and states give training rows, these give a ranker, and the ranker on the test state answers the test
requests. The protocol decides only how events are hidden: see `movierank_pipeline.evaluation.protocols`. The
asset graph calls the same functions, one per asset.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import msgspec

from movierank_core.config import ModelConfig
from movierank_core.recommender.model import RankingModel
from movierank_pipeline.evaluation.answers import Answers, answer
from movierank_pipeline.evaluation.evaluate import report_of
from movierank_pipeline.evaluation.measures.shuffled import order_drop, shuffled_requests
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, Progress, Protocol
from movierank_pipeline.evaluation.report import Report, Variant
from movierank_pipeline.training.requests import Request
from movierank_pipeline.training.stage_times import StageTimes
from movierank_pipeline.training.state_cache import FittedStates
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import FIT, TrainingSet, training_rows
from movierank_pipeline.training.tuning import tune_ranker

Stage = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""Opens a named stage and gives the function that shows its progress."""

TRAIN = "train the ranker"
RANK = "rank"
SHUFFLE = "rank shuffled histories"


@dataclass(frozen=True)
class Experiment:
    """A trained ranker and its evaluation."""

    rows: TrainingSet
    ranker: TrainedRanker
    holdout: HoldOut
    answers: Answers
    report: Report


def run_experiment(
    protocol: Protocol,
    stage: Stage,
    *,
    tune_seconds: float = 0,
    without: tuple[str, ...] = (),
    states: FittedStates | None = None,
    times: StageTimes | None = None,
    with_shuffled: bool = True,
) -> Experiment:
    """Trains and evaluates a ranker by `protocol`, without the parts `without`.

    `with_shuffled` answers all requests again with shuffled histories (see `order_drops`). `states` caches
    the fitted states of training rows. `times` collects the seconds of each stage. Raises DataError where the
    data are too few.
    """
    times = times or StageTimes()
    config = protocol.config
    with stage("training rows") as progress:
        rows = rows_of(protocol, progress, without=without, states=states, times=times)
    with stage("ranker") as progress:
        ranker = tune_ranker(rows, config, tune_seconds, progress, without=without)
    times.lap(TRAIN)
    with stage("state") as progress:
        holdout = protocol.holdout(progress)
    times.lap(FIT)
    with stage("evaluation") as progress:
        model = model_on(holdout, ranker)
        answers = answers_to(holdout, model, config, progress)
        times.lap(RANK)
        report = report_of(holdout, model, answers, config, without)
    if with_shuffled:
        with stage("shuffled histories") as progress:
            drops = order_drops(holdout, model, answers, config, progress)
            report = msgspec.structs.replace(report, **drops)
        times.lap(SHUFFLE)
    return Experiment(rows, ranker, holdout, answers, report)


def order_drops(
    holdout: HoldOut, model: RankingModel, answers: Answers, config: ModelConfig, progress: Progress = None
) -> dict[str, Variant]:
    """The fields `shuffled` and `shuffled_ties` of the report on `answers`."""
    found = {}
    for name, within_ties in (("shuffled", False), ("shuffled_ties", True)):
        requests = shuffled_requests(holdout.replay(), config.seed, within_ties=within_ties)
        shuffled = answers_to(holdout, model, config, progress, only_main=True, requests=requests)
        found[name] = order_drop(answers, shuffled, holdout.measures, config.seed)
    return found


def rows_of(
    protocol: Protocol,
    progress: Progress = None,
    *,
    without: tuple[str, ...] = (),
    states: FittedStates | None = None,
    times: StageTimes | None = None,
) -> TrainingSet:
    """The training rows of `protocol`."""
    return training_rows(
        protocol.episodes(),
        protocol.catalogue,
        protocol.config,
        progress,
        without=without,
        states=states,
        times=times,
    )


def model_on(holdout: HoldOut, ranker: TrainedRanker) -> RankingModel:
    """The ranker on the test state."""
    return ranker.on(holdout.catalogue, holdout.state)


def answers_to(
    holdout: HoldOut,
    model: RankingModel,
    config: ModelConfig,
    progress: Progress = None,
    *,
    only_main: bool = False,
    requests: Iterable[Request] | None = None,
) -> Answers:
    """The answers of `model` and, unless `only_main`, of the baselines to the test requests.

    `requests` are other versions of these requests, with the same episodes and targets.
    """
    return answer(
        model,
        holdout.replay() if requests is None else requests,
        seed=config.seed,
        only_main=only_main,
        with_fused=not holdout.measures.is_brief,
        pool=holdout.pool,
        facts=holdout.facts,
        refits=holdout.refits,
        target_facts=holdout.target_facts,
        k=holdout.measures.k,
        progress=progress,
    )
