"""`GET /model` tells how the version was judged and where else it can be looked at, and invents nothing."""

import gc
import weakref
from pathlib import Path

import msgspec
import pytest

from movierank_core.bundle import read_bundle
from movierank_core.data.history import Event, History
from movierank_core.features.families import FAMILIES
from movierank_core.features.registry import feature_list
from movierank_core.manifest import Estimate, EvaluationSummary, ReliabilityBin
from movierank_core.recommender.recommender import Recommender
from movierank_core.retrieval.registry import SOURCES
from movierank_pipeline.release.log_run import Release
from movierank_serving.web.prometheus import Metrics
from movierank_serving.worker.state import WorkerState
from tests.support.service import FakeRecommender, client_of, serve_version, settings_in

SUMMARY = EvaluationSummary(
    protocol="temporal",
    split_time="2024-01-01T00:00:00+00:00",
    n_requests=30,
    n_users=10,
    systems={"movierank": {"ndcg@10": Estimate(0.2, 0.1, 0.3)}},
    reliability=[ReliabilityBin(n=12, predicted=0.35, observed=0.25)],
    expected_calibration_error=0.1,
)


def test_the_evaluation_of_the_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = FakeRecommender.__init__

    def with_evaluation(self: FakeRecommender, *given: object) -> None:
        make(self, *given)  # type: ignore[arg-type]
        self.manifest = msgspec.structs.replace(self.manifest, evaluation=SUMMARY)

    monkeypatch.setattr(FakeRecommender, "__init__", with_evaluation)
    settings = settings_in(tmp_path)
    serve_version(settings, "3")
    with client_of(settings) as client:
        model = client.get("/model").json()
    assert msgspec.convert(model["evaluation"], EvaluationSummary) == SUMMARY


def test_without_an_evaluation_and_other_uis_there_are_none(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    serve_version(settings, "3")
    with client_of(settings) as client:
        model = client.get("/model").json()
    assert (model["evaluation"], model["links"]) == (None, {})


def test_links_lead_to_the_version_and_to_its_asset(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, mlflow_url="http://box:5000/", dagster_url="https://box/dagster")
    serve_version(settings, "3")
    with client_of(settings) as client:
        assert client.get("/model").json()["links"] == {
            "mlflow": "http://box:5000/#/models/movie-ranker/versions/3",
            "dagster": "https://box/dagster/assets/model_version",
        }


def test_sources_features_and_families_describe_the_loaded_version(tmp_path: Path, release: Release) -> None:
    settings = settings_in(tmp_path)
    serve_version(settings, "1")
    recommender = read_bundle(release.bundle, verify=False)
    with client_of(settings, lambda _: recommender) as client:
        model = client.get("/model").json()
        movie_id = int(recommender.catalogue.movie_ids[0])
        explained = client.post("/explain", json={"history": [], "movie_id": movie_id}).json()
    definitions = {feature.name: feature for feature in feature_list(())}
    assert model["features"] == [
        {
            "name": info.name,
            "group": definitions[info.name].group,
            "family": definitions[info.name].family,
            "unit": definitions[info.name].unit,
            "meaning": definitions[info.name].meaning,
        }
        for info in recommender.manifest.features
    ]
    assert [source["name"] for source in model["sources"]] == [
        entry["name"] for entry in explained["sources"]
    ]
    assert model["sources"] == [
        {"name": source.name, "label": source.label, "family": source.family, "meaning": source.meaning}
        for source in SOURCES
    ]
    assert model["families"] == [msgspec.to_builtins(family) for family in FAMILIES.values()]
    described = {family["name"] for family in model["families"]}
    assert described >= {entry["family"] for entry in (*model["sources"], *model["features"])}
    assert described >= set(explained["contributions"])


def test_a_replaced_version_is_freed_though_nobody_looks_for_cycles(tmp_path: Path, release: Release) -> None:
    """The collector does not look at what was loaded, so no cycle may keep an old version alive."""
    settings = settings_in(tmp_path)
    worker = WorkerState(settings, Metrics(), lambda _: read_bundle(release.bundle))
    gc.disable()
    try:
        serve_version(settings, "1")
        worker.refresh()
        assert worker.model is not None
        recommender = worker.model.recommender
        assert isinstance(recommender, Recommender)
        history = History.from_events([Event(int(recommender.catalogue.movie_ids[0]), "like", 1)])
        assert recommender.rank(history, as_of=2, k=5).served_by == "model"
        gc.collect()  # Compiling leaves cycles that hold what a function was called with.
        old = [weakref.ref(recommender), weakref.ref(recommender.model.state)]
        del recommender
        serve_version(settings, "2")
        worker.refresh()
        assert worker.model.version == "2"
        assert [part() for part in old] == [None, None]
    finally:
        gc.enable()
        worker.close()


def test_the_description_of_a_version_is_compressed(tmp_path: Path, release: Release) -> None:
    settings = settings_in(tmp_path)
    serve_version(settings, "1")
    recommender = read_bundle(release.bundle, verify=False)
    with client_of(settings, lambda _: recommender) as client:
        packed = client.get("/model", headers={"Accept-Encoding": "gzip"})
        plain = client.get("/model", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
