"""Which candidates of a request become training rows."""

import polars as pl
import pytest
from msgspec.structs import replace
from polars.testing import assert_frame_equal

from movierank_pipeline.training import training_set
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.training_set import TrainingRows, build_training_set
from tests.support.releases import training
from tests.support.simulated import CONFIG, SimulatedRatings

KEY = ["request_id", "movie_id"]


@pytest.mark.parametrize("share", [0.7, 0.3])
def test_over_the_limit_only_negatives_of_training_requests_go(
    simulated: SimulatedRatings, share: float
) -> None:
    every_row = training().rows.frame
    trained = every_row.filter(role="train")
    limit = int(share * len(trained))
    config = replace(CONFIG, max_training_rows=limit)
    requests = plan_requests(simulated.data, simulated.catalogue, config)
    thinned = build_training_set(simulated.data, requests, simulated.catalogue, config)
    kept = thinned.frame.filter(role="train")
    assert 0.5 * limit < len(kept) <= limit
    assert thinned.fusion == training().rows.fusion
    assert_frame_equal(thinned.frame.filter(role="validation"), every_row.filter(role="validation"))
    assert_frame_equal(kept.filter(label=1), trained.filter(label=1))
    # What stays is as it was, and comes from all ranks of the fusion alike.
    assert_frame_equal(trained.join(kept.select(KEY), on=KEY, how="semi", maintain_order="left"), kept)
    rank = pl.int_range(pl.len()).over("request_id")
    mean_rank = trained.with_columns(rank=rank).filter(label=0)["rank"].mean()
    ranks_kept = trained.with_columns(rank=rank).join(kept.select(KEY), on=KEY, how="semi").filter(label=0)
    assert ranks_kept["rank"].mean() == pytest.approx(mean_rank, rel=0.1)


@pytest.mark.parametrize("limit", [10**9, 1_000])
def test_rows_do_not_depend_on_the_size_of_blocks(
    simulated: SimulatedRatings, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    config = replace(CONFIG, max_training_rows=limit)
    requests = plan_requests(simulated.data, simulated.catalogue, config)
    whole = build_training_set(simulated.data, requests, simulated.catalogue, config).frame
    monkeypatch.setattr(training_set, "BLOCK_ROWS", 70)
    blocks = build_training_set(simulated.data, requests, simulated.catalogue, config).frame
    assert_frame_equal(blocks, whole)
    assert blocks.n_chunks() > whole.n_chunks() + 5


def test_a_set_without_requests_has_every_column(simulated: SimulatedRatings) -> None:
    frame = TrainingRows(simulated.catalogue, CONFIG).training_set().frame
    assert frame.is_empty()
    assert frame.schema == training().rows.frame.schema


def test_a_training_request_keeps_its_best_fused_candidates_and_has_a_target(
    simulated: SimulatedRatings,
) -> None:
    config = replace(CONFIG, training_depth=15)
    requests = plan_requests(simulated.data, simulated.catalogue, config)
    frame = build_training_set(simulated.data, requests, simulated.catalogue, config).frame
    per_request = frame.filter(role="train").group_by("request_id").agg(pl.len(), pl.col("label").sum())
    assert per_request["len"].max() == 15
    assert per_request["label"].min() == 1
    assert frame.filter(role="validation").group_by("request_id").len()["len"].max() > 15
