"""What each part of the ranker is worth: it is trained again without the part and asked the same."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from movierank_core.config import ModelConfig
from movierank_core.errors import ConfigError
from movierank_core.features.definitions import ALL_FEATURES, DEFAULT_WITHOUT, feature_list
from movierank_pipeline.evaluation.answers import Answers, answer
from movierank_pipeline.evaluation.compare import (
    HEADLINE,
    MAIN,
    RECALL,
    paired_differences,
    system_intervals,
)
from movierank_pipeline.evaluation.evaluate import Ablation, model_on, values_of
from movierank_pipeline.evaluation.holdout import HoldOut
from movierank_pipeline.training import train_ranker
from movierank_pipeline.training_set import TrainingSet

Step = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""Opens a step by name; inside it, the function it gives says how the step goes on."""


def feature_groups(without: Sequence[str] = ()) -> list[str]:
    """The groups that a ranker reads, in the order of the features, less those `without`."""
    return list(dict.fromkeys(feature.group for feature in feature_list((*DEFAULT_WITHOUT, *without))))


def require_groups(without: Sequence[str]) -> tuple[str, ...]:
    """`without` if these are groups of features and others are left, else ConfigError."""
    groups = list(dict.fromkeys(feature.group for feature in ALL_FEATURES))
    unknown = [name for name in without if name not in groups]
    if unknown:
        raise ConfigError(
            f"There is no group of features {unknown[0]!r}",
            expected=f"one of {', '.join(groups)}",
            remedy="look at docs/features.md",
        )
    if not feature_groups(without):
        raise ConfigError("Without these groups the ranker has no feature left", remedy="leave one in")
    return tuple(without)


def ablate(
    rows: TrainingSet,
    holdout: HoldOut,
    answers: Answers,
    config: ModelConfig,
    step: Step,
    *,
    without: tuple[str, ...] = (),
) -> dict[str, Ablation]:
    """For each group of features a ranker of the training rows `rows` without it, beside the one with it.

    `answers` are those of the ranker trained without `without` alone. Candidates stay the same: only what
    the ranker knows of them changes.
    """
    full = values_of(answers)[MAIN]
    found = {}
    for group in feature_groups(without):
        if not feature_groups((*without, group)):
            continue
        with step(f"without {group}") as say:
            ranker = train_ranker(rows, config, say, without=(*without, group))
            model = model_on(holdout, ranker)
            part = answer(model, holdout.ask(), seed=config.seed, only_main=True, progress=say)
        values = {MAIN: full, group: values_of(part)[MAIN]}
        differences = paired_differences(values, answers.user_ids, config.seed)
        found[group] = Ablation(
            n_features=len(ranker.features),
            metrics=system_intervals({group: values[group]}, answers.user_ids, config.seed)[group],
            differences={metric: differences[metric][group] for metric in (HEADLINE, RECALL)},
        )
    return found
