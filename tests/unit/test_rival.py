"""When the version in production needs a state of its own."""

import msgspec
import numpy as np
import pytest

from movierank_core.config import ModelConfig
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.promotion.incumbent import TRAINING_ONLY, is_same_state
from tests.support.simulated import CONFIG, SimulatedRatings


def arrays_of(state: RankingState) -> dict[str, np.ndarray]:
    tables = {name: source.arrays() for name, source in state.sources.items()}
    return {
        f"{name}.{key}": array
        for name, arrays in {**tables, "movies": state.movies.arrays()}.items()
        for key, array in arrays.items()
    }


def other_value(value: object) -> object:
    return tuple(0.5 * part for part in value) if isinstance(value, tuple) else value * 0.5 + 1  # type: ignore[operator]


def test_parameters_of_training_alone_give_the_same_state(simulated: SimulatedRatings) -> None:
    names = {field.name for field in msgspec.structs.fields(ModelConfig)}
    assert names >= TRAINING_ONLY
    changed = {name: other_value(getattr(CONFIG, name)) for name in TRAINING_ONLY}
    other = msgspec.structs.replace(CONFIG, **changed)
    assert is_same_state(CONFIG, other)
    as_of = int(simulated.data.timestamps.max()) + 1
    mine = arrays_of(fit_state(simulated.data, simulated.catalogue, as_of, CONFIG))
    theirs = arrays_of(fit_state(simulated.data, simulated.catalogue, as_of, other))
    assert list(mine) == list(theirs)
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("name", ["als_factors", "ease_l2", "n_candidates", "n_per_source", "seed"])
def test_parameters_of_the_sources_ask_for_another_state(name: str) -> None:
    other = msgspec.structs.replace(CONFIG, **{name: getattr(CONFIG, name) + 1})
    assert not is_same_state(CONFIG, other)
