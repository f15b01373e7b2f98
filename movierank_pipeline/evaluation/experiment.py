"""One training with its evaluation, the same steps for every protocol.

Requests and states give training rows, these give a ranker, and the ranker on the test state answers the test
requests. The protocol decides only how events are hidden: see `movierank_pipeline.evaluation.protocols`. The
asset graph calls the same functions, one per asset.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from movierank_core.config import ModelConfig
from movierank_core.recommender.model import RankingModel
from movierank_pipeline.evaluation.answers import TOP, Answers, answer
from movierank_pipeline.evaluation.evaluate import report_of
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, Progress, Protocol
from movierank_pipeline.evaluation.report import Report
from movierank_pipeline.training.stage_times import StageTimes
from movierank_pipeline.training.state_cache import FittedStates
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import FIT, TrainingSet, training_rows
from movierank_pipeline.training.tuning import tune_ranker

Stage = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""Opens a named stage and gives the function that shows its progress."""

TRAIN = "train the ranker"
RANK = "rank"


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
) -> Experiment:
    """Trains and evaluates a ranker by `protocol`, without the parts `without`.

    `states` caches the fitted states of training rows. `times` collects the seconds of each stage. Raises
    DataError where the data are too few.
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
    return Experiment(rows, ranker, holdout, answers, report)


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
) -> Answers:
    """The answers of `model` and, unless `only_main`, of the baselines to the test requests."""
    return answer(
        model,
        holdout.replay(),
        seed=config.seed,
        only_main=only_main,
        with_fused=not holdout.measures.is_brief,
        pool=holdout.pool,
        facts=holdout.facts,
        n_top=max(TOP, holdout.measures.k),
        progress=progress,
    )
