"""Metadata of assets in the Dagster UI: row count, time range, columns, a preview and plots."""

import base64
from typing import Any

import dagster as dg
import polars as pl

PREVIEW_ROWS = 5
"""Number of rows in a preview."""
CELL_LENGTH = 60
"""Maximum length of a preview cell, in characters."""


def describe(frame: pl.DataFrame, time_column: str | None = None, **more: Any) -> dict[str, Any]:
    """Metadata of a table, with the range of `time_column` where it is given and the table has rows."""
    metadata: dict[str, Any] = {
        "dagster/row_count": frame.height,
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, str(kind)) for name, kind in frame.schema.items()]
        ),
        "preview": dg.MetadataValue.md(markdown_table(frame.head(PREVIEW_ROWS))),
        **more,
    }
    if time_column is not None and frame.height:
        bounds = frame.select(first=pl.col(time_column).min(), last=pl.col(time_column).max())
        shown = bounds.select(pl.all().dt.strftime("%Y-%m-%d %H:%M:%S")).row(0)
        metadata["time_range"] = f"{shown[0]} to {shown[1]} UTC"
    return metadata


def markdown_table(frame: pl.DataFrame) -> str:
    """All rows of a small table as Markdown; long cells are cut."""
    lines = [f"| {' | '.join(frame.columns)} |", f"|{'---|' * frame.width}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in frame.iter_rows()]
    return "\n".join(lines)


def plot(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """A PNG as metadata. The data are inside the Markdown, so the UI needs no access to files."""
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= CELL_LENGTH else f"{text[: CELL_LENGTH - 1]}…"
