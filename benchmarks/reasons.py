"""Time of the Shapley values behind the reasons, and their agreement with LightGBM's TreeSHAP.

    PYTHONPATH=. python benchmarks/reasons.py --bundle FOLDER --histories FOLDER [--results 1000]

Ranks 25 movies for users drawn from the published histories with a real version. For every result it compares
the contributions by feature and the three families that raise the score most with `pred_contrib`, which
LightGBM computes in double precision.
"""

import argparse
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np

from movierank_core.bundle import read_bundle
from movierank_core.data.history_snapshot import open_histories
from movierank_core.manifest import RANKER
from movierank_core.recommender.reasons import families_of, sum_by_family

K = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", required=True, type=Path, help="a bundle")
    parser.add_argument("--histories", required=True, type=Path, help="the folder of published histories")
    parser.add_argument("--results", type=int, default=1000)
    arguments = parser.parse_args()
    recommender = read_bundle(arguments.bundle)
    histories = open_histories(arguments.histories)
    families, family_of = families_of(recommender.model.features)
    trees = recommender.model.trees
    booster = lgb.Booster(model_file=str(arguments.bundle / RANKER))
    users = np.random.default_rng(1).choice(histories.user_ids(), -(-arguments.results // K))
    differences, same_reasons, seconds = [], [], {"ours": 0.0, "lightgbm": 0.0}
    for user in users.tolist():
        history = histories.history_of(user)
        assert history is not None, "a published user has a history"
        scored = recommender.model.score(history, as_of=int(history.timestamps[-1]) + 1)
        features = scored.features_of(scored.shown[:K])
        started = time.perf_counter()
        ours, _ = trees.shapley_values(features)
        between = time.perf_counter()
        exact = np.asarray(booster.predict(features, pred_contrib=True, num_threads=1))[:, :-1]
        seconds["ours"] += between - started
        seconds["lightgbm"] += time.perf_counter() - between
        differences.append(float(np.abs(ours - exact).max()))
        first, second = (
            np.argsort(-sum_by_family(values, family_of, len(families)), axis=1)[:, :3]
            for values in (ours, exact)
        )
        same_reasons += (first == second).all(axis=1).tolist()
    print(
        f"{len(same_reasons)} results: largest difference of a contribution {max(differences):.1e}; the same "
        f"three families that raise the score most, in order, in {np.mean(same_reasons):.2%}; "
        f"{1000 * seconds['ours'] / len(users):.2f} ms a request, "
        f"{seconds['ours'] / seconds['lightgbm']:.3f} of the time of LightGBM"
    )


if __name__ == "__main__":
    main()
