"""Long test files first, so that no worker is left alone with one at the end of a run.

How long a file takes is known from the last run; else files with slow tests come first, unit tests last.
First of all come a file of the browser tests, one that needs a finished run, and one that needs no training.
The workers that start with them make both worlds at the same time; with two files of one world, the second
would only wait.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import pytest

_CACHE_KEY: Final = "movierank/seconds_by_file"
_WORKER_KEY: Final = "seconds_by_file"
_TRAINING: Final = ("finished", "release")
"""Fixtures that train in a fresh clone. All files in the folder `browser` need one trained model as well."""
_GUESSES: Final = {"slow": 60.0, "integration": 20.0, "browser": 10.0}
"""Seconds of a file that was not timed yet: with slow tests, or in a folder."""


class Timed:
    """The plugin that sorts the tests of this process and, in the first process, times them."""

    def __init__(self, config: pytest.Config) -> None:
        self._is_worker = hasattr(config, "workerinput")
        self._config = config
        # Workers must agree on the order: they get the figures from the process that starts them.
        known = config.workerinput[_WORKER_KEY] if self._is_worker else config.cache.get(_CACHE_KEY, {})
        self._known: dict[str, float] = known
        self._measured: Counter[str] = Counter()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: pytest.Item) -> None:
        node.workerinput[_WORKER_KEY] = self._known  # type: ignore[attr-defined]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_file = defaultdict[str, list[pytest.Item]](list)
        for item in items:
            by_file[_file_of(item.nodeid)].append(item)
        seconds = {file: self._known.get(file, _guess(file, of_file)) for file, of_file in by_file.items()}
        longest_first = sorted(by_file, key=lambda file: (-seconds[file], file))
        firsts = _first_of_each_world(longest_first, by_file)
        others = [file for file in longest_first if file not in firsts]
        items[:] = [item for file in (*firsts, *others) for item in by_file[file]]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._measured[_file_of(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        if not self._is_worker:
            known = self._known
            # A run of only a few tests of a file shortens its figure by half at most.
            new = {file: max(known.get(file, 0.0) / 2, seconds) for file, seconds in self._measured.items()}
            self._config.cache.set(_CACHE_KEY, known | new)


def _file_of(nodeid: str) -> str:
    return nodeid.split("::")[0]


def _first_of_each_world(files: Iterable[str], by_file: Mapping[str, list[pytest.Item]]) -> list[str]:
    """The first file that needs each world, and the first that needs none."""
    firsts: dict[str, str] = {}
    for file in files:
        firsts.setdefault(_world(file, by_file[file]), file)
    firsts.pop("release", None)  # It waits for the kernels, which the other two compile.
    return list(firsts.values())


def _world(file: str, items: list[pytest.Item]) -> str:
    """The world that a file needs; empty if none."""
    if "/browser/" in file:
        return "browser"
    used = {name for item in items for name in getattr(item, "fixturenames", ())}
    return next((name for name in _TRAINING if name in used), "")


def _guess(file: str, items: list[pytest.Item]) -> float:
    if any(item.get_closest_marker("slow") for item in items):
        return _GUESSES["slow"]
    return next((seconds for folder, seconds in _GUESSES.items() if f"/{folder}/" in file), 1.0)
