"""The comparison of folding in with refitting measures what it says."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fold_in import ANSWERS, last_likes, main, rank_correlation
from tests.support.simulated import SimulatedRatings
from tests.support.tiny_pipeline import environment, write_tiny_ratings


def test_the_correlation_is_of_the_places_of_the_refit() -> None:
    theirs = np.array([7, 3, 9, 4])
    assert rank_correlation(np.array([7, 3, 9, 4, 1]), theirs) == pytest.approx(1)
    assert rank_correlation(np.array([4, 9, 3, 7]), theirs) == pytest.approx(-1)
    # Places 1, 0, 2, 3 against 0, 1, 2, 3: 1 - 6 * 2 / (4 * 15).
    assert rank_correlation(np.array([3, 5, 7, 9, 4]), theirs) == pytest.approx(0.8)
    assert rank_correlation(np.array([7, 3, 9]), theirs) == pytest.approx(1), "what is lacking comes last"


def test_the_like_is_the_last_event_of_its_user(simulated: SimulatedRatings) -> None:
    data = simulated.data
    split = int(np.quantile(data.timestamps, 0.8))
    likes = last_likes(data, split)
    assert len(likes) > 5
    for position in likes.tolist():
        assert data.is_like[position]
        of_user = data.history(int(data.users[position]), split)
        assert of_user.movie_ids[-1] == data.movie_ids[position]


def test_a_like_that_is_folded_in_comes_near_to_a_refit(
    tmp_path: Path,
    clean_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_tiny_ratings(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    folder, out = tmp_path / "tiny", tmp_path / "out.json"
    main(["--data-dir", str(folder), "--likes", "4", "--json", str(out)])
    report = json.loads(out.read_text())
    assert report["n_likes"] == 4
    folded, without = (report["answers"][name] for name in ANSWERS)
    for measures in (folded, without):
        assert 0 <= measures["both@10"]["least"] <= measures["both@10"]["median"] <= 1
    assert folded["correlation"]["mean"] > without["correlation"]["mean"]
    assert "| with the like folded in | " in capsys.readouterr().out
