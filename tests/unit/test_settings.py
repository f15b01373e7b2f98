from datetime import UTC, datetime

import msgspec
import polars as pl
import pytest
from pydantic import ValidationError

from movierank_core.config import GateLimits, ModelConfig
from movierank_core.data.schema import TIMESTAMP
from movierank_core.environment import bounds_of, description_of
from movierank_core.errors import ConfigError
from movierank_pipeline.settings import ModelParameters, Settings


def test_every_field_says_what_it_is() -> None:
    for kind in (Settings, ModelParameters):
        assert [name for name, field in kind.model_fields.items() if not field.description] == []


def test_model_parameters_are_those_of_the_model_config() -> None:
    assert Settings.from_environment({}).model_parameters == ModelConfig()
    assert list(ModelParameters.model_fields) == [f.name for f in msgspec.structs.fields(ModelConfig)]


def test_every_number_of_the_model_and_the_gate_has_a_bound_on_both_sides() -> None:
    for struct in (ModelConfig, GateLimits):
        for field in msgspec.structs.fields(struct):
            assert description_of(struct, field.name).endswith("."), field.name
            if not isinstance(field.default, tuple | bool):
                bounds = bounds_of(struct, field.name)
                assert len(bounds) == 2, field.name
    assert msgspec.convert(msgspec.to_builtins(ModelConfig()), ModelConfig) == ModelConfig()
    assert msgspec.convert(msgspec.to_builtins(GateLimits()), GateLimits) == GateLimits()


@pytest.mark.parametrize(
    ("field", "value"), [("n_trees", 0), ("learning_rate", 1.5), ("training_origins", [0.5, 2.0])]
)
def test_a_value_out_of_bounds_from_the_launchpad_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings(model={field: value})


def test_the_environment_sets_every_kind_of_field() -> None:
    settings = Settings.from_environment(
        {
            "MOVIERANK_DATASET": "ml-1m",
            "MOVIERANK_RATINGS_FROM": "2010-01-30",
            "MOVIERANK_RATINGS_UNTIL": "2010-01-31",
            "MOVIERANK_MODEL_SEED": "7",
            "MOVIERANK_MODEL_LEARNING_RATE": "0.1",
            "MOVIERANK_MODEL_TRAINING_ORIGINS": "0.5,0.75",
        }
    )
    assert settings.dataset == "ml-1m"
    days = [datetime(2010, 1, day, tzinfo=UTC) for day in (29, 30, 31)]
    ratings = pl.DataFrame({"timestamp": days}, schema={"timestamp": TIMESTAMP})
    assert settings.within_period(ratings)["timestamp"].to_list() == days[1:2]
    model = settings.model_parameters
    assert (model.seed, model.learning_rate, model.training_origins) == (7, 0.1, (0.5, 0.75))


def test_what_is_given_wins_over_the_environment_and_empty_variables_are_unset() -> None:
    environment = {"MOVIERANK_DATASET": "ml-1m", "MOVIERANK_PROMOTION_POLICY": "", "MOVIERANK_DATA_DIR": ""}
    settings = Settings.from_environment(environment, {"dataset": "sample", "data_dir": None})
    assert (settings.dataset, settings.data_dir, settings.promotion_policy) == ("sample", None, "auto")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "MOVIERANK_PROMOTION_POLICY",
            "never",
            (
                "The setting promotion_policy cannot be 'never'. Expected: must be one of auto, manual."
                " Remedy: change MOVIERANK_PROMOTION_POLICY or the option of that name."
            ),
        ),
        (
            "MOVIERANK_RATINGS_FROM",
            "31.1.2010",
            (
                "The setting ratings_from cannot be '31.1.2010'. Expected: must be a date as YYYY-MM-DD."
                " Remedy: change MOVIERANK_RATINGS_FROM or the option of that name."
            ),
        ),
        (
            "MOVIERANK_MODEL_SEED",
            "one",
            (
                "The setting model_seed cannot be 'one'. Expected: a whole number from 0 to 2,147,483,646."
                " Remedy: change MOVIERANK_MODEL_SEED or the option of that name."
            ),
        ),
        (
            "MOVIERANK_MODEL_N_LEAVES",
            "1",
            (
                "The setting model_n_leaves cannot be '1'. Expected: a whole number from 2 to 64."
                " Remedy: change MOVIERANK_MODEL_N_LEAVES or the option of that name."
            ),
        ),
        (
            "MOVIERANK_MODEL_EASE_L2",
            "nan",
            (
                "The setting model_ease_l2 cannot be 'nan'. Expected: a number above 0 and up to"
                " 1,000,000,000. Remedy: change MOVIERANK_MODEL_EASE_L2 or the option of that name."
            ),
        ),
        (
            "MOVIERANK_MODEL_TRAINING_ORIGINS",
            "0.5,1",
            (
                "The setting model_training_origins cannot be '0.5,1'. Expected: values separated by commas,"
                " each a number above 0 and below 1."
                " Remedy: change MOVIERANK_MODEL_TRAINING_ORIGINS or the option of that name."
            ),
        ),
        (
            "MOVIERANK_RECOMMENDATIONS_K",
            "0",
            (
                "The setting recommendations_k cannot be '0'. Expected: Input should be greater than or equal"
                " to 1. Remedy: change MOVIERANK_RECOMMENDATIONS_K or the option of that name."
            ),
        ),
    ],
)
def test_a_bad_value_names_its_variable(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_environment({variable: value})
    assert str(refused.value) == message
