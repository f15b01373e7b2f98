import pytest

from movierank_core.mlflow_store import CHALLENGER, MODEL_NAME, PREVIOUS, PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.registry import LONGEST_DESCRIPTION, PROMOTED_BY_TAG, Registry, RegistryError


@pytest.fixture
def registry(paths: Paths) -> Registry:
    return Registry(connect(paths))


def register(paths: Paths, registry: Registry, **tags: str) -> int:
    """A registered version whose artifacts do not matter."""
    client = connect(paths)
    run = client.create_run(experiment_id(client, paths))
    return registry.register(run.info.artifact_uri, run.info.run_id, tags).number


def half_register(paths: Paths, registry: Registry) -> int:
    """What a kill between creating a version and finishing it leaves behind."""
    register(paths, registry)
    client = connect(paths)
    run = client.create_run(experiment_id(client, paths))
    return int(client.create_model_version(MODEL_NAME, run.info.artifact_uri, run.info.run_id).version)


def alias_numbers(registry: Registry) -> dict[str, int]:
    return {alias: version.number for version in registry.versions() for alias in version.aliases}


def test_an_empty_store_has_no_versions(registry: Registry) -> None:
    assert registry.versions() == []
    assert registry.by_alias(PRODUCTION) is None


def test_versions_come_newest_first_with_their_tags(paths: Paths, registry: Registry) -> None:
    register(paths, registry, dataset="one")
    register(paths, registry, dataset="two")
    assert [(version.number, version.tags["dataset"]) for version in registry.versions()] == [
        (2, "two"),
        (1, "one"),
    ]
    assert all(version.is_ready for version in registry.versions())


def test_promotion_moves_production_and_keeps_the_way_back(paths: Paths, registry: Registry) -> None:
    first, second = register(paths, registry), register(paths, registry)
    registry.promote(first, by="gate")
    assert alias_numbers(registry) == {PRODUCTION: first}
    promoted = registry.promote(second, by="gate")
    assert promoted.aliases == (PRODUCTION,)
    assert promoted.tags[PROMOTED_BY_TAG] == "gate"
    assert alias_numbers(registry) == {PRODUCTION: second, PREVIOUS: first}


def test_promoting_production_again_keeps_previous(paths: Paths, registry: Registry) -> None:
    first, second = register(paths, registry), register(paths, registry)
    registry.promote(first, by="gate")
    registry.promote(second, by="gate")
    registry.promote(second, by="a person")
    assert alias_numbers(registry) == {PRODUCTION: second, PREVIOUS: first}


def test_a_promoted_challenger_is_no_longer_the_challenger(paths: Paths, registry: Registry) -> None:
    first = register(paths, registry)
    registry.challenge(first)
    assert alias_numbers(registry) == {CHALLENGER: first}
    registry.promote(first, by="a person")
    assert alias_numbers(registry) == {PRODUCTION: first}


def test_rollback_exchanges_production_and_previous(paths: Paths, registry: Registry) -> None:
    first, second = register(paths, registry), register(paths, registry)
    registry.promote(first, by="gate")
    registry.promote(second, by="gate")
    assert registry.rollback(by="a person").number == first
    assert alias_numbers(registry) == {PRODUCTION: first, PREVIOUS: second}
    registry.rollback(by="a person")
    assert alias_numbers(registry) == {PRODUCTION: second, PREVIOUS: first}


def test_rollback_without_a_previous_version_is_refused(paths: Paths, registry: Registry) -> None:
    registry.promote(register(paths, registry), by="gate")
    with pytest.raises(RegistryError) as refused:
        registry.rollback(by="a person")
    assert str(refused.value) == (
        "No version of movie-ranker served before, so a rollback is not possible. Expected: a version with"
        " the alias previous that is not in production and that the gate did not refuse."
        " Remedy: choose a version from `movierank versions` and run `movierank promote N`"
    )


def move_by_hand(paths: Paths, number: int | None) -> None:
    """What a person does in MLflow's UI: it touches `production` alone."""
    client = connect(paths)
    if number is None:
        client.delete_registered_model_alias(MODEL_NAME, PRODUCTION)
    else:
        client.set_registered_model_alias(MODEL_NAME, PRODUCTION, str(number))


def three_versions_with_two_in_production(paths: Paths, registry: Registry) -> tuple[int, int, int]:
    first, second, third = (register(paths, registry) for _ in range(3))
    registry.promote(first, by="gate")
    registry.promote(second, by="gate")
    return first, second, third


def test_rollback_after_a_move_by_hand_returns_to_the_version_that_served(
    paths: Paths, registry: Registry
) -> None:
    _, second, third = three_versions_with_two_in_production(paths, registry)
    move_by_hand(paths, third)
    assert registry.rollback(by="a person").number == second
    assert alias_numbers(registry) == {PRODUCTION: second, PREVIOUS: third}


def test_promotion_after_a_move_by_hand_keeps_the_way_back(paths: Paths, registry: Registry) -> None:
    first, _, third = three_versions_with_two_in_production(paths, registry)
    move_by_hand(paths, third)
    registry.promote(first, by="gate")
    assert alias_numbers(registry) == {PRODUCTION: first, PREVIOUS: third}


def test_rollback_after_the_alias_was_deleted_leaves_no_version_as_both(
    paths: Paths, registry: Registry
) -> None:
    first, second, _ = three_versions_with_two_in_production(paths, registry)
    move_by_hand(paths, None)
    assert registry.rollback(by="a person").number == first
    assert alias_numbers(registry) == {PRODUCTION: first, PREVIOUS: second}


def test_no_rollback_leads_to_a_refused_version(paths: Paths, registry: Registry) -> None:
    first, second, third = three_versions_with_two_in_production(paths, registry)
    registry.set_verdict(third, {"gate.verdict": "refused"})
    move_by_hand(paths, third)
    assert registry.rollback(by="a person").number == second
    assert alias_numbers(registry) == {PRODUCTION: second, PREVIOUS: first}
    registry.set_verdict(first, {"gate.verdict": "refused"})
    with pytest.raises(RegistryError, match="served before"):
        registry.rollback(by="a person")
    assert alias_numbers(registry) == {PRODUCTION: second, PREVIOUS: first}


def test_a_version_taken_back_is_marked_until_a_person_promotes_it(paths: Paths, registry: Registry) -> None:
    _, second, _ = three_versions_with_two_in_production(paths, registry)
    registry.rollback(by="a person")
    assert registry.get(second).is_taken_back
    registry.promote(second, by="a person")
    assert not registry.get(second).is_taken_back


def test_a_decision_against_another_production_is_not_carried_out(paths: Paths, registry: Registry) -> None:
    first, second, third = three_versions_with_two_in_production(paths, registry)
    with pytest.raises(RegistryError) as refused:
        registry.promote(third, by="gate", instead_of=first)
    assert str(refused.value) == (
        f"Production moved to version {second} while version {third} was judged. Expected: version {first}."
        " Remedy: run `movierank materialize` again, which judges against the new one."
    )
    assert alias_numbers(registry) == {PRODUCTION: second, PREVIOUS: first}
    registry.promote(third, by="gate", instead_of=second)
    assert alias_numbers(registry) == {PRODUCTION: third, PREVIOUS: second}


def test_a_version_that_does_not_exist_is_refused(paths: Paths, registry: Registry) -> None:
    with pytest.raises(RegistryError) as refused:
        registry.promote(1, by="a person")
    assert str(refused.value) == (
        "There is no version 1 of movie-ranker. Expected: at least one registered version."
        " Remedy: run `movierank materialize`"
    )
    register(paths, registry)
    register(paths, registry)
    with pytest.raises(RegistryError) as refused:
        registry.promote(7, by="a person")
    assert str(refused.value) == (
        "There is no version 7 of movie-ranker. Expected: one of the versions 1, 2."
        " Remedy: run `movierank versions`"
    )


def test_a_half_registered_version_never_gets_an_alias(paths: Paths, registry: Registry) -> None:
    number = half_register(paths, registry)
    for give_alias in (lambda: registry.promote(number, by="gate"), lambda: registry.challenge(number)):
        with pytest.raises(RegistryError) as refused:
            give_alias()
        assert str(refused.value) == (
            f"The registration of version {number} of movie-ranker did not finish: its tag movierank.state is"
            " missing."
            " Expected: ready. Remedy: choose another version from `movierank versions`, or create one with"
            " `movierank materialize`"
        )
    assert alias_numbers(registry) == {}


def test_what_the_gate_refused_serves_only_if_somebody_says_why(paths: Paths, registry: Registry) -> None:
    number = register(paths, registry, **{"gate.verdict": "refused", "gate.reason": "Not met: size."})
    for why in (None, " "):
        with pytest.raises(RegistryError) as refused:
            registry.promote(number, by="a person", overrule=why)
        assert str(refused.value) == (
            "The gate refused version 1: Not met: size. Expected: a version that the gate accepted, or a"
            ' reason to overrule the gate. Remedy: run `movierank promote 1 --overrule "why"`'
        )
    assert alias_numbers(registry) == {}
    promoted = registry.promote(number, by="a person", overrule="the disk is large enough")
    assert alias_numbers(registry) == {PRODUCTION: number}
    assert promoted.tags["gate.overruled_by"] == "a person"
    assert promoted.tags["gate.overruled_why"] == "the disk is large enough"
    assert promoted.tags["gate.overruled_at"].endswith("+00:00")
    assert promoted.tags["gate.verdict"] == "refused"


@pytest.mark.parametrize("verdict", ["passed", "provisional"])
def test_what_the_gate_did_not_refuse_needs_no_reason(paths: Paths, registry: Registry, verdict: str) -> None:
    number = register(paths, registry, **{"gate.verdict": verdict})
    promoted = registry.promote(number, by="a person", overrule="to be sure")
    assert promoted.aliases == (PRODUCTION,)
    assert "gate.overruled_by" not in promoted.tags


def test_a_new_verdict_replaces_the_old_one_but_not_who_overruled_it(
    paths: Paths, registry: Registry
) -> None:
    number = register(
        paths,
        registry,
        **{"gate.verdict": "refused", "gate.history_0_users": "3", "gate.overruled_by": "a person", "b": "c"},
    )
    registry.set_verdict(number, {"gate.verdict": "passed", "gate.latency_ms": "4"})
    tags = registry.get(number).tags
    assert {name: value for name, value in tags.items() if name.startswith(("gate.", "b"))} == {
        "gate.verdict": "passed",
        "gate.latency_ms": "4",
        "gate.overruled_by": "a person",
        "b": "c",
    }


def test_a_failure_during_registration_leaves_a_version_that_is_not_ready(
    paths: Paths, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(self: Registry, number: int, tags: dict[str, str]) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as during:
        during.setattr(Registry, "set_tags", disk_full)
        with pytest.raises(OSError, match="No space left on device"):
            register(paths, registry)
    assert [version.is_ready for version in registry.versions()] == [False]


class RecordingClient:
    """Keeps the arguments of `create_model_version`, and stops there."""

    arguments: dict[str, object]

    def get_registered_model(self, name: str) -> None:
        return None

    def create_registered_model(self, name: str, description: str) -> None:
        pass

    def create_model_version(self, name: str, source: str, **arguments: object) -> None:
        self.arguments = arguments
        raise InterruptedError


def test_a_logged_model_is_registered_with_its_id_as_a_server_asks() -> None:
    client = RecordingClient()
    with pytest.raises(InterruptedError):
        Registry(client).register("models:/m-1f", "a-run", {})  # type: ignore[arg-type]
    assert client.arguments["model_id"] == "m-1f"
    with pytest.raises(InterruptedError):
        Registry(client).register("/a/folder", "a-run", {})  # type: ignore[arg-type]
    assert client.arguments["model_id"] is None


def test_a_description_too_long_for_the_database_is_cut_after_a_paragraph() -> None:
    client = RecordingClient()
    card = "\n\n".join(f"Paragraph {number} " + "x" * 80 for number in range(80))
    with pytest.raises(InterruptedError):
        Registry(client).register("models:/m-1f", "a-run", {}, description=card)  # type: ignore[arg-type]
    description = str(client.arguments["description"])
    assert len(card) > LONGEST_DESCRIPTION >= len(description)
    kept, _, note = description.rpartition("\n\n")
    assert card.startswith(kept + "\n\nParagraph")
    assert note == "The run has the whole model card: `model_card.md`.\n"
