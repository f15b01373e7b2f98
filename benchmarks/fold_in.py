"""Compares folding in a like with refitting everything on it.

    PYTHONPATH=. python benchmarks/fold_in.py --data-dir DIR [--tmdb-file FILE] [--likes 20] [--json OUT.json]

For users whose last event before T is a like, one state is fitted on the events before T without that like,
and one with it. The service answers from the first state with the like in the history (fold-in). A full refit
answers from the second state. The measures are Spearman's correlation of the first hundred ranks of the refit
with the ranks of the same movies in the folded-in answer, and the overlap of the first hundred and first ten.
The answer without the like is the baseline. All answers use the same trees, since retrained trees would add
random differences.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.paths import Paths
from movierank_core.recommender.state import fit_state
from movierank_pipeline.evaluation.run import read_events
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests, split_time
from movierank_pipeline.training.training_set import build_training_set

DEPTH: Final = 100
ANSWERS: Final = ("with the like folded in", "without the like")


def last_likes(data: InteractionArrays, split: int) -> NDArray[np.int64]:
    """Event indices in `data` of the likes that are the last event of their user before `split`."""
    before = np.flatnonzero(data.timestamps < split)
    is_last = np.append(data.users[before[1:]] != data.users[before[:-1]], True)
    last = before[is_last]
    return last[data.is_like[last]]


def rank_correlation(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> float:
    """Spearman's correlation of the ranks in `theirs` with the ranks of the same rows in `ours`.

    Rows that are not in `ours` rank after all of it, in the order of `theirs`, which is the most favourable
    choice. They are rare, since `ours` holds all ranked candidates.
    """
    rank_of = {row: rank for rank, row in enumerate(ours.tolist())}
    ranks = [rank_of.get(row, len(ours) + rank) for rank, row in enumerate(theirs.tolist())]
    return float(np.corrcoef(np.argsort(np.argsort(ranks)), np.arange(len(ranks)))[0, 1])


def measure(
    data: InteractionArrays, catalogue: Catalogue, config: ModelConfig, n_likes: int
) -> dict[str, Any]:
    split = split_time(data, config)
    requests = plan_requests(data, catalogue, config)
    ranker = train_ranker(build_training_set(data, requests, catalogue, config), config)
    refitted = ranker.on(catalogue, fit_state(data, catalogue, split, config))
    likes = last_likes(data, split)
    chosen = np.random.default_rng(config.seed).permutation(likes)[:n_likes]
    found: dict[str, dict[str, list[float]]] = {
        name: {"correlation": [], "both@100": [], "both@10": []} for name in ANSWERS
    }
    for index, event in enumerate(chosen.tolist()):
        print(f"like {index + 1} of {len(chosen)}", flush=True)
        is_kept = np.ones(len(data), np.bool_)
        is_kept[event] = False
        without = data.select(is_kept)
        model = ranker.on(catalogue, fit_state(without, catalogue, split, config))
        user = int(data.users[event])
        history = data.history(user, split)
        before = history.take(history.movie_ids != data.movie_ids[event])
        theirs = refitted.score(history, as_of=split).rows
        # A seen movie is never listed, so it is removed from the answer whose history lacks it.
        liked = catalogue.row_of(int(data.movie_ids[event]))
        answers = {
            ANSWERS[0]: model.score(history, as_of=split).rows,
            ANSWERS[1]: (rows := model.score(before, as_of=split).rows)[rows != liked],
        }
        for name, ours in answers.items():
            measures = found[name]
            measures["correlation"].append(rank_correlation(ours, theirs[:DEPTH]))
            for depth in (DEPTH, 10):
                measures[f"both@{depth}"].append(len(set(ours[:depth]) & set(theirs[:depth])) / depth)
    return {
        "n_likes": len(chosen),
        "answers": {
            name: {
                measure: {
                    "median": float(np.median(values)),
                    "mean": float(np.mean(values)),
                    "least": float(np.min(values)),
                }
                for measure, values in measures.items()
            }
            for name, measures in found.items()
        },
    }


def table(report: dict[str, Any]) -> str:
    """Markdown: medians, with the minimum in brackets."""
    lines = [
        "| compared with a full refit | rank correlation of its first 100 | overlap of 100 | overlap of 10 |",
        "|---|---|---|---|",
    ]
    for name, measures in report["answers"].items():
        cells = [f"{values['median']:.3f} ({values['least']:.3f})" for values in measures.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Medians over {report['n_likes']} likes, the minimum in brackets."])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data-dir", required=True, help="a folder with the files of any MovieLens edition")
    parser.add_argument("--tmdb-file", help="a TMDB metadata file")
    parser.add_argument("--likes", type=int, default=20, help="number of likes; each needs one fit")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args(arguments)
    settings = Settings.from_environment(given={"data_dir": given.data_dir, "tmdb_file": given.tmdb_file})
    interactions, catalogue = read_events(settings, Paths.from_environment(), print)
    data = InteractionArrays.from_frame(interactions, catalogue)
    report = measure(data, catalogue, settings.model_parameters, given.likes)
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(table(report))


if __name__ == "__main__":
    main()
