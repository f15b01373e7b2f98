"""axe-core finds nothing serious, in every view and state, in both themes, on a desktop and a phone."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.support.axe import axe_source, serious_violations
from tests.support.page_service import PageService
from tests.support.waiting import wait_for

pytestmark = pytest.mark.browser

VIEWS = {
    "list": "?user=42",
    "start": "?view=start",
    "profile": "?user=42&view=profile",
    "settings": "?user=42&view=compare&b-variety=1",
    "versions": "?user=42&view=compare&against=challenger",
    "behind": "?view=behind",
    "film": "?user=42&movie=550",
    "why not": "?user=42&movie=13",
}


@pytest.fixture(scope="module", autouse=True)
def _axe() -> None:
    """Skips all of this where axe-core cannot be had."""
    axe_source()


@pytest.mark.parametrize(
    ("window", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop-light", "phone-dark"]
)
def test_no_view_has_a_serious_violation(
    open_page: OpenPage, service: PageService, window: dict[str, int], theme: str
) -> None:
    service.start_afresh(serve_challenger=True, mlflow_url="http://box:5000/", dagster_url="http://box:3000/")
    service.release("4", as_challenger=True)
    wait_for(lambda: service.ask("/model")["challenger"], "the challenger")
    page = open_page(VIEWS["list"], viewport=window, media={"color_scheme": theme})
    found = {}
    for name, path in VIEWS.items():
        page.goto(page.url.partition("?")[0] + path)
        page.wait_for_load_state("networkidle")
        if violations := serious_violations(page):
            found[name] = violations
    assert found == {}


def open_everything(page: Page) -> None:
    page.locator("summary", has_text="Tune the list").click()
    page.get_by_role("button", name="more reason").first.click()
    page.get_by_role("article").nth(3).get_by_role("button", name=re.compile("^Like ")).click()
    expect(page.locator("#announcer")).to_contain_text("Liked")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_state_has_a_serious_violation(
    open_page: OpenPage, service: PageService, allowed: list[str], theme: str
) -> None:
    allowed.append("Failed to load resource")
    page = open_page("?user=42", media={"color_scheme": theme})
    page.get_by_role("article").first.wait_for()
    open_everything(page)
    assert serious_violations(page) == []
    page.get_by_role("button", name="Change who is watching").click()
    panel = page.get_by_role("dialog", name="Who is watching?")
    panel.get_by_role("combobox").fill("4")
    panel.get_by_role("option").first.wait_for()
    assert serious_violations(page) == []
    for fault in ("error", "down"):
        service.set_fault(fault)
        page.reload()
        page.get_by_role("alert").wait_for()
        assert serious_violations(page) == [], fault
    service.start_afresh(version=None)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("movierank demo")
    assert serious_violations(page) == []
