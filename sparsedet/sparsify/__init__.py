"""Sparse splits: removal rules, recipes, train/val splits, and splits on disk."""

from sparsedet.sparsify.grouping import GroupBy
from sparsedet.sparsify.near_duplicates import NearDuplicates, find_near_duplicates
from sparsedet.sparsify.recipe import Recipe, load_recipe, recipe_names
from sparsedet.sparsify.rules import RULES, Rule
from sparsedet.sparsify.split import Split, make_split, remove_boxes
from sparsedet.sparsify.train_val_split import Validation, hold_out, split_train_val

__all__ = [
    "RULES",
    "GroupBy",
    "NearDuplicates",
    "Recipe",
    "Rule",
    "Split",
    "Validation",
    "find_near_duplicates",
    "hold_out",
    "load_recipe",
    "make_split",
    "recipe_names",
    "remove_boxes",
    "split_train_val",
]
