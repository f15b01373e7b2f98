"""`movierank versions`, `promote` and `rollback`. They need MLflow, but not Dagster or LightGBM."""

import getpass

import click
from rich.console import Console
from rich.table import Table

from movierank_core.mlflow_store import MODEL_NAME
from movierank_core.paths import Paths
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import GATE_VERDICT_TAG, OVERRULED_PREFIX, Registry, Version


def _registry() -> Registry:
    return Registry(connect(Paths.from_environment()))


@click.command()
def versions() -> None:
    """List the registered versions.

    Lists the newest first, with aliases, data set, nDCG@10 on the temporal protocol and the gate's verdict.
    """
    found = _registry().versions()
    if not found:
        click.echo(f"No version of {MODEL_NAME} is registered yet. Run `movierank materialize`.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("version", "aliases", "made", "data", "nDCG@10", "gate"):
        table.add_column(title, justify="right" if title in ("version", "nDCG@10") else "left")
    for version in found:
        table.add_row(*_cells(version))
    Console(soft_wrap=True).print(table)


def _cells(version: Version) -> list[str]:
    if not version.is_ready:
        return [str(version.number), "", f"{version.created_at:%Y-%m-%d %H:%M}", "not finished", "", ""]
    return [
        str(version.number),
        ", ".join(version.aliases),
        f"{version.created_at:%Y-%m-%d %H:%M}",
        version.tags.get("dataset", ""),
        version.tags.get("ndcg_at_10", ""),
        version.tags.get(GATE_VERDICT_TAG, "")
        + (", overruled" if f"{OVERRULED_PREFIX}by" in version.tags else ""),
    ]


@click.command()
@click.argument("version", type=int)
@click.option(
    "--overrule",
    metavar="WHY",
    help="Promote a version that the gate refused; the reason is stored with the version.",
)
def promote(version: int, overrule: str | None) -> None:
    """Give a version the alias `production`.

    The former production version becomes `previous`. Running services follow within seconds.
    """
    promoted = _registry().promote(version, by=getpass.getuser(), overrule=overrule)
    click.echo(f"Version {promoted.number} of {MODEL_NAME} is in production.")


@click.command()
def rollback() -> None:
    """Exchange the aliases `production` and `previous`."""
    restored = _registry().rollback(by=getpass.getuser())
    click.echo(f"Version {restored.number} of {MODEL_NAME} is in production again.")
