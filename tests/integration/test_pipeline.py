"""The asset graph on a tiny set: what it makes, what it leaves alone, and what it refuses."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from movierank_core.data.history_snapshot import open_histories
from movierank_core.errors import DataError
from movierank_core.events.store import FeedbackEvent, open_event_store
from movierank_core.mlflow_store import ANCHOR, CHALLENGER, PREVIOUS, PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.definitions import build_defs
from movierank_pipeline.defs.assets import training as training_assets
from movierank_pipeline.defs.automation import nightly
from movierank_pipeline.defs.io_managers import ParquetIOManager
from movierank_pipeline.defs.provenance import plan
from movierank_pipeline.materialize import CheckFailedError, dagster_instance
from movierank_pipeline.promotion.gate import GateError
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry, RegistryError, Version
from movierank_pipeline.settings import Settings
from tests.support.tiny_pipeline import FROM_EVALUATION, OTHER_TRAINING, Recorder, prove, run, with_ranker_at
from tests.support.waiting import exit_code, wait_for

ALL = [
    *("ratings", "movies", "links", "feedback", "tmdb_movies", "catalogue", "interactions"),
    *("movie_features", "retrievers", "ranking_requests", "training_set", "ranker"),
    *("evaluation", "model_version", "promotion", "histories", "recommendations"),
]


VERSION = "key:model_version or key:promotion"
"""The selection that registers and judges a version."""


def versions() -> list[Version]:
    return Registry(connect(Paths.from_environment())).versions()


def aliases() -> dict[str, int]:
    return {alias: version.number for version in versions() for alias in version.aliases if alias != ANCHOR}


def materialization(asset: str) -> dg.AssetMaterialization:
    with dagster_instance(Paths.from_environment()) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization


def test_every_asset_is_made_and_every_check_passes(finished: tuple[Path, Recorder]) -> None:
    recorder = finished[1]
    assert set(ALL) - {"ratings", "movies", "links"} <= set(recorder.steps)
    assert recorder.checks == dict.fromkeys(
        [
            "ratings: schema",
            "ratings: unique_keys",
            "ratings: rating_range",
            "catalogue: tmdb_links",
            "catalogue: tmdb_coverage",
            "catalogue: tmdb_mismatches",
            "catalogue: unique_keys",
            "ranker: no_future",
            "ranker: same_as_serving",
            "evaluation: better_than_popularity",
            "promotion: accepted",
        ],
        True,
    )


def test_the_version_serves_and_links_to_its_dagster_run_and_back(root: Path) -> None:
    assert aliases() == {PRODUCTION: 1}
    version = versions()[0]
    metadata = materialization("model_version").metadata
    assert metadata["mlflow_run_id"].value == version.run_id
    with dagster_instance(Paths.from_environment()) as instance:
        assert instance.get_run_by_id(version.tags["dagster.run_id"]) is not None
    assert version.tags["gate.verdict"] in ("passed", "provisional")
    assert version.tags["gate.reason"] == materialization("promotion").metadata["reason"].value


def test_assets_say_what_they_hold(root: Path) -> None:
    metadata = materialization("ratings").metadata
    assert metadata["dagster/row_count"].value == 6000
    columns = metadata["dagster/column_schema"].value.columns  # type: ignore[union-attr]
    assert [column.name for column in columns] == ["user_id", "movie_id", "rating", "timestamp"]
    assert str(metadata["time_range"].value).endswith(" UTC")
    assert "| user_id | movie_id |" in str(metadata["preview"].value)
    plots = materialization("evaluation").metadata
    for plot in ("importance", "reliability", "ndcg_by_history_length"):
        assert str(plots[plot].value).startswith(f"![{plot.replace('_', ' ')}](data:image/png;base64,")


def test_what_is_published_is_there(root: Path) -> None:
    paths = Paths.from_environment()
    histories = open_histories(paths.histories)
    assert histories.manifest.n_users == 150
    assert histories.manifest.dataset == "tiny"
    assert histories.manifest.ratings_are_simulated
    assert histories.manifest.feedback_through is not None
    best = pl.read_parquet(paths.assets / "recommendations.parquet")
    assert best["user_id"].n_unique() == 150
    assert best.filter(pl.col("rank") == 1).height == 150
    assert best.schema == {"user_id": pl.Int64, "rank": pl.Int32, "movie_id": pl.Int64, "score": pl.Float64}
    seen = pl.read_parquet(paths.assets / "interactions" / "table.parquet")
    assert best.join(seen, on=["user_id", "movie_id"], how="semi").is_empty()


def test_a_second_run_makes_nothing(root: Path) -> None:
    outcome = run()
    assert (outcome.made, outcome.run_id) == ([], None)
    assert sorted(outcome.reused) == sorted(ALL)
    assert len(versions()) == 1


def planned() -> list[str]:
    """What a run would make now."""
    paths, settings = Paths.from_environment(), Settings.from_environment()
    with dagster_instance(paths) as instance:
        return plan(build_defs().resolve_asset_graph(), settings, paths, instance).stale


def test_other_model_settings_leave_the_data_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIERANK_MODEL_N_TREES", "25")
    assert set(ALL) - set(planned()) == {
        *("ratings", "movies", "links", "feedback", "tmdb_movies", "catalogue", "interactions"),
        *("movie_features", "histories"),
    }


def test_another_rating_makes_everything_that_is_made_of_it_again(root: Path) -> None:
    ratings = root / "tiny" / "ratings.csv"
    ratings.write_text(ratings.read_text() + "1,999999,3.0,1700000000\n")
    assert set(ALL) - set(planned()) == {"feedback"}
    run(select="key:ratings")
    assert materialization("ratings").metadata["dagster/row_count"].value == 6001
    assert materialization("ratings").metadata["duplicates_dropped"].value == 0


def test_a_pair_that_comes_twice_is_counted_and_its_last_rating_stays(root: Path) -> None:
    ratings = root / "tiny" / "ratings.csv"
    ratings.write_text(ratings.read_text() + "1,999999,3.0,1700000000\n1,999999,5.0,1700000001\n")
    run(select="key:ratings")
    metadata = materialization("ratings").metadata
    assert (metadata["dagster/row_count"].value, metadata["duplicates_dropped"].value) == (6001, 1)
    stored = pl.read_parquet(Paths.from_environment().assets / "ratings" / "table.parquet")
    assert stored.filter(pl.col("movie_id") == 999_999)["rating"].to_list() == [5.0]


def test_a_touched_file_is_not_a_changed_one(root: Path) -> None:
    os.utime(root / "tiny" / "ratings.csv")
    assert planned() == []


class Stopped(Exception):
    pass


def stop(*args: object, **kwargs: object) -> None:
    raise Stopped


def test_an_asset_whose_file_is_gone_is_made_again_alone(root: Path) -> None:
    (Paths.from_environment().assets / "recommendations.parquet").unlink()
    assert run().made == ["recommendations"]


def test_a_lost_ranker_is_made_again_with_what_comes_after_it(root: Path) -> None:
    shutil.rmtree(Paths.from_environment().assets / "ranker")
    outcome = run()
    assert outcome.made == ["ranker"]
    assert outcome.failed_checks == []


def test_a_lost_registry_is_filled_again_from_what_is_there(root: Path) -> None:
    shutil.rmtree(root / "mlruns")
    assert run().made == ["model_version", "promotion", "recommendations"]
    assert aliases() == {PRODUCTION: 1}


def another_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next version is no twin of the first."""
    for name, value in OTHER_TRAINING.items():
        monkeypatch.setenv(name, value)


def test_a_person_who_moved_the_alias_is_not_overruled(root: Path) -> None:
    client = connect(Paths.from_environment())
    first = client.get_model_version("movie-ranker", "1")
    registry = Registry(client)
    registry.register(str(first.source), str(first.run_id), {})
    registry.promote(2, by="a person")
    assert run().made == ["recommendations"]  # They come from production.
    assert aliases() == {PRODUCTION: 2, PREVIOUS: 1}


def tonight() -> dg.RunRequest | dg.SkipReason:
    definitions = build_defs()
    with dagster_instance(Paths.from_environment()) as instance:
        context = dg.build_schedule_context(
            instance=instance,
            repository_def=definitions.get_repository_def(),
            resources={"settings": Settings.from_environment()},
        )
        answer = nightly(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_an_idle_night_makes_nothing_and_says_so(root: Path) -> None:
    answer = tonight()
    assert isinstance(answer, dg.SkipReason)
    assert "Nothing has changed" in str(answer.skip_message)


def test_a_night_makes_what_is_stale(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIERANK_GATE_MARGIN", "0.01")
    answer = tonight()
    assert isinstance(answer, dg.RunRequest)
    wanted = {key.to_user_string() for key in answer.asset_selection or []}
    assert wanted == {"promotion", "recommendations"}


def feed(n: int) -> None:
    store = open_event_store(Paths.from_environment().events_url)
    store.append(
        [
            FeedbackEvent(
                event_id=f"event-{number}",
                user_id=900_000,
                movie_id=550,
                event_type="like",
                timestamp=datetime(2026, 1, 1, 0, number, tzinfo=UTC),
            )
            for number in range(n)
        ]
    )
    store.close()


def test_new_feedback_is_trained_on_once_there_is_enough(root: Path) -> None:
    feed(3)
    assert run(min_new_events=4).made == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_assets, "fit_state", stop)
        with pytest.raises(Stopped):
            run(min_new_events=3)
    facts = json.loads((Paths.from_environment().assets / "interactions" / "facts.json").read_text())
    assert facts["feedback_through"].endswith(":3")
    assert materialization("interactions").metadata["from_feedback"].value == 3


def test_damaged_feedback_is_named_by_who_reads_it(root: Path) -> None:
    folder = Paths.from_environment().assets / "feedback"
    os.truncate(folder / "table.parquet", 20)
    assert run(min_new_events=4).made == []
    with pytest.raises(DataError) as refused:
        run(select="key:interactions")
    assert str(refused.value).startswith(f"The asset feedback in {folder} cannot be read: ")
    assert run(select="key:feedback or key:interactions").made == ["feedback", "interactions"]


def test_a_forgotten_user_is_left_out_of_the_next_training(root: Path) -> None:
    store = open_event_store(Paths.from_environment().events_url)
    store.delete_user(7)
    store.close()
    run(select="key:feedback or key:interactions or key:histories")
    frame = pl.read_parquet(Paths.from_environment().assets / "interactions" / "table.parquet")
    assert 7 not in frame["user_id"]
    assert open_histories(Paths.from_environment().histories).history_of(7) is None


def test_the_manual_policy_leaves_the_promotion_to_a_person(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_PROMOTION_POLICY", "manual")
    assert run().made == ["promotion", "recommendations"]
    assert versions()[0].tags["gate.policy"] == "manual"
    assert aliases() == {PRODUCTION: 1}
    prove()
    another_training(monkeypatch)
    run(select=VERSION)
    assert aliases()[PRODUCTION] == 1
    assert aliases()[CHALLENGER] == 2


def test_a_ranker_below_popularity_is_not_registered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_assets, "report_of", with_ranker_at(0.9, "popularity"))
    with pytest.raises(CheckFailedError) as refused:
        run(select=FROM_EVALUATION)
    assert str(refused.value) == (
        "The run was stopped by the check evaluation: better_than_popularity. Remedy: look at its figures"
        " above or in the Dagster UI (`movierank dagster`)."
    )
    # The asset alone, where Dagster does not look at the check, does not get around it.
    with pytest.raises(GateError, match=r"The ranker's ndcg@10 is .* Expected: a ranker above popularity"):
        run(select="model_version")
    assert len(versions()) == 1


def test_a_ranker_below_its_best_source_is_registered_but_does_not_serve(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_assets, "report_of", with_ranker_at(0.99, "best"))
    another_training(monkeypatch)
    run(select=FROM_EVALUATION)
    assert aliases() == {PRODUCTION: 1}
    tags = versions()[0].tags
    assert tags["gate.verdict"] == "refused"
    assert "above the best single source" in tags["gate.reason"]
    assert materialization("promotion").metadata["alias"].value == "none"


def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(
    empty_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ParquetIOManager.dump_to_path

    def full(self: ParquetIOManager, context: dg.OutputContext, obj: pl.DataFrame, path: Path) -> None:
        if context.asset_key.path[-1] == "catalogue":
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self, context, obj, path)  # type: ignore[arg-type]

    with monkeypatch.context() as during:
        during.setattr(ParquetIOManager, "dump_to_path", full)
        with pytest.raises(OSError, match="No space left on device"):
            run()
    assert not (Paths.from_environment().assets / "catalogue.parquet").exists()
    outcome = run(select="key:catalogue or key:interactions")
    assert outcome.made == ["interactions", "catalogue"]


MATERIALIZE = "from tests.support.tiny_pipeline import run; run()"


@pytest.mark.slow
def test_after_a_kill_the_next_run_goes_on_and_nothing_half_made_has_an_alias(empty_root: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", MATERIALIZE], env=dict(os.environ))
    place = Paths.from_environment().assets / "training_set"
    wait_for(place.exists, "a training set", process=killed)
    assert killed.poll() is None, "the run ended before it could be killed"
    killed.send_signal(signal.SIGKILL)
    exit_code(killed)
    assert aliases() == {}
    outcome = run()
    assert {"ratings", "interactions", "catalogue"} <= set(outcome.reused)
    assert {"ranker", "model_version", "promotion"} <= set(outcome.made)
    assert aliases() == {PRODUCTION: 1}


REGISTER = """
import time
from movierank_pipeline.release.registry import Registry
from tests.support.tiny_pipeline import run

set_tags = Registry.set_tags

def stop_at_the_end(self, number, tags):
    if "movierank.state" in tags:
        print("registering", flush=True)
        time.sleep(3600)
    set_tags(self, number, tags)

Registry.set_tags = stop_at_the_end
run(select="key:model_version or key:promotion")
"""


@pytest.mark.slow
@pytest.mark.parametrize("next_run", [VERSION, pytest.param(None, marks=pytest.mark.heavy)])
def test_a_kill_while_registering_leaves_a_version_that_nothing_uses(
    root: Path, monkeypatch: pytest.MonkeyPatch, next_run: str | None
) -> None:
    another_training(monkeypatch)
    registering = subprocess.Popen(
        [sys.executable, "-c", REGISTER], env=dict(os.environ), stdout=subprocess.PIPE, text=True
    )
    assert registering.stdout is not None
    assert registering.stdout.readline() == "registering\n"
    registering.kill()
    exit_code(registering)
    registering.stdout.close()
    assert [(version.number, version.is_ready) for version in versions()] == [(2, False), (1, True)]
    assert aliases() == {PRODUCTION: 1}
    with pytest.raises(RegistryError, match=r"^The registration of version 2 of movie-ranker did not finish"):
        Registry(connect(Paths.from_environment())).promote(2, by="a person")
    run(select=next_run)
    assert {alias: number for alias, number in aliases().items() if number == 2} == {}


def test_a_failure_before_the_ready_tag_leaves_no_alias(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Registry.set_tags

    def fail_at_the_end(self: Registry, number: int, tags: dict[str, str]) -> None:
        if "movierank.state" in tags:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self, number, tags)

    with monkeypatch.context() as during:
        during.setattr(Registry, "set_tags", fail_at_the_end)
        another_training(during)
        with pytest.raises(OSError, match="No space left on device"):
            run(select="model_version")
    prove()
    another_training(monkeypatch)
    assert [(version.number, version.is_ready) for version in versions()] == [(2, False), (1, True)]
    assert aliases() == {PRODUCTION: 1}
    run(select=VERSION)
    assert aliases() == {PRODUCTION: 3, PREVIOUS: 1}


def test_a_run_from_the_launchpad_may_change_settings(root: Path) -> None:
    definitions = build_defs()
    config = {"resources": {"settings": {"config": {"promotion_policy": "manual"}}}}
    with dagster_instance(Paths.from_environment()) as instance:
        result = definitions.resolve_job_def("retrain").execute_in_process(
            run_config=config, instance=instance, asset_selection=[dg.AssetKey("promotion")]
        )
    assert result.success
    assert materialization("promotion").metadata["policy"].value == "manual"
