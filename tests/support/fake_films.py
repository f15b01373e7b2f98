"""A shelf of real films for the fake API: title, year, genres, language, minutes, director. Facts only."""

from typing import Final, NamedTuple


class Film(NamedTuple):
    movie_id: int
    title: str
    release_year: int
    genres: list[str]
    original_language: str
    runtime_minutes: int
    director: str


_TABLE: Final = """
550|Fight Club|1999|Drama,Thriller|en|139|David Fincher
680|Pulp Fiction|1994|Thriller,Crime|en|154|Quentin Tarantino
13|Forrest Gump|1994|Comedy,Drama,Romance|en|142|Robert Zemeckis
238|The Godfather|1972|Drama,Crime|en|175|Francis Ford Coppola
278|The Shawshank Redemption|1994|Drama,Crime|en|142|Frank Darabont
155|The Dark Knight|2008|Drama,Action,Crime,Thriller|en|152|Christopher Nolan
27205|Inception|2010|Action,Science Fiction,Adventure|en|148|Christopher Nolan
603|The Matrix|1999|Action,Science Fiction|en|136|Lana Wachowski
157336|Interstellar|2014|Adventure,Drama,Science Fiction|en|169|Christopher Nolan
129|Spirited Away|2001|Animation,Family,Fantasy|ja|125|Hayao Miyazaki
194|Amélie|2001|Comedy,Romance|fr|122|Jean-Pierre Jeunet
78|Blade Runner|1982|Science Fiction,Drama,Thriller|en|117|Ridley Scott
348|Alien|1979|Horror,Science Fiction|en|117|Ridley Scott
335|Once Upon a Time in the West|1968|Drama,Western|it|166|Sergio Leone
429|The Good, the Bad and the Ugly|1966|Western|it|161|Sergio Leone
289|Casablanca|1942|Drama,Romance|en|102|Michael Curtiz
426|Vertigo|1958|Mystery,Romance,Thriller|en|128|Alfred Hitchcock
539|Psycho|1960|Horror,Drama,Thriller|en|109|Alfred Hitchcock
694|The Shining|1980|Horror,Thriller|en|144|Stanley Kubrick
62|2001: A Space Odyssey|1968|Science Fiction,Mystery,Adventure|en|149|Stanley Kubrick
935|Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb|1964|Comedy,War|en|95|Stanley Kubrick
28|Apocalypse Now|1979|Drama,War|en|147|Francis Ford Coppola
857|Saving Private Ryan|1998|Drama,History,War|en|169|Steven Spielberg
329|Jurassic Park|1993|Adventure,Science Fiction|en|127|Steven Spielberg
85|Raiders of the Lost Ark|1981|Adventure,Action|en|115|Steven Spielberg
424|Schindler's List|1993|Drama,History,War|en|195|Steven Spielberg
11|Star Wars|1977|Adventure,Action,Science Fiction|en|121|George Lucas
105|Back to the Future|1985|Adventure,Comedy,Science Fiction|en|116|Robert Zemeckis
862|Toy Story|1995|Animation,Comedy,Family|en|81|John Lasseter
10681|WALL·E|2008|Animation,Family,Science Fiction|en|98|Andrew Stanton
12|Finding Nemo|2003|Animation,Family|en|100|Andrew Stanton
8587|The Lion King|1994|Family,Animation,Drama|en|89|Roger Allers
807|Se7en|1995|Crime,Mystery,Thriller|en|127|David Fincher
274|The Silence of the Lambs|1991|Crime,Drama,Thriller|en|119|Jonathan Demme
949|Heat|1995|Action,Crime,Drama|en|170|Michael Mann
769|GoodFellas|1990|Drama,Crime|en|145|Martin Scorsese
103|Taxi Driver|1976|Crime,Drama|en|114|Martin Scorsese
1578|Raging Bull|1980|Drama|en|129|Martin Scorsese
829|Chinatown|1974|Crime,Drama,Mystery|en|130|Roman Polanski
703|Annie Hall|1977|Comedy,Drama,Romance|en|93|Woody Allen
115|The Big Lebowski|1998|Comedy,Crime|en|117|Joel Coen
275|Fargo|1996|Crime,Drama,Thriller|en|98|Joel Coen
120467|The Grand Budapest Hotel|2014|Comedy,Drama|en|100|Wes Anderson
9428|The Royal Tenenbaums|2001|Comedy,Drama|en|110|Wes Anderson
153|Lost in Translation|2003|Drama,Romance,Comedy|en|102|Sofia Coppola
38|Eternal Sunshine of the Spotless Mind|2004|Science Fiction,Drama,Romance|en|108|Michel Gondry
843|In the Mood for Love|2000|Drama,Romance|zh|99|Wong Kar-wai
346|Seven Samurai|1954|Action,Drama|ja|207|Akira Kurosawa
548|Rashomon|1950|Crime,Drama,Mystery|ja|88|Akira Kurosawa
18148|Tokyo Story|1953|Drama|ja|137|Yasujirō Ozu
149|Akira|1988|Animation,Science Fiction,Action|ja|124|Katsuhiro Otomo
8392|My Neighbor Totoro|1988|Fantasy,Animation,Family|ja|86|Hayao Miyazaki
128|Princess Mononoke|1997|Adventure,Fantasy,Animation|ja|134|Hayao Miyazaki
496243|Parasite|2019|Comedy,Thriller,Drama|ko|133|Bong Joon-ho
670|Oldboy|2003|Drama,Thriller,Mystery|ko|120|Park Chan-wook
1417|Pan's Labyrinth|2006|Fantasy,Drama,War|es|118|Guillermo del Toro
598|City of God|2002|Drama,Crime|pt|130|Fernando Meirelles
582|The Lives of Others|2006|Drama,Thriller|de|137|Florian Henckel von Donnersmarck
19|Metropolis|1927|Drama,Science Fiction|de|153|Fritz Lang
832|M|1931|Drama,Crime,Thriller|de|117|Fritz Lang
490|The Seventh Seal|1957|Fantasy,Drama|sv|96|Ingmar Bergman
422|8½|1963|Drama|it|138|Federico Fellini
11216|Cinema Paradiso|1988|Drama,Romance|it|124|Giuseppe Tornatore
147|The 400 Blows|1959|Drama|fr|99|François Truffaut
406|La Haine|1995|Drama|fr|98|Mathieu Kassovitz
872|Singin' in the Rain|1952|Comedy,Music,Romance|en|103|Stanley Donen
313369|La La Land|2016|Comedy,Drama,Romance,Music|en|129|Damien Chazelle
244786|Whiplash|2014|Drama,Music|en|107|Damien Chazelle
14337|Hoop Dreams|1994|Documentary|en|171|Steve James
25050|Man with a Movie Camera|1929|Documentary|ru|68|Dziga Vertov
76341|Mad Max: Fury Road|2015|Action,Adventure,Science Fiction|en|121|George Miller
562|Die Hard|1988|Action,Thriller|en|131|John McTiernan
280|Terminator 2: Judgment Day|1991|Action,Thriller,Science Fiction|en|137|James Cameron
120|The Lord of the Rings: The Fellowship of the Ring|2001|Adventure,Fantasy,Action|en|179|Peter Jackson
671|Harry Potter and the Philosopher's Stone|2001|Adventure,Fantasy|en|152|Chris Columbus
2493|The Princess Bride|1987|Adventure,Family,Fantasy,Comedy|en|99|Rob Reiner
137|Groundhog Day|1993|Romance,Fantasy,Drama,Comedy|en|101|Harold Ramis
639|When Harry Met Sally...|1989|Comedy,Romance,Drama|en|96|Rob Reiner
239|Some Like It Hot|1959|Comedy,Romance|en|122|Billy Wilder
996|Double Indemnity|1944|Crime,Thriller|en|107|Billy Wilder
15|Citizen Kane|1941|Mystery,Drama|en|119|Orson Welles
33|Unforgiven|1992|Western|en|131|Clint Eastwood
1091|The Thing|1982|Horror,Mystery,Science Fiction|en|109|John Carpenter
419430|Get Out|2017|Mystery,Thriller,Horror|en|104|Jordan Peele
947|Lawrence of Arabia|1962|Adventure,Drama,History,War|en|228|David Lean
98|Gladiator|2000|Action,Drama,Adventure|en|155|Ridley Scott
"""


def _film(line: str) -> Film:
    number, title, year, genres, language, minutes, director = line.split("|")
    return Film(int(number), title, int(year), genres.split(","), language, int(minutes), director)


FILMS: Final = [_film(line) for line in _TABLE.strip().splitlines()]

AWKWARD_FILMS: Final = [
    Film(
        900001,
        "<img src=x onerror=\"window.__xss=1\"> & 'Sons'",
        2003,
        ["Comedy", "<b>Bold</b>"],
        "en",
        90,
        'A "Quoted" <i>Director</i>',
    ),
    Film(900002, "وداعا جولي 🎬 (Goodbye Julia)", 2023, ["Drama"], "ar", 120, "محمد كردفاني"),
    Film(900003, "”quotes” & ‘more’ 👩‍🚀🚀", 2019, ["Science Fiction"], "xx", 0, ""),
    Film(900004, "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk", 1931, [], "de", 70, ""),
]
"""Titles that break pages which do not escape, do not isolate text direction or cannot wrap."""
