"""What all tests share: simulated ratings, cached inputs, the order of files, what is left out."""

import pytest
from hypothesis import settings

from tests.support import made_once, missing
from tests.support.order import Timed
from tests.support.simulated import SimulatedRatings, simulate_ratings

# No test guesses how fast a machine is: a first example may compile a kernel.
settings.register_profile("movierank", deadline=None)
settings.load_profile("movierank")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fresh-worlds",
        action="store_true",
        help="make trained models, stores and finished runs again instead of taking them from the cache",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fresh-worlds") and not hasattr(config, "workerinput"):
        made_once.forget_everything()
    config.pluginmanager.register(Timed(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the large variants unless `-m` names them."""
    if "heavy" in config.getoption("markexpr"):
        return
    heavy = [item for item in items if item.get_closest_marker("heavy")]
    if heavy:
        config.hook.pytest_deselected(items=heavy)
        items[:] = [item for item in items if not item.get_closest_marker("heavy")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing.summarize(terminalreporter)


@pytest.fixture(scope="session")
def simulated() -> SimulatedRatings:
    """Shared: do not change it."""
    return simulate_ratings()
