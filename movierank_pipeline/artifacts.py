"""Types that assets pass on in folders, by `FolderIOManager`: tables with facts about them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import msgspec
import polars as pl


class DatasetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a set of ratings."""

    name: str
    ratings_are_simulated: bool


class FeedbackFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The extent of a table of feedback."""

    watermark: str | None
    """Watermark of the event store: all events up to it are in the table."""
    forgotten_user_ids: list[int]
    """Users who asked to be forgotten. Their ratings in the data set are left out too."""


class InteractionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The origin and the extent of a stream of events."""

    dataset: str
    ratings_are_simulated: bool
    feedback_through: str | None
    """Watermark of the event store."""


class VersionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The number of a registered version and its MLflow run."""

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
    """RATINGS with their origin."""

    facts_type = DatasetFacts
    facts: DatasetFacts


@dataclass(frozen=True)
class StoredFeedback(_TableWithFacts):
    """FEEDBACK with its extent."""

    facts_type = FeedbackFacts
    facts: FeedbackFacts


@dataclass(frozen=True)
class StoredInteractions(_TableWithFacts):
    """INTERACTIONS with their origin and extent."""

    facts_type = InteractionFacts
    facts: InteractionFacts
