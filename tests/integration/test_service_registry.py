"""From the registry to a verified copy on this machine, with a real MLflow store."""

import shutil
import uuid
from pathlib import Path

import msgspec
import pytest

from movierank_core.manifest import FORMAT_VERSION
from movierank_core.mlflow_store import BUNDLE_IN_MODEL, STATE_TAG
from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release, log_release
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry, Version
from movierank_serving.model_sync import sync
from movierank_serving.model_sync.local_copies import ModelCopies
from movierank_serving.model_sync.sync import sync_once
from movierank_serving.settings import Settings
from tests.support.http_server import Answer, serve


@pytest.fixture
def registry(paths: Paths) -> Registry:
    return Registry(connect(paths))


@pytest.fixture
def settings(paths: Paths) -> Settings:
    return Settings.from_environment()


@pytest.fixture
def copies(paths: Paths) -> ModelCopies:
    return ModelCopies(paths.model_cache)


def add_version(paths: Paths, release: Release, *, promote: bool = True) -> Version:
    """A version with a model folder of its own, made without the seconds that logging a run takes."""
    run_id = uuid.uuid4().hex
    folder = paths.artifacts / run_id
    shutil.copytree(release.bundle, folder / BUNDLE_IN_MODEL)
    version = Registry(connect(paths)).register(str(folder), run_id, {})
    if promote:
        Registry(connect(paths)).promote(version.number, by="test")
    return version


def log_version(paths: Paths, release: Release) -> Version:
    """A version as the pipeline makes it."""
    version = log_release(connect(paths), paths, release)
    return Registry(connect(paths)).promote(version.number, by="test")


def bundle_in_store(paths: Paths, version: Version) -> Path:
    """The folder of a version's bundle among the store's artifacts."""
    return paths.artifacts / version.run_id / BUNDLE_IN_MODEL


def test_the_version_with_the_alias_is_copied_verified_and_named(
    paths: Paths, settings: Settings, copies: ModelCopies, release: Release
) -> None:
    version = log_version(paths, release)
    status = sync_once(settings)
    assert (status.registry_error, status.refused) == (None, [])
    assert copies.status() == status
    current = copies.current()
    assert current is not None
    assert (current.version, current.run_id) == (str(version.number), version.run_id)
    assert current.folder == f"{version.number}-{version.run_id[:8]}"
    copied = copies.folder_of(current)
    original = {path.relative_to(release.bundle) for path in release.bundle.rglob("*")}
    assert {path.relative_to(copied) for path in copied.rglob("*")} == original
    assert [path.name for path in copies.versions.iterdir()] == [current.folder]


def test_a_second_look_copies_nothing(
    paths: Paths,
    settings: Settings,
    copies: ModelCopies,
    release: Release,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_version(paths, release)
    sync_once(settings)
    before = copies.current()

    def fail(*_: object) -> Path:
        raise AssertionError("downloaded again")

    monkeypatch.setattr(sync, "_download", fail)
    sync_once(settings)
    assert copies.current() == before


def test_the_alias_is_followed_and_a_copy_from_before_is_used_again(
    paths: Paths,
    settings: Settings,
    copies: ModelCopies,
    registry: Registry,
    release: Release,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = []
    for _ in range(2):
        add_version(paths, release)
        sync_once(settings)
        served.append(copies.current())
    registry.rollback(by="test")
    monkeypatch.setattr(sync, "_download", lambda *_: pytest.fail("downloaded again"))
    sync_once(settings)
    served.append(copies.current())
    assert [current.version for current in served if current] == ["1", "2", "1"]


@pytest.mark.parametrize("damage", ["byte", "missing", "format"])
def test_a_damaged_version_is_refused_once_and_the_old_one_stays(
    paths: Paths, settings: Settings, copies: ModelCopies, release: Release, damage: str
) -> None:
    add_version(paths, release)
    sync_once(settings)
    old = copies.current()
    version = add_version(paths, release)
    bundle = bundle_in_store(paths, version)
    catalogue, manifest = bundle / "catalogue.parquet", bundle / "manifest.json"
    if damage == "byte":
        content = bytearray(catalogue.read_bytes())
        content[100] ^= 1
        catalogue.write_bytes(content)
        expected = "catalogue.parquet in the bundle "
    elif damage == "missing":
        catalogue.unlink()
        expected = "The bundle in "
    else:
        stored = f'"format_version": {FORMAT_VERSION}'
        manifest.write_text(manifest.read_text().replace(stored, '"format_version": 9'))
        expected = "The bundle in "
    [refusal] = sync_once(settings).refused
    assert (refusal.version, refusal.run_id) == ("2", version.run_id)
    assert refusal.error.startswith(expected)
    assert copies.current() == old
    assert [path.name for path in copies.versions.iterdir()] == [old and old.folder]
    assert sync_once(settings).refused == [refusal]  # Left alone for a while.
    add_version(paths, release)
    assert sync_once(settings).refused == [refusal]
    current = copies.current()
    assert current is not None
    assert current.version == "3"


def test_a_refused_version_is_tried_again_later(
    paths: Paths, settings: Settings, copies: ModelCopies, release: Release
) -> None:
    version = add_version(paths, release)
    catalogue = bundle_in_store(paths, version) / "catalogue.parquet"
    whole = catalogue.read_bytes()
    catalogue.write_bytes(whole[:-1])
    [refusal] = sync_once(settings).refused
    catalogue.write_bytes(whole)
    status = copies.status()
    assert status is not None
    longer_ago = msgspec.structs.replace(refusal, refused_at="2024-01-01T00:00:00+00:00")
    copies.set_status(msgspec.structs.replace(status, refused=[longer_ago]))
    assert sync_once(settings).refused == []
    assert copies.current() is not None


def test_a_version_without_a_bundle_is_refused(
    paths: Paths, settings: Settings, copies: ModelCopies, release: Release
) -> None:
    version = add_version(paths, release)
    shutil.rmtree(bundle_in_store(paths, version))
    [refusal] = sync_once(settings).refused
    assert refusal.error == (
        "Version 1 of movie-ranker contains no manifest.json. Expected: a model logged by "
        "`movierank materialize` Remedy: promote another version."
    )
    assert copies.current() is None


def test_a_version_that_was_never_finished_is_not_served(
    paths: Paths, settings: Settings, copies: ModelCopies, registry: Registry, release: Release
) -> None:
    version = add_version(paths, release)
    registry.set_tags(version.number, {STATE_TAG: "registering"})
    assert sync_once(settings).registry_error == (
        "Version 1 of movie-ranker is unfinished. Remedy: choose another with `movierank promote`"
    )
    assert copies.current() is None


def test_a_damaged_copy_is_fetched_again(
    paths: Paths, settings: Settings, copies: ModelCopies, release: Release
) -> None:
    add_version(paths, release)
    sync_once(settings)
    current = copies.current()
    assert current is not None
    (copies.folder_of(current) / "manifest.json").unlink()
    sync_once(settings)
    assert (copies.folder_of(current) / "manifest.json").is_file()


def test_only_the_newest_copies_are_kept(
    paths: Paths, settings: Settings, copies: ModelCopies, release: Release
) -> None:
    for _ in range(4):
        add_version(paths, release)
        sync_once(settings)
    assert sorted(path.name.partition("-")[0] for path in copies.versions.iterdir()) == ["2", "3", "4"]


def test_a_store_that_was_moved_is_followed(
    paths: Paths, settings: Settings, release: Release, tmp_path: Path
) -> None:
    log_version(paths, release)
    moved = tmp_path / "elsewhere"
    paths.root.rename(moved)
    there = msgspec.structs.replace(
        settings,
        root=str(moved),
        home=str(moved / ".movierank"),
        tracking_uri=f"sqlite:///{moved}/mlruns/mlflow.db",
    )
    assert sync_once(there).registry_error is None
    assert ModelCopies(there.paths.model_cache).current() is not None


def test_without_a_store_nothing_is_made(tmp_path: Path, settings: Settings) -> None:
    absent = msgspec.structs.replace(settings, tracking_uri=f"sqlite:///{tmp_path}/none/mlflow.db")
    assert sync_once(absent).registry_error == (
        f"There is no registry at {tmp_path}/none/mlflow.db yet. Remedy: run `movierank materialize`"
    )
    assert not (tmp_path / "none").exists()


def test_a_registry_without_the_alias_says_so(paths: Paths, settings: Settings, release: Release) -> None:
    assert str(sync_once(settings).registry_error).startswith(
        "No version movie-ranker@production from the registry sqlite:///"
    )
    add_version(paths, release, promote=False)
    assert "Registered model alias production not found" in str(sync_once(settings).registry_error)


def test_an_unreachable_registry_is_reported_soon_and_without_its_password(
    paths: Paths, settings: Settings, copies: ModelCopies, release: Release
) -> None:
    add_version(paths, release)
    sync_once(settings)
    served = copies.current()
    with serve(lambda _: Answer(503)) as failing:
        uri = failing.url.replace("//", "//me:secret@")
        assert sync_once(msgspec.structs.replace(settings, tracking_uri=uri)).registry_error
    assert 1 <= len(failing.seen) <= 3, "it is asked again twice at most: the pipeline in this process sets 2"
    away = msgspec.structs.replace(settings, tracking_uri="http://me:secret@127.0.0.1:1")
    error = str(sync_once(away).registry_error)
    assert error.startswith(
        "No version movie-ranker@production from the registry http://me:***@127.0.0.1:1: "
    )
    assert error.endswith(
        "Remedy: run `movierank materialize` if there is none yet; else check MLFLOW_TRACKING_URI."
    )
    assert "secret" not in error
    assert copies.current() == served


def challenger_of(copies: ModelCopies) -> str | None:
    named = copies.read(copies.challenger_file)
    return None if named is None else named.version


def test_a_challenger_is_copied_only_where_that_is_wanted_and_goes_with_its_alias(
    paths: Paths, settings: Settings, copies: ModelCopies, registry: Registry, release: Release
) -> None:
    add_version(paths, release)
    version = add_version(paths, release, promote=False)
    registry.challenge(version.number)
    sync_once(settings)
    assert challenger_of(copies) is None
    wanting = msgspec.structs.replace(settings, serve_challenger=True)
    assert sync_once(wanting).registry_error is None
    assert challenger_of(copies) == "2"
    registry.promote(2, by="test")  # Takes the alias challenger away.
    assert sync_once(wanting).registry_error is None
    assert challenger_of(copies) is None
    current = copies.current()
    assert current is not None
    assert current.version == "2"


def test_a_challenger_that_cannot_be_used_is_not_held_and_production_stays(
    paths: Paths, settings: Settings, copies: ModelCopies, registry: Registry, release: Release
) -> None:
    wanting = msgspec.structs.replace(settings, serve_challenger=True)
    add_version(paths, release)
    registry.challenge(add_version(paths, release, promote=False).number)
    sync_once(wanting)
    broken = add_version(paths, release, promote=False)
    (bundle_in_store(paths, broken) / "catalogue.parquet").unlink()
    registry.challenge(broken.number)
    [refusal] = sync_once(wanting).refused
    assert refusal.version == "3"
    assert challenger_of(copies) is None
    assert copies.current() is not None


def test_neither_copy_in_use_is_deleted(
    paths: Paths, settings: Settings, copies: ModelCopies, registry: Registry, release: Release
) -> None:
    wanting = msgspec.structs.replace(settings, serve_challenger=True)
    add_version(paths, release)
    for _ in range(4):
        registry.challenge(add_version(paths, release, promote=False).number)
        sync_once(wanting)
    kept = {path.name.partition("-")[0] for path in copies.versions.iterdir()}
    assert {"1", "5"} <= kept
    assert len(kept) == 3
