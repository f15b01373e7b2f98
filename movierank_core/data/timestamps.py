"""Conversions between datetimes and seconds since 1970, UTC."""

from datetime import UTC, datetime
from typing import Final

import polars as pl

DAY_SECONDS: Final = 86_400
YEAR_SECONDS: Final = 365.25 * DAY_SECONDS
"""Seconds of a Julian year."""


def epoch_seconds(column: str) -> pl.Expr:
    """A TIMESTAMP column as whole seconds since 1970, UTC."""
    return pl.col(column).dt.epoch("s")


def to_epoch(moment: datetime) -> int:
    """An aware datetime as whole seconds since 1970, rounded up, so that earlier events are before it."""
    return -int(-moment.timestamp() // 1)


def from_epoch(seconds: int) -> datetime:
    """Seconds since 1970 as an aware datetime, UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC)
