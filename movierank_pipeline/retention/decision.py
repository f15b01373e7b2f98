"""Which versions and runs may go. Nothing here reads or deletes anything."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from movierank_pipeline.release.registry import Version

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingRun:
    """An MLflow run that a training logged."""

    run_id: str
    started_at: int
    """Time of its start, in milliseconds since 1970."""
    parent: str | None
    """The run of the training, if this is the run of one trial."""
    is_running: bool
    """Whether MLflow has no end of it: the training is in progress, or was killed."""


def beyond_newest(
    newest_first: Iterable[T], keep: int, group: Callable[[T], Hashable] = lambda _: None
) -> list[T]:
    """The items after the first `keep` ones of each group, in the same order."""
    n_seen: Counter[Hashable] = Counter()
    old = []
    for item in newest_first:
        n_seen[group(item)] += 1
        if n_seen[group(item)] > keep:
            old.append(item)
    return old


def old_versions(versions: Iterable[Version], in_use: Collection[int], keep: int) -> list[Version]:
    """The versions that may go, oldest first: not among the `keep` highest numbers, and not in use.

    A version is in use if it carries any alias or if its number is in `in_use`. A version whose registration
    did not finish counts like every other one.
    """
    newest_first = sorted(versions, key=lambda version: version.number, reverse=True)
    old = beyond_newest(newest_first, keep)
    return [version for version in reversed(old) if not version.aliases and version.number not in in_use]


def old_trainings(
    runs: Sequence[TrainingRun], with_version: Collection[str], keep: int, *, is_idle: bool
) -> list[str]:
    """Ids of the trainings whose runs may go, oldest first.

    A training stays if it is among the `keep` that started last or if `with_version` has its run. Where a
    version was deleted and a kill kept its run, `keep` versions are newer, so the run is not among these.
    Without `is_idle`, a training that seems in progress stays; with it none is, and MLflow's record is that
    of a killed one.

    Trials are not named: a trial goes with its training.
    """
    trainings = [run for run in runs if run.parent is None]
    newest_first = sorted(trainings, key=lambda run: (run.started_at, run.run_id), reverse=True)
    return [
        run.run_id
        for run in reversed(beyond_newest(newest_first, keep))
        if run.run_id not in with_version and (is_idle or not run.is_running)
    ]
