"""A small stand-in for the service, for developing and testing the page without a trained model.

Answers the routes of the service with the same shapes from a shelf of films and a toy model of taste, and
can be told to be slow, down, broken or without a model. It serves `ui/` under the service's policy.
`python -m tests.support.fake_api --port 8765` runs it alone.
"""

import argparse
import gzip
import json
import math
import mimetypes
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.fake_films import AWKWARD_FILMS, FILMS, Film

UI = Path(__file__).resolve().parents[2] / "ui"
CSP = (
    "default-src 'self'; img-src 'self' https://image.tmdb.org data:; style-src 'self'; "
    "script-src 'self'; connect-src 'self'"
)
N_USERS = 200
NO_MODEL = "No version carries the alias production."
NO_MODEL_REMEDY = "run `movierank demo` for a first model"
NO_CHALLENGER_REMEDY = "set MOVIERANK_SERVE_CHALLENGER=true and start it again"
OPINION = {"like": 4.5, "dislike": 1.5, "not_interested": 2.0}

Json = dict[str, Any]


def estimate(mean: float, spread: float = 0.03) -> Json:
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


EVALUATION: Json = {
    "protocol": "temporal",
    "split_time": "2025-06-01T00:00:00+00:00",
    "n_requests": 1160,
    "n_users": 116,
    "systems": {
        "movierank": {"ndcg@10": estimate(0.187), "recall@100": estimate(0.37)},
        "ease_likes": {"ndcg@10": estimate(0.157), "recall@100": estimate(0.329)},
        "popularity_365d": {"ndcg@10": estimate(0.156), "recall@100": estimate(0.332)},
        "popularity": {"ndcg@10": estimate(0.105)},
        "random": {"ndcg@10": estimate(0.005, 0.002), "recall@100": estimate(0.012, 0.003)},
    },
    "reliability": [
        {"n": 40, "predicted": 0.35, "observed": 0.31},
        {"n": 210, "predicted": 0.56, "observed": 0.58},
        {"n": 90, "predicted": 0.78, "observed": 0.74},
    ],
    "expected_calibration_error": 0.031,
}


class Problem(Exception):
    """An answer in the problem-details shape."""

    def __init__(self, status: int, code: str, detail: str, remedy: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {
            "type": f"urn:movierank:{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "errors": [],
            "remedy": remedy,
        }


@dataclass
class FakeService:
    """What the fake knows, and the knobs a test turns."""

    mode: str = "ok"
    """ok, no_model (503 with the command), error (500), down (the connection is dropped)."""
    delay_s: float = 0.0
    served_by: str = "model"
    model_version: str = "3"
    simulated: bool = True
    posters: bool = False
    films: dict[int, Film] = field(default_factory=lambda: {film.movie_id: film for film in FILMS})
    events: dict[int, list[Json]] = field(default_factory=dict)
    event_ids: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, Json]] = field(default_factory=list)
    forgotten: set[int] = field(default_factory=set)
    evaluation: Json | None = field(default_factory=lambda: EVALUATION)
    unproposed: set[int] = field(default_factory=set)
    """Films that no source proposes, in answers of `/explain`."""
    challenger: str | None = None
    """The version with the alias challenger, if the service holds one."""
    links: dict[str, str] = field(default_factory=dict)

    def add_awkward_films(self) -> None:
        self.films = {film.movie_id: film for film in AWKWARD_FILMS} | self.films

    # What is known of people

    def past(self, user_id: int) -> list[Json]:
        """The seeded history of one user, oldest first; nobody beyond `N_USERS` has one."""
        if not 1 <= user_id <= N_USERS or user_id in self.forgotten:
            return []
        rng = random.Random(user_id)
        loved = set(rng.sample(["Drama", "Science Fiction", "Comedy", "Crime", "Animation", "Thriller"], 2))
        films = rng.sample(FILMS, rng.randint(8, 34))
        start = 1_100_000_000 + rng.randint(0, 200_000_000)
        return [
            {
                "movie_id": film.movie_id,
                "event_type": "rating",
                "rating": min(5.0, 2.5 + len(loved & set(film.genres)) + rng.choice([0, 0.5, 1.0])),
                "timestamp": start + n * 40_000_00,
            }
            for n, film in enumerate(films)
        ]

    def standing(self, events: list[Json]) -> dict[int, Json]:
        """The last event per movie that no undo withdrew."""
        kept: dict[int, list[Json]] = {}
        for event in events:
            stack = kept.setdefault(event["movie_id"], [])
            if event["event_type"] == "undo":
                if stack:
                    stack.pop()
            else:
                stack.append(event)
        return {movie_id: stack[-1] for movie_id, stack in kept.items() if stack}

    # Shapes

    def card(self, film: Film) -> Json:
        poster = f"https://image.tmdb.org/t/p/w342/{film.movie_id}.jpg" if self.posters else None
        return {
            "movie_id": film.movie_id,
            "title": film.title,
            "release_year": film.release_year,
            "genres": film.genres,
            "poster_url": poster,
            "tmdb_id": film.movie_id,
        }

    def film(self, movie_id: int) -> Film:
        if movie_id not in self.films:
            raise Problem(404, "unknown-movie", f"The catalogue has no movie with id {movie_id}.")
        return self.films[movie_id]

    def movie(self, movie_id: int) -> Json:
        film = self.film(movie_id)
        genres = " and ".join(genre.lower() for genre in film.genres[:2]) or "motion"
        about = f"A picture in {genres}, directed by {film.director} and first shown in {film.release_year}. "
        return self.card(film) | {
            "original_title": film.title,
            "tmdb_vote_avg": 7.0 + film.movie_id % 17 / 10,
            "tmdb_popularity": 20.0 + film.movie_id % 61,
            "backdrop_url": None,
            "overview": about + "Placeholder words stand here where a synopsis would, long enough to wrap.",
            "runtime_minutes": film.runtime_minutes or None,
            "original_language": film.original_language,
            "directors": [film.director] if film.director else [],
            "cast": ["First Player", "Second Player", "Third Player"],
            "imdb_id": f"tt{film.movie_id:07d}",
        }

    def taste_terms(self, film: Film, history: dict[int, Json], rng: random.Random) -> dict[str, float]:
        rated = [(self.films[m], e) for m, e in history.items() if m in self.films]
        terms = {
            "base": -0.2,
            "high_popularity": rng.random() * 0.9,
            "genre_match": 0.0,
            "era_match": 0.0,
            "people_match": 0.0,
        }
        for other, event in rated:
            opinion = event.get("rating") or event.get("value") or OPINION.get(event["event_type"], 3.0)
            weight = (opinion - 3.0) / math.sqrt(len(rated))
            terms["genre_match"] += 0.5 * weight * len(set(other.genres) & set(film.genres))
            terms["era_match"] += 0.25 * weight * (abs(other.release_year - film.release_year) <= 8)
            terms["people_match"] += 0.9 * weight * (other.director == film.director)
        return terms

    def reasons(self, film: Film, terms: dict[str, float], history: dict[int, Json]) -> list[str]:
        named = {
            "genre_match": f"genre_match:{film.genres[0].lower()}" if film.genres else "genre_match:other",
            "era_match": f"era_match:{film.release_year // 10 * 10}s",
            "people_match": "people_match",
            "high_popularity": "high_popularity" if history else "newcomer_popular",
        }
        top = sorted(named, key=lambda name: -terms[name])
        codes = [named[name] for name in top if terms[name] > 0.15]
        alike = [m for m in history if m in self.films and set(self.films[m].genres) & set(film.genres)]
        liked = [m for m in alike if history[m].get("rating", 4.5) >= 4]
        if liked and terms["genre_match"] > 0.3:
            codes.insert(0, f"because_you_liked:{liked[film.movie_id % len(liked)]}")
        return codes or ["popular_lately"]

    # Routes

    def rank(self, body: Json) -> Json:
        unknown = set(body) - {
            "user_id", "history", "k", "filters", "exclude_seen", "diversity", "explain", "version",
        }  # fmt: skip
        if unknown:
            raise Problem(400, "invalid-request", f"{unknown.pop()}: unknown field")
        if body.get("user_id") is None and body.get("history") is None:
            raise Problem(400, "invalid-request", "user_id: required field is missing (or give a history)")
        version = body.get("version", "production")
        if version == "challenger" and self.challenger is None:
            raise Problem(404, "no-challenger", "This service holds no challenger.", NO_CHALLENGER_REMEDY)
        started = time.perf_counter()
        user_id = body.get("user_id")
        past = self.past(user_id) if user_id else []
        events = [*past, *self.events.get(user_id or 0, []), *(body.get("history") or [])]
        history = self.standing(events)
        filters = body.get("filters") or {}
        scored = []
        for film in self.films.values():
            is_seen = film.movie_id in history and history[film.movie_id]["event_type"] != "click"
            if is_seen and body.get("exclude_seen", True):
                continue
            if not passes(film, filters):
                continue
            terms = self.taste_terms(film, history, random.Random(film.movie_id))
            if version == "challenger":
                terms["high_popularity"] = 0.9 - terms["high_popularity"]
            if body.get("diversity"):
                terms["variety"] = body["diversity"] * random.Random(film.movie_id * 7).uniform(-2, 2)
            scored.append((sum(terms.values()), film, terms))
        scored.sort(key=lambda item: (-item[0], item[1].movie_id))
        results = []
        for raw, film, terms in scored[: body.get("k", 25)]:
            result = self.card(film) | {
                "score": round(1 / (1 + math.exp(-raw)), 4),
                "reasons": self.reasons(film, terms, history),
            }
            if body.get("explain"):
                result |= {"contributions": terms, "raw_score": raw}
            results.append(result)
        return {
            "user_id": user_id,
            "known_user": bool(past),
            "n_history": len(history),
            "request_id": f"request-{len(self.requests)}",
            "model_version": self.challenger if version == "challenger" else self.model_version,
            "data_as_of": "2025-11-20T00:00:00Z",
            "served_by": self.served_by if history else "popularity",
            "latency_ms": round((time.perf_counter() - started) * 1000, 2),
            "results": results,
        }

    def explain(self, body: Json) -> Json:
        """As the service does: the place in the ranking of this request, or what keeps the film out of it."""
        film = self.film(body["movie_id"])
        asked = {name: value for name, value in body.items() if name != "movie_id"}

        def ranked(**changes: Any) -> list[Json]:
            results: list[Json] = self.rank(asked | {"k": 500, "explain": True} | changes)["results"]
            return results

        past = self.past(body["user_id"]) if body.get("user_id") else []
        said = [*past, *self.events.get(body.get("user_id") or 0, []), *(body.get("history") or [])]
        standing = self.standing(said).get(film.movie_id, {"event_type": "click"})["event_type"]
        rules = [] if standing == "click" else ["hidden" if standing == "not_interested" else "seen"]
        for name, value in (body.get("filters") or {}).items():
            if not passes(film, {name: value}):
                rules.append(f"filters.{name}")
        everything = ranked(filters={}, exclude_seen=False)
        would = next(n for n, found in enumerate(everything) if found["movie_id"] == film.movie_id)
        places = [found["movie_id"] for found in ranked()]
        rank = places.index(film.movie_id) + 1 if film.movie_id in places else None
        is_candidate = film.movie_id not in self.unproposed
        if rules:
            verdict = "filtered"
        elif not is_candidate:
            verdict, rank = "not_a_candidate", None
        else:
            verdict = "shown" if (rank or 0) <= body.get("k", 25) else "below_k"
        return {
            "user_id": body.get("user_id"),
            "movie": self.card(film),
            "verdict": verdict,
            "filtered_by": rules,
            "is_candidate": is_candidate,
            "sources": [
                {"name": "ease_likes", "weight": 1.0, "score": 0.2, "rank": 311, "proposes": is_candidate},
                {"name": "content", "weight": 0.5, "score": 0.0, "rank": None, "proposes": False},
            ],
            "rank": rank,
            "would_rank": would + 1,
            "n_candidates": len(everything),
            **{name: everything[would][name] for name in ("score", "raw_score", "contributions", "reasons")},
            "features": [],
            "served_by": "model",
            "model_version": self.model_version,
        }

    def search(self, query: str, limit: int) -> Json:
        words = query.casefold()
        found = [film for film in self.films.values() if words in film.title.casefold()]
        found.sort(key=lambda film: (not film.title.casefold().startswith(words), film.title))
        return {"results": [self.card(film) for film in found[:limit]]}

    def users(self, query: str, limit: int) -> Json:
        ids = [user for user in range(1, N_USERS + 1) if str(user).startswith(query)]
        found = [user for user in ids if user not in self.forgotten][:limit]
        return {
            "results": [{"user_id": user, "n_events": len(self.past(user))} for user in found],
            "n_users": N_USERS,
        }

    def user(self, user_id: int) -> Json:
        history = self.standing([*self.past(user_id), *self.events.get(user_id, [])])
        genres: Counter[str] = Counter()
        decades: Counter[str] = Counter()
        for movie_id in history:
            if movie_id in self.films:
                genres.update(self.films[movie_id].genres)
                decades[f"{self.films[movie_id].release_year // 10 * 10}s"] += 1

        def tastes(counts: list[tuple[str, int]]) -> list[Json]:
            return [
                {"name": name, "n_movies": n, "share": n / len(history), "mean_rating": 3.2 + n % 5 / 3}
                for name, n in counts
            ]

        if not history:
            raise Problem(404, "unknown-user", f"Nothing is recorded of user {user_id}.")
        return {
            "user_id": user_id,
            "n_events": len(history),
            "n_likes": sum(event.get("rating", 0) >= 4 for event in history.values()),
            "mean_rating": 3.6,
            "history": [
                self.card(self.films[event["movie_id"]])
                | {"rating": OPINION.get(event["event_type"])}
                | event
                | {"timestamp": datetime.fromtimestamp(event["timestamp"], UTC).isoformat()}
                for event in reversed(history.values())
                if event["movie_id"] in self.films
            ],
            "genres": tastes(genres.most_common()),
            "decades": tastes(sorted(decades.items())),
        }

    def similar(self, movie_id: int, k: int = 12) -> Json:
        film = self.film(movie_id)

        def likeness(other: Film) -> float:
            shared = len(set(film.genres) & set(other.genres)) / max(1, len(set(film.genres + other.genres)))
            return round(0.8 * shared + 0.2 * (film.director == other.director), 3)

        others = sorted((f for f in self.films.values() if f != film), key=likeness, reverse=True)
        return {
            "movie_id": movie_id,
            "results": [self.card(f) | {"similarity": likeness(f)} for f in others[:k]],
        }

    def feedback(self, body: Json) -> Json:
        if body["event_id"] in self.event_ids:
            return {"event_id": body["event_id"], "duplicate": True, "accepted": True}
        self.event_ids.add(body["event_id"])
        event = {
            "event_type": body["event_type"],
            "movie_id": body["movie_id"],
            "timestamp": int(time.time()),
        }
        if body.get("value") is not None:
            event["rating"] = body["value"]
        self.events.setdefault(body["user_id"], []).append(event)
        return {"event_id": body["event_id"], "duplicate": False, "accepted": True}

    def model(self) -> Json:
        return {
            "model_version": self.model_version,
            "run_id": "0f3c9a7d41b24e0c",
            "created_at": "2025-11-20T03:04:00Z",
            "name": "movie-ranker",
            "data_as_of": "2025-11-20T00:00:00Z",
            "dataset": "sample" if self.simulated else "ml-latest-small",
            "ratings_are_simulated": self.simulated,
            "metrics": {"ndcg@10": 0.1873, "recall@100": 0.3701, "mrr": 0.31, "novelty@10": 11.2},
            "loaded_at": datetime.now(UTC).isoformat(),
            "n_movies": len(self.films),
            "n_users": N_USERS,
            "n_interactions": 4127,
            "histories": {"n_users": N_USERS, "n_events": 4127},
            "evaluation": self.evaluation,
            "challenger": self.challenger
            and {"model_version": self.challenger, "run_id": "9c", "loaded_at": "2025-11-21T00:00:00Z"},
            "links": self.links,
        }

    def metrics(self) -> str:
        """Prometheus' text: what was asked, each answered in 3 ms, and the events that came in."""
        asked = Counter((method, urlsplit(path).path) for method, path, _ in self.requests)
        lines = [
            f'movierank_requests_total{{method="{method}",route="{path}",status="200"}} {n}.0'
            for (method, path), n in asked.items()
        ]
        ranks = asked["POST", "/rank"]
        lines += [
            f'movierank_request_seconds_bucket{{le="{bound}",method="POST",route="/rank"}} {n}.0'
            for bound, n in (("0.002", 0), ("0.004", ranks), ("2.5", ranks), ("+Inf", ranks))
        ]
        kinds = Counter(event["event_type"] for events in self.events.values() for event in events)
        lines += [
            f'movierank_feedback_events_total{{duplicate="false",event_type="{kind}"}} {n}.0'
            for kind, n in kinds.items()
        ]
        return "\n".join(lines) + "\n"

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> tuple[int, Json]:
        parts = path.strip("/").split("/")
        if self.mode == "error":
            raise Problem(500, "internal-error", "Something failed inside the service.")
        if path == "/health/live":
            return 200, {"status": "live"}
        if self.mode == "no_model":
            raise Problem(503, "no-model", NO_MODEL, NO_MODEL_REMEDY)
        limit = min(100, int(query.get("limit", 20)))
        match method, parts:
            case "GET", ["health", "ready"]:
                return 200, {"status": "ready"}
            case "POST", ["rank"]:
                return 200, self.rank(body)
            case "POST", ["explain"]:
                return 200, self.explain(body)
            case "GET", ["movies"]:
                return 200, self.search(query.get("query", ""), limit)
            case "GET", ["movie", movie_id]:
                return 200, self.movie(int(movie_id))
            case "GET", ["movie", movie_id, "similar"]:
                return 200, self.similar(int(movie_id))
            case "GET", ["users"]:
                return 200, self.users(query.get("query", ""), limit)
            case "GET", ["users", user_id]:
                return 200, self.user(int(user_id))
            case "DELETE", ["users", user_id]:
                self.forgotten.add(int(user_id))
                self.events.pop(int(user_id), None)
                return 200, {"user_id": int(user_id), "events_deleted": 0, "forgotten": True}
            case "POST", ["feedback"]:
                return 202, self.feedback(body)
            case "GET", ["model"]:
                return 200, self.model()
        raise Problem(404, "not-found", "There is no such route. See /schema.")


def n_votes(film: Film) -> int:
    """How many people have an event with a film: one in seven has none."""
    return film.movie_id % 7 * 4


def passes(film: Film, filters: Json) -> bool:
    """The business filters the page can set; a film without a fact fails a constraint on it."""
    checks = [
        ("genres_any", lambda value: bool(set(value) & set(film.genres))),
        ("year_min", lambda value: film.release_year >= value),
        ("year_max", lambda value: film.release_year <= value),
        ("runtime_max", lambda value: 0 < film.runtime_minutes <= value),
        ("languages", lambda value: film.original_language in value),
        ("max_votes", lambda value: n_votes(film) <= value),
    ]
    return all(check(filters[name]) for name, check in checks if filters.get(name) is not None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Else every answer waits 40 ms for an acknowledgement of its headers.
    server_of: "FakeServer"

    def log_message(self, format: str, *args: object) -> None:
        """Silence: a test's output is its own."""

    def send(self, status: int, body: bytes, content_type: str, file_cache: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("Cache-Control", file_cache or "no-store")
        if file_cache:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self) -> None:
        address = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        file = UI / (address.path.lstrip("/") or "index.html")
        if self.command == "GET" and UI in file.resolve().parents and file.is_file():
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            self.send(200, gzip.compress(file.read_bytes()), kind, file_cache=self.server_of.cache)
            return
        service = self.server_of.service
        service.requests.append((self.command, self.path, body))
        if service.mode == "down":
            self.close_connection = True
            self.connection.close()
            return
        time.sleep(service.delay_s)
        if address.path == "/metrics" and service.mode == "ok":
            self.send(200, service.metrics().encode(), "text/plain; version=0.0.4; charset=utf-8")
            return
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        try:
            status, answer = service.answer(self.command, address.path, query, body)
        except Problem as problem:
            self.send(problem.status, json.dumps(problem.body).encode(), "application/problem+json")
            return
        self.send(status, json.dumps(answer).encode(), "application/json")

    do_GET = do_POST = do_DELETE = handle_request


class FakeServer:
    """The fake on a free port (or a given one), in a thread; a context manager."""

    def __init__(self, port: int = 0) -> None:
        self.service = FakeService()
        self.cache = "no-cache"
        """How browsers may keep the files of the page; tests let them, people who edit do not."""
        handler = type("BoundHandler", (Handler,), {"server_of": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def start_afresh(self) -> None:
        """Forgets everything that was done and set."""
        self.service = FakeService()

    def __enter__(self) -> "FakeServer":
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--awkward", action="store_true", help="add films with awkward titles")
    options = parser.parse_args()
    with FakeServer(options.port) as fake:
        if options.awkward:
            fake.service.add_awkward_films()
        print(f"The page on made-up data: {fake.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
