"""The evaluation as the asset graph keeps it: the report, its plots and page, and the test requests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import polars as pl

from movierank_core.recommender.state import RankingState
from movierank_pipeline.evaluation.html_report import plots_of, render_html
from movierank_pipeline.evaluation.report import Report


@dataclass(frozen=True)
class StoredEvaluation:
    """The report with its plots and page, and the test requests with the state that answered them."""

    report: Report
    plots: dict[str, bytes]
    """PNG by name."""
    html: str
    requests: pl.DataFrame
    """REQUESTS with the ranker's figures for each: see `evaluate.scored_requests`."""
    state: RankingState
    """The test state, for evaluating another model on the same requests."""

    @classmethod
    def of(
        cls,
        report: Report,
        importance: dict[str, float],
        requests: pl.DataFrame,
        state: RankingState,
    ) -> Self:
        """Draws plots and page. `importance` is each feature's share of the ranker's gain."""
        plain = {**msgspec.json.decode(report.to_json()), "importance": importance}
        plots = plots_of(plain)
        return cls(report, plots, render_html(plain, plots=plots), requests, state)

    def save(self, folder: Path) -> None:
        (folder / "plots").mkdir(parents=True)
        # JSON has no NaN, so the report is also kept as MessagePack.
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
            msgspec.msgpack.decode((folder / "report.msgpack").read_bytes(), type=Report),
            {path.stem: path.read_bytes() for path in sorted((folder / "plots").glob("*.png"))},
            (folder / "report.html").read_text("utf-8"),
            pl.read_parquet(folder / "requests.parquet"),
            RankingState.load(folder / "state"),
        )
