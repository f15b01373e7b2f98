"""Every tunable number of a model and of the gate that judges it, each with its bounds and its meaning.

The defaults were chosen on validation requests inside the training period, never for a data set by name.
Values from the environment, Dagster or the command line are checked by `environment.convert_setting`.
"""

from typing import Annotated

import msgspec
from msgspec import Meta


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the candidate sources, the ranker and its evaluation are built."""

    seed: Annotated[
        int,
        Meta(
            ge=0,
            le=2**31 - 2,
            description="Seed of every random choice. Two runs on the same data give the same model.",
        ),
    ] = 1

    split_quantile: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="T, which separates training from evaluation, as a quantile of event times.",
        ),
    ] = 0.8
    moments: Annotated[
        int, Meta(ge=1, le=1_000, description="Maximum number of moments at which each evaluated user asks.")
    ] = 10
    max_test_requests: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Maximum number of evaluated requests. Where there are more, users are drawn with the"
            " seed, each with all their requests. Time of an evaluation grows with it.",
        ),
    ] = 30_000
    training_origins: Annotated[
        tuple[Annotated[float, Meta(gt=0, lt=1)], ...],
        Meta(
            min_length=1,
            max_length=100,
            description="Moments inside the training period, as quantiles of its event times, at which the"
            " candidate sources are fitted to make training rows. The requests of an origin lie between it"
            " and the next one. The requests of the last origin are the validation requests.",
        ),
    ] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    retrain_days: Annotated[
        float,
        Meta(
            gt=0,
            le=100_000,
            description="How often the operator trains a new version, in days. Training requests come at most"
            " this long after the origin that their candidate sources are fitted at, so that the sources are"
            " as old as in service. Where that gives too few requests, the time is longer"
            " (`min_training_requests`).",
        ),
    ] = 1.0
    min_training_requests: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="Number of training and validation requests up to which `retrain_days` is doubled.",
        ),
    ] = 3_000
    training_moments: Annotated[
        int, Meta(ge=1, le=1_000, description="Maximum number of training requests per user and origin.")
    ] = 8
    max_training_requests: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Maximum number of training and validation requests together; a seeded sample"
            " is taken above it. Time of training grows with it: 3,000 requests are half a million rows.",
        ),
    ] = 3_000
    max_benchmark_requests: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Maximum number of training and validation requests of `movierank benchmark`, where"
            " each request has fewer targets.",
        ),
    ] = 24_000
    training_depth: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Maximum number of best-fused candidates kept per training request.",
        ),
    ] = 150
    max_training_rows: Annotated[
        int,
        Meta(
            ge=1,
            le=10**9,
            description="Maximum number of training rows. Where there are more, each request keeps fewer"
            " candidates that were not liked. Time and memory of training grow with it.",
        ),
    ] = 1_500_000

    max_history: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Maximum number of latest events of a history that describe the user's taste. Older"
            " events only count as seen. It bounds the cost of a request.",
        ),
    ] = 500
    n_candidates: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Number of movies per request that the sources propose together and the ranker"
            " scores.",
        ),
    ] = 500
    n_per_source: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Maximum number of movies that each candidate source proposes."),
    ] = 200
    n_little_known: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="Number of little-rated movies that are scored beside the `n_candidates`: fewer than"
            " `min_movie_events` events, the first at most `cold_item_days` ago, and most like the history."
            " One place in `cold_item_spacing` is reserved for them. 0: no place is reserved.",
        ),
    ] = 20
    cold_item_spacing: Annotated[
        int,
        Meta(ge=2, le=10_000, description="Ranks per place that is reserved for a little-rated movie."),
    ] = 20
    dislike_drop: Annotated[
        float,
        Meta(
            ge=0,
            le=1000,
            description="Ranks by which the movies most similar to the latest event move down, if it is a"
            " dislike. 0: the rule is off.",
        ),
    ] = 30.0
    dislike_decay: Annotated[
        float, Meta(ge=0, lt=1, description="Factor by which `dislike_drop` falls per later event.")
    ] = 0.7
    dislike_half_life_days: Annotated[
        float, Meta(gt=0, le=36_500, description="Time in which the drop of a dislike halves, in days.")
    ] = 7.0

    missing_events: Annotated[
        bool,
        Meta(
            description="Whether requests ask for events that are missing within the history, as in a random"
            " split, instead of later ones. It adds the source `watched_between`, which takes a millisecond"
            " per hundred events of a history. `movierank benchmark` sets it by the form of the split.",
        ),
    ] = False

    min_movie_events: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Minimum number of events of a movie in the collaborative sources. The content source"
            " covers movies with fewer.",
        ),
    ] = 3
    max_collaborative_movies: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of movies in EASE and in the neighbour sources, the most-rated first."
            " A fit holds two square matrices of this size.",
        ),
    ] = 20_000
    max_sequence_movies: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of movies in the sources that use the order of events, the most-rated"
            " first. Their counts need two square matrices of this size.",
        ),
    ] = 10_000
    max_regression_movies: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of movies in `next_item`, the most-rated first. Its regression solves"
            " a system of twice this size.",
        ),
    ] = 3_000
    min_regression_events: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Minimum number of events of a movie in `next_item`. A movie with fewer costs as"
            " much, and the penalty leaves little of its weights.",
        ),
    ] = 10
    max_factored_movies: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of movies in the matrix factorisation, the most-rated first. Each"
            " costs one product per request.",
        ),
    ] = 10_000
    n_neighbours: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Minimum number of neighbours stored per movie by the item-to-item sources.",
        ),
    ] = 300
    max_neighbours: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Maximum number of neighbours stored per movie. Small catalogues reach it.",
        ),
    ] = 1_000
    neighbour_budget: Annotated[
        int,
        Meta(
            ge=1,
            le=10**10,
            description="Number of neighbours stored per source in total, above which a movie keeps fewer"
            " than `max_neighbours`.",
        ),
    ] = 3_000_000
    n_content_neighbours: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Number of neighbours stored per movie by the content source, which keeps the whole"
            " catalogue.",
        ),
    ] = 150
    ease_l2: Annotated[
        float,
        Meta(
            gt=0,
            le=1e9,
            description="L2 penalty of EASE at 100,000 events. It grows with the square root of the number of"
            " events.",
        ),
    ] = 300.0
    als_factors: Annotated[
        int,
        Meta(ge=1, le=4_096, description="Number of dimensions of the implicit-feedback factorisation."),
    ] = 48
    als_iterations: Annotated[
        int, Meta(ge=1, le=10_000, description="Number of alternating least squares sweeps.")
    ] = 12
    als_l2: Annotated[float, Meta(ge=0, le=1e9, description="L2 penalty of the matrix factorisation.")] = 5.0
    als_alpha: Annotated[
        float, Meta(ge=0, le=1e9, description="Confidence that an observed pair of user and movie adds.")
    ] = 10.0
    transition_lags: Annotated[
        int, Meta(ge=1, le=1_000, description="Number of events after a movie that count as following it.")
    ] = 10
    transition_lag_decay: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Factor by which the weight of a transition falls per further event between its two"
            " movies.",
        ),
    ] = 0.7
    transition_history_decay: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Factor by which the weight of a movie of the history falls per later movie in"
            " `hazard_markov`. It is also the weight of the latest movie.",
        ),
    ] = 0.5
    transition_smoothing: Annotated[
        float,
        Meta(
            gt=0,
            le=1e9,
            description="Number of pseudo-transitions per movie, spread over the next movies by hazard.",
        ),
    ] = 20.0
    ease_history_decay: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Factor by which the weight of a history item falls per step back in `ease_recent`.",
        ),
    ] = 0.9
    item_shrinkage: Annotated[
        float,
        Meta(
            ge=0,
            le=1e9,
            description="Number of shared viewers at which the similarity of two movies in `item_neighbours`"
            " is halved, so that a few chance viewers do not make a pair.",
        ),
    ] = 10.0
    context_lags: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="Number of events after a movie that `context_neighbours` counts as its context.",
        ),
    ] = 60
    context_lag_decay: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Factor by which the weight of a pair in `context_neighbours` falls per further event"
            " between its two movies.",
        ),
    ] = 0.95
    context_history_decay: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Factor by which the weight of a history item falls per step back in"
            " `context_neighbours`.",
        ),
    ] = 0.8
    next_item_near_decay: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="Factor by which the weight of a history item falls per step back in the history of"
            " the latest movies of `next_item`.",
        ),
    ] = 0.7
    next_item_far_decay: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="Factor by which the weight of a history item falls per step back in the long"
            " history of `next_item`.",
        ),
    ] = 0.97
    next_item_l2: Annotated[
        float,
        Meta(
            gt=0,
            le=1e9,
            description="L2 penalty of the regression of the next movie at 100,000 events. It grows like"
            " `ease_l2`.",
        ),
    ] = 300.0

    user_prior_weight: Annotated[
        float,
        Meta(
            gt=0,
            le=1e9,
            description="Number of pseudo-ratings at the global mean in the mean rating of a user, and at the"
            " global share of likes in the user's share of likes.",
        ),
    ] = 5.0
    cold_item_days: Annotated[
        float,
        Meta(
            ge=0,
            le=100_000,
            description="Maximum time since the first event of a little-rated movie, in days. An older movie"
            " with as few events gets no reserved place.",
        ),
    ] = 365.0

    fusion_requests: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Maximum number of requests on which the recall of each source is measured. With 600"
            " the standard error of a recall is about 0.02.",
        ),
    ] = 600
    fusion_depth: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Number of proposals per source at which its recall is measured."),
    ] = 200
    fusion_power: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000,
            description="Power to which a source's recall, as a share of the best source's, is raised to give"
            " its weight in the fusion. Chosen on validation requests of three hold-outs (random, sequential,"
            " temporal): from 1 to 8, the recall of the fused list rose up to 6 in all three.",
        ),
    ] = 6.0

    n_trees: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Maximum number of boosting rounds. Validation decides how many are kept.",
        ),
    ] = 300
    n_leaves: Annotated[
        int,
        Meta(
            ge=2,
            le=64,
            description="Maximum number of leaves per tree. Small trees keep a request within milliseconds.",
        ),
    ] = 15
    max_bins: Annotated[
        int,
        Meta(
            ge=2,
            le=65_535,
            description="Maximum number of bins per feature. LightGBM's default of 255 takes more time and"
            " memory.",
        ),
    ] = 63
    pointwise_weight: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000,
            description="Weight of the logistic loss of each training row, beside the listwise softmax of"
            " each training request.",
        ),
    ] = 1.0
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="Shrinkage per tree.")] = 0.05
    min_rows_per_leaf: Annotated[
        int, Meta(ge=1, le=100_000_000, description="Minimum number of training rows in a leaf.")
    ] = 300
    feature_fraction: Annotated[
        float, Meta(gt=0, le=1, description="Share of the features that each tree may use.")
    ] = 0.4
    ranker_l2: Annotated[float, Meta(ge=0, le=1e9, description="L2 penalty on leaf values.")] = 1.0
    n_threads: Annotated[
        int,
        Meta(
            ge=1,
            le=1_024,
            description="Number of threads of LightGBM and of the fits of candidate sources. It is part of"
            " the model's identity, because sums in LightGBM depend on it.",
        ),
    ] = 2


class GateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that the gate holds a version to. docs/evaluation.md says how each is applied."""

    production_margin: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Loss of nDCG@10, as a share of production's mean, with which a version passes at"
            " most one time in twenty.",
        ),
    ] = 0.05
    slice_error: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="Probability that an equally good version is refused for any slice of history"
            " lengths.",
        ),
    ] = 0.05
    min_users: Annotated[
        int,
        Meta(
            ge=2,
            le=1_000_000,
            description="Minimum number of users whose mean difference has a standard error that can be"
            " trusted; fewer users of a slice are shown, not judged.",
        ),
    ] = 30
    anchor_days: Annotated[
        float,
        Meta(
            gt=0,
            le=100_000,
            description="Maximum age of the anchor, the best version in production lately, in days. A version"
            " must not be below it either, so that small losses do not add up.",
        ),
    ] = 90.0
    calibration_error: Annotated[
        float, Meta(ge=0, le=1, description="Maximum expected calibration error of the score.")
    ] = 0.05
    scorer_difference: Annotated[
        float,
        Meta(ge=0, le=1, description="Maximum difference between the service's scores and LightGBM's."),
    ] = 1e-9
    megabytes: Annotated[float, Meta(gt=0, le=1e9, description="Maximum size of a bundle, in megabytes.")] = (
        1_000.0
    )
    latency_ms: Annotated[
        float,
        Meta(
            gt=0,
            le=1e9,
            description="Maximum median duration of a bundle's golden requests, in milliseconds.",
        ),
    ] = 50.0
