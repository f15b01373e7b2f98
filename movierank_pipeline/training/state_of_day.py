"""A fitted state with the facts of movies of the midnight before each request."""

from movierank_core.features.movie_facts import FactsOverTime, facts_moment
from movierank_core.recommender.state import RankingState


class StateOfDay:
    """One structure and the facts of any day. Keeps the latest day: requests of a user often share one."""

    def __init__(self, state: RankingState, facts: FactsOverTime | None) -> None:
        """Without `facts`, each request gets `state` with its own facts."""
        self._state, self._facts = state, facts
        self._moment = state.as_of
        self._of_day = state

    @property
    def sources(self) -> list[str]:
        """Names of the candidate sources."""
        return list(self._state.sources)

    def at(self, as_of: int) -> RankingState:
        """The state that answers a request at `as_of`, in seconds since 1970."""
        moment = facts_moment(as_of, self._state.as_of)
        if self._facts is not None and moment != self._moment:
            self._moment = moment
            self._of_day = self._state.with_facts(self._facts.at(moment))
        return self._of_day
