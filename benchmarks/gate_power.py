"""How often the gate lets a version pass that is better or worse by a given share, by number of users.

    python benchmarks/gate_power.py [--spread 0.25] [--repeats 4000]
    python benchmarks/gate_power.py --version 3

Simulates exams: every user's difference of nDCG@10 to production, as a share of production's mean, is drawn
around the true difference. `--spread` is its deviation between users. With `--version`, the deviation and the
number of users are those of a registered version's own exam, from its tags.
"""

import argparse
import math
from typing import Final

import numpy as np

from movierank_core.config import GateLimits
from movierank_core.paths import Paths
from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.promotion.not_worse import largest_error, least_difference, standard_error
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry

N_USERS: Final = (50, 100, 500, 5_000, 50_000)
DIFFERENCES: Final = (-0.10, -0.05, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.05, 0.10)
LIMITS: Final = GateLimits()


def pass_rate(true_difference: float, n_users: int, spread: float, repeats: int) -> float:
    """Share of `repeats` exams that a version passes.

    The mean and the standard error of normal differences are drawn from their exact distributions.
    """
    rng = np.random.default_rng(1)
    means = rng.normal(true_difference, spread / math.sqrt(n_users), repeats)
    errors = spread * np.sqrt(rng.chisquare(n_users - 1, repeats) / (n_users - 1) / n_users)
    passed = [
        mean >= least_difference(float(error), n_users, LIMITS)
        for mean, error in zip(means, errors, strict=True)
    ]
    return float(np.mean(passed))


def own_exam(number: int) -> tuple[int, float]:
    """Users and spread of the exam of a registered version against production."""
    tags = Registry(connect(Paths.from_environment())).get(number).tags
    difference = Interval(
        *(float(tags[f"gate.difference_to_production{part}"]) for part in ("", "_low", "_high"))
    )
    n_users = sum(
        int(float(value))
        for name, value in tags.items()
        if name.startswith("gate.history_") and name.endswith("_users")
    )
    share = standard_error(difference) / float(tags["gate.ndcg_at_10_production"])
    return n_users, share * math.sqrt(n_users)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spread", type=float, default=0.25)
    parser.add_argument("--repeats", type=int, default=4_000)
    parser.add_argument("--version", type=int)
    arguments = parser.parse_args()
    sizes, spread = N_USERS, arguments.spread
    if arguments.version is not None:
        n_users, spread = own_exam(arguments.version)
        sizes = (n_users,)
        error = spread / math.sqrt(n_users)
        print(f"{n_users} users, standard error {error:.2%} of production's mean.")
        print(f"The smallest loss told from none: {error / largest_error(1.0):.1%}.")
    print(f"Share of versions that pass, by true difference; spread {spread:.2f}\n")
    print("| users | " + " | ".join(f"{difference:+.0%}" for difference in DIFFERENCES) + " |")
    print("|---|" + "---|" * len(DIFFERENCES))
    for n_users in sizes:
        rates = [pass_rate(difference, n_users, spread, arguments.repeats) for difference in DIFFERENCES]
        print(f"| {n_users:,} | " + " | ".join(f"{rate:.0%}" for rate in rates) + " |")


if __name__ == "__main__":
    main()
