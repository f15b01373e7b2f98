"""How often the Banzhaf values behind the reasons agree with exact Shapley values.

    PYTHONPATH=. python benchmarks/reasons.py --bundle FOLDER --histories FOLDER [--results 1000]

Ranks ten movies for users drawn from the published histories with a real version, and compares for every
result the sums per family by both: the family that adds most, its sign, and the codes that a client gets.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from movierank_core.bundle import read_bundle
from movierank_core.data.history_snapshot import open_histories
from movierank_core.recommender.reasons import families_of, sum_by_family

K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", required=True, type=Path, help="a bundle, or the folder of its version")
    parser.add_argument("--histories", required=True, type=Path, help="the folder of published histories")
    parser.add_argument("--results", type=int, default=1000)
    arguments = parser.parse_args()
    recommender = read_bundle(arguments.bundle)
    histories = open_histories(arguments.histories)
    families, numbers = families_of(recommender.model.features)
    trees = recommender.model.trees
    users = np.random.default_rng(1).choice(histories.user_ids(), -(-arguments.results // K))
    same_family, same_sign, same_reasons, seconds = [], [], [], {"exact": 0.0, "banzhaf": 0.0}
    for user in users.tolist():
        history = histories.history_of(user)
        assert history is not None, "a published user has a history"
        as_of = int(history.timestamps[-1]) + 1
        scored = recommender.model.score(history, as_of=as_of)
        assert scored.features is not None, "a published user has events"
        started = time.perf_counter()
        exact = sum_by_family(trees.shapley_values(scored.features[:K])[0], numbers, len(families))
        between = time.perf_counter()
        banzhaf = sum_by_family(trees.banzhaf_values(scored.features[:K]), numbers, len(families))
        seconds["exact"] += between - started
        seconds["banzhaf"] += time.perf_counter() - between
        top = np.abs(exact).argmax(axis=1)
        same_family += (np.abs(banzhaf).argmax(axis=1) == top).tolist()
        places = np.arange(len(top))
        same_sign += (np.sign(banzhaf[places, top]) == np.sign(exact[places, top])).tolist()
        three = np.argsort(-exact, axis=1)[:, :3] == np.argsort(-banzhaf, axis=1)[:, :3]
        same_reasons += three.all(axis=1).tolist()
    print(
        f"{len(top)} results a request, {len(same_family)} in all: the same top family in "
        f"{np.mean(same_family):.2%}, its sign in {np.mean(same_sign):.2%}, the same three families that "
        f"raise the score most, in order, in {np.mean(same_reasons):.2%}; "
        f"{seconds['banzhaf'] / seconds['exact']:.2f} of the time of Shapley values"
    )


if __name__ == "__main__":
    main()
