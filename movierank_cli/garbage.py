"""`movierank gc`."""

import click

from movierank_core.mlflow_store import is_embedded
from movierank_core.paths import Paths
from movierank_pipeline.defs.clean_up import find_garbage
from movierank_pipeline.defs.one_run import require_no_other_run, run_lock
from movierank_pipeline.materialize import dagster_instance
from movierank_pipeline.retention.garbage import Garbage, delete_all
from movierank_pipeline.settings import Settings


@click.command()
@click.option(
    "--keep",
    type=click.IntRange(1),
    help="Number of the newest versions, trainings, and runs of each Dagster job that stay. Default:"
    " MOVIERANK_KEEP_VERSIONS, else 10.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
def gc(keep: int | None, dry_run: bool) -> None:
    """Delete old versions, runs and leftovers of killed processes.

    A version with any alias stays, and so does the version that a rollback returns to.
    """
    paths = Paths.from_environment()
    settings = Settings.from_environment(given={"keep_versions": keep})
    deleted: list[Garbage] = []

    def report(item: Garbage) -> None:
        deleted.append(item)
        click.echo(f"{'would delete' if dry_run else 'deleted'} {item.what}, {item.megabytes}")

    with run_lock(paths), dagster_instance(paths, with_logs=True) as instance:
        require_no_other_run(instance, paths)
        found = find_garbage(instance, paths, settings.keep_versions)
        if dry_run:
            for item in found:
                report(item)
        else:
            delete_all(found, report)
    if not deleted:
        click.echo("There is nothing to delete.")
        return
    click.echo(f"Together {sum(item.n_bytes for item in deleted) / 1e6:.1f} MB.")
    if not is_embedded(paths):
        click.echo(
            "On the MLflow server, runs and models are only marked as deleted. Their artifacts stay until"
            " `mlflow gc` runs there."
        )
