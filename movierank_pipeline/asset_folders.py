"""What stands between assets and is no single table: kept as folders by `resources.FolderIOManager`."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from movierank_pipeline.evaluation.evaluate import EvaluationReport


class DatasetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the ratings as a whole."""

    name: str
    ratings_are_simulated: bool


@dataclass(frozen=True)
class StoredRatings:
    """RATINGS with the facts that travel with them."""

    frame: pl.DataFrame
    facts: DatasetFacts

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.frame.write_parquet(folder / "ratings.parquet")
        (folder / "facts.json").write_bytes(msgspec.json.encode(self.facts))

    @classmethod
    def load(cls, folder: Path) -> "StoredRatings":
        return cls(
            pl.read_parquet(folder / "ratings.parquet"),
            msgspec.json.decode((folder / "facts.json").read_bytes(), type=DatasetFacts),
        )


class FeedbackFacts(msgspec.Struct, frozen=True, kw_only=True):
    watermark: str | None
    """The event store's: everything up to here is in the table."""
    forgotten_user_ids: list[int]


@dataclass(frozen=True)
class StoredFeedback:
    """FEEDBACK with how far it reaches and who asked to be forgotten."""

    frame: pl.DataFrame
    facts: FeedbackFacts

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.frame.write_parquet(folder / "feedback.parquet")
        (folder / "facts.json").write_bytes(msgspec.json.encode(self.facts))

    @classmethod
    def load(cls, folder: Path) -> "StoredFeedback":
        return cls(
            pl.read_parquet(folder / "feedback.parquet"),
            msgspec.json.decode((folder / "facts.json").read_bytes(), type=FeedbackFacts),
        )


@dataclass(frozen=True)
class StoredEvaluation:
    """The report with its plots, drawn once."""

    report: EvaluationReport
    plots: dict[str, bytes]
    """PNG by name."""
    html: str
    """The same on one self-contained page."""

    def save(self, folder: Path) -> None:
        (folder / "plots").mkdir(parents=True)
        # JSON has no NaN, which stands for "nobody asked".
        (folder / "report.msgpack").write_bytes(msgspec.msgpack.encode(self.report))
        (folder / "evaluation.json").write_bytes(self.report.to_json())
        (folder / "report.html").write_text(self.html, "utf-8")
        for name, png in self.plots.items():
            (folder / "plots" / f"{name}.png").write_bytes(png)

    @classmethod
    def load(cls, folder: Path) -> "StoredEvaluation":
        return cls(
            msgspec.msgpack.decode((folder / "report.msgpack").read_bytes(), type=EvaluationReport),
            {path.stem: path.read_bytes() for path in sorted((folder / "plots").glob("*.png"))},
            (folder / "report.html").read_text("utf-8"),
        )
