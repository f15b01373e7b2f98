"""Evaluates the incumbent (the version in production) on the test requests of a new version.

A registered version's state includes events up to its own date, and some of those events are test targets. To
avoid that leak, the incumbent's trees, features, calibration, sources and configuration are evaluated on a
state that is refitted on events before the new version's T.

One leak remains. The incumbent's trees were trained on requests before its own T. If its data ended later
than the new version's data (after a return to an older data set), its trees may have seen test targets. That
error favours the incumbent.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.errors import BundleError
from movierank_core.manifest import Manifest
from movierank_core.mlflow_store import PRODUCTION
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.state import fit_state
from movierank_pipeline.evaluation.answers import answer
from movierank_pipeline.evaluation.bootstrap import Difference, Interval
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN, paired_differences, system_intervals
from movierank_pipeline.evaluation.evaluate import slice_masks, values_of
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.promotion.bundle_checks import read_registered
from movierank_pipeline.training.requests import facts_over_time, replay

TRAINING_ONLY: Final = frozenset(
    {
        *("split_quantile", "moments", "training_origins", "training_moments", "max_training_requests"),
        "max_test_requests",
        *("retrain_days", "min_training_requests"),
        *("max_benchmark_requests", "training_depth", "max_training_rows"),
        "pointwise_weight",
        *("n_trees", "n_leaves", "learning_rate"),
        *("min_rows_per_leaf", "feature_fraction", "ranker_l2", "max_bins"),
        *("fusion_requests", "fusion_depth", "fusion_power"),
    }
)
"""Parameters that do not change a fitted state. Every other parameter is treated as if it did."""


class Incumbent(msgspec.Struct, frozen=True, kw_only=True):
    """A new version compared with the one in production."""

    number: int
    """The incumbent's version number."""
    alias: str = PRODUCTION
    """`previous` if the new version already is in production."""
    dataset: str = ""
    """Data set that the incumbent was trained on."""
    problem: str = ""
    """Why the incumbent could not be evaluated; the other fields are then empty."""
    ndcg: Interval | None = None
    """The incumbent's nDCG@10."""
    difference: Difference | None = None
    """The new version's nDCG@10 minus the incumbent's, paired by user."""
    slices: dict[str, Difference] = {}
    """The same difference by history length."""


def judge_production(
    number: int,
    bundle: Path,
    evaluation: StoredEvaluation,
    data: InteractionArrays,
    catalogue: Catalogue,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
) -> Incumbent:
    """Evaluates version `number` (its bundle folder is `bundle`) on the test requests of `evaluation`.

    `config` is the new version's configuration. If both configurations agree on every parameter that a state
    depends on, the new version's state at T is used for both; otherwise the incumbent's is fitted once. A
    bundle that this code cannot read, or whose golden requests give other scores, is returned with a
    `problem`.
    """
    try:
        # Reading replays the golden requests: this code still computes the features of that version.
        recommender = read_registered(bundle)
        theirs = config_of(recommender.manifest)
    except BundleError as error:
        return Incumbent(number=number, problem=str(error))
    if is_same_state(theirs, config):
        state = evaluation.state
    else:
        if progress is not None:
            progress(f"fitting the state of version {number} with its own configuration")
        state = fit_state(data, catalogue, evaluation.state.as_of, theirs)
    served = recommender.model
    model = RankingModel(
        catalogue,
        replace(
            state,
            sources={name: state.sources[name] for name in served.state.sources},
            fusion=served.state.fusion,
            n_little_known=served.state.n_little_known,
        ),
        served.features,
        served.trees,
        served.calibration,
    )
    requests = evaluation.requests
    answers = answer(
        model,
        replay(requests, data, catalogue),
        seed=config.seed,
        only_main=True,
        facts=facts_over_time(data, catalogue, "day"),
        progress=progress,
    )
    return compare_with_incumbent(
        number,
        recommender.manifest.dataset,
        ours=requests[HEADLINE].to_numpy(),
        theirs=values_of(answers)[MAIN][HEADLINE],
        user_ids=answers.user_ids,
        history_lengths=requests["history_length"].to_numpy(),
        seed=config.seed,
    )


def compare_with_incumbent(
    number: int,
    dataset: str,
    *,
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    user_ids: NDArray[np.int64],
    history_lengths: NDArray[np.int64],
    seed: int,
) -> Incumbent:
    """The comparison from nDCG@10 per request: `ours` of the new version, `theirs` of the incumbent."""

    def difference(mask: NDArray[np.bool_]) -> Difference:
        values = {MAIN: {HEADLINE: ours[mask]}, PRODUCTION: {HEADLINE: theirs[mask]}}
        found = paired_differences(values, user_ids[mask], seed, metrics=[HEADLINE])
        return found[HEADLINE][PRODUCTION]

    figures = system_intervals({PRODUCTION: {HEADLINE: theirs}}, user_ids, seed)
    return Incumbent(
        number=number,
        dataset=dataset,
        ndcg=figures[PRODUCTION][HEADLINE],
        difference=difference(np.ones(len(ours), np.bool_)),
        slices={label: difference(mask) for label, mask in slice_masks(history_lengths).items()},
    )


def config_of(manifest: Manifest) -> ModelConfig:
    """The configuration that a bundle was trained with; parameters added later have their defaults.

    Raises BundleError if the bundle has a parameter that this code does not know.
    """
    known = {field.name for field in msgspec.structs.fields(ModelConfig)}
    if unknown := sorted(set(manifest.config) - known):
        raise BundleError(
            f"The bundle was trained with parameters that this code does not have: {', '.join(unknown)}",
            expected="parameters of `ModelConfig`",
        )
    try:
        return msgspec.convert(manifest.config, ModelConfig)
    except msgspec.ValidationError as error:
        raise BundleError(f"The bundle's configuration cannot be read: {error}") from error


def is_same_state(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether both configurations fit the same state from the same events."""
    first, second = msgspec.structs.asdict(one), msgspec.structs.asdict(other)
    return all(first[name] == second[name] for name in first if name not in TRAINING_ONLY)
