"""One definition and one registry entry bring a feature block or a candidate source everywhere."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from numpy.typing import NDArray

from movierank_core.bundle import read_bundle
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features import registry as features
from movierank_core.features.block import Block
from movierank_core.features.document import features_document
from movierank_core.features.feature import CROSS, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval import registry as retrieval
from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays, Source, Support
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.training_set import TrainingSet, build_training_set
from tests.support.releases import Training, make_release
from tests.support.service import client_of, serve_version, settings_in
from tests.support.simulated import CONFIG, simulate_ratings


class TitleLength(Block):
    """A block with one fitted array, `title_length`."""

    NAME = "title"
    FEATURES = (
        Feature("title_length_share", CROSS, "content_match", "share", "Title length over the history's."),
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        lengths = catalogue.frame["title"].str.len_chars().to_numpy()
        return {"title_length": lengths.astype(np.float32)}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._lengths = arrays["title_length"]

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        of_history = self._lengths[request.query.rows].mean() if len(request.query) else np.float32(1)
        out[0] = self._lengths[request.candidates.rows] / of_history


class Latest(Source):
    """A source that proposes the last rows of the catalogue first."""

    name = "latest_rows"
    label = "Last in the catalogue"
    family = "fresh_release"
    meaning = "the position in the catalogue"
    is_personal = False

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self._scores = scores
        self.support = Support(np.arange(len(scores))[::-1].copy(), len(scores))

    @classmethod
    def fit(cls, context: FitContext) -> Self:
        return cls(np.arange(context.n_movies, 0, -1).astype(np.float32))

    def scores(self, query: Query) -> NDArray[np.float32]:
        return self._scores

    def arrays(self) -> Arrays:
        return {"scores": self._scores}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["scores"])


NEW_FEATURES = {"latest_rows_z", "latest_rows_log_rank", "title_length_share"}


@pytest.fixture(scope="module")
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "BLOCKS", (*features.BLOCKS, TitleLength))
        patch.setattr(retrieval, "SOURCES", (*retrieval.SOURCES, Latest))
        yield


@pytest.fixture(scope="module")
def rows(registered: None) -> TrainingSet:
    simulated = simulate_ratings()
    requests = plan_requests(simulated.data, simulated.catalogue, CONFIG)
    return build_training_set(simulated.data, requests, simulated.catalogue, CONFIG)


@pytest.fixture(scope="module")
def client(rows: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    folder, simulated = tmp_path_factory.mktemp("one-place"), simulate_ratings()
    release = make_release(folder, simulated, Training(rows, train_ranker(rows, CONFIG)))
    settings = settings_in(folder)
    serve_version(settings, "1")
    publish_histories(
        simulated.interactions,
        settings.paths.histories,
        feedback_through=None,
        dataset="tiny",
        ratings_are_simulated=True,
    )
    with client_of(settings, lambda _: read_bundle(release.bundle)) as client:
        yield client


def test_both_are_columns_of_the_training_matrix(rows: TrainingSet) -> None:
    assert set(rows.frame.columns) >= NEW_FEATURES
    lengths, ranks = rows.frame["title_length_share"], rows.frame["latest_rows_log_rank"]
    assert lengths.is_finite().all()
    assert lengths.n_unique() > 1
    assert ranks.is_finite().all()
    assert ranks.n_unique() > 10


def test_both_are_documented(registered: None) -> None:
    document = features_document()
    assert "## title\n\n`tests/integration/test_one_place.py`" in document
    assert all(f"| `{name}` |" in document for name in NEW_FEATURES)
    assert "Score of the position in the catalogue, as a z-score over the request's candidates." in document


def test_both_explain_a_movie(client: TestClient[Litestar]) -> None:
    body = {"user_id": 3, "k": 5, "explain": True}
    result = client.post("/rank", json=body).json()["results"][0]
    answer = client.post("/explain", json={"user_id": 3, "movie_id": result["movie_id"]}).json()
    assert answer["served_by"] == "model"
    by_name = {feature["name"]: feature for feature in answer["features"]}
    assert by_name.keys() >= NEW_FEATURES
    assert by_name["title_length_share"]["value"] == pytest.approx(1, abs=0.2)
    [source] = [source for source in answer["sources"] if source["name"] == "latest_rows"]
    assert source["rank"] is not None


def test_the_service_describes_both(client: TestClient[Litestar]) -> None:
    model = client.get("/model").json()
    [source] = [source for source in model["sources"] if source["name"] == "latest_rows"]
    assert source == {
        "name": "latest_rows",
        "label": "Last in the catalogue",
        "family": "fresh_release",
        "meaning": "the position in the catalogue",
    }
    described = {feature["name"]: feature for feature in model["features"]}
    assert described.keys() >= NEW_FEATURES
    assert described["title_length_share"]["meaning"] == "Title length over the history's."
    families = {family["name"] for family in model["families"]}
    assert {described[name]["family"] for name in NEW_FEATURES} <= families
