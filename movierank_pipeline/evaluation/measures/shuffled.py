"""The drop with shuffled histories: how much of the ranker's quality comes from the order of events.

The test of Woolridge et al. 2021 and Klenitskiy et al. 2024 for sequential patterns: the same model answers
the same requests once more, with the order of each history permuted. Events of the same second have no true
order, only one of appearance; shuffling within each second alone shows what that one contributes.
"""

from collections.abc import Iterator

import numpy as np

from movierank_core.data.history import History
from movierank_pipeline.evaluation.answers import Answers
from movierank_pipeline.evaluation.compare import MAIN, RECALL, paired_differences, system_intervals
from movierank_pipeline.evaluation.evaluate import values_of
from movierank_pipeline.evaluation.protocols.protocol import Measures
from movierank_pipeline.evaluation.report import Variant
from movierank_pipeline.training.requests import Request

SHUFFLED = "shuffled"


def shuffled_history(history: History, rng: np.random.Generator, *, within_ties: bool = False) -> History:
    """The same events at permuted times: movies keep their ratings, the times keep their order.

    With `within_ties`, only events with equal times change places.
    """
    order = rng.permutation(len(history))
    if within_ties:
        order = order[np.argsort(history.timestamps[order], kind="stable")]
    return History(
        history.movie_ids[order], history.ratings[order], history.timestamps, history.event_codes[order]
    )


def shuffled_requests(
    requests: Iterator[Request], seed: int, *, within_ties: bool = False
) -> Iterator[Request]:
    """`requests` with shuffled histories (see `shuffled_history`), and nothing else changed."""
    rng = np.random.default_rng(seed)
    for request in requests:
        history = shuffled_history(request.history, rng, within_ties=within_ties)
        yield request._replace(history=history)


def order_drop(answers: Answers, shuffled: Answers, measures: Measures, seed: int) -> Variant:
    """The figures on shuffled histories, and what order adds: the ranker less these, paired by user.

    `answers` and `shuffled` are the main system's answers to the same requests.
    """
    values = {
        MAIN: values_of(answers, measures)[MAIN],
        SHUFFLED: values_of(shuffled, measures)[MAIN],
    }
    metrics = [f"ndcg@{measures.k}", RECALL]
    differences = paired_differences(values, answers.user_ids, seed, metrics=metrics)
    return Variant(
        metrics=system_intervals({SHUFFLED: values[SHUFFLED]}, answers.user_ids, seed)[SHUFFLED],
        differences={metric: differences[metric][SHUFFLED] for metric in metrics},
    )
