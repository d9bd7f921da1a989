"""Sparse splits: removal rules, recipes that name them, and splits of a dataset on disk."""

from sparsedet.sparsify.recipe import Recipe, load_recipe, recipe_names
from sparsedet.sparsify.rules import RULES, Rule
from sparsedet.sparsify.split import Split, divide, make_split, remove_boxes

__all__ = [
    "RULES",
    "Recipe",
    "Rule",
    "Split",
    "divide",
    "load_recipe",
    "make_split",
    "recipe_names",
    "remove_boxes",
]
