"""Names of sources and families: the served model gives them, and the page has no list of its own."""

from typing import Any

import pytest
from playwright.sync_api import expect

from movierank_core.features.families import FAMILIES, Family
from movierank_core.retrieval.registry import source_types
from tests.browser.conftest import OpenPage
from tests.support.page_service import PageService

pytestmark = pytest.mark.browser


def film_with_reason_of_a_family(service: PageService) -> tuple[int, dict[str, Any], str, str]:
    """A user, a film of their list, and the family and detail of its first reason."""
    for user in service.ask("/users?limit=100")["results"]:
        for film in service.rank(user_id=user["user_id"], k=24):
            name, _, detail = film["reasons"][0].partition(":") if film["reasons"] else ("", "", "")
            if name in FAMILIES and FAMILIES[name].label:
                return user["user_id"], film, name, detail.replace("_", " ")
    raise AssertionError("no list has a reason that is a family")


def test_a_source_and_a_family_are_shown_by_the_labels_that_the_service_gives(
    open_page: OpenPage, service: PageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id, film, name, detail = film_with_reason_of_a_family(service)
    monkeypatch.setitem(FAMILIES, name, Family(name, "Toy family", "Toy reason: {genre}"))
    monkeypatch.setattr(source_types()["content"], "label", "Toy source")
    page = open_page(f"?user={user_id}")
    card = page.get_by_role("article", name=film["title"], exact=True)
    expect(card.locator(".first-reason")).to_have_text(f"Toy reason: {detail}")
    page = open_page(f"?user={user_id}&movie={film['movie_id']}")
    expect(page.get_by_role("rowheader", name="Toy family")).to_be_visible()
    last = service.rank(user_id=user_id, k=60)[-1]
    page = open_page(f"?user={user_id}&movie={last['movie_id']}")
    page.get_by_text("Candidate sources").click()
    expect(page.get_by_role("rowheader", name="Toy source")).to_be_visible()
    page = open_page("?view=behind")
    expect(page.get_by_role("rowheader", name="Toy source").first).to_be_visible()


def test_without_names_codes_are_words_until_the_names_come(
    open_page: OpenPage, service: PageService, allowed: list[str]
) -> None:
    allowed.append("Failed to load resource")
    user_id, film, name, detail = film_with_reason_of_a_family(service)
    words = name.replace("_", " ").capitalize()
    service.set_fault("error", "/model")
    page = open_page(f"?user={user_id}")
    reason = page.get_by_role("article", name=film["title"], exact=True).locator(".first-reason")
    expect(reason).to_have_text(f"{words}: {detail}" if detail else words)
    service.set_fault("none")
    sentence = FAMILIES[name].reason.replace("{genre}", detail).replace("{decade}", detail)
    expect(reason).to_have_text(sentence)


def test_a_list_does_not_wait_long_for_names(open_page: OpenPage, service: PageService) -> None:
    with service.holding("/model"):
        page = open_page("?user=42")
        expect(page.get_by_role("article")).to_have_count(24)
