"""Versions of the registered model `movie-ranker`, and the aliases that select the serving one.

Aliases replace MLflow's deprecated stages. Only a version whose registration has finished gets an alias.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from movierank_core.errors import MovierankError
from movierank_core.mlflow_store import CHALLENGER, MODEL_NAME, PREVIOUS, PRODUCTION, READY, STATE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

PROMOTED_BY_TAG = "movierank.promoted_by"
PROMOTED_AT_TAG = "movierank.promoted_at"
GATE_PREFIX = "gate."
GATE_VERDICT_TAG = "gate.verdict"
GATE_REASON_TAG = "gate.reason"
OVERRULED_PREFIX = "gate.overruled_"
"""Prefix of the tags `by`, `why` and `at`: who promoted a version that the gate had refused, and why."""
PROVISIONAL = "provisional"
"""Verdict on a first version whose mean is better than its baselines, but not significantly."""
LONGEST_DESCRIPTION = 5_000
"""Maximum characters of a version's description: the width of its column in MLflow's database."""
REFUSED = "refused"
"""Verdict on a version that is promoted only if somebody (a person, or the demo) overrules the gate."""


class RegistryError(MovierankError):
    """A version or alias that does not exist or cannot be used."""


@dataclass(frozen=True)
class Version:
    """One registered version."""

    number: int
    created_at: datetime
    run_id: str
    is_ready: bool
    """Whether registration has finished; False after a crash during registration."""
    aliases: tuple[str, ...]
    tags: dict[str, str]


class Registry:
    """The registered model `movie-ranker` in one MLflow store."""

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client

    def versions(self) -> list[Version]:
        """All versions, newest first; empty if none was registered."""
        aliases = self._aliases()
        found = []
        token = None
        while True:
            page = self._client.search_model_versions(f"name='{MODEL_NAME}'", page_token=token)
            found.extend(page)
            if not (token := page.token):
                break
        versions = [
            Version(
                number=int(entry.version),
                created_at=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
                run_id=str(entry.run_id or ""),
                is_ready=entry.tags.get(STATE_TAG) == READY,
                aliases=tuple(
                    sorted(alias for alias, number in aliases.items() if number == int(entry.version))
                ),
                tags=dict(entry.tags),
            )
            for entry in found
        ]
        return sorted(versions, key=lambda version: version.number, reverse=True)

    def by_alias(self, alias: str) -> Version | None:
        """The version that carries `alias`, or None."""
        return next((version for version in self.versions() if alias in version.aliases), None)

    def get(self, number: int) -> Version:
        """Version `number`. Raises RegistryError with the existing version numbers if there is none."""
        versions = self.versions()
        for version in versions:
            if version.number == number:
                return version
        there = ", ".join(str(version.number) for version in reversed(versions))
        raise RegistryError(
            f"There is no version {number} of {MODEL_NAME}",
            expected=f"one of the versions {there}" if there else "at least one registered version",
            remedy="run `movierank versions`" if there else "run `movierank materialize`",
        )

    def promote(self, number: int, *, by: str, overrule: str | None = None) -> Version:
        """Moves `production` to version `number`; the former production version becomes `previous`.

        Promoting the production version again moves no alias. `by` (a person, the gate or the demo) and
        `overrule` (the reason for promoting a refused version) are stored as tags. Raises RegistryError if
        the version does not exist, is not ready, or was refused by the gate and `overrule` is missing.
        """
        version = self._require_ready(number)
        if version.tags.get(GATE_VERDICT_TAG) == REFUSED:
            self._overrule(version, by, overrule)
        production = self.by_alias(PRODUCTION)
        if production is not None and production.number == number:
            return version
        if production is not None:
            # Set `previous` first: a crash between the two calls then still allows a rollback.
            self._client.set_registered_model_alias(MODEL_NAME, PREVIOUS, str(production.number))
        self._serve(number, by)
        if CHALLENGER in version.aliases:
            self._client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)
        return self.get(number)

    def challenge(self, number: int) -> Version:
        """Moves `challenger` to version `number`, which a person may promote later."""
        self._require_ready(number)
        self._client.set_registered_model_alias(MODEL_NAME, CHALLENGER, str(number))
        return self.get(number)

    def rollback(self, *, by: str) -> Version:
        """Exchanges `production` and `previous`; returns the new production version.

        Raises RegistryError if there is no previous version.
        """
        previous, production = self.by_alias(PREVIOUS), self.by_alias(PRODUCTION)
        if previous is None or (production is not None and previous.number == production.number):
            raise RegistryError(
                f"No version of {MODEL_NAME} carries the alias {PREVIOUS}, so a rollback is not possible",
                remedy="choose a version from `movierank versions` and run `movierank promote N`",
            )
        self._require_ready(previous.number)
        self._serve(previous.number, by)
        if production is not None:
            self._client.set_registered_model_alias(MODEL_NAME, PREVIOUS, str(production.number))
        return self.get(previous.number)

    def set_verdict(self, number: int, tags: dict[str, str]) -> None:
        """Replaces the gate's tags; the tags about overruling an earlier verdict stay."""
        for key in self.get(number).tags:
            if key.startswith(GATE_PREFIX) and not key.startswith(OVERRULED_PREFIX) and key not in tags:
                self._client.delete_model_version_tag(MODEL_NAME, str(number), key)
        self.set_tags(number, tags)

    def set_tags(self, number: int, tags: dict[str, str]) -> None:
        for key, value in tags.items():
            self._client.set_model_version_tag(MODEL_NAME, str(number), key, value)

    def _overrule(self, version: Version, by: str, why: str | None) -> None:
        if why is None or not why.strip():
            reason = version.tags.get(GATE_REASON_TAG, "no reason was stored")
            raise RegistryError(
                f"The gate refused version {version.number}: {reason}",
                expected="a version that the gate accepted, or a reason to overrule the gate",
                remedy=f'run `movierank promote {version.number} --overrule "why"`',
            )
        self.set_tags(
            version.number,
            {
                f"{OVERRULED_PREFIX}by": by,
                f"{OVERRULED_PREFIX}why": why.strip(),
                f"{OVERRULED_PREFIX}at": _now(),
            },
        )

    def _serve(self, number: int, by: str) -> None:
        self.set_tags(number, {PROMOTED_BY_TAG: by, PROMOTED_AT_TAG: _now()})
        self._client.set_registered_model_alias(MODEL_NAME, PRODUCTION, str(number))

    def _require_ready(self, number: int) -> Version:
        version = self.get(number)
        if not version.is_ready:
            raise RegistryError(
                f"The registration of version {number} of {MODEL_NAME} did not finish: its tag {STATE_TAG} is"
                f" {version.tags.get(STATE_TAG, 'missing')}",
                expected=READY,
                remedy="choose another version from `movierank versions`, or create one with"
                " `movierank materialize`",
            )
        return version

    def _aliases(self) -> dict[str, int]:
        model = self._model()
        return {} if model is None else {alias: int(number) for alias, number in model.aliases.items()}

    def _model(self) -> "RegisteredModel | None":
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(MODEL_NAME)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def register(
        self, source: str, run_id: str, tags: dict[str, str], description: str | None = None
    ) -> Version:
        """Registers a logged model (its URI is `source`); the version is marked ready as the last step.

        A server accepts the URI of a logged model (`models:/m-…`) only together with the model's id. A
        description beyond `LONGEST_DESCRIPTION` is cut after a paragraph. A failure before the last step
        leaves a version that is not ready, so it cannot get an alias.
        """
        if self._model() is None:
            self._client.create_registered_model(
                MODEL_NAME, description="Ranks movies for a user. The version with `production` serves."
            )
        logged_model = source.removeprefix("models:/") if source.startswith("models:/m-") else None
        entry = self._client.create_model_version(
            MODEL_NAME, source, run_id=run_id, description=_shortened(description), model_id=logged_model
        )
        number = int(entry.version)
        self.set_tags(number, tags)
        self.set_tags(number, {STATE_TAG: READY})
        return self.get(number)


def _shortened(description: str | None) -> str | None:
    """The description, cut after its last whole paragraph if it is longer than `LONGEST_DESCRIPTION`."""
    if description is None or len(description) <= LONGEST_DESCRIPTION:
        return description
    note = "\n\nThe run has the whole model card: `model_card.md`.\n"
    return description[: LONGEST_DESCRIPTION - len(note)].rpartition("\n\n")[0] + note


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
