"""Skips tests that need what this machine lacks, and prints one line for each missing thing."""

from collections import Counter
from typing import Final, NoReturn

import pytest

_PREFIX: Final = "without "


def skip_without(what: str, how: str) -> NoReturn:
    """Skips the running test, which needs `what`; `how` says how to get it."""
    pytest.skip(f"{_PREFIX}{what}: {how}")


def summarize(reporter: pytest.TerminalReporter) -> None:
    """Prints one line for each missing thing and takes its tests out of the list of skipped ones."""
    skipped = reporter.stats.get("skipped", [])
    missing = [report for report in skipped if reason_of(report).startswith(_PREFIX)]
    if not missing:
        return
    reporter.stats["skipped"] = [report for report in skipped if report not in missing]
    reporter.stats["not tested"] = missing
    for reason, n in Counter(map(reason_of, missing)).items():
        reporter.write_line(f"NOT TESTED: {n} tests {reason}", yellow=True)


def reason_of(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    longrepr = report.longrepr
    return longrepr[2].removeprefix("Skipped: ") if isinstance(longrepr, tuple) else ""
