"""The exit codes of `movierank materialize` tell apart how a night ended."""

import sys
from pathlib import Path

import pytest

from movierank_cli.exit_codes import CHECK_FAILED, STEP_FAILED, USER_ERROR, VERSION_REFUSED
from movierank_cli.main import main
from movierank_core.paths import Paths
from movierank_pipeline.defs.assets import raw
from movierank_pipeline.defs.assets import training as training_assets
from tests.support.tiny_pipeline import FROM_EVALUATION, OTHER_TRAINING, with_ranker_at, write_tiny_ratings

ROOT = Path(__file__).resolve().parents[2]


def exit_code_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs the program in this process."""
    monkeypatch.setattr(sys, "argv", ["movierank", "materialize", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def tiny(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_tiny_ratings(paths.root)
    monkeypatch.setenv("MOVIERANK_DATA_DIR", str(paths.root / "tiny"))
    return paths.root / "tiny"


def test_a_run_that_succeeds_is_0(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code_of(monkeypatch, "--select", "ratings") == 0


def test_a_problem_before_a_step_is_2(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code_of(monkeypatch, "--select", "nothing such") == USER_ERROR == 2


def test_a_step_that_fails_is_3_and_is_named(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tiny / "ratings.csv").open("a") as file:
        file.write("1,x,4.0,1\n")
    assert exit_code_of(monkeypatch, "--select", "ratings") == STEP_FAILED == 3
    said = capsys.readouterr().err
    assert "! step movielens failed\n" in said
    assert "Error: Line 6002 of " in said
    assert "Traceback" not in said


def test_a_step_that_fails_by_a_defect_is_3_with_a_traceback(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Path) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(raw, "read_dataset", broken)
    assert exit_code_of(monkeypatch, "--select", "ratings") == STEP_FAILED
    said = capsys.readouterr().err
    assert "! step movielens failed\n" in said
    assert "ZeroDivisionError: a defect" in said


def test_a_defect_outside_a_step_is_not_caught(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("movierank_cli.pipeline.materialize", broken)
    monkeypatch.setattr(sys, "argv", ["movierank", "materialize"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_blocking_check_is_4(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training_assets, "report_of", with_ranker_at(0.9, "popularity"))
    assert exit_code_of(monkeypatch, "--select", FROM_EVALUATION) == CHECK_FAILED == 4
    assert "Error: The run was stopped by the check evaluation: better_than_popularity." in (
        capsys.readouterr().err
    )


def test_a_refused_version_is_5(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training_assets, "report_of", with_ranker_at(0.99, "best"))
    for name, value in OTHER_TRAINING.items():
        monkeypatch.setenv(name, value)
    assert exit_code_of(monkeypatch, "--select", FROM_EVALUATION) == VERSION_REFUSED == 5
    said = capsys.readouterr().err
    assert "checks that failed: promotion: accepted" in said
    assert "The gate refused version 2." in said


def test_the_codes_are_documented() -> None:
    document = (ROOT / "docs" / "operations.md").read_text("utf-8")
    table = document.split("| exit code | meaning |\n|---|---|\n")[1].split("\n\n")[0]
    codes = [int(line.split("|")[1]) for line in table.splitlines()]
    assert codes == [0, 1, USER_ERROR, STEP_FAILED, CHECK_FAILED, VERSION_REFUSED]
