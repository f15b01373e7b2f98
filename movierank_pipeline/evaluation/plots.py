"""Plots of an evaluation as PNG bytes. Input is plain data, in the shapes of the evaluation report's JSON.

None is an unknown value, such as that of a slice without users; it is left out. matplotlib is
imported when the first plot is drawn, and no global state of it is touched.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Interval = Mapping[str, float | None]
"""`mean`, `low`, `high`."""
Systems = Mapping[str, Mapping[str, Interval]]
"""Interval by metric by system."""

_ACCENT: Final = "#c2410c"
_MUTED: Final = "#64748b"
_LINES: Final = ("#0f766e", "#4338ca", "#a16207", "#64748b", "#be185d")
_GRID: Final = "#e2e8f0"


def importance_plot(importance: Mapping[str, float], n_features: int = 25) -> bytes:
    """Horizontal bars of the most important features; `importance` is each feature's share of the gain."""
    shown = sorted(importance.items(), key=lambda item: item[1])[-n_features:]
    figure, axes = _canvas(height=1.0 + 0.24 * len(shown))
    axes.barh([name for name, _ in shown], [100 * share for _, share in shown], color=_ACCENT)
    axes.set_xlabel("share of the total gain, %")
    _clean(axes, grid="x")
    return _png(figure)


def reliability_plot(table: Sequence[Mapping[str, float]]) -> bytes:
    """Predicted probability against the observed share, from the rows of a reliability table.

    The diagonal is perfect calibration. The area of a point grows with the number of predictions.
    """
    figure, axes = _canvas(width=5.2, height=5.0)
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, linestyle="--")
    most = max((row["n"] for row in table), default=1)
    predicted, observed = [row["mean_p"] for row in table], [row["observed"] for row in table]
    axes.plot(predicted, observed, color=_ACCENT, linewidth=1.2)
    axes.scatter(predicted, observed, s=[12 + 160 * row["n"] / most for row in table], color=_ACCENT)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("predicted probability of a like")
    axes.set_ylabel("share that was liked")
    _clean(axes, grid="both")
    return _png(figure)


def systems_plot(systems: Systems, metric: str = "ndcg@10", highlight: str = "movierank") -> bytes:
    """Every system's mean of `metric` with its interval, best on top; `highlight` in colour."""
    known = {
        name: metrics[metric]
        for name, metrics in systems.items()
        if metric in metrics and metrics[metric]["mean"] is not None
    }
    order = sorted(known, key=lambda name: _number(known[name], "mean"))
    figure, axes = _canvas(height=1.0 + 0.3 * max(1, len(order)))
    for line, name in enumerate(order):
        interval = known[name]
        color = _ACCENT if name == highlight else _MUTED
        axes.plot(
            [_number(interval, "low"), _number(interval, "high")], [line, line], color=color, linewidth=2
        )
        axes.plot([_number(interval, "mean")], [line], marker="o", color=color)
    axes.set_yticks(range(len(order)), order)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{metric}, with its 95 % interval over users")
    _clean(axes, grid="x")
    return _png(figure)


def differences_plot(differences: Mapping[str, Interval], metric: str = "ndcg@10") -> bytes:
    """The ranker minus each other system with its interval, smallest difference on top."""
    known = {name: interval for name, interval in differences.items() if interval["mean"] is not None}
    order = sorted(known, key=lambda name: -_number(known[name], "mean"))
    figure, axes = _canvas(height=1.0 + 0.3 * max(1, len(order)))
    axes.axvline(0, color=_MUTED, linewidth=1, linestyle="--")
    for line, name in enumerate(order):
        low, high = _number(known[name], "low"), _number(known[name], "high")
        color = _MUTED if low <= 0 <= high else _ACCENT
        axes.plot([low, high], [line, line], color=color, linewidth=2)
        axes.plot([_number(known[name], "mean")], [line], marker="o", color=color)
    axes.set_yticks(range(len(order)), order)
    axes.set_xlabel(f"{metric} of the ranker minus that of the system, paired by user, 95 % interval")
    _clean(axes, grid="x")
    return _png(figure)


def slices_plot(
    slices: Mapping[str, Systems],
    metric: str = "ndcg@10",
    highlight: str = "movierank",
    n_others: int = 4,
    always: Sequence[str] = (),
) -> bytes:
    """`metric` by slice (history length, shortest first), one line per system.

    The lines are `highlight` and `n_others` more: the systems `always` first, then those with the highest
    mean over the slices.
    """
    labels = list(slices)
    names = list(dict.fromkeys(name for systems in slices.values() for name in systems))
    means = {
        name: [_mean(systems.get(name, {}).get(metric)) for systems in slices.values()] for name in names
    }
    others = sorted(
        (name for name in names if name != highlight),
        key=lambda name: (name not in always, -_strength(means, name)),
    )
    figure, axes = _canvas(width=7.5, height=4.4)
    for name, color in zip(others[:n_others], _LINES, strict=False):
        _line(axes, means[name], name, color, width=1.3)
    if highlight in means:
        _line(axes, means[highlight], highlight, _ACCENT, width=2.4)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("events in the history")
    axes.set_ylabel(metric)
    if names:
        axes.legend(frameon=False, fontsize=8)
    _clean(axes, grid="y")
    return _png(figure)


def _strength(means: Mapping[str, Sequence[float | None]], name: str) -> float:
    """The mean over the slices with a value; -1 without any."""
    known = [value for value in means[name] if value is not None]
    return sum(known) / len(known) if known else -1.0


def _mean(interval: Interval | None) -> float | None:
    return None if interval is None else interval["mean"]


def _number(interval: Interval, bound: str) -> float:
    value = interval[bound]
    return float("nan") if value is None else value


def _line(axes: "Axes", values: Sequence[float | None], name: str, color: str, width: float) -> None:
    known = [(column, value) for column, value in enumerate(values) if value is not None]
    axes.plot(
        [column for column, _ in known],
        [value for _, value in known],
        color=color,
        linewidth=width,
        marker="o",
        markersize=4,
        label=name,
    )


def _canvas(width: float = 7.0, height: float = 4.0) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _clean(axes: "Axes", grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color=_GRID, linewidth=0.8)  # type: ignore[arg-type]  # One of its literals.
    axes.tick_params(labelsize=8)


def _png(figure: "Figure") -> bytes:
    target = BytesIO()
    # Without the version of matplotlib in it, equal plots are equal bytes.
    figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()
