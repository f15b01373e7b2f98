"""A bundle is read whole or not at all, and gives the scores it was written with."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from movierank_core.bundle import RETRAIN, read_bundle, read_manifest, write_bundle
from movierank_core.data.history import EVENT_TYPES, History
from movierank_core.data.timestamps import to_epoch
from movierank_core.errors import BundleError
from movierank_core.features.movie_facts import FactsOverTime, facts_moment
from movierank_core.features.registry import feature_list
from movierank_core.manifest import FORMAT_VERSION, RANKER
from movierank_core.recommender.explanation import Explanation
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.ranking import RankOptions
from movierank_core.recommender.reasons import BECAUSE_FAMILIES
from movierank_core.recommender.state import RankingState, fit_state
from movierank_core.reranking.filters import Filters, broken_rules
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.sources.item_to_item import ItemToItem
from movierank_pipeline.release.build_bundle import lightgbm_scores
from movierank_pipeline.training.requests import episode_moments
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet
from tests.support.releases import training
from tests.support.simulated import CONFIG, SimulatedRatings


@pytest.fixture(scope="module")
def training_set() -> TrainingSet:
    return training().rows


@pytest.fixture(scope="module")
def ranker() -> TrainedRanker:
    return training().ranker


@pytest.fixture(scope="module")
def bundle(
    simulated: SimulatedRatings, ranker: TrainedRanker, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write(folder, simulated, ranker)
    return folder


def write(folder: Path, simulated: SimulatedRatings, ranker: TrainedRanker) -> None:
    as_of = to_epoch(episode_moments(simulated.data, CONFIG)[0])
    write_bundle(
        folder,
        catalogue=simulated.catalogue,
        state=fit_state(simulated.data, simulated.catalogue, as_of, CONFIG).with_fusion(ranker.fusion),
        model_text=ranker.model_text,
        feature_names=[feature.name for feature in ranker.features],
        calibration=ranker.calibration,
        predict_raw=lambda matrix: lightgbm_scores(ranker.model_text, matrix),
        dataset="tiny",
        ratings_are_simulated=True,
        data_hash="0",
        n_users=90,
        n_interactions=len(simulated.ratings),
        metrics={},
        config={},
    )


def test_place_of_images_is_in_the_manifest_and_older_bundles_have_the_usual_one(
    bundle: Path, copy: Path
) -> None:
    assert read_manifest(bundle).image_base_url == "https://image.tmdb.org/t/p/"
    manifest = json.loads((copy / "manifest.json").read_bytes())
    assert manifest.pop("image_base_url")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert read_manifest(copy).image_base_url == "https://image.tmdb.org/t/p/"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def some_history(simulated: SimulatedRatings) -> History:
    return simulated.data.history(3)


def test_serving_features_equal_the_training_rows_exactly(
    simulated: SimulatedRatings, bundle: Path, training_set: TrainingSet
) -> None:
    recommender = read_bundle(bundle)
    catalogue = simulated.catalogue
    names = [feature.name for feature in recommender.model.features]
    over_time = FactsOverTime.of(simulated.data, len(catalogue))
    for (request_id,), rows in training_set.frame.filter(pl.col("episode") == 0).group_by("request_id"):
        user = int(np.searchsorted(simulated.data.user_ids, rows["user_id"][0]))
        as_of = to_epoch(rows["as_of"][0])
        published = over_time.at(facts_moment(as_of, recommender.model.state.as_of))
        model = recommender.with_facts(published).model
        scored = model.score(simulated.data.history(user, as_of), as_of=as_of)
        if scored.features is None:
            continue
        by_movie = dict(zip(rows["movie_id"], rows.select(names).to_numpy(), strict=True))
        served = dict(zip(simulated.catalogue.movie_ids[scored.rows].tolist(), scored.features, strict=True))
        beyond = simulated.catalogue.rows_of(list(served.keys() - by_movie.keys()))
        assert by_movie.keys() <= served.keys(), request_id
        assert model.state.is_cold_item[beyond].all()
        for movie_id, features in by_movie.items():
            np.testing.assert_array_equal(features, served[movie_id])


def test_scores_are_those_of_lightgbm_descending_and_probabilities(
    simulated: SimulatedRatings, bundle: Path, ranker: TrainedRanker
) -> None:
    model: RankingModel = read_bundle(bundle).model
    scored = model.score(some_history(simulated), as_of=2_000_000_000)
    assert scored.features is not None
    expected = lightgbm_scores(ranker.model_text, scored.features)
    np.testing.assert_allclose(scored.raw_scores, expected, atol=1e-9)
    assert bool((np.diff(scored.probabilities) <= 0).all())
    assert 0 < scored.probabilities[-1] <= scored.probabilities[0] < 1


def test_explained_contributions_sum_to_the_raw_score(simulated: SimulatedRatings, bundle: Path) -> None:
    ranking = read_bundle(bundle).rank(
        some_history(simulated), as_of=2_000_000_000, k=10, options=RankOptions(explain=True)
    )
    for result in ranking.results:
        assert result.contributions is not None
        assert sum(result.contributions.values()) == pytest.approx(result.raw_score, abs=1e-9)


def test_rank_with_and_without_contributions_and_explain_give_the_same_reasons(
    simulated: SimulatedRatings, bundle: Path
) -> None:
    recommender = read_bundle(bundle)
    as_of = 2_000_000_000
    for user in range(len(simulated.data.user_ids)):
        history = simulated.data.history(user)
        plain = recommender.rank(history, as_of=as_of, k=50).results
        explained = recommender.rank(history, as_of=as_of, k=50, options=RankOptions(explain=True)).results
        assert [movie.reasons for movie in plain] == [movie.reasons for movie in explained]
        for movie in explained[:: 1 + user % 10]:
            alone = recommender.explain(history, as_of=as_of, row=movie.row)
            assert (alone.reasons, alone.contributions) == (movie.reasons, movie.contributions)


def test_because_you_liked_names_the_item_that_adds_most_to_the_leading_source_of_the_leading_family(
    simulated: SimulatedRatings, bundle: Path
) -> None:
    recommender = read_bundle(bundle)
    state = recommender.model.state
    n_named = 0
    for user in range(len(simulated.data.user_ids)):
        history = simulated.data.history(user)
        query = state.query(history, simulated.catalogue, 2_000_000_000)
        for movie in recommender.rank(history, as_of=2_000_000_000, k=10).results:
            named = [reason for reason in movie.reasons if reason.startswith("because_you_liked:")]
            if not named:
                continue
            explained = recommender.explain(history, as_of=2_000_000_000, row=movie.row)
            expected = because_by_hand(explained, state, query, movie.row)
            assert named == [f"because_you_liked:{simulated.catalogue.movie_ids[query.rows[expected]]}"]
            n_named += 1
    assert n_named > 200


def because_by_hand(explained: Explanation, state: RankingState, query: Query, row: int) -> int | None:
    """The history item of the first source that has one: by family, then by source contribution."""
    of_feature = {feature.name: feature.contribution for feature in explained.features}
    of_source = {
        name: sum(of_feature.get(each.name, 0.0) for each in feature_list() if each.source == name)
        for name, source in state.sources.items()
        if source.family in BECAUSE_FAMILIES
    }
    families = explained.contributions
    order = sorted(of_source, key=lambda name: (-families[state.sources[name].family], -of_source[name]))
    for name in order:
        source = state.sources[name]
        if families[source.family] <= 0 or of_source[name] <= 0:
            continue
        assert isinstance(source, ItemToItem)
        weights = np.where(query.is_liked, source.history_weights(query), 0)
        added = np.zeros(len(query.rows))
        for item, history_row in enumerate(query.rows):
            columns, values = source.neighbours.row(int(history_row))
            found = np.flatnonzero(columns == source.support.columns[row])
            added[item] = weights[item] * values[found[0]] if len(found) else 0.0
        if added.max() > 0:
            return int(added.argmax())
    return None


def test_reasons_name_only_liked_movies_of_the_history(simulated: SimulatedRatings, bundle: Path) -> None:
    recommender = read_bundle(bundle)
    n_named = 0
    for user in range(40):
        history = simulated.data.history(user)
        liked = set(history.movie_ids[history.ratings >= 4].tolist())
        for result in recommender.rank(history, as_of=2_000_000_000, k=10).results:
            codes = [code for code in result.reasons if code.startswith("because_you_liked:")]
            assert {int(code.split(":")[1]) for code in codes} <= liked
            n_named += len(codes)
    assert n_named > 0


def test_seen_movies_come_back_only_if_asked_for_and_hidden_ones_never(
    simulated: SimulatedRatings, bundle: Path
) -> None:
    recommender = read_bundle(bundle)
    history = History.of_arrays(
        [20, 40, 60, 80],
        [5, 5, 5, 2],
        [1, 2, 3, 4],
        [EVENT_TYPES[name].code for name in ("rating", "like", "seen", "not_interested")],
    )

    def shown(*, exclude_seen: bool) -> set[int]:
        options = RankOptions(exclude_seen=exclude_seen)
        results = recommender.rank(history, as_of=10, k=500, options=options).results
        return {int(simulated.catalogue.movie_ids[result.row]) for result in results}

    assert not shown(exclude_seen=True) & {20, 40, 60, 80}
    assert shown(exclude_seen=False) & {20, 40, 60}
    assert 80 not in shown(exclude_seen=False)


def test_a_newcomer_gets_what_is_popular_over_three_windows_and_is_told_so(bundle: Path) -> None:
    recommender = read_bundle(bundle)
    ranking = recommender.rank(History.empty(), as_of=2_000_000_000, k=10)
    assert ranking.served_by == "popularity"
    state = recommender.model.state
    score = np.zeros(len(recommender.catalogue))
    for name, weight in {"popularity_365d": 2, "popularity": 1, "popularity_30d": 1}.items():
        source = state.sources[name]
        counts = source.support.everywhere(
            source.scores(state.query(History.empty(), recommender.catalogue, 0))
        )
        ordered = np.lexsort((np.arange(len(counts)), -counts))
        ordered = ordered[counts[ordered] > 0]
        score[ordered] += weight / (60 + np.arange(1, len(ordered) + 1))
    expected = np.lexsort((np.arange(len(score)), -score.astype(np.float32)))[:10]
    assert [result.row for result in ranking.results] == expected.tolist()
    assert ranking.results[0].reasons == ["newcomer", "popular_lately"]
    scores = [result.score for result in ranking.results]
    assert scores == sorted(scores, reverse=True)


def test_a_row_is_eligible_exactly_if_it_breaks_no_rule(simulated: SimulatedRatings, bundle: Path) -> None:
    model = read_bundle(bundle).model
    history = History.of_arrays(
        [20, 40, 60, 80],
        [5, 5, np.nan, 2],
        [1, 2, 3, 4],
        [EVENT_TYPES[name].code for name in ("rating", "click", "seen", "not_interested")],
    )
    query = model.state.query(history, simulated.catalogue, 10)
    n_events = model.state.movies.n_events
    for filters in (None, Filters(genres_any=["comedy"], year_min=1990), Filters(max_votes=20)):
        for exclude_seen in (True, False):
            mask = model.eligible(query, exclude_seen=exclude_seen, filters=filters)
            rules = [
                broken_rules(
                    row, query, simulated.catalogue, n_events, exclude_seen=exclude_seen, filters=filters
                )
                for row in range(len(simulated.catalogue))
            ]
            assert mask.tolist() == [not broken for broken in rules]
            assert ("seen" in rules[1]) == exclude_seen
            assert rules[7][0] == "hidden"


def test_filters_admit_only_what_they_say(simulated: SimulatedRatings, bundle: Path) -> None:
    filters = Filters(
        genres_any=["comedy"], genres_none=["Drama"], year_min=1990, languages=["EN"], exclude_movie_ids=[30]
    )
    results = (
        read_bundle(bundle)
        .rank(some_history(simulated), as_of=2_000_000_000, k=50, options=RankOptions(filters=filters))
        .results
    )
    assert results
    for row in simulated.catalogue.frame[[result.row for result in results]].iter_rows(named=True):
        assert "Comedy" in row["genres"]
        assert "Drama" not in row["genres"]
        assert row["release_year"] >= 1990
        assert row["original_language"] == "en"
        assert row["movie_id"] != 30


def test_diversity_mixes_genres(simulated: SimulatedRatings, bundle: Path) -> None:
    recommender = read_bundle(bundle)

    def n_pairs(diversity: float) -> int:
        options = RankOptions(diversity=diversity)
        results = recommender.rank(some_history(simulated), as_of=2_000_000_000, k=8, options=options).results
        return len({tuple(simulated.catalogue.frame["genres"][result.row]) for result in results})

    assert n_pairs(0.9) >= n_pairs(0.0)


def test_k_beyond_the_catalogue_gives_what_there_is(bundle: Path) -> None:
    assert 0 < len(read_bundle(bundle).rank(History.empty(), as_of=1, k=500).results) <= 80


def refusal_of(folder: Path) -> str:
    with pytest.raises(BundleError) as refused:
        read_bundle(folder)
    return str(refused.value)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_changed_byte_is_refused_in_every_file(copy: Path) -> None:
    paths = [path for path in copy.rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert len(paths) > 10
    for path in paths:
        whole, before = path.read_bytes(), sha256(path)
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert refusal_of(copy) == (
            f"{path.relative_to(copy).as_posix()} in the bundle {copy} has the hash {sha256(path)[:12]}…. "
            f"Expected: {before[:12]}…, as the manifest says. "
            f"Remedy: copy the bundle again, or {RETRAIN}."
        )
        path.write_bytes(whole)
    read_bundle(copy)


def test_a_missing_file_is_refused_by_name(copy: Path) -> None:
    (copy / "state" / "als.factors.npy").unlink()
    assert refusal_of(copy) == (
        f"The bundle in {copy} lacks ['state/als.factors.npy']. Expected: every file of its manifest. "
        f"Remedy: {RETRAIN}."
    )


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(99, "upgrade movierank, or promote a version that this one wrote"), (FORMAT_VERSION - 1, RETRAIN)],
)
def test_another_format_is_refused_with_what_to_do(copy: Path, version: int, remedy: str) -> None:
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    manifest["format_version"] = version
    manifest["features"] = "of a kind that nobody knows yet"
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert refusal_of(copy) == (
        f"The bundle in {copy} has format {version}. Expected: format {FORMAT_VERSION}. Remedy: {remedy}."
    )


def test_a_manifest_cut_short_is_refused(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])
    assert refusal_of(copy) == (
        f"{path} cannot be read: Input data was truncated. Expected: a manifest. Remedy: {RETRAIN}."
    )


def test_features_that_this_code_does_not_compute_are_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    manifest["features"][0]["name"] = "horoscope"
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleError, match=r"does not compute: \['horoscope'\]"):
        read_bundle(copy)


def test_other_trees_with_a_right_hash_fail_the_golden_requests(copy: Path) -> None:
    path = copy / RANKER
    lines = path.read_text("utf-8").split("\n")
    for number, line in enumerate(lines):
        if line.startswith("leaf_value="):
            values = [str(float(value) + 0.5 * place) for place, value in enumerate(line[11:].split())]
            lines[number] = "leaf_value=" + " ".join(values)
            break
    path.write_text("\n".join(lines), "utf-8")
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    manifest["files"][RANKER] = hashlib.sha256(path.read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleError, match=r"Golden request \d of the bundle"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("array", "change", "found"),
    [
        (
            "ease_likes.indices",
            lambda a: np.where(np.arange(len(a)) == 5, 10**6, a),
            "ease_likes.indices holds",
        ),
        ("als.movies", lambda a: a - 1000, "als.movies holds indices"),
        ("content.movies", lambda a: a[::-1], "content.movies does not ascend"),
        ("next_item.offsets", lambda a: a[:-1], "next_item.offsets does not divide"),
        ("hazard_markov.offsets", lambda a: np.r_[0, a[-1], a[2:]], "hazard_markov.offsets descends"),
        ("next_item.far_indices", lambda a: a + 10**6, "next_item.far_indices holds"),
        ("hazard_markov.log_hazard", lambda a: a[:-1], "hazard_markov.log_hazard has"),
        (
            "item_neighbours.values",
            lambda a: a[:-1],
            "item_neighbours has",
        ),
        ("popularity.counts", lambda a: a[:-1], "popularity.counts has"),
        ("als.factors", lambda a: a[:-1], "als.factors has"),
        ("movies.n_events", lambda a: a[:-1], "movies.n_events has"),
        ("movies.director_offsets", lambda a: a + 1, "movies.director_offsets does not divide"),
        ("movies.language", lambda a: a - 2, "movies.language holds"),
    ],
)
def test_indices_out_of_bounds_are_refused_though_every_hash_is_right(
    copy: Path, array: str, change: Callable[[np.ndarray], np.ndarray], found: str
) -> None:
    file = copy / "state" / f"{array}.npy"
    values = np.load(file)
    changed = change(values).astype(values.dtype)
    file.unlink()  # Sources that share an array share its file.
    np.save(file, changed)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][f"state/{array}.npy"] = sha256(file)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=re.escape(found)):
        read_bundle(copy, verify=False)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        read_bundle(tmp_path)


def test_nothing_stays_of_a_bundle_whose_writing_failed(
    simulated: SimulatedRatings, ranker: TrainedRanker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("movierank_core.atomic.os.replace", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "bundle", simulated, ranker)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_holds_no_pickle_and_no_user(bundle: Path) -> None:
    suffixes = {path.suffix for path in bundle.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".npy", ".parquet", ".txt"}
    assert "user_id" not in (bundle / "golden.json").read_text("utf-8")
