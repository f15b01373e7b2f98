"""Judgments in TREC's format, and the protocol that they make."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from movierank_core.errors import DataError
from movierank_pipeline.evaluation.evaluate import report_of
from movierank_pipeline.evaluation.experiment import answers_to, model_on
from movierank_pipeline.evaluation.measures.judged import Judgments, judged_values
from movierank_pipeline.evaluation.protocols.judged import judged_holdout, judged_protocol
from movierank_pipeline.evaluation.protocols.qrels import QRELS, read_qrels
from tests.support.releases import training
from tests.support.simulated import CONFIG, SimulatedRatings


def test_lines_are_read_in_order_and_empty_ones_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "a.qrels"
    file.write_text("7 0 50 2\n\n 7\t0\t60 -1 \r\n3 Q0 50 0\n")
    assert read_qrels(file).equals(
        pl.DataFrame([(7, 50, 2, 1), (7, 60, -1, 3), (3, 50, 0, 4)], schema=QRELS, orient="row")
    )


@pytest.mark.parametrize(
    ("content", "found", "expected"),
    [
        (b"1 0 2 1\n1 0 3\n", "Line 2 of {} has 3 columns", "four columns `user 0 movie grade`, separated"),
        (b"1 0 2 1 5\n", "Line 1 of {} has 5 columns", "four columns"),
        (b"1,0,2,1\n", "Line 1 of {} has 1 columns", "four columns"),
        (b"user 0 movie grade\n", "Line 1 of {} has the user 'user'", "an integer from 0; four"),
        (b"1 0 2 1\n\n1 0 -3 1\n", "Line 3 of {} has the movie '-3'", "an integer from 0; four"),
        (b"1 0 2 1.5\n", "Line 1 of {} has the grade '1.5'", "an integer; four columns"),
        (b"1 0 2 -\n", "Line 1 of {} has the grade '-'", "an integer; four columns"),
        (b"1 0 99999999999999999999 1\n", "Line 1 of {} has the movie '99999999999999999999'", "an integer"),
        ("1 0 ² 1\n".encode(), "Line 1 of {} has the movie '²'", "an integer from 0"),
        (b"1 0 2 1\n\xff 0 2 1\n", "Line 2 of {} is not UTF-8", "four columns"),
        (
            b"1 0 2 1\n1 0 3 1\n1 0 2 0\n",
            "Line 3 of {} judges user 1 and movie 2 again, after line 1",
            "one judgment per user and movie",
        ),
        (b" \n\n", "{} has no judgment", "lines of four columns"),
    ],
)
def test_a_bad_line_is_named_with_what_was_found_and_expected(
    tmp_path: Path, content: bytes, found: str, expected: str
) -> None:
    file = tmp_path / "bad.qrels"
    file.write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_qrels(file)
    assert refused.value.found == found.format(file)
    assert str(refused.value.expected).startswith(expected)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^There is no file .*none\.qrels\."):
        read_qrels(tmp_path / "none.qrels")


def test_figures_by_hand() -> None:
    ranked = np.array([[4, 5, 6, 7, -1]])
    judgments = [Judgments(np.array([5, 6, 7, 9, -1]), np.array([0.0, 2.0, -3.0, 1.0, 3.0]))]
    found = judged_values(ranked, judgments, 3)
    # Gain 2 at rank 3. The best list has the gains 3, 2 and 1; the movie of grade 3 is in no catalogue.
    best = 3 + 2 / np.log2(3) + 1 / 2
    assert found["ndcg@3"].tolist() == pytest.approx([2 / 2 / best])
    # Movie 6 has one judged movie above it that is not relevant; R = 3, N = 2: (1 - 1/2) / 3.
    assert found["bpref"].tolist() == pytest.approx([0.5 / 3])
    assert found["judged@3"].tolist() == pytest.approx([2 / 3])


def qrels_of(rows: list[tuple[int, int, int]]) -> pl.DataFrame:
    return pl.DataFrame([(*row, line) for line, row in enumerate(rows, 1)], schema=QRELS, orient="row")


def test_the_whole_history_is_the_request_and_its_movies_are_no_targets(simulated: SimulatedRatings) -> None:
    data, catalogue = simulated.data, simulated.catalogue
    seen = set(data.history(0).movie_ids.tolist())
    user_id = int(data.user_ids[0])
    unseen = [movie_id for movie_id in catalogue.movie_ids.tolist() if movie_id not in seen][:3]
    qrels = qrels_of(
        [
            (user_id, min(seen), 2),
            *((user_id, movie_id, grade) for movie_id, grade in zip(unseen, (0, 1, 3), strict=True)),
            (user_id, 99_999, 1),
            (int(data.user_ids[1]), min(data.history(1).movie_ids.tolist()), 3),  # Nothing else: no request.
        ]
    )
    holdout = judged_holdout(data, catalogue, CONFIG, qrels)
    (request,) = holdout.replay()
    assert (request.user_id, len(request.history)) == (user_id, len(seen))
    assert request.as_of == int(data.timestamps.max()) + 1 == holdout.state.as_of
    assert catalogue.movie_ids[request.targets[:2]].tolist() == unseen[1:]
    assert request.targets[2] == -1
    assert holdout.requests["targets"].to_list() == [[*unseen[1:], 99_999]]
    assert holdout.target_facts.judgments is not None
    judgments = holdout.target_facts.judgments(request)
    assert judgments.grades.tolist() == [0, 1, 3, 1]
    assert holdout.judged == {"n_judgments": 6, "n_judgments_of_history": 2}


def test_a_report_has_graded_figures_of_every_system(simulated: SimulatedRatings) -> None:
    data, catalogue = simulated.data, simulated.catalogue
    rng = np.random.default_rng(0)
    rows = []
    for user, user_id in enumerate(data.user_ids[:30].tolist()):
        seen = set(data.history(user).movie_ids.tolist())
        others = [movie_id for movie_id in catalogue.movie_ids.tolist() if movie_id not in seen]
        for movie_id in rng.choice(others, 20, replace=False).tolist():
            # People of one taste want movies of one genre; see `simulate_ratings`.
            rows.append((user_id, movie_id, 2 if (movie_id // 10 - 1) % 2 == user_id % 2 else 0))
    holdout = judged_holdout(data, catalogue, CONFIG, qrels_of(rows))
    model = model_on(holdout, training().ranker)
    report = report_of(holdout, model, answers_to(holdout, model, CONFIG), CONFIG)
    assert (report.protocol, report.n_users) == ("judged", 30)
    assert report.judged == {"n_judgments": 600, "n_judgments_of_history": 0}
    for figures in report.systems.values():
        assert {"ndcg@10", "recall@100", "bpref", "judged@10", "debiased_ndcg@10"} <= set(figures)
        assert 0 <= figures["bpref"].mean <= 1
    ours, chance = report.systems["movierank"], report.systems["random"]
    assert ours["bpref"].mean > chance["bpref"].mean
    assert chance["judged@10"].mean == pytest.approx(20 / 65, abs=0.1)


def test_judgments_of_strangers_and_of_nothing_new_are_refused(simulated: SimulatedRatings) -> None:
    data, catalogue = simulated.data, simulated.catalogue
    with pytest.raises(DataError, match=r"^Line 2 of the judgments has the user 4711, who has no rating\."):
        judged_protocol(simulated.interactions, catalogue, CONFIG, qrels_of([(1, 10, 1), (4711, 10, 1)]))
    seen = int(data.history(0).movie_ids[0])
    with pytest.raises(DataError, match=r"^No judged user has a relevant movie outside their history\."):
        judged_holdout(data, catalogue, CONFIG, qrels_of([(int(data.user_ids[0]), seen, 1)]))
