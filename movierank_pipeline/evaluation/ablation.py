"""How much each part contributes: the ranker is trained again without it and answers the same requests.

A part is a group of features, a block of features, written `block:genre`, or a candidate source, written
`source:als`. Without a group or block the candidates stay the same, and the ranker has fewer features.
Without a source that source proposes nothing either, so the candidates and the training rows differ.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from movierank_core.config import ModelConfig
from movierank_core.errors import ConfigError
from movierank_core.features.feature import BLOCK_PREFIX, DEFAULT_WITHOUT, SOURCE_PREFIX
from movierank_core.features.registry import BLOCKS, all_features, feature_list
from movierank_core.retrieval.registry import sources_of
from movierank_pipeline.evaluation.bootstrap import Difference, holm
from movierank_pipeline.evaluation.compare import (
    HEADLINE,
    MAIN,
    RECALL,
    paired_differences,
    system_intervals,
)
from movierank_pipeline.evaluation.evaluate import values_of
from movierank_pipeline.evaluation.experiment import Experiment, Stage, answers_to, model_on
from movierank_pipeline.evaluation.protocols.protocol import Progress
from movierank_pipeline.evaluation.report import Ablation
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet

MakeRows = Callable[[tuple[str, ...], Progress], TrainingSet]
"""Makes training rows without some parts."""


def feature_groups(without: Sequence[str] = ()) -> list[str]:
    """The feature groups that a ranker reads, in the order of the features, except those in `without`."""
    return list(dict.fromkeys(feature.group for feature in feature_list((*DEFAULT_WITHOUT, *without))))


def feature_blocks(without: Sequence[str] = ()) -> list[str]:
    """The blocks that hold only a part of a group, as `without` names them (`block:genre`), in their order.

    Blocks without a feature of the ranker are left out. A block that is a whole group is the group.
    """
    read = set(feature_list((*DEFAULT_WITHOUT, *without)))
    found = []
    for block in BLOCKS:
        features = read & set(block.features())
        groups = {feature.group for feature in features}
        if features and features != {feature for feature in read if feature.group in groups}:
            found.append(f"{BLOCK_PREFIX}{block.NAME}")
    return found


def source_parts(without: Sequence[str] = ()) -> list[str]:
    """The sources of a service as `without` names them (`source:als`), except those in `without`."""
    parts = [f"{SOURCE_PREFIX}{source.name}" for source in sources_of(ModelConfig())]
    return [part for part in parts if part not in without]


def require_parts(without: Sequence[str]) -> tuple[str, ...]:
    """`without` unchanged. Raises ConfigError for an unknown part, and where no feature or source is left."""
    groups = list(dict.fromkeys(feature.group for feature in all_features()))
    sources = source_parts()
    blocks = [f"{BLOCK_PREFIX}{block.NAME}" for block in BLOCKS]
    for part in without:
        if part.startswith(BLOCK_PREFIX) and part not in blocks:
            raise ConfigError(
                f"There is no block of features {part.removeprefix(BLOCK_PREFIX)!r}",
                expected=f"one of {', '.join(blocks)}",
                remedy="look at docs/features.md",
            )
        if part.startswith(SOURCE_PREFIX) and part not in sources:
            raise ConfigError(
                f"There is no candidate source {part.removeprefix(SOURCE_PREFIX)!r}",
                expected=f"one of {', '.join(sources)}",
                remedy="look at docs/features.md",
            )
        if not part.startswith((BLOCK_PREFIX, SOURCE_PREFIX)) and part not in groups:
            raise ConfigError(
                f"There is no group of features {part!r}",
                expected=f"one of {', '.join(groups)}, or {BLOCK_PREFIX} and the name of a block, or"
                f" {SOURCE_PREFIX} and the name of a source",
                remedy="look at docs/features.md",
            )
    if not feature_groups(without):
        raise ConfigError("Without these parts the ranker has no feature left", remedy="leave one in")
    if not source_parts(without):
        raise ConfigError("Without these sources nothing is proposed", remedy="leave one in")
    return tuple(without)


def ablate_features(
    parts: Sequence[str],
    whole: Experiment,
    config: ModelConfig,
    stage: Stage,
    *,
    without: tuple[str, ...] = (),
) -> dict[str, Ablation]:
    """For each of `parts` (groups or blocks), a ranker without it beside that of `whole`, on the same rows.

    Keys have no prefix. `whole` was trained without `without`. A part without which no feature is left is
    skipped.
    """
    found = {}
    for part in parts:
        if not feature_groups((*without, part)):
            continue
        name = part.removeprefix(BLOCK_PREFIX)
        with stage(f"without {name}") as progress:
            ranker = train_ranker(whole.rows, config, progress, without=(*without, part))
            found[name] = _ablation(name, ranker, whole, config, progress)
    return found


def ablate_sources(
    make_rows: MakeRows,
    whole: Experiment,
    config: ModelConfig,
    stage: Stage,
    *,
    without: tuple[str, ...] = (),
) -> dict[str, Ablation]:
    """For each source, a ranker of training rows without its proposals beside the ranker of `whole`.

    Empty histories get recent popularity, whether or not it is among the sources. `whole` was trained without
    `without`. A source without which no source or feature is left is skipped.
    """
    found = {}
    for part in source_parts(without):
        less = (*without, part)
        if not source_parts(less) or not feature_groups(less):
            continue
        name = part.removeprefix(SOURCE_PREFIX)
        with stage(f"without {name}") as progress:
            ranker = train_ranker(make_rows(less, progress), config, progress, without=less)
            found[name] = _ablation(name, ranker, whole, config, progress)
    return found


def holm_corrected_ablations(*tables: dict[str, Ablation]) -> tuple[dict[str, Ablation], ...]:
    """The tables with `p_holm` of each metric, corrected for the parts of all tables together."""
    parts = {(table, name): part for table, of_table in enumerate(tables) for name, part in of_table.items()}
    metrics = list(dict.fromkeys(metric for part in parts.values() for metric in part.differences))
    corrected: dict[tuple[int, str], dict[str, Difference]] = {key: {} for key in parts}
    for metric in metrics:
        p_holm = holm(np.array([part.differences[metric].p_value for part in parts.values()]))
        for (key, part), p in zip(parts.items(), p_holm, strict=True):
            corrected[key][metric] = msgspec.structs.replace(part.differences[metric], p_holm=float(p))
    return tuple(
        {
            name: msgspec.structs.replace(part, differences=corrected[table, name])
            for name, part in of_table.items()
        }
        for table, of_table in enumerate(tables)
    )


def _ablation(
    part: str, ranker: TrainedRanker, whole: Experiment, config: ModelConfig, progress: Progress
) -> Ablation:
    """The figures of `ranker`, which lacks `part`, and the lead of `whole` over it."""
    model = model_on(whole.holdout, ranker)
    answers = answers_to(whole.holdout, model, config, progress, only_main=True)
    values = {MAIN: values_of(whole.answers)[MAIN], part: values_of(answers)[MAIN]}
    user_ids = whole.answers.user_ids
    differences = paired_differences(values, user_ids, config.seed)
    return Ablation(
        n_features=len(ranker.features),
        metrics=system_intervals({part: values[part]}, user_ids, config.seed)[part],
        differences={metric: differences[metric][part] for metric in (HEADLINE, RECALL)},
    )
