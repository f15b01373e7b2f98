"""The baseline of the serving benchmark: Litestar and LightGBM's own `predict`, nothing else.

It has no retrieval, features, reasons or feedback. Each request scores the same matrix of 500 candidates and
48 features with 300 trees of 63 leaves on one thread, sorts, and returns the best. Each worker has its own
listening socket, like those of `movierank serve`; with a shared socket one worker could get all clients.

    python -m benchmarks.naive_service --port 8001 --workers 2
"""

import argparse
import multiprocessing
import os
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import Final

import lightgbm as lgb
import msgspec
import numpy as np
import uvicorn
from litestar import Litestar, post
from litestar.params import JSONBody

MODEL_VARIABLE: Final = "NAIVE_MODEL"
"""Environment variable with the path of the LightGBM text model."""
N_CANDIDATES: Final = 500
N_FEATURES: Final = 48
N_TREES: Final = 300
N_LEAVES: Final = 63


class Request(msgspec.Struct):
    user_id: int
    k: int = 25


class Result(msgspec.Struct):
    movie_id: int
    score: float


class Answer(msgspec.Struct):
    user_id: int
    results: list[Result]


def train(path: Path, n_trees: int = N_TREES) -> None:
    """Writes a model of that size, trained on random rows."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(20_000, N_FEATURES)).astype(np.float32)
    y = (X @ rng.normal(size=N_FEATURES) + rng.normal(0, 3, len(X)) > 0).astype(int)
    settings = {"objective": "binary", "num_leaves": N_LEAVES, "num_threads": 1, "verbosity": -1}
    lgb.train(settings, lgb.Dataset(X, y), n_trees).save_model(path)


def app() -> Litestar:
    booster = lgb.Booster(model_file=os.environ[MODEL_VARIABLE])
    matrix = np.random.default_rng(4).normal(size=(N_CANDIDATES, N_FEATURES)).astype(np.float32)

    @post("/rank", status_code=200)
    async def rank(data: JSONBody[Request]) -> Answer:
        scores = booster.predict(matrix, num_threads=1)
        best = np.argsort(-scores)[: data.k]
        return Answer(data.user_id, [Result(int(row), float(scores[row])) for row in best])

    return Litestar([rank], openapi_config=None, logging_config=None)


def bound(host: str, port: int) -> socket.socket:
    """A socket that does not listen yet, on a port that several sockets may listen on; 0 takes a free one."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind((host, port))
    return own


def work(host: str, port: int) -> None:
    """Runs one worker until SIGTERM."""
    with bound(host, port) as listener:
        config = uvicorn.Config(app, factory=True, access_log=False, log_level="error")
        uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    reserved = bound(arguments.host, arguments.port)  # Keeps the port until the workers listen on it.
    address = reserved.getsockname()
    # Spawned, not forked, so that no worker inherits threads or locks.
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=address) for _ in range(arguments.workers)]

    def stop(number: int, frame: FrameType | None) -> None:
        for worker in workers:
            worker.terminate()

    for worker in workers:
        worker.start()
    signal.signal(signal.SIGTERM, stop)
    print(f"The naive service answers at http://{address[0]}:{address[1]}", flush=True)
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
