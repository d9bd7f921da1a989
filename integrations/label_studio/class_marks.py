"""Marks of single classes: choices that are named as a label, next to that of the whole image.

A Choices control that marks complete images may have the names of classes as further choices. One
that is made says that every object of its class has a box; without a box, there is none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .label_config import LabelConfig
from .results import value_of


def complete_classes(results: object, config: LabelConfig) -> frozenset[str]:
    """Return the labels, by their values, whose objects all have a box, as an annotation says."""
    controls = [mark.control for mark in config.marks]  # what results hold need not be hashable
    if not controls or not isinstance(results, Sequence):
        return frozenset()
    made = (
        str(choice)
        for result in results
        if isinstance(result, Mapping) and result.get("from_name") in controls
        if config.item is None or result.get("item_index") in (None, config.item)
        for choice in _choices(result)
    )
    return frozenset(config.texts[text] for text in made if config.texts.get(text))


def complete_in_all(
    annotations: Iterable[Mapping[str, Any]], config: LabelConfig
) -> frozenset[str]:
    """Return the labels that all of a task's annotations mark; none without an annotation."""
    marks = [complete_classes(annotation.get("result"), config) for annotation in annotations]
    return frozenset.intersection(*marks) if marks else frozenset()


def _choices(result: Mapping[str, Any]) -> Sequence[Any]:
    choices = value_of(result).get("choices")
    return choices if isinstance(choices, Sequence) and not isinstance(choices, str) else ()
