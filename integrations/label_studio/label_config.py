"""The labelling config: which control holds the boxes, on which image, with which labels."""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from sparsedet.annotations import Category
from sparsedet.errors import ToolError
from sparsedet.tool import DEFAULT_OPTIONS, ToolOptions

CONTROL_VARIABLE = "LABEL_STUDIO_CONTROL"
"""Names the RectangleLabels control to use where a project has several."""

COMPLETE_CONTROL = "sparsedet_complete"
"""A Choices control of this name, or one that the options name, marks images on which every object
has a box. Its first choice that is no label says so; an image without the mark, submitted or not,
counts as incomplete. Choices that are labels say it of their class alone: see `class_marks`."""

COMPLETE_TEXT = "Complete"
"""The choice of the control of that name in review projects whose annotated project has none."""

CLASS_KEY = "sparsedet_class"
"""Attribute of a label of a review project that stands for another one, which it names: people's
boxes are shown under such labels. They are no classes of their own."""

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
    """What to write: the alias of its first choice where there is one, else the value."""
    value: str = ""
    """The value, where there is an alias: results that are older than the alias hold it."""
    multiple: bool = False
    """Other choices of the control may be made at the same time."""

    @property
    def texts(self) -> frozenset[str]:
        """What results may hold.

        The annotated project may have got a control of that name after reviews were made.
        """
        ours = {COMPLETE_TEXT} if self.control == COMPLETE_CONTROL else set()
        return frozenset({self.choice, self.value, *ours} - {""})


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
    marks: tuple[CompleteMark, ...]
    """Each of them says that an image is complete; the first is the one to write."""
    choices: tuple[CompleteMark, ...]
    """The first choice of every Choices control, as if it were such a mark."""
    texts: Mapping[str, str]
    """What a region may hold (value, alias, name before a rename) -> the label's value; empty: it
    is left out on purpose."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Labels that stand for another in a review project -> what regions may hold of that one."""

    @property
    def complete(self) -> CompleteMark | None:
        """The mark to write; None without such a control."""
        return self.marks[0] if self.marks else None

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """The labels as categories, ids from 1 in the order of the config."""
        return tuple(
            Category(id, label.value, aliases=self._aliases(label.value))
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
        )

    def _aliases(self, name: str) -> tuple[str, ...]:
        return tuple(text for text, value in self.texts.items() if value == name != text)


def parse_config(
    xml: str, project: str, options: ToolOptions = DEFAULT_OPTIONS, *, control: str | None = None
) -> LabelConfig:
    """Read a labelling config.

    The SDK's own reader is not used: it gives a label's alias where the value is wanted.

    Args:
        xml: the labelling config.
        project: names the project in errors.
        options: names the control of the complete mark, and labels that were renamed.
        control: which RectangleLabels control; None takes LABEL_STUDIO_CONTROL or the only one.

    Raises:
        ToolError: when there is not exactly one control to use, it does not point to one image per
            task, or a label was renamed to one that does not exist, or is still there.
    """
    try:
        tags = list(ElementTree.fromstring(xml).iter())
    except ElementTree.ParseError as error:
        raise ToolError(f"project {project}: its labelling config is no XML ({error})") from error
    chosen = _choose_control(tags, project, control or os.environ.get(CONTROL_VARIABLE))
    image = _image_of(tags, chosen, project)
    labels = _labels_of(chosen, project)
    texts = _texts_of(labels, options.rename, project)
    second = (tag for tag in chosen.iter() if CLASS_KEY in tag.attrib)
    stand_ins = {tag.get("value", ""): tag.attrib[CLASS_KEY] for tag in second}
    choices = _choices(tags, texts)
    wanted = dict.fromkeys((options.complete_control, COMPLETE_CONTROL))
    return LabelConfig(
        xml=xml,
        control=chosen.attrib["name"],
        image=image.attrib["name"],
        data_key=_data_key(image, project),
        labels=labels,
        marks=tuple(choices[name] for name in wanted if name in choices),
        choices=tuple(choices.values()),
        texts={**{text: texts[v] for text, v in stand_ins.items() if v in texts}, **texts},
        stand_ins=stand_ins,
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


def label_tags(control: ElementTree.Element) -> list[ElementTree.Element]:
    """Return the labels of a control, without those that stand for another."""
    return [
        tag
        for tag in control.iter()
        if _is(tag, "Label") and tag.get("value") and CLASS_KEY not in tag.attrib
    ]


def _labels_of(control: ElementTree.Element, project: str) -> tuple[Label, ...]:
    values = [
        (tag.attrib["value"], tag.attrib.get("alias") or tag.attrib["value"])
        for tag in label_tags(control)
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


def _texts_of(
    labels: Sequence[Label], rename: Mapping[str, str], project: str
) -> Mapping[str, str]:
    """Return what regions may hold, and which label's value each stands for."""
    texts = {text: label.value for label in labels for text in (label.value, label.stored)}
    for old, new in rename.items():
        if old in texts:
            raise ToolError(
                f"project {project}: [labels] rename says that {old!r} is now {new!r}, but the "
                f"labelling config has {old!r}; take it out of one of the two"
            )
        if new and new not in texts:
            known = ", ".join(label.value for label in labels)
            raise ToolError(
                f"project {project}: [labels] rename says that {old!r} is now {new!r}, which the "
                f"labelling config does not have (it has {known})"
            )
    return {**{old: texts[new] if new else "" for old, new in rename.items()}, **texts}


def _choices(
    tags: Sequence[ElementTree.Element], labels: Mapping[str, str]
) -> dict[str | None, CompleteMark]:
    """Return the first choice of every Choices control that is no label, by the control's name.

    In a control that has labels alone it is `COMPLETE_TEXT`, which nobody can choose there.
    """
    found: dict[str | None, CompleteMark] = {}
    for tag in tags:
        control = tag.attrib.get("name")
        every = [c.attrib for c in tag.iter() if _is(c, "Choice") and c.attrib.get("value")]
        if _is(tag, "Choices") and control and every:
            others = (choice for choice in every if not labels.get(choice["value"]))
            first = next(others, {"value": COMPLETE_TEXT})
            value, alias = first["value"], first.get("alias")
            mark = CompleteMark(
                control=control,
                to_name=tag.attrib.get("toName", ""),
                choice=alias or value,
                value=value if alias else "",
                multiple=tag.attrib.get("choice") == "multiple",
            )
            found.setdefault(control, mark)
    return found


def _is(tag: ElementTree.Element, name: str) -> bool:
    """Whether the element is of that kind; Label Studio ignores the case of tag names."""
    return isinstance(tag.tag, str) and tag.tag.lower() == name.lower()
