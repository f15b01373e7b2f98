"""The helpers of the tests themselves: cached inputs, waits, the order of files, missing tools."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import made_once as module
from tests.support import missing
from tests.support.made_once import made_once
from tests.support.order import Timed
from tests.support.waiting import ends, wait_for


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "CACHE", tmp_path)
    return tmp_path


def test_an_input_is_made_once_for_the_same_code_and_again_for_other_code(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    for _ in range(2):
        assert made_once("input", made.append) == made[0]
    for key in range(5):
        monkeypatch.setattr(module, "_key", lambda code, key=key: f"{key:016}")
        made_once("input", made.append)
    assert len(made) == 6
    assert len(list(cache.glob("input-*.finished"))) == module.N_KEPT
    assert {path for path in made if path.exists()} == set(made[-module.N_KEPT :])


def test_an_input_whose_making_failed_is_made_again_in_an_empty_folder(cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        made_once("input", fail)
    assert list(made_once("input", lambda folder: None).iterdir()) == []


def test_what_a_killed_process_left_is_removed(cache: Path) -> None:
    left = cache / f"input-{'0' * 16}"
    left.mkdir()
    folder = made_once("input", lambda folder: None)
    assert [path for path in cache.iterdir() if path.is_dir()] == [folder]


def test_a_wait_ends_with_the_process_that_it_waits_for() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    with pytest.raises(AssertionError, match=r"^the process ended before an answer"):
        wait_for(lambda: False, "an answer", process=process)


def test_an_error_of_an_action_that_must_end_is_raised() -> None:
    assert ends(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        ends(lambda: 1 / 0)


def test_files_run_longest_first_and_keep_the_order_of_their_tests() -> None:
    config: Any = SimpleNamespace(workerinput={"seconds_by_file": {"tests/unit/a.py": 9.0, "b.py": 90.0}})
    names = ["tests/unit/a.py::1", "tests/unit/c.py::1", "b.py::2", "tests/integration/d.py::1", "b.py::1"]
    items: list[Any] = [SimpleNamespace(nodeid=name, get_closest_marker=lambda mark: None) for name in names]
    Timed(config).pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == [
        *("b.py::2", "b.py::1", "tests/integration/d.py::1", "tests/unit/a.py::1", "tests/unit/c.py::1")
    ]


def test_the_first_files_make_different_worlds_and_one_needs_none() -> None:
    browser = "tests/browser/c.py"
    seconds = {"a.py": 9.0, "b.py": 8.0, browser: 7.0, "d.py": 6.0, "e.py": 5.0, "f.py": 4.0}
    fixtures = {"a.py": ["finished"], "b.py": ["finished"], "d.py": ["release"]}
    config: Any = SimpleNamespace(workerinput={"seconds_by_file": seconds})
    items: list[Any] = [
        SimpleNamespace(
            nodeid=f"{file}::1", fixturenames=fixtures.get(file, []), get_closest_marker=lambda mark: None
        )
        for file in seconds
    ]
    Timed(config).pytest_collection_modifyitems(items)
    files = [item.nodeid.partition("::")[0] for item in items]
    assert files == ["a.py", browser, "e.py", "b.py", "d.py", "f.py"]


def test_tests_without_a_tool_are_one_line() -> None:
    def skipped(reason: str) -> Any:
        return SimpleNamespace(longrepr=("test.py", 1, f"Skipped: {reason}"))

    lines: list[str] = []
    other = skipped("on other systems")
    reports = [skipped("without Chromium: install it"), other, skipped("without Chromium: install it")]
    reporter: Any = SimpleNamespace(
        stats={"skipped": reports}, write_line=lambda line, **_: lines.append(line)
    )
    missing.summarize(reporter)
    assert lines == ["NOT TESTED: 2 tests without Chromium: install it"]
    assert reporter.stats["skipped"] == [other]
