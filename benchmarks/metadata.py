"""How much TMDB's facts contribute to the ranker: no facts, facts, and facts with today's votes.

    PYTHONPATH=. python benchmarks/metadata.py --data-dir DIR --tmdb-file FILE [--json OUT.json]

The temporal protocol three times, with the same requests and seed. The votes are those of the day
of retrieval, years after most requests. Part of their gain is leakage from the future, so they are off by
default (docs/features.md).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.paths import Paths
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
from movierank_pipeline.evaluation.protocols.temporal import temporal_holdout
from movierank_pipeline.evaluation.run import read_events
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.training_set import build_training_set

SNAPSHOTS = "facts and votes"
NONE = "no facts"


def measure(
    interactions: pl.DataFrame, catalogue: Catalogue, config: ModelConfig, *, with_snapshots: bool
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """One value per request, by metric, by ranker: `movierank`, and with `with_snapshots` one that reads
    votes."""
    data = InteractionArrays.from_frame(interactions, catalogue)
    rows = build_training_set(data, plan_requests(data, catalogue, config), catalogue, config)
    holdout = temporal_holdout(data, catalogue, config)
    rankers = {MAIN: train_ranker(rows, config)}
    if with_snapshots:
        rankers[SNAPSHOTS] = train_ranker(rows, config, off_by_default=())
    return {
        name: values_of(answers_to(holdout, model_on(holdout, ranker), config, only_main=True))[MAIN]
        for name, ranker in rankers.items()
    } | {"users": {"user_id": holdout.requests["user_id"].to_numpy()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data-dir", required=True, help="a folder with the files of any MovieLens edition")
    parser.add_argument("--tmdb-file", required=True, help="a TMDB metadata file")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    paths = Paths.from_environment()
    values: dict[str, dict[str, NDArray[np.float64]]] = {}
    for tmdb_file in (given.tmdb_file, None):
        settings = Settings.from_environment(given={"data_dir": given.data_dir, "tmdb_file": tmdb_file})
        config = settings.model_parameters
        found = measure(*read_events(settings, paths, print), config, with_snapshots=tmdb_file is not None)
        user_ids = found.pop("users")["user_id"]
        if tmdb_file is None:
            found = {NONE: found[MAIN]}
        values |= found
    intervals = system_intervals(values, user_ids, config.seed)
    differences = paired_differences(values, user_ids, config.seed)
    report: dict[str, Any] = {
        system: {metric: msgspec.to_builtins(intervals[system][metric]) for metric in (HEADLINE, RECALL)}
        | {
            f"{metric}, facts less this": msgspec.to_builtins(differences[metric][system])
            for metric in (HEADLINE, RECALL)
            if system != MAIN
        }
        for system in (NONE, MAIN, SNAPSHOTS)
    }
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(f"| metadata | {HEADLINE} | {RECALL} | facts less this, {HEADLINE} |\n|---|---|---|---|")
    for system, figures in report.items():
        difference = figures.get(f"{HEADLINE}, facts less this")
        cells = [interval_text(figures[metric], digits=3) for metric in (HEADLINE, RECALL)]
        cells.append(interval_text(difference, digits=3, signed=True))
        print(f"| {'facts' if system == MAIN else system} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
