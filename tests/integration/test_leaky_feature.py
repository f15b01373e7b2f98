"""The warning about leaks measures what it says, and stays outside the product."""

import ast
import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import leaky_feature
from benchmarks.leaky_feature import LEAKS, LOOKS, TRUTH, main
from movierank_core.paths import Paths
from movierank_pipeline.evaluation.run import evaluate_dataset
from movierank_pipeline.settings import Settings
from tests.support.python_source import parsed
from tests.support.tiny_pipeline import environment, write_tiny_ratings

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    "names", [("honest", "in-sample sources"), pytest.param(tuple(LEAKS), marks=pytest.mark.heavy)]
)
def test_leaks_look_better_than_they_are(
    names: tuple[str, ...],
    tmp_path: Path,
    clean_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_tiny_ratings(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(leaky_feature, "LEAKS", {name: LEAKS[name] for name in names})
    main(["--data-dir", str(tmp_path / "tiny"), "--json", str(tmp_path / "out.json")])
    report = json.loads((tmp_path / "out.json").read_text())
    assert list(report["leaks"]) == list(names)
    honest = report["leaks"]["honest"]

    @contextmanager
    def step(name: str):
        yield lambda message: None

    product = evaluate_dataset(
        Settings.from_environment(), Paths.from_environment(), step, facts="origin"
    ).report
    for metric in ("ndcg@10", "recall@100"):
        assert honest[TRUTH][metric]["mean"] == product.systems["movierank"][metric].mean
    assert honest[LOOKS] is None
    for name in set(names) - {"honest"}:
        leak = report["leaks"][name]
        looks, truth = leak[LOOKS]["ndcg@10"]["mean"], leak[TRUTH]["ndcg@10"]["mean"]
        if name != "movie averages":  # A handful of users cannot tell so small a leak from chance.
            assert looks > truth
        lead = leak[TRUTH]["ndcg@10 lead"]
        assert lead["mean"] == pytest.approx(truth - honest[TRUTH]["ndcg@10"]["mean"])
        assert lead["low"] <= lead["mean"] <= lead["high"]
    printed = capsys.readouterr().out
    assert "| training rows | validation | as it looks | in truth | in truth, minus honest |" in printed
    assert "| in-sample sources | " in printed


@pytest.mark.parametrize("package", ["core", "pipeline", "serving", "cli"])
def test_no_leak_can_be_reached_from_the_product(package: str) -> None:
    for path in (ROOT / f"movierank_{package}").rglob("*.py"):
        for node in ast.walk(parsed(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            assert not [name for name in names if name.startswith("benchmarks")], path
