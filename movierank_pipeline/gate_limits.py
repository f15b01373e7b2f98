"""The numbers that the gate holds a version to, apart from the gate because settings refer to them."""

import msgspec


class GateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a version has to keep to. docs/evaluation.md says how each is read."""

    production_margin: float = 0.005
    """Share of production's mean nDCG@10 by which the lower bound of the difference may be below it."""
    slice_drop: float = 0.03
    """Share of a history length's mean nDCG@10 that may be lost."""
    min_slice_users: int = 30
    """Users of a history length below which it is shown and not judged: chance alone moves it by more."""
    calibration_error: float = 0.05
    """Expected calibration error of the score, at most."""
    scorer_difference: float = 1e-9
    """Between our scores and LightGBM's, at most."""
    megabytes: float = 1_000.0
    """Size of the bundle, at most."""
    latency_ms: float = 50.0
    """Median time of a golden request, at most."""
