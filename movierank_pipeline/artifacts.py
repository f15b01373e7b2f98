"""What stands between assets and is no single table: kept as folders by `resources.FolderIOManager`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

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


class DatasetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a set of ratings as a whole."""

    name: str
    ratings_are_simulated: bool


class FeedbackFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How far a table of feedback reaches."""

    watermark: str | None
    """The event store's: everything up to here is in the table."""
    forgotten_user_ids: list[int]
    """Users who asked to be forgotten: nothing they rated in the data set may be used."""


class InteractionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream of events is from, and how far it reaches."""

    dataset: str
    ratings_are_simulated: bool
    feedback_through: str | None
    """The event store's watermark."""


class VersionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where a registered version is."""

    number: int
    run_id: str

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "version.json").write_bytes(msgspec.json.encode(self))

    @classmethod
    def load(cls, folder: Path) -> "VersionFacts":
        return msgspec.json.decode((folder / "version.json").read_bytes(), type=VersionFacts)


@dataclass(frozen=True)
class _TableWithFacts:
    """A Parquet table and a JSON file of facts about it."""

    facts_type: ClassVar[type]
    frame: pl.DataFrame
    facts: msgspec.Struct

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.frame.write_parquet(folder / "table.parquet")
        (folder / "facts.json").write_bytes(msgspec.json.encode(self.facts))

    @classmethod
    def load(cls, folder: Path) -> Self:
        facts: msgspec.Struct = msgspec.json.decode((folder / "facts.json").read_bytes(), type=cls.facts_type)
        return cls(pl.read_parquet(folder / "table.parquet"), facts)


@dataclass(frozen=True)
class StoredRatings(_TableWithFacts):
    """RATINGS and where they are from."""

    facts_type = DatasetFacts
    facts: DatasetFacts


@dataclass(frozen=True)
class StoredFeedback(_TableWithFacts):
    """FEEDBACK and how far it reaches."""

    facts_type = FeedbackFacts
    facts: FeedbackFacts


@dataclass(frozen=True)
class StoredInteractions(_TableWithFacts):
    """INTERACTIONS, where they are from and how far they reach."""

    facts_type = InteractionFacts
    facts: InteractionFacts


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
