"""A cache of fitted states for training sets that are built from the same episodes."""

from collections.abc import Callable
from pathlib import Path

from movierank_core.recommender.state import RankingState


class FittedStates:
    """Keeps states in a folder where one is given. They come back memory-mapped and give the same scores.

    The key is the name alone, so one cache serves one data set and one configuration.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def get(self, name: str, fit: Callable[[], RankingState]) -> RankingState:
        """The cached state `name`, fitted on a cache miss. Without a folder it is fitted at each call."""
        if self._folder is None:
            return fit()
        folder = self._folder / name
        if not folder.is_dir():
            fit().save(folder)
        return RankingState.load(folder)
