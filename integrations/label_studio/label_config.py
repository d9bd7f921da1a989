"""The labelling config: which control holds the boxes, on which image, with which labels."""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sparsedet.annotations import Category
from sparsedet.errors import ToolError

CONTROL_VARIABLE = "LABEL_STUDIO_CONTROL"
"""Names the RectangleLabels control to use where a project has several."""

COMPLETE_CONTROL = "sparsedet_complete"
"""A Choices control of this name, unless another one is named, marks images on which every object
has a box. Its first choice says so; an image without the mark, submitted or not, counts as
incomplete."""

_VARIABLE = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the control."""

    value: str
    """What people see; the category's name."""
    stored: str
    """What regions hold: the alias where there is one, else the value."""


@dataclass(frozen=True, slots=True)
class CompleteMark:
    """The choice that says that every object of an image has a box."""

    control: str
    """Name of the Choices control: `from_name` of its results."""
    to_name: str
    """Name of the object that it belongs to."""
    choice: str
    """What results hold: the alias of its first choice where there is one, else the value."""


@dataclass(frozen=True)
class LabelConfig:
    """The part of a labelling config that boxes depend on."""

    xml: str
    control: str
    """Name of the RectangleLabels control: `from_name` of its regions."""
    image: str
    """Name of the Image object: `to_name` of its regions."""
    data_key: str
    """The key of a task's data that holds the image's address."""
    labels: tuple[Label, ...]
    """In the order of the config."""
    complete: CompleteMark | None
    """None without such a control."""

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """The labels as categories, ids from 1 in the order of the config."""
        return tuple(Category(id, label.value) for id, label in enumerate(self.labels, start=1))

    @cached_property
    def category_ids(self) -> Mapping[str, int]:
        """Category ids by what a region may hold: old regions have values, new ones aliases."""
        pairs = zip(self.labels, self.categories, strict=True)
        by_text = [(text, c.id) for label, c in pairs for text in (label.value, label.stored)]
        return dict(by_text)

    @cached_property
    def stored_labels(self) -> Mapping[str, str]:
        """What to write into a region, by category name."""
        return {label.value: label.stored for label in self.labels}


def parse_config(
    xml: str, project: str, control: str | None = None, complete_control: str | None = None
) -> LabelConfig:
    """Read a labelling config.

    The SDK's own reader is not used: it gives a label's alias where the value is wanted.

    Args:
        xml: the labelling config.
        project: names the project in errors.
        control: which RectangleLabels control; None takes LABEL_STUDIO_CONTROL or the only one.
        complete_control: the Choices control of the complete mark, which need not be there; None:
            `sparsedet_complete`.

    Raises:
        ToolError: when there is not exactly one control to use, or it does not point to one image
            per task.
    """
    try:
        tags = list(ElementTree.fromstring(xml).iter())
    except ElementTree.ParseError as error:
        raise ToolError(f"project {project}: its labelling config is no XML ({error})") from error
    chosen = _choose_control(tags, project, control or os.environ.get(CONTROL_VARIABLE))
    image = _image_of(tags, chosen, project)
    return LabelConfig(
        xml=xml,
        control=chosen.attrib["name"],
        image=image.attrib["name"],
        data_key=_data_key(image, project),
        labels=_labels_of(chosen, project),
        complete=_complete_mark(tags, complete_control or COMPLETE_CONTROL),
    )


def _choose_control(
    tags: Sequence[ElementTree.Element], project: str, wanted: str | None
) -> ElementTree.Element:
    controls = {
        tag.attrib["name"]: tag
        for tag in tags
        if _is(tag, "RectangleLabels") and "name" in tag.attrib
    }
    if wanted is not None and wanted in controls:
        return controls[wanted]
    names = ", ".join(controls) or "none"
    if wanted is not None:
        raise ToolError(
            f"project {project}: no RectangleLabels control named {wanted!r} (found: {names})"
        )
    if len(controls) != 1:
        hint = f"; name one in {CONTROL_VARIABLE}" if controls else ""
        raise ToolError(
            f"project {project}: needs exactly one RectangleLabels control (found: {names}){hint}"
        )
    return next(iter(controls.values()))


def _image_of(
    tags: Sequence[ElementTree.Element], control: ElementTree.Element, project: str
) -> ElementTree.Element:
    to_name = control.attrib.get("toName", "")
    for tag in tags:
        if _is(tag, "Image") and tag.attrib.get("name") == to_name:
            return tag
    raise ToolError(
        f"project {project}: the control {control.attrib['name']!r} points to {to_name!r}, which "
        "is no Image of the labelling config"
    )


def _data_key(image: ElementTree.Element, project: str) -> str:
    match = _VARIABLE.fullmatch(image.attrib.get("value", ""))
    if match is None:
        raise ToolError(
            f"project {project}: the Image {image.attrib['name']!r} takes its picture from "
            f"{image.attrib.get('value') or image.attrib.get('valueList')!r}; "
            'sparsedet needs one image per task, as in value="$image"'
        )
    return match[1]


def _labels_of(control: ElementTree.Element, project: str) -> tuple[Label, ...]:
    values = [
        (tag.attrib["value"], tag.attrib.get("alias") or tag.attrib["value"])
        for tag in control.iter()
        if _is(tag, "Label") and tag.attrib.get("value")
    ]
    labels = tuple(Label(value, stored) for value, stored in values)
    if not labels:
        raise ToolError(
            f"project {project}: the control {control.attrib['name']!r} lists no labels"
        )
    texts = [text for label in labels for text in {label.value, label.stored}]
    if repeated := sorted({text for text in texts if texts.count(text) > 1}):
        raise ToolError(
            f"project {project}: the control {control.attrib['name']!r} uses the label "
            f"{repeated[0]!r} twice (as a value or an alias); rename one"
        )
    return labels


def _complete_mark(tags: Sequence[ElementTree.Element], control: str) -> CompleteMark | None:
    for tag in tags:
        if _is(tag, "Choices") and tag.attrib.get("name") == control:
            for choice in tag.iter():
                if _is(choice, "Choice") and choice.attrib.get("value"):
                    stored = choice.attrib.get("alias") or choice.attrib["value"]
                    return CompleteMark(control, tag.attrib.get("toName", ""), stored)
    return None


def _is(tag: ElementTree.Element, name: str) -> bool:
    """Whether the element is of that kind; Label Studio ignores the case of tag names."""
    return isinstance(tag.tag, str) and tag.tag.lower() == name.lower()
