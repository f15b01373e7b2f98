"""Title search while the user types: word prefixes, accent folding, tolerance of typing errors.

An inverted index over the words of titles and original titles. A movie matches if it has every word of the
query; the last word may be a prefix.
"""

import unicodedata
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.background import throttle
from movierank_serving.catalogue.edit_distance import MAX_WORD, distances

MAX_WORDS: Final = 12
"""Maximum number of words of a query; further words are ignored."""
_N_MASKS: Final = 3
"""Letter masks per word: for letters that occur at least once, twice, three times."""
_EXACT, _PREFIX, _TYPO = 1.0, 0.85, 0.5
"""Quality of a match of one word."""
_POPULARITY_WEIGHT: Final = 0.6
"""Maximum that popularity adds to the score of a movie; an exact match of all words has 1."""
_SHORTLIST: Final = 200
"""Minimum number of best movies whose whole titles are compared with the query."""
_SPECIAL: Final = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "đ": "d",
        "ł": "l",
        "ð": "d",
        "þ": "th",
        "ı": "i",
        "&": " and ",
    }
)

_KEPT_CLASSES: Final = frozenset({0, 7, 9, 84, 91, 103, 107, 118, 122, 129, 130, 132})
"""Combining classes of Unicode that are not accents: letters, vowel signs, nukta, virama, fixed positions."""
_ARTICLES: Final = ("the ", "a ", "an ")


def fold(text: str) -> str:
    """Lower case without accents. Runs of other characters become one space. `Amélie!` → `amelie`.

    Vowel signs and other marks without which a word of an Indic or Thai script is another word stay.
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_SPECIAL))
    kept = "".join(
        letter if letter.isalnum() or unicodedata.category(letter)[0] == "M" else " "
        for letter in decomposed
        if unicodedata.combining(letter) in _KEPT_CLASSES and letter not in "'’"
    )
    return " ".join(kept.split())


def _folded(title: str) -> str:
    throttle()
    return fold(title)


def _without_article(text: str) -> str:
    return next((text[len(article) :] for article in _ARTICLES if text.startswith(article)), text)


class TitleSearch:
    """An index over the titles of one catalogue. Immutable and therefore thread-safe."""

    def __init__(
        self,
        titles: list[str],
        other_titles: list[str | None],
        years: list[int | None],
        popularity: NDArray[np.float64],
    ) -> None:
        """All arguments have one entry per catalogue row; `popularity` is in [0, 1]."""
        self._folded = [_folded(title) for title in titles]
        self._popularity = popularity
        rows_by_word: dict[str, list[int]] = {}
        for row, (title, other, year) in enumerate(zip(self._folded, other_titles, years, strict=True)):
            throttle()
            words = set(title.split())
            if other is not None:
                words.update(fold(other).split())
            if year is not None:
                words.add(str(year))
            for word in words:
                rows_by_word.setdefault(word, []).append(row)
        self._words = sorted(rows_by_word)
        self._word_array = np.array(self._words, dtype=str)
        counts = [len(rows_by_word[word]) for word in self._words]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._rows = np.fromiter(
            (row for word in self._words for row in rows_by_word[word]), np.int64, int(self._starts[-1])
        )
        self._letters, self._lengths = _letters_of(self._words)
        self._masks = _masks_of(self._letters)
        self._similar_words(
            "compile", is_last=True
        )  # Compiles the kernel now, so that no request waits for it.

    def search(self, query: str, limit: int) -> list[int]:
        """At most `limit` catalogue rows, best first; for an empty query the most popular ones.

        If no movie has every word, words that exist are also matched with typing errors.
        """
        words = fold(query).split()[:MAX_WORDS]
        if not words:
            return _top(self._popularity, limit).tolist()
        scores = self._scores(words, is_tolerant=False)
        if not scores.any() and any(self._is_known(word) for word in words):
            scores = self._scores(words, is_tolerant=True)
        shortlist = _top(scores, max(limit, _SHORTLIST))
        joined = " ".join(words)
        refined = scores[shortlist] + [self._closeness(int(row), joined) for row in shortlist]
        return shortlist[np.argsort(-refined, kind="stable")][:limit].tolist()

    def _scores(self, words: list[str], *, is_tolerant: bool) -> NDArray[np.float64]:
        """[n_movies]: score of each movie, 0 if it lacks a word.

        With `is_tolerant`, words that exist in the index are matched with typing errors too.
        """
        matched = np.zeros(len(self._folded), np.float64)
        has_all = np.ones(len(self._folded), np.bool_)
        for index, word in enumerate(words):
            quality = self._quality_of(word, is_last=index == len(words) - 1, is_tolerant=is_tolerant)
            has_all &= quality > 0
            matched += quality
        return has_all * (matched / len(words) + _POPULARITY_WEIGHT * self._popularity)

    def _closeness(self, row: int, query: str) -> float:
        """Bonus for the whole title: highest if it equals the query, less if it only begins with it."""
        title = self._folded[row]
        if title == query:
            return 1.5
        bare_title, bare_query = _without_article(title), _without_article(query)
        if bare_title == bare_query:
            return 1.4
        covered = 0.3 * len(query) / max(len(title), len(query))
        if bare_title.startswith(bare_query):
            return covered + (0.6 if bare_title[len(bare_query)] == " " else 0.4)
        return covered

    def _quality_of(self, word: str, *, is_last: bool, is_tolerant: bool) -> NDArray[np.float64]:
        """[n_movies]: quality of the best match of `word` in each movie, 0 without a match."""
        quality = np.zeros(len(self._folded), np.float64)
        first = int(np.searchsorted(self._word_array, word, side="left"))
        stop = int(np.searchsorted(self._word_array, word + "\U0010ffff", side="right"))
        has_exact = first < len(self._words) and self._words[first] == word
        is_known = first < stop if is_last else has_exact
        if is_tolerant or not is_known:
            for index in self._similar_words(word, is_last=is_last):
                quality[self._rows_of(index, index + 1)] = _TYPO
        if is_last:
            quality[self._rows_of(first, stop)] = _PREFIX
        if has_exact:
            quality[self._rows_of(first, first + 1)] = _EXACT
        return quality

    def _is_known(self, word: str) -> bool:
        """Whether a word of the index begins with `word`."""
        first = int(np.searchsorted(self._word_array, word, side="left"))
        return first < len(self._words) and self._words[first].startswith(word)

    def _rows_of(self, first: int, stop: int) -> NDArray[np.int64]:
        """Catalogue rows with one of the words `first` to `stop` (exclusive), possibly repeated."""
        return self._rows[self._starts[first] : self._starts[stop]]

    def _similar_words(self, word: str, *, is_last: bool) -> list[int]:
        """Indices of words within edit distance 1, or 2 for words of eight letters or more.

        With `is_last`, the distance to the closest prefix. Words under three letters have no similar words.
        """
        if len(word) < 3 or not len(self._words):
            return []
        limit = 1 if len(word) < 8 else 2
        letters, lengths = _letters_of([word])
        masks = _masks_of(letters)[:, 0]
        # Each letter that a candidate lacks, or has less often than the query, costs at least one edit.
        candidates = np.flatnonzero(np.bitwise_count(masks[0] & ~self._masks[0]) <= limit)
        lacking = np.bitwise_count(masks[:, None] & ~self._masks[:, candidates]).sum(axis=0)
        candidates = candidates[lacking <= limit]
        found = distances(letters[0, : lengths[0]], self._letters, self._lengths, candidates, limit, is_last)
        return candidates[found <= limit].tolist()


def _letters_of(words: list[str]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """([n_words, MAX_WORD] letters as numbers, padded with 0; [n_words] number of letters)."""
    letters = np.zeros((len(words), MAX_WORD), np.uint16)
    lengths = np.zeros(len(words), np.int64)
    for row, word in enumerate(words):
        throttle()
        codes = np.frombuffer(word[:MAX_WORD].encode("utf-32-le"), np.uint32)
        letters[row, : len(codes)] = codes & 0xFFFF
        lengths[row] = len(codes)
    return letters, lengths


def _masks_of(letters: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """[_N_MASKS, n_words]: bits of the letters that a word has at least once, twice, three times.

    Letters share 64 bits (their number modulo 64), so two letters may have the same bit.
    """
    folded = letters % 64
    occurrence = np.zeros(letters.shape, np.int64)
    for column in range(1, letters.shape[1]):
        throttle()
        occurrence[:, column] = (folded[:, :column] == folded[:, column : column + 1]).sum(axis=1)
    bits = np.left_shift(np.uint64(1), folded.astype(np.uint64))
    return np.stack(
        [
            np.bitwise_or.reduce(
                np.where((letters > 0) & (occurrence == times), bits, np.uint64(0)), axis=1, dtype=np.uint64
            )
            for times in range(_N_MASKS)
        ],
        axis=0,
    )


def _top(scores: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """At most `limit` rows with the highest scores above 0, best first; equal scores in row order."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > limit:
        threshold = np.partition(scores[rows], len(rows) - limit)[len(rows) - limit]
        rows = rows[scores[rows] >= threshold]
    return rows[np.argsort(-scores[rows], kind="stable")][:limit]
