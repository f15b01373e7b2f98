"""Text stays text, and a film without a picture has a drawn poster."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage
from tests.support.browser import overflow_of
from tests.support.page_service import Json, PageService

pytestmark = pytest.mark.browser

AWKWARD_FILMS: list[Json] = [
    {
        "title": "<img src=x onerror=\"window.__xss=1\"> & 'Sons'",
        "genres": ["Comedy", "<b>Bold</b>"],
        "directors": ['A "Quoted" <i>Director</i>'],
    },
    {
        "title": "وداعا جولي 🎬 (Goodbye Julia)",
        "original_title": "بداية: رحلة في الحلم",
        "original_language": "ar",
        "directors": ["محمد كردفاني"],
    },
    {
        "title": "”quotes” & ‘more’ 👩‍🚀🚀",
        "original_language": "xx",
        "runtime_minutes": None,
        "directors": None,
        "release_year": None,
    },
    {"title": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk", "genres": None, "overview": None},
]
"""Facts that break a page which does not escape, isolate text direction, wrap or allow for missing values."""
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
    b"\x00\x00\x00\x0cIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82"
)


@pytest.fixture
def awkward(service: PageService) -> list[int]:
    """The first films of the list of user 42 and of a newcomer become awkward; the ids of the former."""
    lists = [service.rank(user_id=42, k=4), service.rank(history=[], k=24)]
    mine, others = ([film["movie_id"] for film in films] for films in lists)
    others = [movie_id for movie_id in others if movie_id not in mine][:4]
    films = dict(zip(mine, AWKWARD_FILMS, strict=True)) | dict(zip(others, AWKWARD_FILMS, strict=True))
    service.start_afresh(films=films)
    return mine


@pytest.mark.usefixtures("awkward")
@pytest.mark.parametrize("path", ["?user=42", "?view=start", "?user=42&view=compare"])
def test_titles_with_markup_quotes_emoji_and_arabic_are_only_text(open_page: OpenPage, path: str) -> None:
    page = open_page(path, viewport=PHONE, changed_films=True)
    for film in AWKWARD_FILMS:
        expect(page.get_by_text(film["title"], exact=True).first).to_be_visible()
    assert page.evaluate("window.__xss") is None
    assert page.locator("main img[src=x]").count() == 0
    assert overflow_of(page) == 0


@pytest.mark.parametrize("place", range(4), ids=["markup", "arabic", "emoji", "no spaces"])
def test_an_awkward_film_opens_like_any_other(open_page: OpenPage, awkward: list[int], place: int) -> None:
    title = AWKWARD_FILMS[place]["title"]
    page = open_page(f"?user=42&movie={awkward[place]}", viewport=PHONE, changed_films=True)
    dialog = page.get_by_role("dialog", name=title, exact=True)
    expect(dialog.get_by_role("heading", name=title, level=2, exact=True)).to_be_visible()
    page.get_by_role("region", name="Similar films").wait_for()
    assert page.evaluate("window.__xss") is None
    assert dialog.evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") <= 0


@pytest.mark.parametrize("place", range(4), ids=["markup", "arabic", "emoji", "no spaces"])
def test_an_awkward_title_is_only_text_when_it_is_said_found_and_remembered(
    open_page: OpenPage, awkward: list[int], place: int
) -> None:
    title = AWKWARD_FILMS[place]["title"]
    page = open_page(f"?user=42&movie={awkward[place]}", changed_films=True)
    film = page.get_by_role("dialog", name=title, exact=True)
    film.get_by_role("button", name="Like", exact=True).click()
    expect(page.locator("#announcer")).to_contain_text(title)
    film.get_by_role("button", name="Close").click()
    page.get_by_role("combobox", name="Find a film").fill(title[:7])
    expect(page.get_by_role("option").filter(has_text=title).first).to_be_visible()
    page.goto(page.url.partition("?")[0] + "?user=42&view=profile")
    expect(page.get_by_role("link").filter(has_text=title).first).to_be_visible()
    assert page.evaluate("window.__xss") is None
    assert page.locator("main img[src=x]").count() == 0


def test_an_address_cannot_inject_anything(open_page: OpenPage) -> None:
    attack = "%3Cimg%20src%3Dx%20onerror%3D%22window.__xss%3D1%22%3E"
    page = open_page(f"?user=42&genres={attack}&language={attack}&view={attack}&picks={attack}")
    page.locator("summary", has_text="Tune the list").click()
    expect(page.get_by_role("checkbox", name=re.compile("<img src=x"))).to_be_visible()
    assert page.evaluate("window.__xss") is None


def test_pictures_come_from_tmdb_and_cover_the_drawing(open_page: OpenPage, service: PageService) -> None:
    service.start_afresh(has_posters=True)
    page = open_page("?view=behind")
    page.route("https://image.tmdb.org/**", lambda route: route.fulfill(body=PIXEL, content_type="image/png"))
    with page.expect_request(re.compile(r"^https://image\.tmdb\.org/t/p/w342/[\w-]+\.jpg$")):
        page.goto(page.url.replace("view=behind", "user=42"))
    expect(page.locator(".poster.covered").first).to_be_visible()
    expect(page.locator(".poster.covered .drawn").first).to_be_hidden()


def test_without_pictures_every_film_has_a_drawn_poster_and_asking_stops(
    open_page: OpenPage, service: PageService, allowed: list[str]
) -> None:
    allowed.append("net::ERR_NAME_NOT_RESOLVED")
    service.start_afresh(has_posters=True)
    page = open_page("?user=42")
    expect(page.locator("mr-shelf .poster .drawn svg")).to_have_count(24)
    expect(page.locator("mr-shelf .poster").first.locator(".photo")).to_have_count(0)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("link", name="Favourites").click()
    page.locator(".picks").get_by_role("button", pressed=False).first.wait_for()
    assert [url for url in asked if "image.tmdb.org" in url] == []


def test_a_film_is_always_drawn_the_same_and_two_films_differ(open_page: OpenPage) -> None:
    page = open_page("?view=behind")
    first, again, other = page.evaluate(
        """async () => {
          await import("./components/poster/poster.js");
          const draw = (movie_id) => {
            const poster = document.createElement("mr-poster");
            poster.movie = { movie_id, title: "Alien", release_year: 1979, genres: ["Horror"] };
            return poster.innerHTML + poster.className + poster.style.cssText;
          };
          return [draw(348), draw(348), draw(349)];
        }"""
    )
    assert first == again
    assert first != other


def test_the_lettering_of_every_palette_is_readable(open_page: OpenPage) -> None:
    page = open_page("?view=behind")
    inks: list[str] = page.evaluate(
        "import('./components/poster/palettes.js').then((module) => module.allInks())"
    )
    assert len(inks) >= 36
    for ground, title in (ink.split(" ")[:2] for ink in inks):
        assert contrast(ground, title) >= 4.5, (ground, title)


def contrast(one: str, other: str) -> float:
    """The WCAG contrast of two colours as #rrggbb."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_of_known_colours() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
