"""Makes `docs/features.md` from the registered blocks: run this module and redirect its output there."""

import inspect
from pathlib import Path

from movierank_core.features import registry
from movierank_core.features.block import Block
from movierank_core.features.feature import DEFAULT_WITHOUT

HEADER = """\
# Features

Made from the blocks in `movierank_core/features/blocks/` by `python -m movierank_core.features.document`; a
test fails when the two differ. Blocks and features stand in the order of the matrix columns. All values are
float32, NaN means unknown. Facts of movies are those of the midnight before the request, in service those
published last; facts of the history are those strictly before the request. `--without GROUP` trains a ranker
without a group. Contributions of one family are shown together, and a reason names a family.

"""
ROOT = Path(__file__).resolve().parents[2]


def features_document() -> str:
    """The feature catalogue as Markdown, block by block."""
    return (HEADER + "\n".join(_section(block) for block in registry.BLOCKS)).rstrip("\n") + "\n"


def _section(block: type[Block]) -> str:
    summary = inspect.getdoc(inspect.getmodule(block)) or ""
    rows = [
        f"| `{feature.name}` | {feature.group} | {feature.unit} | {feature.family} | {feature.meaning} |\n"
        for feature in block.features()
    ]
    groups = {feature.group for feature in block.features()}
    left_out = " A model leaves them out unless asked." if groups <= set(DEFAULT_WITHOUT) else ""
    return (
        f"## {block.NAME}\n\n`{_file_of(block)}`: {summary}{left_out}\n\n"
        f"| feature | group | unit | family | meaning |\n|---|---|---|---|---|\n{''.join(rows)}"
    )


def _file_of(block: type[Block]) -> str:
    """The block's file, relative to the repository where it lies within."""
    path = Path(inspect.getfile(block)).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


if __name__ == "__main__":
    print(features_document(), end="")
