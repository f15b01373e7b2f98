"""For very many requests, features and scores of the service equal those of the offline code exactly."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.bundle import read_bundle
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.feature import Feature
from movierank_core.manifest import RANKER
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.recommender import Recommender
from movierank_core.recommender.state import fit_state
from movierank_core.reranking.cold_items import fill_cold_item_slots
from movierank_core.reranking.dislikes import dislike_drops, push_down
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.release.build_bundle import lightgbm_scores
from movierank_pipeline.release.log_run import Release
from movierank_serving.users import requester as askers
from tests.support.service import client_of, serve_version, settings_in
from tests.support.simulated import CONFIG, SimulatedRatings

EVENT_TYPES = ("rating", "like", "dislike", "click", "not_interested", "seen", "undo")


@pytest.fixture(scope="module")
def recommender(release: Release) -> Recommender:
    return read_bundle(release.bundle)


@pytest.fixture(scope="module")
def client(
    recommender: Recommender, simulated: SimulatedRatings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient[Litestar]]:
    settings = settings_in(tmp_path_factory.mktemp("parity"), impressions_kept=0)
    serve_version(settings, "1")
    publish_histories(
        simulated.interactions,
        settings.paths.histories,
        feedback_through=None,
        dataset="tiny",
        ratings_are_simulated=True,
    )
    with client_of(settings, lambda _: recommender) as client:
        yield client


class Clock:
    """The service's clock, which stands still."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


def offline_history(client: TestClient[Litestar], simulated: SimulatedRatings, user_id: int) -> Any:
    """What the next training would know of the user: the ratings and all feedback, by the pipeline's code."""
    feedback = client.app.state.worker.store().read_all()
    data = InteractionArrays.from_frame(build_interactions(simulated.ratings, feedback), simulated.catalogue)
    return data.history(int(np.searchsorted(data.user_ids, user_id)))


@pytest.mark.parametrize("n_requests", [150, pytest.param(1_000, marks=pytest.mark.heavy)])
def test_features_and_scores_of_the_service_are_those_of_the_offline_code(
    client: TestClient[Litestar],
    recommender: Recommender,
    release: Release,
    simulated: SimulatedRatings,
    monkeypatch: pytest.MonkeyPatch,
    n_requests: int,
) -> None:
    rng = np.random.default_rng(11)
    last = int(simulated.data.timestamps.max())
    state = fit_state(simulated.data, simulated.catalogue, last + 1, CONFIG).with_fusion(
        recommender.model.state.fusion
    )
    features: tuple[Feature, ...] = recommender.model.features
    text = (release.bundle / RANKER).read_text("utf-8")
    names = [feature.name for feature in features]
    trees = TreeEnsemble.from_text(text, names)
    users = simulated.ratings["user_id"].unique().sort().to_list()
    movie_ids = simulated.catalogue.movie_ids.tolist()
    clock = Clock(0.0)
    monkeypatch.setattr(askers, "time", clock)
    checked = 0
    for number in range(n_requests):
        user_id = int(rng.choice(users))
        if number % 4 == 0:
            event_type = str(rng.choice(EVENT_TYPES))
            value = {"value": float(rng.integers(1, 11)) / 2} if event_type == "rating" else {}
            body = {"user_id": user_id, "movie_id": int(rng.choice(movie_ids)), "event_type": event_type}
            assert client.post("/feedback", json={**body, **value}).status_code == 202
        history = offline_history(client, simulated, user_id)
        newest = int(history.timestamps[-1])
        clock.now = float(newest + int(rng.integers(0, 90 * 86_400)))
        body = {"user_id": user_id, "k": 500, "explain": True}
        answer = client.post("/rank", json=body).json()
        assert answer["served_by"] == "model"
        as_of = int(clock.now) + 1
        found = candidate_rows(state, simulated.catalogue, history, as_of, features)
        raw = trees.predict(found.matrix)
        query = state.query(history, simulated.catalogue, as_of)
        drops = dislike_drops(query, found.candidates.rows, state.sources, state.dislike_rule)
        order, _ = fill_cold_item_slots(
            push_down(np.argsort(-raw, kind="stable"), drops),
            state.is_cold_item[found.candidates.rows],
            found.candidates.cold_items,
            CONFIG.cold_item_spacing,
        )
        expected_ids = simulated.catalogue.movie_ids[found.candidates.rows[order]].tolist()
        assert [result["movie_id"] for result in answer["results"]] == expected_ids
        assert [result["raw_score"] for result in answer["results"]] == raw[order].tolist()
        checked += 1
        if number % 10 == 0:
            np.testing.assert_allclose(raw, lightgbm_scores(text, found.matrix), rtol=0, atol=1e-9)
            place = int(rng.integers(len(order)))
            explained = client.post("/explain", json={**body, "movie_id": expected_ids[place]}).json()
            row = found.matrix[order[place]]
            assert [feature["name"] for feature in explained["features"]] == names
            values = [np.nan if f["value"] is None else f["value"] for f in explained["features"]]
            np.testing.assert_array_equal(np.array(values, np.float32), row)
    assert checked == n_requests
