"""The movie states of a training: one for each moment at which something is fitted."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import from_epoch
from movierank_core.features.movie_state import MovieState
from movierank_core.recommender.state import fit_movie_state


@dataclass(frozen=True)
class MovieStates:
    """Movie states by the moment that they are fitted at, in seconds since 1970."""

    by_moment: dict[int, MovieState]

    def save(self, folder: Path) -> None:
        """One folder per moment, with one NumPy file per array."""
        for moment, state in self.by_moment.items():
            target = folder / str(moment)
            target.mkdir(parents=True)
            for name, array in state.arrays().items():
                np.save(target / f"{name}.npy", array, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The states as saved, with memory-mapped arrays."""
        folders = sorted(
            (each for each in folder.iterdir() if each.is_dir()), key=lambda each: int(each.name)
        )
        return cls({int(each.name): MovieState.from_arrays(_read_arrays(each)) for each in folders})


def fit_movie_states(data: InteractionArrays, catalogue: Catalogue, moments: Iterable[int]) -> MovieStates:
    """The state at each of `moments` (seconds since 1970), from the events strictly before it."""
    return MovieStates({moment: fit_movie_state(data, catalogue, moment) for moment in sorted(set(moments))})


def movie_table(state: MovieState, catalogue: Catalogue, as_of: int) -> pl.DataFrame:
    """The values of `state` with one number per movie, as a table with `movie_id` and `as_of`.

    NaN becomes null. Codes of languages and directors are left out.
    """
    per_movie = {
        name: values
        for name, values in state.arrays().items()
        if values.shape == (len(catalogue),) and name not in ("language", "directors")
    }
    return pl.DataFrame({"movie_id": catalogue.movie_ids, **per_movie}).with_columns(
        pl.col(pl.Float32).fill_nan(None), as_of=pl.lit(from_epoch(as_of))
    )


def _read_arrays(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.stem: np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        for path in sorted(folder.glob("*.npy"))
    }
