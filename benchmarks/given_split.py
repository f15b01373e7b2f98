"""Splits of a MovieLens folder and the two protocols of docs/evaluation.md, through `movierank benchmark`.

    PYTHONPATH=. python benchmarks/given_split.py --data-dir DIR [--seeds 1,2,3] [--json OUT.json]

Per seed: 75/25 at random within each movie, with every test row relevant; and leave-the-last-one-out, where
only training depends on the seed. `last-reversed` hides the first instead of the last event of each user's
last second; both together are the band that equal timestamps leave open. Each run is a process of its own,
so peak memory is that of one run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from movierank_pipeline.evaluation.interval_text import interval_text
from movierank_pipeline.evaluation.protocols.split import Split, split_at_random, split_last
from movierank_pipeline.ingest.movielens.reader import read_dataset

PROGRAM = Path(sys.executable).with_name("movierank")
FIGURES = ("ndcg@10", "recall@10", "recall@100", "map@10", "mrr", "coverage@10")

TIES_AND_ORDER = ("tied", "nDCG@10 tied", "untied", "contribution of order")


def write(ratings: pl.DataFrame, path: Path) -> None:
    """MovieLens columns, timestamps in seconds."""
    ratings.select(
        pl.col("user_id").alias("userId"),
        pl.col("movie_id").alias("movieId"),
        "rating",
        pl.col("timestamp").dt.epoch("s"),
    ).write_csv(path)


def measure(split: Split, movies: Path, seed: int) -> dict[str, Any]:
    """The report of `movierank benchmark` on a split."""
    with tempfile.TemporaryDirectory() as folder:
        train, test, out = (Path(folder) / name for name in ("train.csv", "test.csv", "out.json"))
        write(split.train, train)
        write(split.test, test)
        command = [PROGRAM, "benchmark", "--train", train, "--test", test, "--json", out]
        options = ["--movies", movies, "--relevance", "all", "--k", "10", "--seed", str(seed), "--shuffled"]
        subprocess.run([str(part) for part in (*command, *options)], check=True, stdout=subprocess.DEVNULL)
        report: dict[str, Any] = json.loads(out.read_text("utf-8"))
        return report


def row(name: str, report: dict[str, Any]) -> str:
    """One row of the table: the ranker, its best source, and their difference with its interval."""
    systems = report["systems"]
    sources = [system for system in systems if system not in ("movierank", "random")]
    best = max(sources, key=lambda system: systems[system]["ndcg@10"])
    lead = report["differences"]["ndcg@10"][best]
    cells = [
        *(f"{systems['movierank'][figure]:.3f}" for figure in FIGURES),
        f"{best} {systems[best]['ndcg@10']:.3f}",
        interval_text(lead, signed=True),
        *ties_and_order(report),
        f"{report['seconds']['fit'] + report['seconds']['rank']:.0f}",
        f"{report['peak_memory_mb']:.0f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def ties_and_order(report: dict[str, Any]) -> list[str]:
    """The share of tied targets, nDCG@10 of both parts, and what the order of histories contributes."""
    ties = report["ties"]
    parts = (ties["parts"].get(part) for part in ("tied", "untied"))
    figures = (part and part["systems"]["movierank"]["ndcg@10"] for part in parts)
    order = report["shuffled"]["differences"]["ndcg@10"]
    return [
        f"{ties['tied_share']:.1%}",
        *(interval_text(figure, digits=3) for figure in figures),
        interval_text(order, digits=3, signed=True),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", required=True, type=Path, help="a folder with the files of MovieLens")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--splits", default="random,last", help="of random, last, last-reversed")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    ratings = read_dataset(arguments.data_dir).ratings
    makers = {
        "random": lambda seed: split_at_random(ratings, 0.25, np.random.default_rng(seed), by="movie_id"),
        "last": lambda seed: split_last(ratings),
        "last-reversed": lambda seed: split_last(ratings, ties_reversed=True),
    }
    titles = ("split, seed", *FIGURES, "best source", "nDCG@10 less its", *TIES_AND_ORDER, "s", "MB")
    print(f"| {' | '.join(titles)} |")
    print(f"|{'---|' * len(titles)}")
    reports = {}
    for kind in arguments.splits.split(","):
        for seed in map(int, arguments.seeds.split(",")):
            report = measure(makers[kind](seed), arguments.data_dir / "movies.csv", seed)
            reports[f"{kind}, {seed}"] = report
            print(row(f"{kind}, {seed}", report), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(reports, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
