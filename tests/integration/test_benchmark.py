"""`movierank benchmark` on small files: the shape of its report, for both forms of hold-out."""

import json
from pathlib import Path

import msgspec
import polars as pl
import pytest
from click.testing import CliRunner

from movierank_cli import benchmark as module
from movierank_cli.benchmark import benchmark
from movierank_pipeline.evaluation.protocols.given_split import is_continuation
from tests.support.simulated import CONFIG, SimulatedRatings, simulate_ratings

SOURCES = {
    "ease_likes", "ease_presence", "ease_recent", "item_neighbours", "user_neighbours", "hazard_markov",
    "context_neighbours", "next_item", "als", "content", "popularity", "popularity_1095d",
    "popularity_365d", "popularity_30d",
}  # fmt: skip


def write(ratings: pl.DataFrame, path: Path) -> None:
    ratings.select(
        pl.col("user_id").alias("userId"),
        pl.col("movie_id").alias("movieId"),
        "rating",
        pl.col("timestamp").dt.epoch("s"),
    ).write_csv(path)


def split(simulated: SimulatedRatings, *, is_last: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    ratings = simulated.ratings.with_row_index()
    key = pl.col("index") if is_last else pl.col("index").shuffle(seed=1)
    place = key.rank("ordinal", descending=True).over("user_id")
    hidden = ratings.with_columns(place=place).filter(pl.col("place") <= (1 if is_last else 4))
    return (
        ratings.join(hidden, on="index", how="anti").drop("index"),
        hidden.drop("index", "place"),
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration whose training takes seconds."""
    monkeypatch.setattr(module, "ModelConfig", lambda seed: msgspec.structs.replace(CONFIG, seed=seed))


@pytest.mark.parametrize("is_last", [True, False])
def test_the_report_has_the_promised_shape_and_beats_chance(
    tmp_path: Path, is_last: bool, small: None
) -> None:
    check_report(tmp_path, is_last)


@pytest.mark.heavy
@pytest.mark.parametrize("is_last", [True, False])
def test_the_report_with_the_configuration_of_the_command_is_the_same(tmp_path: Path, is_last: bool) -> None:
    check_report(tmp_path, is_last)


def check_report(tmp_path: Path, is_last: bool) -> None:
    train, test = split(simulate_ratings(n_users=150), is_last=is_last)
    assert is_continuation(train, test) == is_last
    write(train, tmp_path / "train.csv")
    write(test, tmp_path / "test.csv")
    arguments = [
        f"--train={tmp_path / 'train.csv'}", f"--test={tmp_path / 'test.csv'}",
        "--relevance=all", "--k=10", "--shuffled", f"--json={tmp_path / 'out.json'}",
    ]  # fmt: skip
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out.json").read_text("utf-8"))
    sources = SOURCES if is_last else {*SOURCES, "watched_between"}
    assert set(report["systems"]) == {"movierank", "random", *sources}
    assert set(report["systems"]["movierank"]) == {
        "ndcg@10", "precision@10", "recall@10", "map@10", "mrr", "recall@100", "coverage@10",
        "debiased_ndcg@10", "debiased_recall@10", "debiased_recall@100",
    }  # fmt: skip
    for metric in ("ndcg@10", "recall@100"):
        low, high = report["intervals"]["movierank"][metric]
        assert low <= report["systems"]["movierank"][metric] <= high
        assert set(report["differences"][metric]) == {"random", *sources}
    assert set(report["differences"]) == {"ndcg@10", "recall@10", "recall@100"}
    assert report["n_users"] == 150
    last = train.group_by("user_id").agg(pl.col("timestamp").max().alias("last"))
    tied = test.join(last, on="user_id").select((pl.col("timestamp") == pl.col("last")).mean()).item()
    assert report["ties"]["tied_share"] == pytest.approx(tied)
    assert set(report["ties"]["parts"]) == {"tied", "untied"}
    for name in ("shuffled", "shuffled_ties"):
        assert set(report[name]["differences"]) == {"ndcg@10", "recall@100"}
        assert f"The order of histories{'' if name == 'shuffled' else ' within each second'}" in result.output
    assert set(report["seconds"]) == {"fit", "rank"}
    assert sum(report["stages"].values()) == pytest.approx(report["seconds"]["fit"])
    assert report["peak_memory_mb"] > 0
    assert report["systems"]["movierank"]["ndcg@10"] > report["systems"]["random"]["ndcg@10"]


def test_equal_ratings_and_timestamps_that_are_only_an_order_work(tmp_path: Path, small: None) -> None:
    simulated = simulate_ratings(n_users=80)
    order = pl.int_range(pl.len()).over("user_id") * 1_000_000
    simulated = SimulatedRatings(
        simulated.ratings.with_columns(
            rating=pl.lit(5.0, pl.Float32), timestamp=order.cast(simulated.ratings.schema["timestamp"])
        ),
        simulated.catalogue_frame,
    )
    train, test = split(simulated, is_last=True)
    write(train, tmp_path / "train.csv")
    write(test, tmp_path / "test.csv")
    arguments = [f"--train={tmp_path / 'train.csv'}", f"--test={tmp_path / 'test.csv'}"]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "sequential hold-out" in result.output
