"""Checks that another version of the code gives a bundle's scores to the last bit.

    python benchmarks/same_scores.py BUNDLE --record FILE      # in one checkout
    python benchmarks/same_scores.py BUNDLE --expected FILE    # in the other

Run each with the `.venv` and `PYTHONPATH` of its checkout. The histories are made up from the bundle's
catalogue with a fixed seed, so both checkouts score the same requests. Compared with `numpy.array_equal`: the
candidates in score order, their raw scores and probabilities, the feature matrix, and the list as shown. The
exit status is 1 where anything differs.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from movierank_core.bundle import read_bundle

try:
    from movierank_core.data.history import EVENT_TYPES, History
except ImportError:  # Code before the move into rooms.
    from movierank_core.history import EVENT_TYPES, History  # type: ignore[no-redef]

N_HISTORIES = 200
MAX_EVENTS = 400
DAY = 86_400


def histories(movie_ids: NDArray[np.int64], as_of: int) -> Iterator[tuple[History, int]]:
    """`N_HISTORIES` made-up histories of 0 to `MAX_EVENTS` events, each with the moment of its request."""
    rng = np.random.default_rng(20)
    codes = np.array([event.code for event in EVENT_TYPES.values()])
    rating = EVENT_TYPES["rating"].code
    for index in range(N_HISTORIES):
        limit = min(MAX_EVENTS, len(movie_ids) // 2)
        n = 0 if index % 20 == 0 else int(np.exp(rng.uniform(0, np.log(limit))))
        movies = rng.choice(movie_ids, n, replace=False)
        kinds = np.where(rng.random(n) < 0.8, rating, rng.choice(codes, n))
        ratings = np.where(kinds == rating, rng.integers(1, 11, n) / 2, np.nan)
        times = np.sort(as_of - rng.integers(1, 900 * DAY, n))
        yield History.of_arrays(movies, ratings, times, kinds), as_of + int(rng.integers(0, 30)) * DAY


def measure(bundle: Path) -> dict[str, NDArray[np.generic]]:
    """Everything that is compared, one array per kind, all requests joined."""
    model = read_bundle(bundle).model
    parts: dict[str, list[NDArray[np.generic]]] = {}
    for history, as_of in histories(model.catalogue.movie_ids, model.state.as_of):
        scored = model.score(history, as_of=as_of)
        found = {
            "n_candidates": np.array([len(scored.rows)]),
            "rows": scored.rows,
            "raw_scores": scored.raw_scores,
            "probabilities": scored.probabilities,
            "listed": scored.listed,
        }
        if scored.features is not None:
            found["features"] = scored.features.ravel()
        for name, array in found.items():
            parts.setdefault(name, []).append(array)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", type=Path)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--record", type=Path, help="write what this checkout computes")
    choice.add_argument("--expected", type=Path, help="compare with what another checkout wrote")
    arguments = parser.parse_args()
    found = measure(arguments.bundle)
    if arguments.record is not None:
        np.savez(arguments.record, **found)  # type: ignore[arg-type]  # numpy 2.4's stub of **arrays
        print(f"recorded {N_HISTORIES} requests, {len(found['rows'])} candidates")
        return
    is_same = True
    with np.load(arguments.expected) as expected:
        for name in sorted({*expected.files, *found}):
            same = (
                name in found
                and name in expected.files
                and np.array_equal(found[name], expected[name], equal_nan=found[name].dtype.kind == "f")
            )
            is_same &= same
            print(
                f"{name}: {'the same' if same else 'DIFFERENT'}, {found.get(name, np.zeros(0)).size} values"
            )
    print(f"{N_HISTORIES} requests: {'the same to the last bit' if is_same else 'DIFFERENT'}")
    sys.exit(0 if is_same else 1)


if __name__ == "__main__":
    main()
