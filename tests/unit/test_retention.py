"""Which versions and runs may go, and what happens to what cannot be deleted."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierank_core.atomic import SUFFIX, atomic_write
from movierank_core.paths import Paths
from movierank_pipeline.release.registry import Version
from movierank_pipeline.retention.decision import TrainingRun, beyond_newest, old_trainings, old_versions
from movierank_pipeline.retention.garbage import CleanUpError, Garbage, delete_all
from movierank_pipeline.retention.leftovers import find_leftovers


def version(number: int, *aliases: str, is_ready: bool = True) -> Version:
    return Version(number, datetime(2026, 1, 1, tzinfo=UTC), f"run-{number}", is_ready, aliases, {})


def numbers(versions: list[Version]) -> list[int]:
    return [version.number for version in versions]


def test_the_newest_versions_and_those_with_any_alias_stay() -> None:
    aliases = {1: "anchor", 3: "previous", 4: "production", 5: "challenger", 7: "a name of our own"}
    versions = [version(number, *([aliases[number]] if number in aliases else [])) for number in range(1, 11)]
    assert numbers(old_versions(versions, set(), keep=2)) == [2, 6, 8]
    assert numbers(old_versions(versions, {6}, keep=2)) == [2, 8]
    assert numbers(old_versions(versions, set(), keep=1)) == [2, 6, 8, 9]
    assert old_versions(versions, set(), keep=10) == []


def test_a_version_whose_registration_did_not_finish_counts_like_the_others() -> None:
    versions = [version(1), version(2, is_ready=False), version(3, is_ready=False)]
    assert numbers(old_versions(versions, set(), keep=2)) == [1]


@given(st.dictionaries(st.integers(1, 40), st.booleans()), st.integers(1, 12))
def test_what_stays_is_bounded_and_in_use(has_alias: dict[int, bool], keep: int) -> None:
    versions = [version(number, *(["x"] if is_named else [])) for number, is_named in has_alias.items()]
    gone = set(numbers(old_versions(versions, set(), keep)))
    stay = [one for one in versions if one.number not in gone]
    assert len([one for one in stay if not one.aliases]) <= keep
    assert not any(one.aliases for one in versions if one.number in gone)
    newest = sorted((one.number for one in versions), reverse=True)[:keep]
    assert gone.isdisjoint(newest)


def run(run_id: str, started_at: int, parent: str | None = None, *, is_running: bool = False) -> TrainingRun:
    return TrainingRun(run_id, started_at, parent, is_running)


RUNS = [
    run("newest", 40),
    run("killed", 30, is_running=True),
    run("trial", 35, parent="failed"),
    run("failed", 20),
    run("registered", 10),
    run("older", 5),
]


def test_old_trainings_without_a_version_go_and_trials_do_not_count() -> None:
    assert old_trainings(RUNS, {"registered"}, keep=2, is_idle=True) == ["older", "failed"]
    assert old_trainings(RUNS, {"registered"}, keep=1, is_idle=True) == ["older", "failed", "killed"]
    assert old_trainings(RUNS, set(), keep=5, is_idle=True) == []


def test_a_training_in_progress_stays_unless_none_can_be() -> None:
    assert old_trainings(RUNS, set(), keep=1, is_idle=False) == ["older", "registered", "failed"]


def test_the_newest_of_each_group_are_kept() -> None:
    runs = ["hourly 5", "hourly 4", "nightly 3", "hourly 2", "nightly 1"]
    assert beyond_newest(runs, 1) == runs[1:]
    assert beyond_newest(runs, 1, group=lambda run: run.split()[0]) == ["hourly 4", "hourly 2", "nightly 1"]
    assert beyond_newest([], 1) == []


def test_what_cannot_be_deleted_keeps_nothing_else() -> None:
    def refuse() -> bool:
        raise PermissionError("not yours")

    gone: list[str] = []
    found = [
        Garbage("the first", 1, refuse),
        Garbage("the second", 2, lambda: True),
        Garbage("the third", 3, lambda: False),
    ]
    with pytest.raises(CleanUpError) as raised:
        delete_all(found, lambda item: gone.append(item.what))
    assert gone == ["the second"]
    assert str(raised.value) == (
        "1 of the old things could not be deleted: the first (not yours)."
        " Remedy: correct the cause, such as the owner of the files, and run `movierank gc`"
    )


def test_leftovers_of_killed_processes_go_and_the_files_of_a_running_writer_stay(tmp_path: Path) -> None:
    paths = Paths(root=tmp_path, home=tmp_path / "home")
    paths.assets.mkdir(parents=True)
    stopped = [
        paths.home / ".bundle-abc",
        paths.home / ".version-abc",
        paths.assets / f".ranker.0123{SUFFIX}",
    ]
    for folder in stopped:
        folder.mkdir()
        (folder / "part").write_bytes(b"x" * 1000)
    copies = paths.model_cache / "versions"
    copies.mkdir(parents=True)
    (copies / "1").mkdir()
    with atomic_write(paths.assets / "running") as written:
        written.write_text("x")
        for folder in stopped:  # The writer has deleted what it found before.
            folder.mkdir(exist_ok=True)
            (folder / "part").write_bytes(b"x" * 1000)
        found = find_leftovers(paths)
        assert [item.n_bytes for item in found] == [1000, 1000, 1000]
        assert all(folder.is_dir() for folder in stopped)
        assert all(item.delete() for item in [*found, *found])
        assert not any(folder.exists() for folder in stopped)
    assert (paths.assets / "running").read_text() == "x"
    assert (copies / "1").is_dir()
    assert find_leftovers(paths) == []
