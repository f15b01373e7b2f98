"""Every number that decides how a model is built and judged, in one typed object.

Defaults were chosen on validation requests inside the training period, never for a data set by name.
"""

import msgspec


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the candidate sources, the ranker and its evaluation are built."""

    seed: int = 1
    """Seeds every random choice; two runs on the same data give the same model."""

    split_quantile: float = 0.8
    """T, the moment that separates training from evaluation, as a quantile of event times."""
    moments: int = 10
    """Moments at which each evaluated user asks, at most."""
    training_origins: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    """Moments inside the training period (quantiles of its event times) at which candidate sources are
    fitted to make training rows; requests come from after each, up to the next. The last is validation."""
    training_moments: int = 8
    """Training requests drawn per user and origin, at most."""
    max_training_requests: int = 3_000
    """Training and validation requests in all, at most; a seeded sample beyond that. Time and memory of
    training grow with it: 3,000 requests are half a million rows."""

    max_benchmark_requests: int = 24_000
    """The same for `movierank benchmark`, whose requests have fewer targets each."""

    training_depth: int = 150
    """Best-fused candidates kept per training request; the rest, rarely liked, cost time and memory."""

    max_history: int = 500
    """Latest events of a history that say what a person likes; older ones only count as seen. Bounds what a
    request costs."""
    n_candidates: int = 500
    """Movies that the sources propose together, and the ranker scores, per request."""
    n_per_source: int = 200
    """Movies that each candidate source proposes, at most."""
    n_little_known: int = 20
    """Movies with fewer than `min_movie_events` events, none over a year old, that are scored beside the
    `n_candidates`: those most like the history. Of every twenty places one at least, the last, goes to one of
    them while there are any (docs/evaluation.md); 0 reserves no place."""

    min_movie_events: int = 3
    """Movies with fewer events are left out of the collaborative sources; content covers them."""
    max_collaborative_movies: int = 20_000
    """The most-rated movies kept by EASE, whose dense inverse grows with the square of their number."""
    max_sequence_movies: int = 10_000
    """The most-rated movies kept by the sources that know an order; the regression needs two such squares."""
    max_factored_movies: int = 10_000
    """The most-rated movies kept by the matrix factorisation; each costs a product per request."""
    n_neighbours: int = 300
    """Neighbours stored per movie by the item-to-item sources, at least."""
    max_neighbours: int = 1_000
    """Neighbours stored per movie, at most; small catalogues reach it."""
    neighbour_budget: int = 3_000_000
    """Neighbours stored per source, in all, before a movie's share goes below `max_neighbours`."""
    n_content_neighbours: int = 150
    """Neighbours stored per movie by the content source, which keeps the whole catalogue."""
    ease_l2: float = 300.0
    """EASE's L2 penalty, per 100,000 events; grows with the square root of the number of events."""
    als_factors: int = 48
    """Dimensions of the implicit-feedback matrix factorisation."""
    als_iterations: int = 12
    """Alternating least squares sweeps."""
    als_l2: float = 5.0
    """L2 penalty of the matrix factorisation."""
    als_alpha: float = 10.0
    """Confidence added to an observed pair."""
    transition_lags: int = 10
    """Events after a movie that count as following it."""
    transition_lag_decay: float = 0.7
    """Weight lost per step between a movie and the one that follows it."""
    transition_history_decay: float = 0.7
    """Weight lost per step back in the history, when transitions are summed."""
    transition_smoothing: float = 50.0
    """Pseudo-transitions drawn from popularity, per movie."""
    next_item_l2: float = 300.0
    """L2 penalty of the regression of the next movie, per 100,000 events; grows like `ease_l2`."""

    n_trees: int = 300
    """Boosting rounds per model, at most; validation decides how many are kept."""
    n_leaves: int = 15
    """Leaves per tree; small trees keep serving within milliseconds."""
    learning_rate: float = 0.05
    """Shrinkage per tree."""
    min_rows_per_leaf: int = 300
    """Training rows a leaf must hold."""
    feature_fraction: float = 0.4
    """Share of features that each tree may use."""
    ranker_l2: float = 10.0
    """L2 penalty on leaf values."""
    n_threads: int = 2
    """Threads for LightGBM; part of the model's identity, since sums depend on it."""
