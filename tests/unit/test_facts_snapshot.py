"""Facts of movies are published, verified, and given to the versions of the same data set that are older."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.schema import INTERACTIONS
from movierank_core.errors import FactsError
from movierank_core.features.facts_snapshot import open_facts, publish_facts
from movierank_core.features.movie_facts import FactsOverTime
from movierank_core.ranker.score_calibration import ScoreCalibration
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.recommender import Recommender
from movierank_core.recommender.state import fit_state
from movierank_serving.web.prometheus import Metrics
from movierank_serving.worker.state import WorkerState
from tests.support.planted import BY_HAND
from tests.support.service import FakeRecommender, serve_version, settings_in
from tests.support.simulated import CONFIG, START, SimulatedRatings, make_catalogue


def test_published_facts_are_those_of_the_events_by_row_of_any_catalogue(
    simulated: SimulatedRatings, tmp_path: Path
) -> None:
    manifest = publish_facts(simulated.interactions, tmp_path, dataset="tiny")
    found = open_facts(tmp_path)
    assert found.manifest == manifest
    end = int(simulated.data.timestamps.max()) + 1
    for n_movies in (len(simulated.catalogue) + 2, 3):
        catalogue = Catalogue(make_catalogue(n_movies))
        facts = found.of(catalogue)
        assert facts.as_of == manifest.as_of == end
        expected = FactsOverTime.of(simulated.data, len(simulated.catalogue)).at(end).arrays
        absent = {"mean_rating": expected["globals"][0], "like_share": expected["globals"][1]}
        for name, values in expected.items():
            n_both = min(len(values), n_movies)
            np.testing.assert_allclose(facts.arrays[name][:n_both], values[:n_both], err_msg=name)
            if name != "globals":
                rest = facts.arrays[name][len(simulated.catalogue) :]
                default = np.nan if name in ("rating_std", "first_event") else absent.get(name, 0)
                np.testing.assert_allclose(rest, default, err_msg=name)


def test_damaged_and_newer_facts_are_refused(simulated: SimulatedRatings, tmp_path: Path) -> None:
    with pytest.raises(FactsError, match=r"^No facts are published in .*CURRENT"):
        open_facts(tmp_path)
    manifest = publish_facts(simulated.interactions, tmp_path, dataset="tiny")
    folder = tmp_path / manifest.snapshot_id
    file = folder / "n_events.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(FactsError, match=r"^n_events\.npy of the facts snapshot .* is not as published"):
        open_facts(tmp_path)
    (folder / "manifest.json").write_text('{"format_version": 2}')
    with pytest.raises(FactsError) as error:
        open_facts(tmp_path)
    assert str(error.value) == (
        f"The facts snapshot {folder.name} has format 2. Expected: format 1 or older. "
        "Remedy: upgrade movierank."
    )


def test_two_snapshots_stay(simulated: SimulatedRatings, tmp_path: Path) -> None:
    made = [publish_facts(simulated.interactions, tmp_path, dataset="tiny").snapshot_id for _ in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == sorted(made[1:])


@pytest.fixture(scope="module")
def recommender(simulated: SimulatedRatings) -> Recommender:
    catalogue, end = simulated.catalogue, int(simulated.data.timestamps.max()) + 1
    model = RankingModel(
        catalogue,
        fit_state(simulated.data, catalogue, end, CONFIG),
        (),
        TreeEnsemble.from_text(BY_HAND),
        ScoreCalibration(1.0, 0.0, 0.0),
    )
    return Recommender(model, FakeRecommender("good").manifest)


def test_a_version_ranks_with_newer_facts_and_returns_to_its_own(
    simulated: SimulatedRatings, recommender: Recommender
) -> None:
    """The movie that everybody had an event with since the fit leads the list of a newcomer."""
    catalogue, end = recommender.catalogue, int(simulated.data.timestamps.max()) + 1
    own = recommender.rank(History.empty(), as_of=end, k=5)
    last = int(catalogue.movie_ids[recommender.popular(len(catalogue))[-1]])
    crowd = [(50_000 + user, last, 5.0, START + timedelta(days=41)) for user in range(200)]
    data = simulated.with_ratings(crowd).data
    moment = int(data.timestamps.max()) + 1
    fresh = recommender.with_facts(FactsOverTime.of(data, len(catalogue)).at(moment))
    ranking = fresh.rank(History.empty(), as_of=moment, k=5)
    assert int(catalogue.movie_ids[ranking.results[0].row]) == last
    assert recommender.rank(History.empty(), as_of=end, k=5).results == own.results
    assert fresh.with_facts(None).rank(History.empty(), as_of=end, k=5).results == own.results


def test_a_worker_gives_newer_facts_of_the_same_data_set_to_its_version(tmp_path: Path) -> None:
    given: list[int | None] = []

    class Recording(FakeRecommender):
        def with_facts(self, facts: object) -> "Recording":
            given.append(getattr(facts, "as_of", None))
            return self

    settings = settings_in(tmp_path)
    serve_version(settings, "1")
    dataset = FakeRecommender("good").manifest.dataset
    state = WorkerState(settings, Metrics(), lambda folder: Recording("good"))
    state.refresh()
    assert state.model is not None
    own = state.model.facts_as_of

    def publish(moment: datetime, name: str) -> str:
        frame = pl.DataFrame([(1, 550, "rating", 4.0, moment)], schema=INTERACTIONS, orient="row")
        publish_facts(frame, settings.paths.facts, dataset=name)
        state.refresh()
        assert state.model is not None
        return state.model.facts_as_of

    newer = datetime.fromisoformat(own) + timedelta(days=1)
    assert publish(newer, dataset) == (newer + timedelta(seconds=1)).isoformat()
    assert given[-1] == int(newer.timestamp()) + 1
    assert publish(datetime(1999, 1, 1, tzinfo=UTC), dataset) == own
    assert publish(newer, "another") == own
    assert given[-2:] == [None, None]
