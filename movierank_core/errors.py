"""Errors that state what was found, what was expected and what to do next.

Every error that a user can cause is a `MovierankError`. Any other exception that escapes is a defect.
"""


class MovierankError(Exception):
    """A problem that the user can fix.

    `str(error)` is one paragraph: what was found, what was expected, what to do. The command-line
    program prints it without a traceback and exits with 2 (docs/operations.md has the codes of
    `movierank materialize`); the service turns it into problem details.
    """

    def __init__(self, found: str, *, expected: str | None = None, remedy: str | None = None) -> None:
        self.found = found
        self.expected = expected
        self.remedy = remedy
        parts = [found]
        if expected is not None:
            parts.append(f"Expected: {expected}")
        if remedy is not None:
            parts.append(f"Remedy: {remedy}")
        super().__init__(" ".join(part if part.endswith((".", "`")) else f"{part}." for part in parts))


class DataError(MovierankError):
    """Input data that cannot be used as it is."""


class ConfigError(MovierankError):
    """A setting that cannot be used as it is."""


class BundleError(MovierankError):
    """A model bundle that is damaged, incomplete or of another format."""


class HistoriesError(MovierankError):
    """A histories snapshot that is missing, damaged or of another format."""


class FactsError(MovierankError):
    """A snapshot of movie facts that is missing, damaged or of another format."""


class EventStoreError(MovierankError):
    """The event store cannot be reached or refuses what it was given."""


class EventConflictError(MovierankError):
    """An event has the id of another event of the same user."""
