"""The serving benchmark runs, at a tiny size, and says what it measured."""

import json
from pathlib import Path

import pytest

from benchmarks.serving import main


def test_both_services_answer_everything_and_every_figure_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--tiny", "--cache", str(tmp_path), "--json", str(tmp_path / "out.json")])
    report = json.loads((tmp_path / "out.json").read_text())
    for service in ("movierank", "naive"):
        assert report[service]["failures"] == 0
        assert 0 < report[service]["p50_ms"] <= report[service]["p99_ms"]
        assert report[service]["per_second"] > 0
    assert report["movierank"]["filters_failures"] == 0
    assert report["movierank"]["filters_p50_ms"] > 0
    assert report["movierank"]["private_mb"] < report["movierank"]["rss_mb"]
    assert {"history", "retrieval", "features", "ranker"} < set(report["stages_ms"])
    assert report["swap"]["failures"] == 0
    assert "| one client, p50 |" in capsys.readouterr().out
