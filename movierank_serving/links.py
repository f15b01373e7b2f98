"""Where else a version can be looked at: the UIs of MLflow and Dagster, where an operator says they are."""

from typing import Final

from movierank_serving.settings import Settings

MODEL_ASSET: Final = "model_version"
"""The Dagster asset that makes versions."""


def links_of(settings: Settings, version: str) -> dict[str, str]:
    """Addresses for a person's browser; only of what is configured."""
    links = {}
    if settings.mlflow_url:
        links["mlflow"] = (
            f"{settings.mlflow_url.rstrip('/')}/#/models/{settings.model_name}/versions/{version}"
        )
    if settings.dagster_url:
        links["dagster"] = f"{settings.dagster_url.rstrip('/')}/assets/{MODEL_ASSET}"
    return links
