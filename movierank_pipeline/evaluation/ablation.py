"""What each part of the ranker is worth: it is trained again without the part and asked the same.

A part is a group of features, or a candidate source, written `source:als`. Without a group the candidates
stay the same, and the ranker knows less of them. Without a source that proposes nothing either, so the
candidates are others, and the training rows with them.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from movierank_core.config import ModelConfig
from movierank_core.errors import ConfigError
from movierank_core.features.feature import DEFAULT_WITHOUT, SOURCE_PREFIX
from movierank_core.features.registry import all_features, feature_list
from movierank_core.retrieval.registry import source_types
from movierank_pipeline.evaluation.answers import Answers, answer
from movierank_pipeline.evaluation.compare import (
    HEADLINE,
    MAIN,
    RECALL,
    paired_differences,
    system_intervals,
)
from movierank_pipeline.evaluation.evaluate import Ablation, model_on, values_of
from movierank_pipeline.evaluation.holdout import HoldOut, Progress
from movierank_pipeline.training.ranker import TrainedRanker, train_ranker
from movierank_pipeline.training.training_set import TrainingSet

Step = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""Opens a step by name; inside it, the function it gives says how the step goes on."""

MakeRows = Callable[[tuple[str, ...], Progress], TrainingSet]
"""Training rows without some parts."""


def feature_groups(without: Sequence[str] = ()) -> list[str]:
    """The groups that a ranker reads, in the order of the features, less those `without`."""
    return list(dict.fromkeys(feature.group for feature in feature_list((*DEFAULT_WITHOUT, *without))))


def source_parts(without: Sequence[str] = ()) -> list[str]:
    """The candidate sources that propose, as they are written in `without`, less those named there."""
    parts = [f"{SOURCE_PREFIX}{name}" for name in source_types()]
    return [part for part in parts if part not in without]


def require_parts(without: Sequence[str]) -> tuple[str, ...]:
    """`without` if these are groups of features or sources and others are left, else ConfigError."""
    groups = list(dict.fromkeys(feature.group for feature in all_features()))
    sources = source_parts()
    for part in without:
        if part.startswith(SOURCE_PREFIX) and part not in sources:
            raise ConfigError(
                f"There is no candidate source {part.removeprefix(SOURCE_PREFIX)!r}",
                expected=f"one of {', '.join(sources)}",
                remedy="look at docs/features.md",
            )
        if not part.startswith(SOURCE_PREFIX) and part not in groups:
            raise ConfigError(
                f"There is no group of features {part!r}",
                expected=f"one of {', '.join(groups)}, or {SOURCE_PREFIX} and the name of a source",
                remedy="look at docs/features.md",
            )
    if not feature_groups(without):
        raise ConfigError("Without these groups the ranker has no feature left", remedy="leave one in")
    if not source_parts(without):
        raise ConfigError("Without these sources nothing is proposed", remedy="leave one in")
    return tuple(without)


def ablate_groups(
    rows: TrainingSet,
    holdout: HoldOut,
    answers: Answers,
    config: ModelConfig,
    step: Step,
    *,
    without: tuple[str, ...] = (),
) -> dict[str, Ablation]:
    """For each group of features a ranker of the training rows `rows` without it, beside the one with it.

    `answers` are those of the ranker trained without `without` alone.
    """
    found = {}
    for group in feature_groups(without):
        if not feature_groups((*without, group)):
            continue
        with step(f"without {group}") as say:
            ranker = train_ranker(rows, config, say, without=(*without, group))
            found[group] = _worth(group, ranker, holdout, answers, config, say)
    return found


def ablate_sources(
    make_rows: MakeRows,
    holdout: HoldOut,
    answers: Answers,
    config: ModelConfig,
    step: Step,
    *,
    without: tuple[str, ...] = (),
) -> dict[str, Ablation]:
    """For each source a ranker of training rows to which it proposed nothing, beside the one with it.

    Newcomers are answered by recent popularity, whether or not it is among the sources. `answers` are those
    of the ranker trained without `without` alone.
    """
    found = {}
    for part in source_parts(without):
        less = (*without, part)
        if not source_parts(less) or not feature_groups(less):
            continue
        name = part.removeprefix(SOURCE_PREFIX)
        with step(f"without {name}") as say:
            ranker = train_ranker(make_rows(less, say), config, say, without=less)
            found[name] = _worth(name, ranker, holdout, answers, config, say)
    return found


def _worth(
    part: str, ranker: TrainedRanker, holdout: HoldOut, answers: Answers, config: ModelConfig, say: Progress
) -> Ablation:
    """What the ranker without a part answers, beside `answers`, which are with it."""
    theirs = answer(model_on(holdout, ranker), holdout.ask(), seed=config.seed, only_main=True, progress=say)
    values = {MAIN: values_of(answers)[MAIN], part: values_of(theirs)[MAIN]}
    differences = paired_differences(values, answers.user_ids, config.seed)
    return Ablation(
        n_features=len(ranker.features),
        metrics=system_intervals({part: values[part]}, answers.user_ids, config.seed)[part],
        differences={metric: differences[metric][part] for metric in (HEADLINE, RECALL)},
    )
