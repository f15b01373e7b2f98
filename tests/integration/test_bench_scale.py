"""The benchmark of growth runs, at tiny sizes, and says what it measured."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.scale import ALL, DATA, exponent, folder_megabytes, main, table
from tests.support.tiny_pipeline import MODEL


def test_the_exponent_of_growth_is_the_slope_of_the_logarithms() -> None:
    assert exponent([1e6, 1e7], [3.0, 30.0]) == pytest.approx(1.0)
    assert exponent([1e6, 2e6, 4e6], [1.0, 4.0, 16.0]) == pytest.approx(2.0)
    assert math.isnan(exponent([1e6], [3.0]))
    assert math.isnan(exponent([1e6, 1e7], [0.0, 3.0]))


def test_one_size_has_no_exponent() -> None:
    step = {"wall": 2.0, "processor": 1.0, "peak_mb": 1234.5}
    systems = {"random": {"ndcg@10": 0.05, "recall@100": 0.4}}
    report = {"events": 100_000, "steps": {ALL: step}, "data_mb": 3.0, "disk_mb": 115.0, "systems": systems}
    assert table([report]).splitlines()[2:] == [
        "| all steps | 2.0 s / 1.0 s / 1,234 MB | –, – |",
        "| data on disk | 3 MB | – |",
        "| results on disk | 115 MB | – |",
        "| random: ndcg@10 / recall@100 | 0.050 / 0.400 | |",
    ]


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 2_000_000)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert folder_megabytes(tmp_path) == pytest.approx(2.0)


def test_every_step_has_its_figures_at_every_size(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clean_environment: None,
) -> None:
    for name, value in MODEL.items():
        monkeypatch.setenv(f"MOVIERANK_MODEL_{name}", value)
    out = tmp_path / "out.json"
    main(["--sizes", "0.003,0.005", "--folder", str(tmp_path / "sets"), "--json", str(out)])
    reports = json.loads(out.read_text())
    assert [report["events"] for report in reports] == [3_000, 5_000]
    for report in reports:
        steps = report["steps"]
        assert {DATA, ALL, "movielens", "retrievers", "training_set", "ranker", "promotion"} <= set(steps)
        assert 0 < steps["retrievers"]["wall"] < steps[ALL]["wall"]
        assert steps["retrievers"]["processor"] > 0
        assert 50 < steps["retrievers"]["peak_mb"] <= steps[ALL]["peak_mb"]
        assert report["disk_mb"] > 0 < report["data_mb"]
        assert {"movierank", "ease_presence", "random"} <= set(report["systems"])
    printed = capsys.readouterr().out
    assert printed.startswith("| step | 3,000 events | 5,000 events | exponent: wall, processor |\n")
    assert "| retrievers | " in printed
