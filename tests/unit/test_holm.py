"""Many comparisons: bootstrap p values, and Holm's correction of them."""

import math

import msgspec
import numpy as np
import pytest

from movierank_pipeline.evaluation.ablation import holm_corrected_ablations
from movierank_pipeline.evaluation.bootstrap import (
    N_RESAMPLES,
    Difference,
    bootstrap_p_values,
    holm,
)
from movierank_pipeline.evaluation.compare import paired_differences
from movierank_pipeline.evaluation.interval_text import p_text
from movierank_pipeline.evaluation.report import Ablation

NAN = float("nan")


def difference(p: float) -> Difference:
    return Difference(0.1, 0.0, 0.2, 0.1, 0.0, p)


def test_holm_multiplies_the_smallest_by_the_number_and_never_descends() -> None:
    corrected = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, NAN, 0.5])) == pytest.approx([1.0, NAN, 1.0], nan_ok=True)
    assert len(holm(np.zeros(0))) == 0


def test_of_seventeen_comparisons_of_noise_a_correction_leaves_none() -> None:
    noise = np.random.default_rng(2).normal(0, 1, (116, 17))
    p_values = bootstrap_p_values(noise, 1)
    assert (p_values <= 0.05).any(), "one by chance"
    assert (holm(p_values) > 0.05).all()


def test_a_p_value_counts_the_resamples_on_the_far_side_of_zero() -> None:
    columns = np.stack([np.ones(30), -np.ones(30), np.tile([1.0, -1.0], 15), np.full(30, NAN)], axis=1)
    smallest = 2 / (N_RESAMPLES + 1)
    found = bootstrap_p_values(columns, 1)
    assert found[:2].tolist() == [smallest, smallest]
    assert found[2] > 0.8
    assert math.isnan(found[3])


def test_differences_are_corrected_for_the_number_of_systems() -> None:
    rng = np.random.default_rng(0)
    values = {name: {"ndcg@10": rng.random(50)} for name in ("movierank", "a", "b", "c")}
    found = paired_differences(values, np.arange(50), 1, metrics=["ndcg@10"])["ndcg@10"]
    expected = holm(np.array([each.p_value for each in found.values()]))
    assert [each.p_holm for each in found.values()] == expected.tolist()


def test_groups_blocks_and_sources_are_corrected_together() -> None:
    parts = [Ablation(n_features=1, metrics={}, differences={"ndcg@10": difference(p)}) for p in (0.02, 0.03)]
    groups, sources = holm_corrected_ablations({"user": parts[0]}, {"user": parts[1]})
    verdicts = [table["user"].differences["ndcg@10"] for table in (groups, sources)]
    assert [each.p_holm for each in verdicts] == pytest.approx([0.04, 0.04])
    assert p_text(verdicts[0]) == "significant (p 0.040)"
    assert p_text(msgspec.structs.replace(verdicts[0], p_holm=0.21)) == "not significant (p 0.210)"
    assert p_text(difference(0.02)) == "–"
