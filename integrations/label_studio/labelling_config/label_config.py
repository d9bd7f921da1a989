"""The labelling config: which control holds the boxes, on which image, with which labels."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sparsedet.annotations import Category
from sparsedet.tool import DEFAULT_OPTIONS, ToolOptions

from .config_labels import (
    CLASS_KEY,
    Label,
    TaskData,
    check_chosen,
    dynamic_path,
    labels_of,
    texts_of,
)
from .config_xml import is_tag, read_xml, to_text
from .data_path import DataPath
from .image_tags import ImageTag, Many, find_image_tags, repeated

CONTROL_VARIABLE = "LABEL_STUDIO_CONTROL"
"""Names the control to use if a project has several; overrides the options."""

COMPLETE_CONTROL = "sparsedet_complete"
"""A Choices control with this name, or one named in the options, marks complete images with its
first choice that is not a label; an image without the mark, submitted or not, counts as incomplete.
Choices that are labels mark only their class: see `class_marks`."""

CLASSES_CONTROL = "sparsedet_complete_classes"
"""A Choices control with this name, whose choices are labels, marks only classes."""

COMPLETE_TEXT = "Complete"
"""The choice of the control in review projects whose annotated project has no such control."""

IMAGE_KEY = "sparsedet_image"
"""Key of the image's address in a review task's data, if the annotated task has no separate key."""


@dataclass(frozen=True, slots=True)
class CompleteMark:
    """The choice that marks an image as complete."""

    control: str
    """Name of the Choices control: `from_name` of its results."""
    to_name: str
    """Name of its object: `to_name` of its results."""
    choice: str
    """Text to write: the alias of its first choice if there is one, else the value."""
    value: str = ""
    """The value, if there is an alias: results older than the alias contain it."""
    multiple: bool = False
    """Whether several choices of the control can be made."""
    per_image: bool = False
    """Whether images of a task are marked separately."""

    @property
    def texts(self) -> frozenset[str]:
        """Texts in results that mean the mark.

        The annotated project may have got a control of that name after reviews were made.
        """
        ours = {COMPLETE_TEXT} if self.control == COMPLETE_CONTROL else set()
        return frozenset({self.choice, self.value, *ours} - {""})


@dataclass(frozen=True)
class LabelConfig:
    """The part of a labelling config that boxes of one image of a task depend on.

    By default that is a task's first image; `of_image` returns the config of another one.
    """

    xml: str
    control: str
    """Name of the control with the labels: `from_name` of its regions."""
    image: str
    """Name of the Image object: `to_name` of its regions."""
    labels: tuple[Label, ...]
    """Labels in the order of the config; of all images if they have separate controls."""
    marks: tuple[CompleteMark, ...]
    """Marks of a complete image; the first is the one to write."""
    choices: tuple[CompleteMark, ...]
    """The first choice of every Choices control, as a potential mark."""
    texts: Mapping[str, str]
    """Text in a region (value, alias, name before a rename) -> label value; empty if it is left out
    on purpose."""
    address: DataPath
    """Path of the image's address in a task's data; with `item`, of the list of addresses."""
    images: tuple[ImageTag, ...]
    """The images of a task."""
    own_labels: tuple[tuple[Label, ...], ...]
    """The labels of each of them."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Labels that stand for another one in a review project -> text of that one in regions."""
    drawer: str = ""
    """Name of the Rectangle control, if separate controls draw and label: then a box is two results
    with the same id. Empty if the control itself draws."""
    item: int | None = None
    """The image's index in the list of an Image tag: `item_index` of its regions."""
    shapes: bool = False
    """Whether polygons and other shapes count as their boxes."""
    left_out: frozenset[str] = frozenset()
    """The part of `texts` that the selection of labels leaves out."""
    is_dynamic: bool = False
    """Whether some labels come from task data."""

    @property
    def complete(self) -> CompleteMark | None:
        """The mark to write; None without one, or if it would mark several images."""
        marks = (mark for mark in self.marks if mark.per_image or not self.has_several)
        return next(marks, None)

    @property
    def many(self) -> Many:
        """How the Image tag shows several images."""
        return self.images[0].many

    @property
    def has_several(self) -> bool:
        """Whether a task may have several images."""
        return len(self.images) > 1 or bool(self.many)

    @property
    def data_key(self) -> str:
        """The key under which the data of review tasks holds the image's address."""
        return (None if self.has_several else self.address.key) or IMAGE_KEY

    @property
    def address_name(self) -> str:
        """Name of the path of the image's address in task data, for messages."""
        name = self.address.key or self.address.text
        return name if self.item is None else f"{name}[{self.item}]"

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """The labels as categories, ids from 1 in the order of the config."""
        aliases: dict[str, list[str]] = {label.value: [] for label in self.labels}
        for text, value in self.texts.items():
            if value in aliases and text != value:
                aliases[value].append(text)
        return tuple(
            Category(id, label.value, aliases=tuple(aliases[label.value]))
            for id, label in enumerate(self.labels, start=1)
        )

    @cached_property
    def category_ids(self) -> Mapping[str, int]:
        """Category ids by text in regions."""
        ids = {category.name: category.id for category in self.categories}
        return {text: ids[value] for text, value in self.texts.items() if value}

    @cached_property
    def stored_labels(self) -> Mapping[str, str]:
        """Text to write into a region, by category name."""
        return {label.value: label.stored for label in self.labels}

    def count(self, data: Mapping[str, Any]) -> int:
        """Return how many images a task with this data has; an empty list counts as one."""
        return max(sum(tag.count(data) for tag in self.images), 1)

    def find_address(self, data: Mapping[str, Any]) -> Any:
        """Return the image's address in a task's data, or None."""
        found = self.address.find(data)
        if self.item is None:
            return found
        is_list = isinstance(found, Sequence) and not isinstance(found, str)
        return found[self.item] if is_list and self.item < len(found) else None

    def of_image(self, number: int) -> "LabelConfig":
        """Return the config of an image of a task.

        Args:
            number: from 0, in the order of the config or of the list.
        """
        if not self.has_several:
            return self
        if number not in self._views:
            self._views[number] = self._view(number)
        return self._views[number]

    def in_terms_of(self, source: "LabelConfig") -> "LabelConfig":
        """Return the config of a review project with the labels of its annotated project.

        The latter may have changed since, while regions of a review keep their stored text. So does
        the complete mark: a control that the annotated project lacks, with the choice of the
        current mark, is the one that was renamed.
        """
        meant = (*self.texts.items(), *self.stand_ins.items())
        own = {text: source.texts[v] for text, v in meant if v in source.texts}
        texts = source.complete.texts if source.complete else frozenset()
        present = {mark.control for mark in (*source.choices, *self.marks)}
        renamed = (m for m in self.choices if m.control not in present and m.texts & texts)
        return replace(
            self,
            labels=source.labels,
            marks=(*self.marks, *renamed),
            texts={**own, **source.texts},
            left_out=source.left_out,
        )

    @cached_property
    def _views(self) -> dict[int, "LabelConfig"]:
        return {}

    def _view(self, number: int) -> "LabelConfig":
        tag = self.images[0] if self.many else self.images[number]
        now = repeated(tag, number)
        own = self.own_labels[0 if self.many else number]
        values = {label.value for label in own}
        texts = {text: value for text, value in self.texts.items() if value in values | {""}}
        return replace(
            self,
            control=now.control_name,
            image=now.name,
            labels=own,
            marks=tuple(_repeated_mark(mark, tag, number) for mark in self.marks),
            choices=tuple(_repeated_mark(mark, tag, number) for mark in self.choices),
            texts=texts,
            address=now.path,
            drawer=now.drawer,
            item=number if tag.many == "list" else None,
        )


def parse_config(
    xml: str,
    project: str,
    options: ToolOptions = DEFAULT_OPTIONS,
    *,
    control: str | None = None,
    data: TaskData = tuple,
) -> LabelConfig:
    """Read a labelling config.

    The SDK's parser is not used, since it returns a label's alias instead of its value.

    Args:
        xml: the labelling config.
        project: names the project in errors.
        options: the control, the control of the complete mark, renamed labels, and the selection of
            labels.
        control: name of the control, overriding all others; None uses LABEL_STUDIO_CONTROL, that of
            the options, or the only one.
        data: returns the data of the project's tasks, for labels that come from there.

    Raises:
        ControlNeededError: if there are several controls, and none is named.
        ToolError: if there is no usable control, its images can't be found in tasks, or a label was
            renamed to one that does not exist, or still exists.
    """
    root = read_xml(xml, project)
    wanted = control or os.environ.get(CONTROL_VARIABLE) or options.control
    tags = find_image_tags(root, project, wanted)
    own = tuple(labels_of(tag.control, project, data) for tag in tags)
    everything = tuple({label.value: label for some in own for label in some}.values())
    texts = texts_of(everything, options.rename, project)
    chosen = check_chosen(options.choice.only, everything, texts, project)
    left_out = frozenset(text for text, value in texts.items() if value and value not in chosen)
    classes = frozenset(text for text, value in texts.items() if value)
    texts |= dict.fromkeys(left_out, "")
    second = (tag for tag in root.iter() if CLASS_KEY in tag.attrib)
    stand_ins = {tag.get("value", ""): tag.attrib[CLASS_KEY] for tag in second}
    choices = _choices(root.iter(), classes, tags[0].many)
    named = dict.fromkeys((options.complete_control, COMPLETE_CONTROL))
    return LabelConfig(
        xml=to_text(root) if to_text(root) != to_text(ElementTree.fromstring(xml)) else xml,
        control=tags[0].control_name,
        image=tags[0].name,
        labels=tuple(label for label in everything if label.value in chosen),
        marks=tuple(choices[name] for name in named if name in choices),
        choices=tuple(choices.values()),
        texts={**{text: texts[v] for text, v in stand_ins.items() if v in texts}, **texts},
        address=tags[0].path,
        images=tags,
        own_labels=tuple(tuple(label for label in some if label.value in chosen) for some in own),
        stand_ins=stand_ins,
        drawer=tags[0].drawer,
        shapes=options.shapes == "boxes",
        left_out=left_out,
        is_dynamic=any(dynamic_path(tag.control) for tag in tags),
    )


def _repeated_mark(mark: CompleteMark, tag: ImageTag, number: int) -> CompleteMark:
    """Return a mark for one image of a Repeater's list, if it is inside the Repeater."""
    if tag.many != "repeater" or tag.flag not in mark.control:
        return mark
    names = (name.replace(tag.flag, str(number)) for name in (mark.control, mark.to_name))
    return replace(mark, control=next(names), to_name=next(names), per_image=True)


def _choices(
    tags: Iterator[ElementTree.Element], classes: Collection[str], many: Many
) -> dict[str | None, CompleteMark]:
    """Return the first non-label choice of every Choices control, by the control's name.

    In a control with only labels it is `COMPLETE_TEXT`, which nobody can choose there. Controls
    that ask about each region say nothing about the image.
    """
    found: dict[str | None, CompleteMark] = {}
    for tag in tags:
        control = tag.get("name")
        if control == CLASSES_CONTROL or tag.get("perRegion") == "true":
            continue
        every = [choice.attrib for choice in tag.iter() if is_tag(choice, "Choice")]
        every = [choice for choice in every if choice.get("value")]
        if is_tag(tag, "Choices") and control and every:
            others = (choice for choice in every if choice["value"] not in classes)
            first = next(others, {"value": COMPLETE_TEXT})
            value, alias = first["value"], first.get("alias")
            mark = CompleteMark(
                control=control,
                to_name=tag.get("toName", ""),
                choice=alias or value,
                value=value if alias else "",
                multiple=tag.get("choice") == "multiple",
                per_image=many == "list" and tag.get("perItem") == "true",
            )
            found.setdefault(control, mark)
    return found
