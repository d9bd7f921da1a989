"""Removal recipes, and the list of published split files, as package data.

`recipe_files` needs no numpy, so that `sparsedet split --help` can name the recipes at once.
"""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

PAPER = "paper"
"""Name of the one YAML file here that is no recipe: it lists the published splits."""

_SUFFIX = ".yaml"


def recipe_files() -> Mapping[str, Traversable]:
    """Return the recipes' files by name, in alphabetical order."""
    named = {
        entry.name.removesuffix(_SUFFIX): entry
        for entry in files(__name__).iterdir()
        if entry.name.endswith(_SUFFIX)
    }
    return {name: named[name] for name in sorted(named) if name != PAPER}


def paper_file() -> Traversable:
    """Return the list of published splits."""
    return files(__name__).joinpath(PAPER + _SUFFIX)
