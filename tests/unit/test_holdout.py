"""What a protocol asks, and that what answers it saw none of it."""

import msgspec
import numpy as np
import polars as pl
import pytest

from movierank_core.data.interactions import InteractionArrays
from movierank_core.errors import DataError
from movierank_core.features.registry import feature_list
from movierank_core.recommender.state import RankingState
from movierank_pipeline.evaluation.answers import RANDOM
from movierank_pipeline.evaluation.compare import MAIN
from movierank_pipeline.evaluation.evaluate import report_of
from movierank_pipeline.evaluation.experiment import answers_to, model_on
from movierank_pipeline.evaluation.protocols import strong
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, draw_users
from movierank_pipeline.evaluation.protocols.strong import strong_episodes, strong_holdout, strong_split
from movierank_pipeline.evaluation.protocols.temporal import temporal_holdout
from movierank_pipeline.evaluation.report import Report
from movierank_pipeline.training import training_set as rows_module
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import build_training_set, training_rows
from tests.support.releases import training
from tests.support.simulated import CONFIG, SimulatedRatings


@pytest.fixture(scope="module")
def ranker() -> TrainedRanker:
    return training().ranker


def report_on(holdout: HoldOut, ranker: TrainedRanker) -> Report:
    model = model_on(holdout, ranker)
    return report_of(holdout, model, answers_to(holdout, model, CONFIG), CONFIG)


def arrays_of(state: RankingState) -> list[np.ndarray]:
    tables = [*(source.arrays() for source in state.sources.values()), state.movies.arrays()]
    return [array for arrays in tables for array in arrays.values()]


def test_evaluated_requests_have_a_maximum_and_are_those_of_whole_users(
    simulated: SimulatedRatings, ranker: TrainedRanker
) -> None:
    everything = temporal_holdout(simulated.data, simulated.catalogue, CONFIG)
    n = len(everything.requests)
    assert report_on(everything, ranker).n_possible_requests is None
    config = msgspec.structs.replace(CONFIG, max_test_requests=n // 2)
    holdout = temporal_holdout(simulated.data, simulated.catalogue, config)
    chosen = holdout.requests["user_id"].unique()
    assert 0.3 * n < len(holdout.requests) <= n // 2
    assert holdout.requests.equals(everything.requests.filter(pl.col("user_id").is_in(chosen.implode())))
    assert len(list(holdout.replay())) == len(holdout.requests)
    report = report_on(holdout, ranker)
    assert (report.n_requests, report.n_possible_requests) == (len(holdout.requests), n)
    assert report.sample_text == f" (users drawn at random; {n:,} requests of all users)"
    again = temporal_holdout(simulated.data, simulated.catalogue, config)
    assert again.requests.equals(holdout.requests)
    other = msgspec.structs.replace(config, seed=config.seed + 1)
    others = draw_users(everything.requests, other).requests
    assert not others.equals(holdout.requests)
    alone = draw_users(everything.requests, msgspec.structs.replace(CONFIG, max_test_requests=1))
    assert alone.requests["user_id"].n_unique() == 1


def test_a_temporal_request_has_the_history_before_it_and_the_ratings_after(
    simulated: SimulatedRatings,
) -> None:
    holdout = temporal_holdout(simulated.data, simulated.catalogue, CONFIG)
    requests = list(holdout.replay())
    assert [request.user_id for request in requests] == holdout.requests["user_id"].to_list()
    seconds = pl.col("timestamp").dt.epoch("s")
    for request in requests:
        own = simulated.ratings.filter(pl.col("user_id") == request.user_id)
        before, after = own.filter(seconds < request.as_of), own.filter(seconds >= request.as_of)
        assert set(request.history.movie_ids) == set(before["movie_id"])
        later = dict(zip(simulated.catalogue.rows_of(after["movie_id"]), after["rating"], strict=True))
        assert request.later_ratings == later
        assert all(later[row] >= 4 for row in request.targets)


def test_the_strong_state_knows_nothing_of_the_people_who_ask(simulated: SimulatedRatings) -> None:
    split = strong_split(simulated.interactions, CONFIG)
    held_out = set(split.history["user_id"]) | set(split.targets["user_id"])
    assert held_out.isdisjoint(split.train["user_id"])
    assert len(held_out) == round(0.2 * 90)
    holdout = strong_holdout(split, simulated.catalogue, CONFIG)
    spoilt = split._replace(
        history=split.history.with_columns(rating=pl.lit(0.5, pl.Float32)),
        targets=split.targets.with_columns(rating=pl.lit(5.0, pl.Float32)),
    )
    for mine, theirs in zip(
        arrays_of(holdout.state),
        arrays_of(strong_holdout(spoilt, simulated.catalogue, CONFIG).state),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_strong_request_gives_four_fifths_and_asks_for_the_likes_among_the_rest(
    simulated: SimulatedRatings,
) -> None:
    split = strong_split(simulated.interactions, CONFIG)
    holdout = strong_holdout(split, simulated.catalogue, CONFIG)
    requests = list(holdout.replay())
    assert [request.user_id for request in requests] == holdout.requests["user_id"].to_list()
    assert {request.as_of for request in requests} == {int(simulated.data.timestamps.max()) + 1}
    n_shown = n_hidden = 0
    for request, targets in zip(requests, holdout.requests["targets"], strict=True):
        own = simulated.ratings.filter(pl.col("user_id") == request.user_id)
        hidden = own.filter(~pl.col("movie_id").is_in(request.history.movie_ids.tolist()))
        assert set(request.later_ratings) == set(simulated.catalogue.rows_of(hidden["movie_id"]))
        liked = simulated.catalogue.rows_of(hidden.filter(pl.col("rating") >= 4)["movie_id"])
        assert set(request.targets) == {row for row in liked if holdout.state.is_known[row]}
        assert set(request.targets) == set(simulated.catalogue.rows_of(targets))
        n_shown, n_hidden = n_shown + len(request.history), n_hidden + len(hidden)
    assert n_hidden / (n_shown + n_hidden) == pytest.approx(0.2, abs=0.03)


def test_likes_of_movies_that_only_the_held_out_know_are_counted_but_not_asked_for(
    simulated: SimulatedRatings,
) -> None:
    split = strong_split(simulated.interactions, CONFIG)
    movie = split.targets.filter(pl.col("rating") >= 4)["movie_id"][0]
    unknown = split._replace(train=split.train.filter(pl.col("movie_id") != movie))
    holdout = strong_holdout(unknown, simulated.catalogue, CONFIG)
    row = simulated.catalogue.row_of(movie)
    assert all(row not in request.targets for request in holdout.replay())
    assert holdout.unknown_like_share > strong_holdout(split, simulated.catalogue, CONFIG).unknown_like_share


def test_sources_behind_a_strong_training_row_never_saw_its_user(
    simulated: SimulatedRatings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[set[int]] = []
    original = rows_module.fit_state

    def record(data: InteractionArrays, *arguments: object, **more: object) -> RankingState:
        fitted.append(set(data.user_ids.tolist()))
        return original(data, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rows_module, "fit_state", record)
    split = strong_split(simulated.interactions, CONFIG)
    rows = training_rows(
        strong_episodes(split.train, simulated.catalogue, CONFIG), simulated.catalogue, CONFIG
    ).frame
    assert len(fitted) == strong.N_FOLDS
    for (episode,), of_fold in rows.group_by("episode"):
        assert fitted[int(str(episode))].isdisjoint(of_fold["user_id"])
    assert set(rows["role"]) == {"train", "validation"}
    asked = rows.group_by("user_id").agg(pl.col("request_id").n_unique())
    assert asked["request_id"].max() == CONFIG.training_moments
    assert set(rows["user_id"]).isdisjoint(split.targets["user_id"])


def test_no_more_people_ask_in_training_than_there_may_be_requests(simulated: SimulatedRatings) -> None:
    few = msgspec.structs.replace(CONFIG, max_training_requests=24)
    rows = training_rows(
        strong_episodes(simulated.interactions, simulated.catalogue, few), simulated.catalogue, few
    ).frame
    assert 10 < rows["request_id"].n_unique() <= 24
    assert rows["request_id"].n_unique() == rows["user_id"].n_unique()


def test_too_few_people_cannot_be_held_out(simulated: SimulatedRatings) -> None:
    with pytest.raises(DataError) as refused:
        strong_split(simulated.interactions.filter(pl.col("user_id") < 10), CONFIG)
    assert str(refused.value) == (
        "There are 9 users. Expected: at least 40, to hold some users out. Remedy: use a larger data set,"
        " or the protocol `temporal`"
    )


FIGURES = {"mean", "low", "high", "relative", "relative_low", "p_value", "p_holm"}
"""Fields of a difference."""


def test_both_protocols_give_reports_of_the_same_shape(
    simulated: SimulatedRatings, ranker: TrainedRanker
) -> None:
    temporal = report_on(temporal_holdout(simulated.data, simulated.catalogue, CONFIG), ranker)
    holdout = strong_holdout(strong_split(simulated.interactions, CONFIG), simulated.catalogue, CONFIG)
    strong_report = report_on(holdout, ranker)
    assert strong_report.split_time == ""
    assert list(temporal.systems) == list(strong_report.systems)
    assert set(strong_report.systems[MAIN]) - set(temporal.systems[MAIN]) == {
        *("recall@20", "recall@50", "ndcg@100")
    }
    assert strong_report.n_requests == strong_report.n_users
    for report in (temporal, strong_report):
        for figures in report.systems.values():
            assert figures["unreleased@10"].mean == 0.0
            for metric in ("ndcg@10", "recall@10", "recall@100"):
                interval = figures[f"debiased_{metric}"]
                bounds = np.array([0, interval.low, interval.mean, interval.high, 1])
                assert (np.diff(bounds) >= -1e-12).all()
        assert report.systems[MAIN]["ndcg@10"].mean > report.systems[RANDOM]["ndcg@10"].mean
        plain = msgspec.json.decode(report.to_json())
        for part in (plain, *plain["slices"].values()):
            for key in ("differences", "recall_differences"):
                assert set(part[key]) == set(report.systems) - {MAIN}
                for difference in part[key].values():
                    assert set(difference) == FIGURES
            assert {plain["best_source"], plain["recent_popularity"]} <= set(part["differences"])


def test_a_slice_compares_the_same_people(simulated: SimulatedRatings, ranker: TrainedRanker) -> None:
    report = report_on(temporal_holdout(simulated.data, simulated.catalogue, CONFIG), ranker)
    for part in report.slices.values():
        for metric, differences in (
            ("ndcg@10", part.differences["ndcg@10"]),
            ("recall@100", part.differences["recall@100"]),
        ):
            for name, difference in differences.items():
                ours, theirs = part.systems[MAIN][metric].mean, part.systems[name][metric].mean
                assert difference.mean == pytest.approx(ours - theirs)
                if theirs > 0:
                    assert difference.relative == pytest.approx(ours / theirs - 1)


def test_a_ranker_without_groups_reads_none_of_their_features(simulated: SimulatedRatings) -> None:
    requests = plan_requests(simulated.data, simulated.catalogue, CONFIG)
    rows = build_training_set(simulated.data, requests, simulated.catalogue, CONFIG)
    ranker = train_ranker(rows, CONFIG, without=("cross", "user"))
    assert ranker.features == tuple(
        feature for feature in feature_list() if feature.group not in ("cross", "user")
    )
    assert list(ranker.importance) == [feature.name for feature in ranker.features]
