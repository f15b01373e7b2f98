"""The definition of one column of the feature matrix, and the groups that a training can leave out."""

from typing import Final

import msgspec

RETRIEVAL: Final = "retrieval"
"""Group of features that compare the candidate sources' scores within the request."""
USER: Final = "user"
"""Group of features of the history alone: equal for all candidates of a request."""
MOVIE: Final = "movie"
"""Group of features of the movie alone: equal for all users."""
CROSS: Final = "cross"
"""Group of features of a history and a movie together."""
TMDB_SNAPSHOT: Final = "tmdb_snapshot"
"""Group of TMDB's vote features, known only as of the day on which they were retrieved."""

DEFAULT_WITHOUT: Final = (TMDB_SNAPSHOT,)
"""Groups that a model leaves out by default: for past requests their values come from the future."""

BLOCK_PREFIX: Final = "block:"
"""Prefix of a feature block's name where it stands among groups, as in `block:genre`."""
SOURCE_PREFIX: Final = "source:"
"""Prefix of a candidate source's name where it stands among groups, as in `source:als`."""


class Feature(msgspec.Struct, frozen=True):
    """One float32 column of the feature matrix; NaN means unknown, and the trees handle it as such."""

    name: str
    group: str
    """Group that `--without` leaves out as a whole."""
    family: str
    """Name in `FAMILIES`; contributions of one family are added and shown together."""
    unit: str
    meaning: str
    """One sentence, shown in docs/features.md."""
    source: str = ""
    """Name of the candidate source that it belongs to; empty for a feature of no source or of all."""
