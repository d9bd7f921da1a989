"""Sparse splits: removal rules, recipes that name them, and splits of a dataset on disk."""

from sparsedet.sparsify.grouping import GroupBy
from sparsedet.sparsify.near_duplicates import NearDuplicates, find_near_duplicates
from sparsedet.sparsify.recipe import Recipe, load_recipe, recipe_names
from sparsedet.sparsify.rules import RULES, Rule
from sparsedet.sparsify.split import Split, make_split, remove_boxes
from sparsedet.sparsify.train_val_split import Validation, divide, hold_out

__all__ = [
    "RULES",
    "GroupBy",
    "NearDuplicates",
    "Recipe",
    "Rule",
    "Split",
    "Validation",
    "divide",
    "find_near_duplicates",
    "hold_out",
    "load_recipe",
    "make_split",
    "recipe_names",
    "remove_boxes",
]
