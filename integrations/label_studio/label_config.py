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
"""Names the control to use where a project has several, whatever the options say."""

COMPLETE_CONTROL = "sparsedet_complete"
"""A Choices control of this name, or one that the options name, marks images on which every object
has a box. Its first choice that is no label says so; an image without the mark, submitted or not,
counts as incomplete. Choices that are labels say it of their class alone: see `class_marks`."""

CLASSES_CONTROL = "sparsedet_complete_classes"
"""A Choices control of this name, whose choices are labels, marks classes alone."""

COMPLETE_TEXT = "Complete"
"""The choice of the control of that name in review projects whose annotated project has none."""

IMAGE_KEY = "sparsedet_image"
"""Key of a review task's data that holds the image's address, where that of the annotated task does
not stand under a key of its own."""


@dataclass(frozen=True, slots=True)
class CompleteMark:
    """The choice that says that every object of an image has a box."""

    control: str
    """Name of the Choices control: `from_name` of its results."""
    to_name: str
    """Name of the object that it belongs to."""
    choice: str
    """What to write: the alias of its first choice where there is one, else the value."""
    value: str = ""
    """The value, where there is an alias: results that are older than the alias hold it."""
    multiple: bool = False
    """Other choices of the control may be made at the same time."""
    per_image: bool = False
    """Of a task with several images, it is said of each by itself."""

    @property
    def texts(self) -> frozenset[str]:
        """What results may hold.

        The annotated project may have got a control of that name after reviews were made.
        """
        ours = {COMPLETE_TEXT} if self.control == COMPLETE_CONTROL else set()
        return frozenset({self.choice, self.value, *ours} - {""})


@dataclass(frozen=True)
class LabelConfig:
    """The part of a labelling config that boxes depend on: of one image of a task.

    Of the images of a task it is the first; `of_image` returns that of the others.
    """

    xml: str
    control: str
    """Name of the control with the labels: `from_name` of its regions."""
    image: str
    """Name of the Image object: `to_name` of its regions."""
    labels: tuple[Label, ...]
    """In the order of the config; where images have controls of their own, those of all."""
    marks: tuple[CompleteMark, ...]
    """Each of them says that an image is complete; the first is the one to write."""
    choices: tuple[CompleteMark, ...]
    """The first choice of every Choices control, as if it were such a mark."""
    texts: Mapping[str, str]
    """What a region may hold (value, alias, name before a rename) -> the label's value; empty: it
    is left out on purpose."""
    address: DataPath
    """Where the data of a task holds the image's address; with `item`, the list of them."""
    images: tuple[ImageTag, ...]
    """The images of a task."""
    own_labels: tuple[tuple[Label, ...], ...]
    """The labels of each of them."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Labels that stand for another in a review project -> what regions may hold of that one."""
    drawer: str = ""
    """Name of the Rectangle control, where regions are drawn with one and labelled with another:
    then each is two results of one id. Empty: the control draws itself."""
    item: int | None = None
    """The image's place in the list of an Image tag: `item_index` of its regions."""
    shapes: bool = False
    """Polygons and the like count as their boxes."""
    left_out: frozenset[str] = frozenset()
    """Of `texts`: what the choice of labels leaves out."""
    is_dynamic: bool = False
    """Some labels come from the data of tasks."""

    @property
    def complete(self) -> CompleteMark | None:
        """The mark to write; None without one, or where it would be said of several images."""
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
        """Names the place of the image's address in the data of a task, for messages."""
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
        """Category ids by what a region may hold."""
        ids = {category.name: category.id for category in self.categories}
        return {text: ids[value] for text, value in self.texts.items() if value}

    @cached_property
    def stored_labels(self) -> Mapping[str, str]:
        """What to write into a region, by category name."""
        return {label.value: label.stored for label in self.labels}

    def count(self, data: Mapping[str, Any]) -> int:
        """Return how many images a task with this data has; an empty list counts as one."""
        return max(sum(tag.count(data) for tag in self.images), 1)

    def find_address(self, data: Mapping[str, Any]) -> Any:
        """Return what the data of a task holds as the image's address; None: nothing."""
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

        The latter may have been changed since; a region of a review keeps what was stored then. So
        does its mark of a complete image: a control that the annotated project lacks, with the
        choice of the present mark, is the one that was renamed.
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

    The SDK's own reader is not used: it gives a label's alias where the value is wanted.

    Args:
        xml: the labelling config.
        project: names the project in errors.
        options: names the control, that of the complete mark, labels that were renamed, and those
            that are worked on.
        control: which control, whatever else names one; None takes LABEL_STUDIO_CONTROL, that of
            the options, or the only one.
        data: gives the data of the project's tasks, for labels that stand there.

    Raises:
        ControlNeededError: when there are several controls, and none is named.
        ToolError: when there is none to use, its images can't be found in tasks, or a label was
            renamed to one that does not exist, or is still there.
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
    """Return a mark as it is for an image of a Repeater's list, where it stands in there."""
    if tag.many != "repeater" or tag.flag not in mark.control:
        return mark
    names = (name.replace(tag.flag, str(number)) for name in (mark.control, mark.to_name))
    return replace(mark, control=next(names), to_name=next(names), per_image=True)


def _choices(
    tags: Iterator[ElementTree.Element], classes: Collection[str], many: Many
) -> dict[str | None, CompleteMark]:
    """Return the first choice of every Choices control that is no label, by the control's name.

    In a control that has labels alone it is `COMPLETE_TEXT`, which nobody can choose there.
    """
    found: dict[str | None, CompleteMark] = {}
    for tag in tags:
        control = tag.get("name")
        if control == CLASSES_CONTROL:
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
