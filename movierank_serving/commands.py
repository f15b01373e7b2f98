"""`movierank serve`; the command-line program mounts it."""

import click


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, envvar="MOVIERANK_HOST", help="Address to listen on."
)
@click.option(
    "--port",
    default=8000,
    show_default=True,
    envvar="MOVIERANK_PORT",
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--workers",
    default=2,
    show_default=True,
    envvar="MOVIERANK_WORKERS",
    type=click.IntRange(1, 64),
    help="Worker processes; best one per core.",
)
def serve(host: str, port: int, workers: int) -> None:
    """Serve the model version with the alias `production`, and follow the alias when it moves.

    Other settings come from the environment; docs/operations.md lists them.
    """
    from movierank_serving.serve import run_service
    from movierank_serving.settings import Settings

    run_service(Settings.from_environment(), host=host, port=port, workers=workers, announce=click.echo)
