"""The recipe files that come along, by name: light enough for `sparsedet split --help`."""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

PACKAGE = "sparsedet.splits"
PAPER = "paper"
"""The file beside the recipes that is none: it lists the published splits."""

_SUFFIX = ".yaml"


def recipe_files() -> Mapping[str, Traversable]:
    """Return the recipes' files by name, in alphabetical order."""
    named = {
        entry.name.removesuffix(_SUFFIX): entry
        for entry in files(PACKAGE).iterdir()
        if entry.name.endswith(_SUFFIX)
    }
    return {name: named[name] for name in sorted(named) if name != PAPER}
