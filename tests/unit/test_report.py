"""The report is one file that shows what was measured, and its plots are pictures."""

import re
import struct
from html.parser import HTMLParser
from typing import Any

import pytest

from movierank_pipeline.evaluation.html_report import plots_of, render_html
from movierank_pipeline.evaluation.plots import (
    differences_plot,
    importance_plot,
    reliability_plot,
    slices_plot,
    systems_plot,
)


def interval(mean: float | None, spread: float = 0.02) -> dict[str, float | None]:
    if mean is None:
        return {"mean": None, "low": None, "high": None}
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


def difference(mean: float, relative: float | None) -> dict[str, float | None]:
    return {**interval(mean), "relative": relative, "relative_low": None}


SYSTEMS = {
    "ease": {"ndcg@10": interval(0.1), "coverage@10": interval(0.3, 0.0), "debiased_ndcg@10": interval(0.07)},
    "movierank": {"ndcg@10": interval(0.2), "coverage@10": interval(0.25, 0.0)},
    "<b>random</b>": {"ndcg@10": interval(None), "coverage@10": interval(0.9, 0.0)},
}
CALIBRATION = [
    {"p_low": 0.0, "p_high": 0.5, "n": 40, "mean_p": 0.31, "observed": 0.29},
    {"p_low": 0.5, "p_high": 1.0, "n": 160, "mean_p": 0.74, "observed": 0.77},
]
REPORT: dict[str, Any] = {
    "protocol": "temporal",
    "n_users": 115,
    "unknown_like_share": 0.123456,
    "systems": SYSTEMS,
    "without": ["user", "<cross>"],
    "best_source": "ease",
    "recent_popularity": "popularity_365d",
    "differences": {"popular": difference(0.15, None), "ease": difference(0.1, 1.0)},
    "recall_differences": {"ease": difference(-0.01, -0.025)},
    "slices": {
        "0": {"n_requests": 7, "n_users": 5, "systems": {}},
        "1-4": {
            "n_requests": 30,
            "n_users": 12,
            "systems": SYSTEMS,
            "differences": {"ease": difference(-0.004, -0.031)},
            "best_source": "als",
            "leads": {"ndcg@10": {**difference(0.03, 0.2), "p_holm": 0.2}},
        },
    },
    "ablations": {
        "user": {
            "n_features": 41,
            "metrics": {"ndcg@10": interval(0.21)},
            "differences": {"ndcg@10": difference(-0.01, -0.05)},
        },
        "movie": {
            "n_features": 39,
            "metrics": {"ndcg@10": interval(0.15)},
            "differences": {"ndcg@10": difference(0.05, 0.3)},
        },
    },
    "slice_verdict": "In no slice is the ranker <below>.",
    "refits": ["2024-01-01", "2024-02-01"],
    "ties": {
        "n_targets": 200,
        "tied_share": 0.25,
        "parts": {
            "tied": {"n_requests": 40, "n_users": 40, "systems": {"ease": {"ndcg@10": interval(0.333)}}},
            "untied": {"n_requests": 80, "n_users": 80, "systems": {"ease": {"ndcg@10": interval(0.166)}}},
        },
        "choice_share": 0.125,
        "band": {"ease": {"worst": interval(0.08), "best": interval(0.13)}},
    },
    "shuffled": {
        "metrics": {"ndcg@10": interval(0.18)},
        "differences": {"ndcg@10": {**difference(0.02, 0.11), "p_holm": 0.012}},
    },
    "shuffled_ties": {
        "metrics": {"ndcg@10": interval(0.199)},
        "differences": {"ndcg@10": {**difference(0.001, 0.01), "p_holm": 0.7}},
    },
    "judged": {"n_judgments": 600},
    "calibration": CALIBRATION,
    "importance": {"ease_z": 0.6, "genre_match": 0.4},
}


class Tags(HTMLParser):
    """Collects tags and their attributes, and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_the_page_is_whole_and_asks_nobody_for_anything() -> None:
    page = render_html(REPORT)
    for tag, attributes in tags_of(page):
        assert tag not in ("script", "link", "iframe")
        assert (attributes.get("src") or "data:").startswith("data:image/png;base64,") or tag != "img"
    assert "http" not in page
    assert sum(tag == "img" for tag, _ in tags_of(page)) == 5


def test_systems_are_shown_best_first_with_their_intervals() -> None:
    page = render_html(REPORT)
    rows = re.findall(r"<tr[^>]*><td>(.*?)</td><td[^>]*>(.*?)</td>", page.partition("<h2>Systems</h2>")[2])
    assert rows[:3] == [
        ("movierank", "0.2000<small>0.1800 to 0.2200</small>"),
        ("ease", "0.1000<small>0.0800 to 0.1200</small>"),
        ("&lt;b&gt;random&lt;/b&gt;", "–"),
    ]
    assert "<td>0.2500</td>" in page  # A figure without an interval stands alone.


def test_facts_differences_and_slices_are_shown() -> None:
    page = render_html(REPORT)
    assert "<dt>n users</dt><dd>115</dd>" in page
    assert "<dt>unknown like share</dt><dd>0.1235</dd>" in page
    assert "<dt>without</dt><dd>user, &lt;cross&gt;</dd>" in page
    assert (
        "<td>ease</td><td>+0.1000<small>+0.0800 to +0.1200</small></td><td>+100.0%</td>"
        "<td>-0.0100<small>-0.0300 to +0.0100</small></td><td>-2.5%</td>"
    ) in page
    nearest_first = page.partition("minus each other system, paired")[2]
    assert nearest_first.index("<td>ease</td>") < nearest_first.index("<td>popular</td>")
    assert (
        "<td>movierank minus ease</td><td>–</td>"
        "<td>-0.0040<small>-0.0240 to +0.0160</small><small>-3.1%</small></td>"
    ) in page
    assert "<td>requests / users</td><td>7 / 5</td><td>30 / 12</td>" in page
    assert "<td>0.50–1.00</td><td>160</td><td>0.740</td><td>0.770</td>" in page


def test_debiased_figures_stand_beside_raw_ones() -> None:
    systems, _, debiased = render_html(REPORT).partition("<h2>Debiased for popularity</h2>")
    assert "debiased" not in systems.partition("<h2>Systems</h2>")[2]
    assert '<th scope="col">ndcg@10</th><th scope="col">debiased</th>' in debiased
    assert (
        "<td>ease</td><td>0.1000<small>0.0800 to 0.1200</small></td>"
        "<td>0.0700<small>0.0500 to 0.0900</small></td></tr>" in debiased
    )
    assert "Debiased" not in render_html({"systems": {"movierank": {"mrr": interval(0.5)}}})


def test_slices_have_their_best_source_and_one_verdict() -> None:
    page = render_html(REPORT)
    assert "<td>best source of the slice</td><td>–</td><td>als</td>" in page
    assert (
        "<td>movierank minus it</td><td>–</td>"
        "<td>+0.0300<small>+0.0100 to +0.0500</small><small>p 0.200</small></td>"
    ) in page
    assert "<p>In no slice is the ranker &lt;below&gt;.</p>" in page
    assert "<dt>slice verdict</dt>" not in page
    assert "<dt>refits</dt><dd>2024-01-01, 2024-02-01</dd>" in page
    assert "<dt>n judgments</dt><dd>600</dd>" in page


def test_shuffled_histories_and_ties_have_their_tables() -> None:
    page = render_html(REPORT)
    shuffled = page.partition("<h2>With shuffled histories</h2>")[2]
    assert (
        "<td>ndcg@10</td><td>all events</td><td>0.1800<small>0.1600 to 0.2000</small></td>"
        "<td>+0.0200<small>+0.0000 to +0.0400</small></td><td>p 0.012</td>"
    ) in shuffled
    assert "<td>ndcg@10</td><td>within each second</td><td>0.1990<small>" in shuffled
    ties = page.partition("<h2>Targets with the timestamp of the last event of the history</h2>")[2]
    assert "<p>25.0 % of 200 targets.</p>" in ties
    assert '<th scope="col">ndcg@10, tied</th><th scope="col">ndcg@10, untied</th>' in ties
    assert (
        "<td>ease</td><td>0.3330<small>0.3130 to 0.3530</small></td>"
        "<td>0.1660<small>0.1460 to 0.1860</small></td>"
    ) in ties
    assert "<p>12.5 % of the requests have several choices" in ties
    assert (
        "<td>ease</td><td>0.1000<small>0.0800 to 0.1200</small></td>"
        "<td>0.0800<small>0.0600 to 0.1000</small></td><td>0.1300<small>0.1100 to 0.1500</small></td>"
    ) in ties


def test_parts_are_shown_by_their_worth() -> None:
    table = render_html(REPORT).partition("<h2>Contribution of each group of features</h2>")[2]
    assert "<td>movie</td><td>39</td><td>0.1500<small>0.1300 to 0.1700</small></td><td>+0.0500" in table
    assert table.index("<td>movie</td>") < table.index("<td>user</td>")


def test_systems_alone_make_a_page() -> None:
    page = render_html({"systems": {"movierank": {"mrr": interval(0.5)}}})
    assert "0.5000" in page
    assert [tag for tag, _ in tags_of(page)].count("img") == 0


def test_the_page_shows_plots_that_are_drawn_already(monkeypatch: pytest.MonkeyPatch) -> None:
    plots = plots_of(REPORT)
    page = render_html(REPORT)
    monkeypatch.setattr(
        "movierank_pipeline.evaluation.html_report.plots_of", lambda report: pytest.fail("drawn again")
    )
    assert render_html(REPORT, plots=plots) == page


def test_equal_reports_are_equal_pages() -> None:
    assert render_html(REPORT) == render_html(REPORT)


@pytest.mark.parametrize(
    "png",
    [
        importance_plot({"ease_z": 0.6, "genre_match": 0.4}),
        importance_plot({}),
        importance_plot({f"feature_{number}": 1 / 60 for number in range(60)}),
        reliability_plot(CALIBRATION),
        reliability_plot([]),
        systems_plot(SYSTEMS),
        systems_plot({}),
        differences_plot(REPORT["differences"]),
        differences_plot({}),
        slices_plot({"0": {}, "1-4": SYSTEMS, "5-19": SYSTEMS}, always=("ease",)),
        slices_plot({}),
    ],
)
def test_plots_are_pictures_of_a_usable_size(png: bytes) -> None:
    width, height = size_of(png)
    assert 500 <= width <= 1200
    assert 100 <= height <= 1200
