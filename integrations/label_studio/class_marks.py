"""Complete marks of single classes: choices named like a label.

They stand in a Choices control named `CLASSES_CONTROL`, or next to the choice that marks the whole
image. One that is made says that every object of its class has a box; without a box, there is none.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .labelling_config.config_xml import is_tag
from .labelling_config.label_config import CLASSES_CONTROL, LabelConfig
from .results import Result, value_of


@dataclass(frozen=True, slots=True)
class ClassControl:
    """A Choices control for marks of several classes."""

    name: str
    to_name: str
    """Name of its object: `to_name` of its results."""
    choices: Mapping[str, str]
    """Label -> text of its choice in results."""


def complete_classes(results: object, config: LabelConfig) -> frozenset[str]:
    """Return the values of the labels that an annotation marks as complete."""
    # A list, since values in results may be unhashable.
    controls = [CLASSES_CONTROL, *(mark.control for mark in config.marks)]
    if not isinstance(results, Sequence):
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
    """Return the labels that all annotations of a task mark; none without annotations."""
    marks = [complete_classes(annotation.get("result"), config) for annotation in annotations]
    return frozenset.intersection(*marks) if marks else frozenset()


def class_control(config: LabelConfig) -> ClassControl | None:
    """Return the control to write marks of classes to.

    None without one that takes several choices, or where it would speak of several images.
    """
    if config.has_several:
        return None
    tags = {tag.get("name"): tag for tag in ElementTree.fromstring(config.xml).iter()}
    for name in (CLASSES_CONTROL, *(mark.control for mark in config.marks)):
        tag = tags.get(name)
        if tag is None or not is_tag(tag, "Choices") or tag.get("choice") != "multiple":
            continue
        choices = {
            label: stored
            for choice in tag.iter()
            if is_tag(choice, "Choice") and (value := choice.get("value"))
            for stored in [choice.get("alias") or value]
            if (label := config.texts.get(value) or config.texts.get(stored))
        }
        if choices:
            return ClassControl(name, tag.get("toName", ""), choices)
    return None


def with_classes(
    results: Sequence[Result], classes: Collection[str], config: LabelConfig
) -> list[Result]:
    """Return an annotation's results with marks of classes added, if there are choices for them.

    Args:
        results: the annotation's `result` list.
        classes: labels by their values.
        config: the project's labelling config.
    """
    control = class_control(config)
    if control is None:
        return list(results)
    known = complete_classes(results, config)
    new = [
        text for label, text in control.choices.items() if label in classes and label not in known
    ]
    if not new:
        return list(results)
    for index, result in enumerate(results):
        if isinstance(result, Mapping) and result.get("from_name") == control.name:
            value = {"choices": [*_choices(result), *new]}
            return [*results[:index], {**result, "value": value}, *results[index + 1 :]]
    return [*results, class_marks_result(control, new)]


def class_marks_result(control: ClassControl, choices: Sequence[str]) -> dict[str, Any]:
    """Return the result for choices of a control."""
    return {
        "id": "sparsedet-complete-classes",
        "from_name": control.name,
        "to_name": control.to_name,
        "type": "choices",
        "origin": "manual",
        "value": {"choices": list(choices)},
    }


def _choices(result: Mapping[str, Any]) -> Sequence[Any]:
    choices = value_of(result).get("choices")
    return choices if isinstance(choices, Sequence) and not isinstance(choices, str) else ()
