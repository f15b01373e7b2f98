"""States that several training sets are made of, fitted once."""

from collections.abc import Callable
from pathlib import Path

from movierank_core.recommender.state import RankingState


class FittedStates:
    """Keeps states in a folder, where there is one; they come back memory-mapped, and score the same.

    For training sets of the same data and configuration: a state is known by its name alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def get(self, name: str, fit: Callable[[], RankingState]) -> RankingState:
        """The state of that name; fitted where it is not there yet."""
        if self._folder is None:
            return fit()
        place = self._folder / name
        if not place.is_dir():
            fit().save(place)
        return RankingState.load(place)
