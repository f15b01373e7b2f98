"""Fusion weights: the share of each candidate source in the fused list, from its recall."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.retrieval.fusion import proposals_of
from movierank_pipeline.training.state_of_day import StateOfDay


def measure_fusion(
    states: StateOfDay,
    catalogue: Catalogue,
    requests: Iterable[tuple[History, int, NDArray[np.int64]]],
    config: ModelConfig,
) -> dict[str, float]:
    """Weight per source in [0, 1]: (recall / the highest recall of all sources) ^ `fusion_power`.

    `states` gives the state that answers each request. The recall is that of `fusion_depth` proposals.
    `requests` are (history, as_of, target rows), with targets that the sources have not
    seen. Empty histories and requests without targets are ignored. At most `fusion_requests` requests are
    used, spread evenly. Without a usable request, or where all recalls are 0, each weight is 1.
    """
    recalls: dict[str, list[float]] = {}
    usable = [each for each in requests if len(each[0]) and len(each[2])]
    for history, as_of, targets in usable[:: -(-len(usable) // config.fusion_requests) or 1]:
        state = states.at(as_of)
        query = state.query(history, catalogue, as_of)
        eligible = state.eligible(query, catalogue)
        for name, source in state.sources.items():
            proposed = proposals_of(source, source.scores(query), eligible, config.fusion_depth)
            recalls.setdefault(name, []).append(float(np.isin(targets, proposed).mean()))
    means = {name: float(np.mean(recalls.get(name, [0.0]))) for name in states.sources}
    best = max(means.values())
    if best <= 0:
        return dict.fromkeys(means, 1.0)
    return {name: (mean / best) ** config.fusion_power for name, mean in means.items()}
