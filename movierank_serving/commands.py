"""`movierank serve` and `movierank token`; the command-line program mounts them."""

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


@click.command()
@click.argument("user_id", type=click.IntRange(0, 2**53 - 1))
@click.option(
    "--minutes",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Time for which the token is valid.",
)
def token(user_id: int, minutes: float) -> None:
    """Print a token that lets a page act for one user.

    It is signed with the first secret in MOVIERANK_TOKEN_SECRETS or MOVIERANK_TOKEN_SECRETS_FILE.
    """
    from movierank_core.errors import ConfigError
    from movierank_serving.settings import Settings
    from movierank_serving.web.credentials import read_credentials

    tokens = read_credentials(Settings.from_environment()).tokens
    if not tokens:
        raise ConfigError(
            "There is no secret to sign with",
            expected="MOVIERANK_TOKEN_SECRETS or MOVIERANK_TOKEN_SECRETS_FILE, as the service has it",
            remedy="make a secret with `openssl rand -hex 32`",
        )
    click.echo(tokens.sign(user_id, minutes * 60))
