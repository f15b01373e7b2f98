"""`docs/features.md`, made from the definitions: run this module and redirect its output there."""

from movierank_core.features.registry import ALL_FEATURES, DEFAULT_WITHOUT

HEADER = """\
# Features

Made from `movierank_core/features/registry.py` by `python -m movierank_core.features.document`; a test
fails when the two differ. All values are float32. Movie features are those of the moment at which the
model's state was fitted, user features those of the history strictly before the request. NaN means unknown.
The family is what a reason made of the feature speaks of.

"""


def features_document() -> str:
    """The feature catalogue as Markdown, by group."""
    parts = [HEADER]
    for group in dict.fromkeys(feature.group for feature in ALL_FEATURES):
        note = (
            " (left out unless asked for: on past requests it sees the future)"
            if group in DEFAULT_WITHOUT
            else ""
        )
        parts.append(f"## {group}{note}\n\n| feature | unit | family | meaning |\n|---|---|---|---|\n")
        parts += [
            f"| `{feature.name}` | {feature.unit} | {feature.family} | {feature.meaning} |\n"
            for feature in ALL_FEATURES
            if feature.group == group
        ]
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


if __name__ == "__main__":
    print(features_document(), end="")
