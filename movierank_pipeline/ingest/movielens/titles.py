"""Normalises MovieLens titles: extracts the year and moves trailing articles to the front.

`City of Lost Children, The (Cité des enfants perdus, La) (1995)` becomes "The City of Lost Children (La Cité
des enfants perdus)", 1995. Alternative titles stay in brackets, so the search finds them.
"""

from typing import Final

import polars as pl

_YEAR: Final = (
    r"\s*\((1[89]\d\d|20\d\d)"
    r"(?:\s*[-–—]\s*(?:\d{2,4})?)?"  # a series: (2006–2007), (2011- )
    r"\s*\)+\s*"  # some years are closed twice
    r"(?:\((?:V|TV)\)\s*)?$"  # ml-100k marks video releases after the year
)

_ARTICLES: Final = "The|A|An|La|Le|Les|El|Los|Las|Il|Lo|Gli|Der|Das|Un|Une|Una"
_ARTICLES_LIKE_WORDS: Final = "Die|I|Den|Det|En|O|Os|As"
"""Treated as articles only after the only comma of a title: not in `Die, Mommie, Die`."""
_ELIDED: Final = "L['’]"


def _moves() -> list[tuple[str, str]]:
    """(pattern, replacement) pairs for each kind of article, at the end of a title and inside brackets."""
    moves = [(rf"^(.*\)), ({_ARTICLES})$", "${2} ${1}")]
    for text, articles, space in (
        (r"[^()]*", _ARTICLES, " "),
        (r"[^(),]*", _ARTICLES_LIKE_WORDS, " "),
        (r"[^()]*", _ELIDED, ""),
    ):
        moves.append((rf"^({text}), ({articles})( \(.*)?$", rf"${{2}}{space}${{1}}${{3}}"))
        moves.append((rf"\((a\.k\.a\. )?({text}), ({articles})\)", rf"(${{1}}${{3}}{space}${{2}})"))
    return moves


def release_year(raw_title: pl.Expr) -> pl.Expr:
    """The year in brackets at the end of a MovieLens title (a series: its first year), else null."""
    return raw_title.str.extract(_YEAR, 1).cast(pl.Int32)


def plain_title(raw_title: pl.Expr) -> pl.Expr:
    """A MovieLens title without its year and with articles in front; the raw title if that would be empty."""
    stripped = raw_title.str.strip_chars()
    title = stripped.str.replace(_YEAR, "").str.strip_chars()
    for pattern, replacement in _moves():
        title = title.str.replace_all(pattern, replacement)
    return pl.when(title.str.len_chars() > 0).then(title).otherwise(stripped)
