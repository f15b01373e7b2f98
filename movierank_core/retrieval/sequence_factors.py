"""A small model of the next movie, learned by softmax: what the latest movies, and all of them, point to.

    scores = O (sum_k w_fast(k) F[h_k] + sum_k w_slow(k) S[h_k]) + b

for the movies h_1, h_2, … of a history, the latest first, with weights that fall by a constant factor per
step and sum to 1. F, S and O [n_movies, factors] and b are learned with Adam (Kingma and Ba 2015) to tell
every event of a history from what came before it, by cross-entropy over the movies of the batch and a sample
of others, corrected for how often each is among them (Bengio and Senécal 2008).
"""

from typing import Any, ClassVar, Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.retrieval.item_to_item import FAINTEST, movies_with_events, positions_of
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays

DECAYS: Final = (0.6, 0.95)
"""Weight kept per step back: of what was just watched, and of the whole taste."""
_STEPS: Final = tuple(int(np.log(FAINTEST) / np.log(decay)) for decay in DECAYS)
"""Steps back that weigh more than `FAINTEST`."""
_BATCH: Final = 256
_SAMPLED: Final = 256
"""Movies drawn per batch, by the square root of their popularity, as further wrong answers."""
_DROPOUT: Final = 0.2
_START_DEVIATION: Final = 0.1
_BETAS: Final = (0.9, 0.999)


class SequenceFactors:
    """Movie vectors learned to tell the next movie of a history."""

    name: ClassVar[str] = "sequence_factors"
    is_personal: ClassVar[bool] = True

    def __init__(
        self,
        movies: NDArray[np.int64],
        inputs: NDArray[np.float32],
        outputs: NDArray[np.float32],
        biases: NDArray[np.float32],
        n_movies: int,
    ) -> None:
        """`inputs` [decays, movies, factors], `outputs` [movies, factors]."""
        self.movies = movies
        self.support = movies
        self.inputs = inputs
        self.outputs = outputs
        self.biases = biases
        self.n_movies = n_movies
        self._position = positions_of(movies, n_movies)

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        """Deterministic for `config.seed` and `config.n_threads`."""
        movies = movies_with_events(data, n_movies, config, config.max_factored_movies)
        columns = positions_of(movies, n_movies)[data.rows]
        kept = columns >= 0
        users, columns = data.users[kept], columns[kept]
        is_first = np.ones(len(users), np.bool_)
        is_first[1:] = users[1:] != users[:-1]
        targets = np.flatnonzero(~is_first)
        if not len(targets):
            empty = np.zeros((0, config.sequence_factors), np.float32)
            return cls(movies[:0], np.stack([empty] * len(DECAYS)), empty, np.zeros(0, np.float32), n_movies)
        from threadpoolctl import threadpool_limits

        with threadpool_limits(config.n_threads, "blas"):
            trained = _train(users, columns, targets, len(movies), config)
        return cls(movies, *trained, n_movies)

    def scores(self, query: Query) -> NDArray[np.float32]:
        """Logits above the lowest one; 0 for movies that the model does not have, and without a history."""
        out = np.zeros(self.n_movies, np.float32)
        watched = self._position[query.rows[query.is_presence]][::-1]
        watched = watched[watched >= 0]
        if len(watched):
            taste = np.zeros(self.outputs.shape[1], np.float32)
            for vectors, decay, steps in zip(self.inputs, DECAYS, _STEPS, strict=True):
                latest = watched[: steps + 1]
                weights = decay ** np.arange(len(latest))
                taste += (weights / weights.sum()).astype(np.float32) @ vectors[latest]
            logits = self.outputs @ taste + self.biases
            out[self.movies] = logits - logits.min()
        return out

    def arrays(self) -> Arrays:
        return {
            "movies": self.movies,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "biases": self.biases,
            "n_movies": np.array([self.n_movies]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        n_movies = int(arrays["n_movies"][0])
        return cls(arrays["movies"], arrays["inputs"], arrays["outputs"], arrays["biases"], n_movies)


def _train(
    users: NDArray[np.int32],
    columns: NDArray[np.int64],
    targets: NDArray[np.int64],
    n_movies: int,
    config: ModelConfig,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Inputs, outputs and biases. `targets` are the places in `columns` that something comes before."""
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(config.seed)
    counts = np.bincount(columns, minlength=n_movies).astype(np.float64)
    drawn = np.sqrt(counts + 1) / np.sqrt(counts + 1).sum()
    # How often a movie is expected among the answers of a batch, as a target or as a sampled one.
    correction = np.log(_BATCH * counts / counts.sum() + _SAMPLED * drawn).astype(np.float32)
    shape = (n_movies, config.sequence_factors)
    inputs = [rng.normal(0, _START_DEVIATION, shape).astype(np.float32) for _ in DECAYS]
    outputs = rng.normal(0, _START_DEVIATION, shape).astype(np.float32)
    biases = np.log((counts + 1) / (counts + 1).sum()).astype(np.float32)
    adam = _Adam([*inputs, outputs, biases])
    n_batches = -(-min(len(targets), config.max_sequence_targets) // _BATCH)
    n_steps = n_batches * config.sequence_epochs
    for step in range(n_steps):
        if step % n_batches == 0:
            order = rng.permutation(targets)
        batch = order[step % n_batches * _BATCH :][:_BATCH]
        histories = [
            _weighted_histories(users, columns, batch, decay, steps, n_movies)
            for decay, steps in zip(DECAYS, _STEPS, strict=True)
        ]
        wanted = columns[batch]
        answers = np.concatenate([wanted, rng.choice(n_movies, _SAMPLED, p=drawn)])
        taste = sum(history @ vectors for history, vectors in zip(histories, inputs, strict=True))
        kept = (rng.random(taste.shape, np.float32) > _DROPOUT).astype(np.float32) / (1 - _DROPOUT)
        taste *= kept
        of_answers = outputs[answers]
        logits = taste @ of_answers.T
        logits += biases[answers] - correction[answers]
        own = np.arange(len(batch))
        # The same movie as somebody else's target, or drawn, is no wrong answer.
        is_own = answers[None, :] == wanted[:, None]
        is_own[own, own] = False
        logits[is_own] = -np.inf
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits, out=logits)
        shares /= shares.sum(axis=1, keepdims=True)
        shares[own, own] -= 1
        shares /= len(batch)
        of_taste = (shares @ of_answers) * kept
        places = np.arange(len(answers))
        gather = csr_matrix((np.ones(len(answers), np.float32), (answers, places)), (n_movies, len(answers)))
        adam.step(
            [
                *(history.T @ of_taste for history in histories),
                gather @ (shares.T @ taste),
                gather @ shares.sum(axis=0),
            ],
            config.sequence_learning_rate * (1 - step / n_steps),
        )
    return np.stack(inputs), outputs, biases


def _weighted_histories(
    users: NDArray[np.int32],
    columns: NDArray[np.int64],
    batch: NDArray[np.int64],
    decay: float,
    steps: int,
    n_movies: int,
) -> Any:
    """[batch, n_movies]: what came before each event of `batch`, the latest weighing most; rows sum to 1."""
    from scipy.sparse import csr_matrix

    places = batch[:, None] - 1 - np.arange(steps + 1)
    is_earlier = (places >= 0) & (users[np.maximum(places, 0)] == users[batch][:, None])
    weights = np.where(is_earlier, decay ** np.arange(steps + 1), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    ends = np.append(0, np.cumsum(is_earlier.sum(axis=1)))
    return csr_matrix(
        (weights[is_earlier].astype(np.float32), columns[places[is_earlier]], ends), (len(batch), n_movies)
    )


class _Adam:
    """Changes the arrays it was made with, in place."""

    def __init__(self, parameters: list[NDArray[np.float32]]) -> None:
        self._parameters = parameters
        self._means = [np.zeros_like(values) for values in parameters]
        self._squares = [np.zeros_like(values) for values in parameters]
        self._n_steps = 0

    def step(self, gradients: list[NDArray[np.float32]], rate: float) -> None:
        self._n_steps += 1
        rate *= np.sqrt(1 - _BETAS[1] ** self._n_steps) / (1 - _BETAS[0] ** self._n_steps)
        for values, mean, square, gradient in zip(
            self._parameters, self._means, self._squares, gradients, strict=True
        ):
            _adam(
                values.reshape(-1),
                mean.reshape(-1),
                square.reshape(-1),
                np.ascontiguousarray(gradient).reshape(-1),
                np.float32(rate),
            )


@njit(cache=True, nogil=True, error_model="numpy")
def _adam(values, means, squares, gradients, rate):  # type: ignore[no-untyped-def]  # numba
    """One step, in one pass over memory."""
    keep_mean, keep_square = np.float32(_BETAS[0]), np.float32(_BETAS[1])
    one, tiny = np.float32(1), np.float32(1e-8)
    for i in range(len(values)):
        gradient = gradients[i]
        mean = keep_mean * means[i] + (one - keep_mean) * gradient
        square = keep_square * squares[i] + (one - keep_square) * gradient * gradient
        means[i], squares[i] = mean, square
        values[i] -= rate * mean / (np.sqrt(square) + tiny)
