"""What stands between assets and is no single table: kept as folders by `resources.FolderIOManager`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import msgspec
import polars as pl


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
