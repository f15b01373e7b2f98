"""The contract of a candidate source."""

from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from movierank_core.retrieval.query import Query
from movierank_core.retrieval.support import Support

Arrays = dict[str, NDArray[Any]]


class Source(Protocol):
    """Proposes movies for a query.

    A source holds plain arrays and nothing about any person. `scores` is a pure function of the query,
    so a user whose history grew by one event a second ago is answered like everybody else.
    """

    name: ClassVar[str]
    """As it stands in features, reports and reasons."""
    is_personal: ClassVar[bool]
    """Whether the scores depend on the history; an empty history then scores 0 everywhere."""

    @property
    def support(self) -> Support:
        """The rows that can score above 0: ascending, or by descending score where that never changes."""
        ...

    def scores(self, query: Query) -> NDArray[np.float32]:
        """One finite score per row of the support; 0 or less where the source has nothing to propose. Every
        other row of the catalogue scores 0."""
        ...

    def arrays(self) -> Arrays:
        """All that `from_arrays` needs to score identically."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self: ...
