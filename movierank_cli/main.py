"""`movierank`: the command-line program. A subcommand is imported only when it runs.

Therefore `movierank serve` works on a host without Dagster or LightGBM, and `movierank --help` is fast.
"""

import importlib
import sys
from dataclasses import dataclass

import click

from movierank_cli.exit_codes import fail
from movierank_core.errors import MovierankError


@dataclass(frozen=True)
class Lazy:
    """A subcommand that is imported on first use."""

    target: str
    """`module:name`."""
    help: str
    """The first sentence of its help text."""
    extra: str
    """The optional part of the installation that it needs."""


COMMANDS = {
    "demo": Lazy("movierank_cli.demo:demo", "Train, register, promote and serve with one command.", "all"),
    "materialize": Lazy(
        "movierank_cli.pipeline:materialize_command",
        "Materialise the assets that are not up to date.",
        "pipeline",
    ),
    "serve": Lazy(
        "movierank_serving.commands:serve",
        "Serve the model version with the alias `production`, and follow the alias when it moves.",
        "serving",
    ),
    "token": Lazy(
        "movierank_serving.commands:token", "Print a token that lets a page act for one user.", "serving"
    ),
    "evaluate": Lazy(
        "movierank_cli.evaluate:evaluate", "Compare the ranker with every baseline on a data set.", "pipeline"
    ),
    "benchmark": Lazy(
        "movierank_cli.benchmark:benchmark",
        "Fit on one file of ratings and rank for the users of another.",
        "pipeline",
    ),
    "versions": Lazy("movierank_cli.registry:versions", "List the registered versions.", "serving"),
    "promote": Lazy("movierank_cli.registry:promote", "Give a version the alias `production`.", "serving"),
    "rollback": Lazy(
        "movierank_cli.registry:rollback", "Exchange the aliases `production` and `previous`.", "serving"
    ),
    "gc": Lazy(
        "movierank_cli.garbage:gc", "Delete old versions, runs and leftovers of killed processes.", "pipeline"
    ),
    "download": Lazy("movierank_cli.data:download", "Download a MovieLens edition.", "pipeline"),
    "synth": Lazy("movierank_cli.data:synth", "Write a set of simulated ratings of any size.", "pipeline"),
    "dagster": Lazy("movierank_cli.interfaces:dagster_ui", "Start the Dagster UI.", "pipeline"),
    "mlflow": Lazy("movierank_cli.interfaces:mlflow_ui", "Start the MLflow UI.", "pipeline"),
}


class LazyGroup(click.Group):
    """A command group that lists its subcommands by name and imports a subcommand when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return load(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])


def load(name: str) -> click.Command:
    """Imports a subcommand. Raises ModuleNotFoundError if its optional dependencies are not installed."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    command: click.Command = vars(importlib.import_module(module))[attribute]
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="movierank")
def cli() -> None:
    """Personalised movie ranking: from ratings to a ranked list with reasons."""


def main() -> None:
    """Runs the program. A MovierankError becomes one paragraph on standard error and exit code 2."""
    try:
        cli(prog_name="movierank")
    except MovierankError as error:
        fail(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("movierank"):
            raise
        name = next((argument for argument in sys.argv[1:] if argument in COMMANDS), "demo")
        fail(
            MovierankError(
                f"`movierank {name}` needs the package {error.name}, which is not installed",
                remedy=f'run `pip install "movierank[{COMMANDS[name].extra}]"`',
            )
        )
