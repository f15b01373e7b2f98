"""`movierank evaluate` with everything it can be asked, on a tiny set."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from movierank_cli.evaluate import evaluate
from movierank_core.config import ModelConfig
from movierank_core.errors import ConfigError
from movierank_core.retrieval.registry import sources_of
from movierank_pipeline.evaluation import ablation
from movierank_pipeline.evaluation import run as evaluation_run
from movierank_pipeline.evaluation.ablation import feature_blocks
from movierank_pipeline.ingest.movielens.reader import read_ratings_csv
from tests.support.tiny_pipeline import environment, write_tiny_ratings


@pytest.fixture
def tiny(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_tiny_ratings(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path / "tiny"


def run(tiny: Path, *arguments: str) -> tuple[str, dict, str]:
    """What was printed, the JSON and the page."""
    json_file, html_file = tiny.parent / "out.json", tiny.parent / "out.html"
    done = CliRunner().invoke(
        evaluate,
        ["--data-dir", str(tiny), "--json", str(json_file), "--html", str(html_file), *arguments],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return done.output, json.loads(json_file.read_text()), html_file.read_text()


TWO_SOURCES = ("ease_likes", "popularity_365d")
EVERY_SOURCE = tuple(source.name for source in sources_of(ModelConfig()))


@pytest.mark.parametrize(
    ("sources", "blocks"),
    [
        (TWO_SOURCES, ["block:genre"]),
        pytest.param(EVERY_SOURCE, feature_blocks(), marks=pytest.mark.heavy),
    ],
)
def test_ablation_shows_the_contribution_of_each_group_of_features_and_each_source(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, sources: tuple[str, ...], blocks: list[str]
) -> None:
    """`sources` and `blocks` are left out in turn; the ranker itself always has every one."""
    parts = [f"source:{name}" for name in sources]
    monkeypatch.setattr(
        ablation, "source_parts", lambda without=(): [part for part in parts if part not in without]
    )
    monkeypatch.setattr(evaluation_run, "feature_blocks", lambda without=(): blocks)
    printed, report, page = run(tiny, "--ablate")
    assert report["protocol"] == "temporal"
    assert set(report["ablations"]) == {"retrieval", "user", "movie", "cross"}
    assert set(report["block_ablations"]) == {part.removeprefix("block:") for part in blocks}
    assert set(report["source_ablations"]) == set(sources)
    parts = (*report["ablations"].values(), *report["block_ablations"].values())
    for part in (*parts, *report["source_ablations"].values()):
        whole, without = report["systems"]["movierank"], part["metrics"]
        for metric in ("ndcg@10", "recall@100"):
            difference = part["differences"][metric]
            assert difference["mean"] == pytest.approx(whole[metric]["mean"] - without[metric]["mean"])
            assert difference["low"] <= difference["mean"] <= difference["high"]
    means = {name: part["differences"]["ndcg@10"]["mean"] for name, part in report["ablations"].items()}
    assert max(means, key=means.__getitem__) == "retrieval"
    assert means["retrieval"] > 0
    assert "contribution of the group" in printed
    assert "contribution of the block" in printed
    assert "contribution of the source" in printed
    assert "<h2>Contribution of each group of features</h2>" in page
    assert "<h2>Contribution of each block of features</h2>" in page
    assert "<h2>Contribution of each candidate source</h2>" in page
    assert not list((tiny.parent / ".movierank").glob(".states-*"))


def test_a_source_can_be_left_out(tiny: Path) -> None:
    printed, report, page = run(tiny, "--without", "source:content", "--without", "user")
    assert report["without"] == ["source:content", "user"]
    assert "Trained without source:content, user." in printed
    assert "content_z" not in page
    assert (report["protocol"], report["targets"], report["refits"]) == ("temporal", "all", [])
    assert set(report["shuffled"]["differences"]) == {"ndcg@10", "recall@100"}
    assert "The order of histories contributes" in printed
    assert (report["ties"]["tied_share"], report["ties"]["parts"]) == (0.0, {})
    assert "0.0% of" in printed
    assert report["slice_verdict"] in printed.replace("\n", " ")
    for part in report["slices"].values():
        assert part["best_source"] in report["systems"]
        assert bool(part["leads"]) == (part["n_users"] >= 20)


def test_a_rolling_evaluation_with_the_last_like_as_the_target(tiny: Path) -> None:
    printed, report, page = run(tiny, "--protocol", "rolling", "--refits", "2", "--targets", "last")
    assert (report["protocol"], report["targets"]) == ("rolling", "last")
    assert len(report["refits"]) == 2
    assert report["split_time"] < report["refits"][0] < report["refits"][1]
    assert "Targets: last." in printed
    assert "several choices of the target" in printed
    for name, band in report["ties"]["band"].items():
        assert band["worst"]["mean"] <= report["systems"][name]["ndcg@10"]["mean"] <= band["best"]["mean"]
    assert "<dt>protocol</dt><dd>rolling</dd>" in page


def test_judgments_replace_the_protocol(tiny: Path) -> None:
    ratings = read_ratings_csv(tiny / "ratings.csv").frame
    movies = ratings["movie_id"].unique().sort().to_list()
    lines = []
    for user_id in ratings["user_id"].unique().sort().to_list()[:25]:
        seen = set(ratings.filter(pl.col("user_id") == user_id)["movie_id"])
        unseen = [movie_id for movie_id in movies if movie_id not in seen]
        lines += [f"{user_id} 0 {movie_id} {index % 3}" for index, movie_id in enumerate(unseen[:12])]
    qrels = tiny.parent / "judged.qrels"
    qrels.write_text("\n".join(lines))
    printed, report, _ = run(tiny, "--qrels", str(qrels))
    assert (report["protocol"], report["n_users"]) == ("judged", 25)
    assert report["judged"] == {"n_judgments": 300, "n_judgments_of_history": 0}
    for figures in report["systems"].values():
        assert {"ndcg@10", "recall@10", "recall@100", "bpref", "judged@10"} <= set(figures)
    assert "25 requests of 25 users with judgments." in printed
    assert "300 judgments, 0 of which are of movies of the history." in printed
    assert "nan" not in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--qrels=a", "--protocol=strong"], "`--protocol strong` was given for the judged protocol"),
        (["--refits=2"], "`--refits` was given for the temporal protocol. Expected: `--protocol rolling`"),
        (["--protocol=strong", "--targets=last"], "`--targets last` was given for the strong protocol"),
    ],
)
def test_options_that_contradict_each_other_are_refused_before_anything_is_read(
    tmp_path: Path, options: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(evaluate, [f"--data-dir={tmp_path}", *options], catch_exceptions=False)


def test_strong_generalisation_without_groups_of_features(tiny: Path) -> None:
    printed, report, page = run(tiny, "--protocol", "strong", "--without", "user", "--without", "cross")
    assert report["protocol"] == "strong"
    assert report["without"] == ["user", "cross"]
    assert report["n_users"] == report["n_requests"] <= 30
    assert report["systems"]["movierank"]["ndcg@10"]["mean"] > report["systems"]["random"]["ndcg@10"]["mean"]
    assert {"recall@20", "recall@50", "ndcg@100"} <= set(report["systems"]["als"])
    assert "whom training has not seen. Trained without user, cross." in printed
    assert "<dt>without</dt><dd>user, cross</dd>" in page
    assert "user_log_events" not in page  # It would be among the important features.


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (["users"], "There is no group of features 'users'. Expected: one of retrieval, user, movie, cross"),
        (["source:user"], "There is no candidate source 'user'. Expected: one of source:ease_likes, source:"),
        (
            [f"source:{source.name}" for source in sources_of(ModelConfig())],
            "Without these sources nothing is proposed",
        ),
        (
            ["block:user", "block:actors"],
            "There is no block of features 'actors'. Expected: one of block:sour",
        ),
        (["retrieval", "user", "movie", "cross"], "Without these parts the ranker has no feature left"),
    ],
)
def test_parts_that_cannot_be_left_out_are_refused_before_anything_is_read(
    tmp_path: Path, without: list[str], message: str
) -> None:
    arguments = [f"--without={name}" for name in without]
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(evaluate, [f"--data-dir={tmp_path}", *arguments], catch_exceptions=False)
