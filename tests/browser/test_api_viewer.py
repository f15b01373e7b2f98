"""The API viewer at /schema, under the policy that the service sends and without any other host."""

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, expect

from movierank_serving.app import create_app
from tests.support.browser import Watched
from tests.support.service import load_fake, serve_version, settings_in
from tests.support.waiting import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = settings_in(tmp_path_factory.mktemp("viewer"))
    serve_version(settings, "1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(settings, load_fake), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_for(lambda: server.started, what="the service")
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_the_viewer_shows_routes_and_sends_requests(browser: Browser, address: str) -> None:
    watched = Watched(browser.new_page(), address)
    page = watched.page
    page.goto(f"http://{address}/schema")
    expect(page.get_by_role("heading", name="Ranking")).to_be_visible()
    route = page.locator("details", has_text="Rank movies for a user or a visitor")
    route.locator("summary").click()
    expect(route.get_by_role("heading", name="VisitorEvent")).to_be_visible()
    route.get_by_role("textbox").fill('{"user_id": 1, "k": 1}')
    route.get_by_role("button", name="Send").click()
    expect(route.get_by_role("status")).to_contain_text('"title": "Amélie"')
    movie = page.locator("details", has_text="/movie/{movie_id}").filter(has_text="One movie").first
    movie.locator("summary").click()
    movie.get_by_label("movie_id").fill("550")
    movie.get_by_role("button", name="Send").click()
    expect(movie.get_by_role("status")).to_contain_text('"title": "Fight Club"')
    page.close()
    assert (watched.complaints, watched.strangers) == ([], [])
