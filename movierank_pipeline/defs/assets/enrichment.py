"""Facts from TMDB, and the catalogue that joins them to MovieLens."""

import dagster as dg
import polars as pl

from movierank_core.data.schema import CATALOGUE
from movierank_core.paths import Paths
from movierank_pipeline.datasets import metadata_settings
from movierank_pipeline.defs.metadata import describe
from movierank_pipeline.defs.provenance import fingerprint_of_step
from movierank_pipeline.ingest.catalogue import build_catalogue
from movierank_pipeline.ingest.tmdb.metadata import read_metadata
from movierank_pipeline.ingest.tmdb.progress import ProgressLines
from movierank_pipeline.settings import Settings


@dg.asset(group_name="enrichment", kinds={"polars", "parquet"}, io_manager_key="parquet")
def tmdb_movies(
    context: dg.AssetExecutionContext, movies: pl.DataFrame, links: pl.DataFrame, settings: Settings
) -> dg.MaterializeResult[pl.DataFrame]:
    """Facts of each movie from TMDB: plot, people, runtime, language, poster, and the votes of today."""
    paths = Paths.from_environment()
    report = ProgressLines(context.log.info)
    metadata = read_metadata(movies, links, metadata_settings(settings, paths), report)
    context.log.info(f"TMDB facts: {metadata.source}")
    return dg.MaterializeResult(
        value=metadata.frame,
        metadata=describe(
            metadata.frame,
            "retrieved_at",
            source=metadata.source,
            image_base=metadata.image_base,
            **metadata.counts,
        ),
        # Computed after the requests to TMDB, so that it covers their responses.
        data_version=dg.DataVersion(fingerprint_of_step(context, "tmdb_movies", settings, paths)),
    )


@dg.asset(group_name="enrichment", kinds={"polars", "parquet"}, io_manager_key="parquet")
def catalogue(
    context: dg.AssetExecutionContext,
    movies: pl.DataFrame,
    links: pl.DataFrame,
    tmdb_movies: pl.DataFrame,
    settings: Settings,
) -> dg.MaterializeResult[pl.DataFrame]:
    """One row per movie: facts from MovieLens and from enrichment. The service shows these."""
    frame = build_catalogue(movies, links, tmdb_movies)
    shares = frame.select(pl.col(CATALOGUE.names()).is_not_null().mean()).row(0, named=True)
    return dg.MaterializeResult(
        value=frame,
        metadata=describe(
            frame,
            with_poster=shares["poster_path"],
            with_overview=shares["overview"],
            with_tmdb_id=shares["tmdb_id"],
        ),
        data_version=dg.DataVersion(
            fingerprint_of_step(context, "catalogue", settings, Paths.from_environment())
        ),
    )
