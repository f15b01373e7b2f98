"""The version in production on the requests that a new one was judged by.

A registered version holds a state of all events up to its day, and some of these are what the test asks
about: asked as it stands, production would know the answers. So what is judged of it is what was learned
and chosen, its trees, features, calibration, sources and configuration, on a state fitted anew on events
before the same T as the new version's. Its trees come from requests before its own T; where its data ended
later than ours, as after going back to an older data set, they may have seen the test all the same, and it
has the advantage.
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
from movierank_pipeline.evaluation.holdout import temporal_questions
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.promotion.bundle_checks import read_registered

TRAINING_ONLY: Final = frozenset(
    {
        *("split_quantile", "moments", "training_origins", "training_moments", "max_training_requests"),
        *("max_benchmark_requests", "training_depth", "n_trees", "n_leaves", "learning_rate"),
        *("min_rows_per_leaf", "feature_fraction", "ranker_l2"),
    }
)
"""Parameters that no state depends on; every other one is taken to matter."""


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """How a new version does against the one in production."""

    number: int
    """Production's."""
    alias: str = PRODUCTION
    """`previous` where the new version is in production already."""
    dataset: str = ""
    """That production was made from."""
    problem: str = ""
    """Why production could not be judged; then nothing else is known."""
    ndcg: Interval | None = None
    """Production's nDCG@10."""
    difference: Difference | None = None
    """The new version's nDCG@10 minus production's, paired by user."""
    slices: dict[str, Difference] = {}
    """The same by length of the history."""


def judge_production(
    number: int,
    bundle: Path,
    evaluation: StoredEvaluation,
    data: InteractionArrays,
    catalogue: Catalogue,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
) -> Rival:
    """Asks version `number`, whose bundle is in a folder, what the new version of `evaluation` was asked.

    `config` is the new version's. Its state serves both where the configurations agree on everything that
    a state depends on; else production's is fitted once. A bundle that this code does not understand, or
    whose golden requests it answers otherwise, cannot be judged.
    """
    try:
        # The golden requests show that this code still computes its features as they were meant.
        recommender = read_registered(bundle)
        theirs = config_of(recommender.manifest)
    except BundleError as error:
        return Rival(number=number, problem=str(error))
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
    questions = temporal_questions(requests, data, catalogue)
    answers = answer(model, questions, seed=config.seed, only_main=True, progress=progress)
    return rival_of(
        number,
        recommender.manifest.dataset,
        ours=requests[HEADLINE].to_numpy(),
        theirs=values_of(answers)[MAIN][HEADLINE],
        user_ids=answers.user_ids,
        history_lengths=requests["history_length"].to_numpy(),
        seed=config.seed,
    )


def rival_of(
    number: int,
    dataset: str,
    *,
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    user_ids: NDArray[np.int64],
    history_lengths: NDArray[np.int64],
    seed: int,
) -> Rival:
    """From what both got for each request; `ours` is the new version's nDCG@10, `theirs` production's."""

    def difference(mask: NDArray[np.bool_]) -> Difference:
        values = {MAIN: {HEADLINE: ours[mask]}, PRODUCTION: {HEADLINE: theirs[mask]}}
        found = paired_differences(values, user_ids[mask], seed, metrics=[HEADLINE])
        return found[HEADLINE][PRODUCTION]

    figures = system_intervals({PRODUCTION: {HEADLINE: theirs}}, user_ids, seed)
    return Rival(
        number=number,
        dataset=dataset,
        ndcg=figures[PRODUCTION][HEADLINE],
        difference=difference(np.ones(len(ours), np.bool_)),
        slices={label: difference(mask) for label, mask in slice_masks(history_lengths).items()},
    )


def config_of(manifest: Manifest) -> ModelConfig:
    """The configuration that a bundle was made with; parameters that are newer than it have their default.

    Raises BundleError where it has one that this code does not know.
    """
    known = {field.name for field in msgspec.structs.fields(ModelConfig)}
    if unknown := sorted(set(manifest.config) - known):
        raise BundleError(
            f"It was made with parameters that this code does not have: {', '.join(unknown)}",
            expected="parameters of `ModelConfig`",
        )
    try:
        return msgspec.convert(manifest.config, ModelConfig)
    except msgspec.ValidationError as error:
        raise BundleError(f"Its configuration cannot be read: {error}") from error


def is_same_state(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether both give the same state from the same events."""
    first, second = msgspec.structs.asdict(one), msgspec.structs.asdict(other)
    return all(first[name] == second[name] for name in first if name not in TRAINING_ONLY)
