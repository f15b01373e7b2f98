"""Families of reasons: related features whose contributions are added and shown as one.

A feature, a candidate source and a reason code name their family. The page shows the labels and sentences
that stand here, which it reads from `GET /model`.
"""

from typing import Final

import msgspec


class Family(msgspec.Struct, frozen=True):
    """One family of contributions, one kind of reason code, or both."""

    name: str
    """The key in `contributions`, and the part of a reason code before the colon."""
    label: str
    """The row label in an attribution table; empty where the family never has a contribution."""
    reason: str
    """The sentence for a reason code; empty where the family never becomes a reason.

    The part of the code after the colon fills `{genre}` or `{decade}`; where it is a movie id, the title of
    that movie fills `{title}`.
    """


FAMILIES: Final[dict[str, Family]] = {
    family.name: family
    for family in (
        Family("base", "Where every film starts", ""),
        Family("liked_together", "Liked together with your films", "Liked by people who like what you like"),
        Family(
            "watched_together",
            "Watched together with your films",
            "Watched by people who watch what you watch",
        ),
        Family("watched_next", "Watched after your last films", "Often watched after your last films"),
        Family("taste_match", "Your taste as a whole", "Fits your taste as a whole"),
        Family("content_match", "Resembles your films", "Resembles films in your history"),
        Family("high_popularity", "Popularity", "Popular with viewers"),
        Family("popular_lately", "Popular lately", "Popular lately"),
        Family("highly_rated", "Ratings by everyone", "Highly rated"),
        Family("era_match", "Its time", "From the {decade}, a time you like"),
        Family("fresh_release", "How new it is", "New in the catalogue"),
        Family("genre_match", "Genres", "You like {genre} films"),
        Family("runtime", "Length", "About the length you prefer"),
        Family("language_match", "Language", "In a language you often watch"),
        Family("people_match", "Its people", "By people whose films you like"),
        Family("your_profile", "How you rate", ""),
        Family("candidates", "What the candidate sources agree on", ""),
        Family("because_you_liked", "", "Because you liked {title}"),
        Family("few_ratings", "", "Hardly anyone has rated it yet"),
        Family("newcomer", "", "A good first pick"),
    )
}
"""Every family by name, in the order in which an attribution table lists them."""
