"""Versions of the registered model `movie-ranker`, and the aliases that select the serving one.

Aliases replace MLflow's deprecated stages. Only a version whose registration has finished gets an alias.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from movierank_core.errors import MovierankError
from movierank_core.mlflow_store import ANCHOR, CHALLENGER, MODEL_NAME, PREVIOUS, PRODUCTION, READY, STATE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

PROMOTED_BY_TAG = "movierank.promoted_by"
PROMOTED_AT_TAG = "movierank.promoted_at"
GATE_PREFIX = "gate."
GATE_VERDICT_TAG = "gate.verdict"
GATE_REASON_TAG = "gate.reason"
IN_PRODUCTION_TAG = "movierank.in_production"
"""Tag of the registered model: the version that `promote` or `rollback` last put into production.

MLflow's UI moves the alias `production` and nothing else: this tag then names the version before the move."""
TAKEN_BACK_PREFIX = "movierank.taken_back_"
"""Prefix of the tags `by` and `at` of a version that a rollback took out of production."""
OVERRULED_PREFIX = "gate.overruled_"
"""Prefix of the tags `by`, `why` and `at`: who promoted a version that the gate had refused, and why."""
PROVISIONAL = "provisional"
"""Verdict on a first version whose mean is better than its baselines, but not significantly."""
LONGEST_DESCRIPTION = 5_000
"""Maximum characters of a version's description: the width of its column in MLflow's database."""
ANY_VERSION: Final = -1
"""In place of a version's number: whichever is in production."""
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

    @property
    def is_refused(self) -> bool:
        """Whether the gate refused the version and was not overruled."""
        return self.tags.get(GATE_VERDICT_TAG) == REFUSED and f"{OVERRULED_PREFIX}by" not in self.tags

    @property
    def is_taken_back(self) -> bool:
        """Whether a rollback took the version out of production, and it was not promoted since."""
        return f"{TAKEN_BACK_PREFIX}by" in self.tags


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

    def promote(
        self, number: int, *, by: str, overrule: str | None = None, instead_of: int | None = ANY_VERSION
    ) -> Version:
        """Moves `production` to version `number`; `previous` becomes the version that served before it.

        Promoting the production version again moves no alias. `by` (a person, the gate or the demo) and
        `overrule` (the reason for promoting a refused version) are stored as tags. `instead_of` is the
        production version that the decision was made against, None for none. A refused version never
        becomes `previous`; see `_way_back`.

        Raises RegistryError if the version does not exist, is not ready, was refused by the gate and
        `overrule` is missing, or if production is no longer `instead_of`.
        """
        version = self._require_ready(number)
        if version.tags.get(GATE_VERDICT_TAG) == REFUSED:
            self._overrule(version, by, overrule)
        production = self.by_alias(PRODUCTION)
        _require_unmoved(instead_of, production, number)
        if production is not None and production.number == number:
            return version
        self._serve(number, by, self._way_back(number))
        if CHALLENGER in version.aliases:
            self._client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)
        return self.get(number)

    def challenge(self, number: int) -> Version:
        """Moves `challenger` to version `number`, which a person may promote later."""
        self._require_ready(number)
        self._client.set_registered_model_alias(MODEL_NAME, CHALLENGER, str(number))
        return self.get(number)

    def anchor(self, number: int) -> None:
        """Moves `anchor` to version `number`."""
        self._require_ready(number)
        self._client.set_registered_model_alias(MODEL_NAME, ANCHOR, str(number))

    def rollback(self, *, by: str) -> Version:
        """Puts the version that served before into production; returns it.

        That is `previous`, except after a move of the alias in MLflow's UI, which leaves `previous` behind:
        then it is the version that the last promotion or rollback put into production. The version taken
        back becomes `previous`, so a second rollback returns to it; the gate does not promote it again.

        Raises RegistryError if there is no such version, or the gate refused it.
        """
        production = self.by_alias(PRODUCTION)
        back = self._way_back(None if production is None else production.number)
        if back is None:
            raise RegistryError(
                f"No version of {MODEL_NAME} served before, so a rollback is not possible",
                expected=f"a version with the alias {PREVIOUS} that is not in production and that the gate"
                " did not refuse",
                remedy="choose a version from `movierank versions` and run `movierank promote N`",
            )
        self._require_ready(back.number)
        taken_back = production or self._last_promoted()
        if taken_back is not None and taken_back.number != back.number:
            self.set_tags(taken_back.number, {f"{TAKEN_BACK_PREFIX}by": by, f"{TAKEN_BACK_PREFIX}at": _now()})
        works = taken_back is not None and not taken_back.is_refused
        self._serve(back.number, by, taken_back if works else self._way_back(back.number))
        return self.get(back.number)

    def _way_back(self, leaving: int | None) -> Version | None:
        """The version to return to after version `leaving` (None: production has no version).

        The first that works of the version in production, the version that we last put there, and `previous`.
        None if each is missing, is `leaving`, did not finish its registration or was refused.
        """
        candidates = (self.by_alias(PRODUCTION), self._last_promoted(), self.by_alias(PREVIOUS))
        if leaving is None:
            # Somebody deleted the alias `production`: they do not want the version that had it.
            candidates = (None, None, candidates[2])
        return next(
            (
                version
                for version in candidates
                if version is not None
                and version.number != leaving
                and version.is_ready
                and not version.is_refused
            ),
            None,
        )

    def in_use(self) -> set[int]:
        """Numbers of the versions that carry an alias or that a rollback may return to."""
        promoted = self._last_promoted()
        return {*self._aliases().values(), *(() if promoted is None else (promoted.number,))}

    def delete_unused(self, number: int) -> bool:
        """Deletes version `number`; False, and nothing is deleted, if it is in use by now.

        MLflow deletes aliases with their version. So they are looked up once more, directly before.
        """
        if number in self.in_use():
            return False
        if any(version.number == number for version in self.versions()):
            self._client.delete_model_version(MODEL_NAME, str(number))
        return True

    def _last_promoted(self) -> Version | None:
        model = self._model()
        number = None if model is None else model.tags.get(IN_PRODUCTION_TAG)
        return next((version for version in self.versions() if str(version.number) == number), None)

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

    def _serve(self, number: int, by: str, way_back: Version | None) -> None:
        """Puts version `number` into production. `previous` names `way_back`; None removes the alias."""
        for name in ("by", "at"):
            if f"{TAKEN_BACK_PREFIX}{name}" in self.get(number).tags:
                self._client.delete_model_version_tag(MODEL_NAME, str(number), f"{TAKEN_BACK_PREFIX}{name}")
        self.set_tags(number, {PROMOTED_BY_TAG: by, PROMOTED_AT_TAG: _now()})
        # `previous` first: a crash between the calls then still allows a rollback.
        if way_back is not None and way_back.number != number:
            self._client.set_registered_model_alias(MODEL_NAME, PREVIOUS, str(way_back.number))
        elif PREVIOUS in self._aliases():
            self._client.delete_registered_model_alias(MODEL_NAME, PREVIOUS)
        self._client.set_registered_model_alias(MODEL_NAME, PRODUCTION, str(number))
        self._client.set_registered_model_tag(MODEL_NAME, IN_PRODUCTION_TAG, str(number))

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


def _require_unmoved(instead_of: int | None, production: Version | None, number: int) -> None:
    now = None if production is None else production.number
    if instead_of not in (ANY_VERSION, now):
        raise RegistryError(
            f"Production moved to {_named(now)} while version {number} was judged",
            expected=_named(instead_of),
            remedy="run `movierank materialize` again, which judges against the new one",
        )


def _named(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
