"""Parser of LightGBM's text model format: one record of arrays per tree. It does not need lightgbm.

It reads the models that the pipeline trains: one output per row, numerical splits, constant leaves. Any other
model raises a `BundleError` that names the difference, so no model is scored only almost correctly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from movierank_core.background import throttle
from movierank_core.errors import BundleError

_CATEGORICAL = 1
_DEFAULT_LEFT = 2
_MISSING_SHIFT = 2
_MISSING_MASK = 3
_MISSING_KINDS = ("none", "zero", "nan")

_REMEDY = "train the ranker again with `movierank demo` or the job `retrain`"


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree. Splits are numbered 0 to n - 1, split 0 is the root; a child `c < 0` is the leaf `~c`."""

    split_feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    """A value at or below it goes left; +inf for a split that only separates missing from known values."""
    goes_left_when_missing: NDArray[np.bool_]
    """Whether NaN goes left, and 0 too if `zero_is_missing`. A split without missing values reads NaN as 0,
    so there the threshold decides."""
    zero_is_missing: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    leaf_value: NDArray[np.float64]
    leaf_count: NDArray[np.float64]
    """Training rows per leaf."""

    @property
    def n_leaves(self) -> int:
        return len(self.leaf_value)


@dataclass(frozen=True, slots=True)
class TextModel:
    feature_names: tuple[str, ...]
    """In column order; LightGBM has replaced white space in names by `_`."""
    trees: tuple[Tree, ...]


def parse_lightgbm_text(text: str) -> TextModel:
    """The trees of a model saved by `Booster.save_model` or `Booster.model_to_string`.

    Raises BundleError for text that is cut short or malformed, and for models with several outputs,
    categorical splits, linear leaves, averaged output (random forest) or values that are not finite.
    """
    header_text, *blocks = text.split("\nTree=")
    header = dict(_fields(header_text))
    if not header_text.lstrip().startswith("tree\n") or "feature_names" not in header:
        raise _unusable("the text does not start like a LightGBM model")
    if header.get("num_class") != "1" or header.get("num_tree_per_iteration") != "1":
        raise _unusable("the model has several outputs per row")
    if "average_output" in header_text.split("\n"):
        raise _unusable("the model averages its trees (boosting=rf)")
    n_expected = len(header.get("tree_sizes", "").split())
    if "\nend of trees" not in text or len(blocks) != n_expected:
        raise _unusable(f"the text is cut short: {len(blocks)} of {n_expected} trees")
    names = tuple(header["feature_names"].split())
    if len(names) != _integer(header, "max_feature_idx", "the header") + 1:
        raise _unusable(f"the header names {len(names)} features but counts others")
    return TextModel(
        names, tuple(_parse_tree(block, index, len(names)) for index, block in enumerate(blocks))
    )


def _parse_tree(block: str, index: int, n_features: int) -> Tree:
    throttle()
    where = f"tree {index}"
    # The first blank line ends a tree. Importances and parameters follow the last tree.
    fields = dict(_fields(block.split("\n\n", 1)[0]))
    n_leaves = _integer(fields, "num_leaves", where)
    n_nodes = n_leaves - 1
    if fields.get("num_cat", "0") != "0":
        raise _unusable(f"{where} has categorical splits")
    if fields.get("is_linear", "0") != "0":
        raise _unusable(f"{where} has linear leaves")
    decision = _column(fields, "decision_type", n_nodes, where).astype(np.int64)
    missing = (decision >> _MISSING_SHIFT) & _MISSING_MASK
    if bool((decision & _CATEGORICAL).any()) or bool((missing >= len(_MISSING_KINDS)).any()):
        raise _unusable(f"{where} has splits of an unknown kind")
    threshold = _column(fields, "threshold", n_nodes, where)
    tree = Tree(
        split_feature=_column(fields, "split_feature", n_nodes, where).astype(np.int64),
        threshold=threshold,
        goes_left_when_missing=np.where(
            missing == _MISSING_KINDS.index("none"), threshold >= 0.0, (decision & _DEFAULT_LEFT) != 0
        ),
        zero_is_missing=missing == _MISSING_KINDS.index("zero"),
        left=_column(fields, "left_child", n_nodes, where).astype(np.int64),
        right=_column(fields, "right_child", n_nodes, where).astype(np.int64),
        leaf_value=_column(fields, "leaf_value", n_leaves, where),
        leaf_count=_column(fields, "leaf_count", n_leaves, where),
    )
    if bool(((tree.split_feature < 0) | (tree.split_feature >= n_features)).any()):
        raise _unusable(f"{where} splits on a feature that the model does not name")
    # Each split but the root, and each leaf, must be the child of exactly one earlier split.
    children = np.stack([tree.left, tree.right])
    is_earlier = (children >= 0) & (children <= np.arange(n_nodes))
    wanted = [*range(-n_leaves, 0), *range(1, n_nodes)] if n_nodes else []
    if np.sort(children, axis=None).tolist() != wanted or bool(is_earlier.any()):
        raise _unusable(f"{where} does not hang together")
    return tree


def _fields(block: str) -> Iterator[tuple[str, str]]:
    for line in block.split("\n"):
        name, separator, value = line.partition("=")
        if separator:
            yield name, value


def _integer(fields: dict[str, str], name: str, where: str) -> int:
    value = fields.get(name, "")
    if not value.isdecimal():
        raise _unusable(f"{where} has no {name}")
    return int(value)


def _column(fields: dict[str, str], name: str, length: int, where: str) -> NDArray[np.float64]:
    try:
        values = np.array(fields[name].split(), np.float64)
    except (KeyError, ValueError) as error:
        raise _unusable(f"{where} has no readable {name}") from error
    if length == 0:
        return values[:0]
    is_sound = ~np.isnan(values) if name == "threshold" else np.isfinite(values)
    if len(values) != length or not bool(is_sound.all()):
        raise _unusable(f"{where} needs {length} sound numbers as its {name}")
    return values


def _unusable(found: str) -> BundleError:
    return BundleError(
        f"A ranker in the bundle cannot be scored: {found}",
        expected="LightGBM text with one output, numerical splits and finite constant leaves",
        remedy=_REMEDY,
    )
