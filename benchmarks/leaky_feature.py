"""A warning: how much two common leaks promise, and how little they keep. Not part of the product.

    .venv/bin/python benchmarks/leaky_feature.py --data-dir DIR [--tmdb-file FILE] [--json OUT.json]

The same ranker is trained on the same requests of the temporal protocol with `--facts origin`
(docs/protocols.md) four times:

- `honest`: as the product does. Sources and movie states of a training row are fitted before its origin;
- `movie averages`: a movie's number of events, mean rating, share of likes and their spread are those of the
  whole training period, as `ratings.group_by("movie_id")` gives them. They include each row's label;
- `in-sample sources`: the candidate sources are fitted once, on the whole training period. They have
  seen the labels that each row asks them to predict;
- `both`.

Each ranker is evaluated twice on the same requests after T. `in truth`: on the state before T, as it would
serve. `as it looks`: with the same leak in the test, so that averages or sources are fitted on all events,
the targets included. No service can reach that figure.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.movie_state import MovieState
from movierank_core.paths import Paths
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.evaluation.compare import (
    HEADLINE,
    MAIN,
    RECALL,
    paired_differences,
    system_intervals,
)
from movierank_pipeline.evaluation.evaluate import values_of
from movierank_pipeline.evaluation.experiment import answers_to, model_on
from movierank_pipeline.evaluation.interval_text import interval_text
from movierank_pipeline.evaluation.protocols.protocol import HoldOut
from movierank_pipeline.evaluation.protocols.temporal import temporal_holdout
from movierank_pipeline.evaluation.run import read_events
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import FactsMode, plan_requests
from movierank_pipeline.training.state_cache import FittedStates
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import build_training_set

AVERAGES: Final = ("n_events", "mean_rating", "like_share", "rating_std")
"""The movie aggregates that one `group_by` over all ratings gives."""
FACTS: Final[FactsMode] = "origin"
"""Facts of the day would replace the leaking averages of a state."""
TRUTH, LOOKS = "in truth", "as it looks"

Leak = Callable[[RankingState, RankingState], RankingState]
"""From the allowed state, and one fitted on later events, to the state that is used."""
Progress = Callable[[str], None]


def leak_averages(honest: RankingState, later: RankingState) -> RankingState:
    arrays = {**honest.movies.arrays(), **{name: later.movies.arrays()[name] for name in AVERAGES}}
    return replace(honest, movies=MovieState.from_arrays(arrays))


def leak_sources(honest: RankingState, later: RankingState) -> RankingState:
    return replace(honest, sources=later.sources)


LEAKS: Final[dict[str, Leak]] = {
    "honest": lambda honest, later: honest,
    "movie averages": leak_averages,
    "in-sample sources": leak_sources,
    "both": lambda honest, later: leak_averages(leak_sources(honest, later), later),
}


class LeakingStates(FittedStates):
    """The states of training rows, each with a leak."""

    def __init__(self, folder: Path, leak: Leak, later: RankingState) -> None:
        super().__init__(folder)
        self._leak, self._later = leak, later

    def get(self, name: str, fit: Callable[[], RankingState]) -> RankingState:
        return self._leak(super().get(name, fit), self._later)


def measure(
    data: InteractionArrays, catalogue: Catalogue, config: ModelConfig, progress: Progress
) -> dict[str, Any]:
    """The figures of each leak: `training` on validation requests, `in truth` and `as it looks` on the
    test."""
    holdout = temporal_holdout(data, catalogue, config, facts=FACTS)
    requests = plan_requests(data, catalogue, config, FACTS)
    before_split, whole = holdout.state, fit_state(data, catalogue, int(data.timestamps.max()) + 1, config)
    user_ids = holdout.requests["user_id"].to_numpy()
    values: dict[str, dict[str, NDArray[np.float64]]] = {}
    validation: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, leak in LEAKS.items():
            progress(f"{name}: training")
            states = LeakingStates(Path(folder), leak, before_split)
            rows = build_training_set(data, requests, catalogue, config, states=states, facts=FACTS)
            ranker = train_ranker(rows, config)
            validation[name] = ranker.metrics["validation_ndcg@10"]
            progress(f"{name}: answering the test requests")
            values[f"{name}, {TRUTH}"] = values_on(holdout, ranker, config)
            if name != "honest":
                careless = replace(holdout, state=leak(holdout.state, whole))
                values[f"{name}, {LOOKS}"] = values_on(careless, ranker, config)
    values = {MAIN: values.pop(f"honest, {TRUTH}"), **values}
    intervals = system_intervals(values, user_ids, config.seed)
    differences = paired_differences(values, user_ids, config.seed)

    def figures(system: str) -> dict[str, Any] | None:
        """Figures of one ranker; `lead` is this ranker minus the honest one, paired by user."""
        if system not in values:
            return None
        found = {metric: msgspec.to_builtins(intervals[system][metric]) for metric in (HEADLINE, RECALL)}
        if system != MAIN:
            for metric in (HEADLINE, RECALL):
                behind = differences[metric][system]
                lead = Interval(-behind.mean, -behind.high, -behind.low)
                found[f"{metric} lead"] = msgspec.to_builtins(lead)
        return found

    return {
        "n_requests": len(user_ids),
        "n_users": len(np.unique(user_ids)),
        "leaks": {
            name: {
                "training": {"validation_ndcg@10": validation[name]},
                TRUTH: figures(MAIN if name == "honest" else f"{name}, {TRUTH}"),
                LOOKS: figures(f"{name}, {LOOKS}"),
            }
            for name in LEAKS
        },
    }


def values_on(holdout: HoldOut, ranker: TrainedRanker, config: ModelConfig) -> dict[str, NDArray[np.float64]]:
    """Per metric one value per request."""
    return values_of(answers_to(holdout, model_on(holdout, ranker), config, only_main=True))[MAIN]


def table(report: dict[str, Any]) -> str:
    """Markdown."""

    def cell(part: dict[str, Any] | None, key: str, *, signed: bool = False) -> str:
        found = None if part is None else part.get(key)
        return interval_text(found, digits=3, signed=signed)

    lines = [
        f"| training rows | validation | {LOOKS} | {TRUTH} | {TRUTH}, minus honest |",
        "|---|---|---|---|---|",
    ]
    for name, parts in report["leaks"].items():
        cells = [
            f"{parts['training']['validation_ndcg@10']:.3f}",
            cell(parts[LOOKS], HEADLINE),
            cell(parts[TRUTH], HEADLINE),
            cell(parts[TRUTH], f"{HEADLINE} lead", signed=True),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, help="a folder with the files of any MovieLens edition")
    parser.add_argument("--tmdb-file", help="a TMDB metadata file")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args(arguments)
    settings = Settings.from_environment(given={"data_dir": given.data_dir, "tmdb_file": given.tmdb_file})
    interactions, catalogue = read_events(settings, Paths.from_environment(), print)
    data = InteractionArrays.from_frame(interactions, catalogue)
    report = measure(data, catalogue, settings.model_parameters, lambda message: print(message, flush=True))
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(table(report))


if __name__ == "__main__":
    main()
