"""Recipes for the tests of removal: packaged ones, and a strategy for any others."""

from collections import Counter
from collections.abc import Callable
from typing import Any, get_args

from hypothesis import strategies as st

from sparsedet.annotations import Box, Dataset
from sparsedet.sparsify import Recipe, Rule, load_recipe, recipe_names
from sparsedet.sparsify.orders import ORDERS
from sparsedet.sparsify.rules import (
    DropCount,
    DropFraction,
    DropImages,
    Group,
    KeepAtLeast,
    KeepCount,
)

SEEDS = st.integers(0, 2**32)
SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 1]))
GROUPS: st.SearchStrategy[Group] = st.sampled_from(get_args(Group))
_COUNTS = st.integers(0, 4)
_ORDER: dict[str, Any] = {
    "order": st.sampled_from(ORDERS),
    "strength": st.one_of(st.floats(0, 5), st.just(float("inf"))),
}

FRACTIONS = st.builds(DropFraction, drop=SHARES, per=GROUPS, **_ORDER)
REMOVALS = st.one_of(
    FRACTIONS,
    st.builds(DropCount, count=_COUNTS, per=GROUPS, **_ORDER),
    st.builds(KeepCount, keep=_COUNTS, per=GROUPS, **_ORDER),
    st.builds(DropImages, share=SHARES),
)
MINIMUMS = st.builds(KeepAtLeast, count=_COUNTS, per=GROUPS)


def recipe_of(*rules: Rule) -> Recipe:
    """Return a recipe of these rules."""
    return Recipe("composed", rules, "Composed.", "A test.")


def composed(last: st.SearchStrategy[Any] = REMOVALS) -> st.SearchStrategy[Recipe]:
    """Draw recipes of up to 3 removals, the last one from `last`, and up to 2 minimums anywhere."""
    return st.tuples(
        st.lists(st.one_of(REMOVALS, MINIMUMS), max_size=3),
        last,
        st.lists(MINIMUMS, max_size=1),
    ).map(lambda parts: recipe_of(*parts[0], parts[1], *parts[2]))


NAMED = st.sampled_from(recipe_names()).map(load_recipe)
RECIPES = st.one_of(NAMED, composed())

_KEYS: dict[Group, Callable[[Box], Any]] = {
    "dataset": lambda box: None,
    "class": lambda box: box.category_id,
    "image": lambda box: box.image_id,
    "class-in-image": lambda box: (box.image_id, box.category_id),
}


def sizes(dataset: Dataset, per: Group) -> Counter[Any]:
    """Return the number of boxes of every group, crowd regions left out."""
    return Counter(_KEYS[per](box) for box in dataset.boxes if not box.iscrowd)
