"""When the asset with TMDB's facts is worth making again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from movierank_core.paths import Paths
from movierank_pipeline.defs.provenance import fingerprint
from movierank_pipeline.ingest.tmdb.cache import TmdbCache
from movierank_pipeline.ingest.tmdb.responses import MovieFacts
from movierank_pipeline.settings import Settings

LONG_AGO = timedelta(days=160)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("TMDB_API_KEY", "0" * 32)
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,The Matrix (1999),Drama\n")
    return Paths(root=tmp_path, home=tmp_path)


def now_made(paths: Paths, **settings: int) -> str:
    chosen = Settings.model_validate({"data_dir": str(paths.root), **settings})
    return fingerprint("tmdb_movies", chosen, paths, {})


def put(paths: Paths, tmdb_id: int, age: timedelta = timedelta()) -> None:
    with TmdbCache(paths.home / "tmdb_cache.db") as cache:
        cache.put(tmdb_id, MovieFacts(tmdb_id=tmdb_id), datetime.now(UTC) - age)


def test_an_answer_changes_it_and_nothing_else_does(paths: Paths) -> None:
    put(paths, 1)
    before = now_made(paths)
    assert now_made(paths) == before
    put(paths, 2)
    assert now_made(paths) != before


def test_facts_that_got_old_change_it_while_there_is_a_budget_and_a_key(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(paths, 1)
    put(paths, 2, timedelta(days=100))
    young, young_without = now_made(paths), now_made(paths, tmdb_refreshes_a_day=0)
    put(paths, 2, LONG_AGO)
    assert now_made(paths) != young
    assert now_made(paths, tmdb_refreshes_a_day=0) == young_without
    monkeypatch.delenv("TMDB_API_KEY")
    old = now_made(paths)
    put(paths, 2, timedelta(days=100))
    assert now_made(paths) == old


def test_facts_that_may_no_longer_be_kept_change_it_without_a_key_too(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMDB_API_KEY")
    put(paths, 1)
    put(paths, 2, LONG_AGO)
    before = now_made(paths)
    put(paths, 2, timedelta(days=181))
    assert now_made(paths) != before


def test_failures_are_worth_another_try_in_another_hour(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=1)

    put(paths, 1)
    no_failure = now_made(paths)
    with TmdbCache(paths.home / "tmdb_cache.db") as cache:
        cache.put_failure(2, datetime.now(UTC))
    failed = now_made(paths)
    assert failed != no_failure
    with monkeypatch.context() as later:
        later.setattr("movierank_pipeline.defs.provenance.datetime", Later)
        assert now_made(paths) != failed
    with TmdbCache(paths.home / "tmdb_cache.db") as cache:
        cache.put(2, None, datetime.now(UTC))
    assert now_made(paths) != failed
