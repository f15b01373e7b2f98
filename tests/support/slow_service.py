"""A service whose rankings take SLOW_SECONDS each; uvicorn runs it in a separate process."""

import os
import time
from pathlib import Path
from typing import Any

from litestar import Litestar

from movierank_core.recommender.ranking import Ranking
from movierank_serving.app import create_app
from movierank_serving.settings import Settings
from tests.support.service import FakeRecommender


class SlowRecommender(FakeRecommender):
    seconds = 0.0

    def rank(self, *arguments: Any, **options: Any) -> Ranking:
        time.sleep(self.seconds)
        return super().rank(*arguments, **options)


def load_slow(folder: Path) -> SlowRecommender:
    recommender = SlowRecommender(folder.name)
    recommender.seconds = float(os.environ["SLOW_SECONDS"])
    return recommender


def app() -> Litestar:
    return create_app(Settings.from_environment(), load_slow)
