"""The search for the ranker's parameters: off by default; its result is never below the configured one."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import polars as pl
import pytest

from movierank_core.config import ModelConfig
from movierank_core.errors import DataError
from movierank_pipeline.settings import Settings
from movierank_pipeline.training import tuning
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet
from movierank_pipeline.training.tuning import METRIC, SEARCHED, tune_ranker
from tests.support.releases import training
from tests.support.simulated import CONFIG


@pytest.fixture(scope="module")
def rows() -> TrainingSet:
    return training().rows


@pytest.fixture(scope="module")
def tuned(rows: TrainingSet) -> TrainedRanker:
    return tune_ranker(rows, CONFIG, 600, max_trials=14)


def test_it_is_off_by_default_and_then_nothing_is_tried(
    rows: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = Settings.from_environment({}).tune_seconds
    assert seconds == 0
    monkeypatch.setattr(tuning, "_study", None)
    ranker = tune_ranker(rows, CONFIG, seconds)
    assert (ranker.trials, ranker.chosen) == ((), {})
    assert ranker == training().ranker
    assert ranker.config(CONFIG) == CONFIG


def test_no_trial_begins_after_the_time_is_up(rows: TrainingSet, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    now = [0.0]

    def train(*arguments: Any, **more: Any) -> TrainedRanker:
        now[0] += 1.2
        return train_ranker(*arguments, **more)

    monkeypatch.setattr(tuning, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(tuning, "train_ranker", train)
    ranker = tune_ranker(rows, CONFIG, 3, said.append)
    assert [trial.seconds for trial in ranker.trials] == pytest.approx([1.2] * 3)
    assert ranker.metrics["n_trials"] == len(ranker.trials)
    assert "trial 2: " in "\n".join(said)


def test_the_first_trial_is_what_is_configured_and_the_result_is_not_below_it(
    rows: TrainingSet, tuned: TrainedRanker
) -> None:
    first = tuned.trials[0]
    assert first.parameters == {name: getattr(CONFIG, name) for name in SEARCHED}
    assert first.ndcg == training().ranker.metrics[METRIC] == tuned.metrics[f"configured_{METRIC}"]
    assert tuned.metrics[METRIC] == max(trial.ndcg for trial in tuned.trials) >= first.ndcg


def test_the_ranker_is_that_of_the_chosen_parameters(rows: TrainingSet, tuned: TrainedRanker) -> None:
    config = tuned.config(CONFIG)
    again = train_ranker(rows, config)
    assert again.model_text == tuned.model_text
    assert {name: getattr(config, name) for name in SEARCHED} in [each.parameters for each in tuned.trials]
    untouched = set(msgspec.structs.asdict(CONFIG)) - set(SEARCHED)
    assert all(getattr(config, name) == getattr(CONFIG, name) for name in untouched)


def test_a_seed_and_a_number_of_trials_give_the_same_search(rows: TrainingSet, tuned: TrainedRanker) -> None:
    def search(config: ModelConfig, n: int) -> list[tuple]:
        trials = tune_ranker(rows, config, 600, max_trials=n).trials
        return [(trial.parameters, trial.ndcg) for trial in trials]

    known = [(trial.parameters, trial.ndcg) for trial in tuned.trials]
    assert search(CONFIG, 10) == known[:10]
    other = search(msgspec.structs.replace(CONFIG, seed=2), 2)
    assert other[1][0] != known[1][0]


def test_every_trial_is_within_the_bounds(tuned: TrainedRanker) -> None:
    for trial in tuned.trials:
        for name, value in trial.parameters.items():
            assert SEARCHED[name].low <= value <= SEARCHED[name].high
            assert type(value) is type(getattr(CONFIG, name))


def test_what_is_configured_stays_where_the_others_are_only_as_good(
    rows: TrainingSet, tuned: TrainedRanker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*arguments: object, **more: object) -> TrainedRanker:
        return replace(tuned, chosen={}, metrics={METRIC: 0.5})

    monkeypatch.setattr(tuning, "train_ranker", train)
    ranker = tune_ranker(rows, CONFIG, 600, max_trials=5)
    assert [trial.ndcg for trial in ranker.trials] == [0.5] * 5
    assert ranker.chosen == {}


def test_a_configured_value_outside_the_bounds_is_tried_first_all_the_same(rows: TrainingSet) -> None:
    config = msgspec.structs.replace(CONFIG, n_leaves=40)
    assert tune_ranker(rows, config, 600, max_trials=2).trials[0].parameters["n_leaves"] == 40


def test_without_validation_requests_there_is_nothing_to_tune_by(rows: TrainingSet) -> None:
    alone = TrainingSet(rows.frame.filter(pl.col("role") == "train"), rows.fusion)
    with pytest.raises(DataError, match=r"There are no validation requests to tune by\. Remedy: "):
        tune_ranker(alone, CONFIG, 600)


def test_what_was_tried_is_kept_with_the_ranker(tuned: TrainedRanker, tmp_path: Path) -> None:
    tuned.save(tmp_path)
    loaded = TrainedRanker.load(tmp_path)
    assert loaded == tuned
    assert isinstance(loaded.config(CONFIG).n_leaves, int)
