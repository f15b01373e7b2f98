"""The evaluation as the asset graph keeps it: the report, its plots and page, and the test requests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import polars as pl

from movierank_core.recommender.state import RankingState
from movierank_pipeline.evaluation.evaluate import EvaluationReport
from movierank_pipeline.evaluation.plots import (
    differences_plot,
    importance_plot,
    reliability_plot,
    slices_plot,
    systems_plot,
)
from movierank_pipeline.evaluation.report import render_html


@dataclass(frozen=True)
class StoredEvaluation:
    """The report with its plots and its page, drawn once, and what it takes to ask another model the same."""

    report: EvaluationReport
    plots: dict[str, bytes]
    """PNG by name."""
    html: str
    requests: pl.DataFrame
    """REQUESTS with what the ranker got for each: see `evaluate.scored_requests`."""
    state: RankingState
    """The one that the ranker was judged on."""

    @classmethod
    def of(
        cls,
        report: EvaluationReport,
        importance: dict[str, float],
        requests: pl.DataFrame,
        state: RankingState,
    ) -> Self:
        """`importance` is each feature's share of the ranker's gain."""
        plain = msgspec.json.decode(report.to_json())
        return cls(
            report,
            {
                "importance": importance_plot(importance),
                "reliability": reliability_plot(plain["calibration"]),
                "systems": systems_plot(plain["systems"]),
                "differences": differences_plot(plain["differences"]),
                "ndcg_by_history_length": slices_plot(
                    {label: part["systems"] for label, part in plain["slices"].items()},
                    always=(report.best_source,),
                ),
            },
            render_html({**plain, "importance": importance}),
            requests,
            state,
        )

    def save(self, folder: Path) -> None:
        (folder / "plots").mkdir(parents=True)
        # JSON has no NaN, which stands for "nobody asked".
        (folder / "report.msgpack").write_bytes(msgspec.msgpack.encode(self.report))
        (folder / "evaluation.json").write_bytes(self.report.to_json())
        (folder / "report.html").write_text(self.html, "utf-8")
        for name, png in self.plots.items():
            (folder / "plots" / f"{name}.png").write_bytes(png)
        self.requests.write_parquet(folder / "requests.parquet")
        self.state.save(folder / "state")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(
            msgspec.msgpack.decode((folder / "report.msgpack").read_bytes(), type=EvaluationReport),
            {path.stem: path.read_bytes() for path in sorted((folder / "plots").glob("*.png"))},
            (folder / "report.html").read_text("utf-8"),
            pl.read_parquet(folder / "requests.parquet"),
            RankingState.load(folder / "state"),
        )
