"""Where the service says that posters are: as TMDB told the pipeline, unless an operator says otherwise."""

from pathlib import Path

import msgspec
import polars as pl
import pytest
from litestar.testing import TestClient

from movierank_core.data.catalogue import Catalogue
from movierank_core.manifest import IMAGE_BASE_URL
from movierank_serving.app import create_app
from movierank_serving.settings import Settings
from tests.support.service import FakeRecommender, load_fake, serve_version, settings_in, small_catalogue
from tests.support.waiting import wait_for

MOVED = "https://pictures.example/t/p/"


def load(folder: Path) -> FakeRecommender:
    """As `load_fake`, with backdrops; the name of the version may say where images are."""
    name = load_fake(folder).manifest.name
    frame = small_catalogue().frame.with_columns(backdrop_path=pl.lit("/backdrop.jpg"))
    recommender = FakeRecommender(name, Catalogue(frame))
    base = name if "://" in name else IMAGE_BASE_URL
    recommender.manifest = msgspec.structs.replace(recommender.manifest, image_base_url=base)
    return recommender


def images(settings: Settings, name: str) -> tuple[str, str, str]:
    """(poster, backdrop, allowed hosts) of a service on a version of this name."""
    serve_version(settings, "1", name)
    with TestClient(create_app(settings, load)) as client:
        return images_of(client)


def images_of(client: TestClient) -> tuple[str, str, str]:  # type: ignore[type-arg]
    answer = client.get("/movie/550")
    policy = answer.headers["content-security-policy"]
    allowed = next(part for part in policy.split("; ") if part.startswith("img-src"))
    movie = answer.json()
    return movie["poster_url"], movie["backdrop_url"], allowed.removeprefix("img-src 'self' ")


@pytest.mark.parametrize("name", ["good", "https://image.tmdb.org/t/p", IMAGE_BASE_URL])
def test_usual_place(tmp_path: Path, name: str) -> None:
    assert images(settings_in(tmp_path), name) == (
        "https://image.tmdb.org/t/p/w342/poster.jpg",
        "https://image.tmdb.org/t/p/w780/backdrop.jpg",
        "https://image.tmdb.org data:",
    )


def test_place_that_the_bundle_names_is_allowed_to_the_browser(tmp_path: Path) -> None:
    assert images(settings_in(tmp_path), MOVED) == (
        "https://pictures.example/t/p/w342/poster.jpg",
        "https://pictures.example/t/p/w780/backdrop.jpg",
        "https://pictures.example data:",
    )


def test_operator_wins(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, poster_base_url="https://mirror.example/small")
    assert images(settings, MOVED) == (
        "https://mirror.example/small/poster.jpg",
        "https://pictures.example/t/p/w780/backdrop.jpg",
        "https://mirror.example https://pictures.example data:",
    )


def test_next_version_may_name_another_place(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    serve_version(settings, "1")
    with TestClient(create_app(settings, load)) as client:
        assert images_of(client)[2] == "https://image.tmdb.org data:"
        serve_version(settings, "2", MOVED)
        wait_for(lambda: images_of(client)[2] == "https://pictures.example data:")
        assert images_of(client)[0] == "https://pictures.example/t/p/w342/poster.jpg"
