"""Look of boxes in a review project: a colour per class, and human boxes paler than mined ones.

The editor draws all boxes of a control in the same way, and only the colour depends on the label.
So human boxes get separate labels, `orange ✓` for `orange`, with the same but transparent colour.
Those that look wrong get `orange ?`, in red, which no class has. Reviewers can't choose these
labels; in reviews, they mean the class.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import replace

from ..labelling_config.config_labels import CLASS_KEY, Label, label_tags
from ..labelling_config.label_config import LabelConfig
from .class_colors import SELECTED, distinct_colors

_MARK = "✓"
_DOUBT = "?"
_PALE = "66"
"""Opacity of human boxes as the last digits of a colour #rrggbbaa: 40 %."""
_ALARM = "#{:02x}{:02x}{:02x}".format(*SELECTED)
"""Colour of boxes that look wrong, far from all class colours."""
_DEFAULTS = {"strokeWidth": ("strokewidth",), "fillOpacity": ("fillopacity", "opacity")}
"""Attributes added to a control whose config sets none of the following ones."""
_VALUES = {"strokeWidth": "3", "fillOpacity": "0.1"}
"""The editor's defaults are a hairline, and a fill that hides colours inside the box."""


def with_review_look(xml: str, config: LabelConfig) -> str:
    """Return the XML of a review project's labelling config with colours and people's labels.

    Args:
        xml: derived from the annotated project's config.
        config: that config.
    """
    root = ElementTree.fromstring(xml)
    control = next(tag for tag in root.iter() if tag.get("name") == config.control)
    set_already = {key.lower() for key in control.attrib}
    for name, instead in _DEFAULTS.items():
        if set_already.isdisjoint(instead):
            control.set(name, _VALUES[name])
    for tag in list(control.iter()):
        for label in [child for child in tag if CLASS_KEY in child.attrib]:
            tag.remove(label)  # somebody copied the config of a review project
    labels = label_tags(control)
    people, suspected = people_labels(config), suspected_labels(config)
    colors = distinct_colors([label.get("background", "") for label in labels])
    for label, color in zip(labels, colors, strict=True):
        label.set("background", color)
    for texts, shown in (
        (people, [color + _PALE for color in colors]),
        (suspected, [_ALARM] * len(colors)),
    ):
        for label, background in zip(labels, shown, strict=True):
            _add_stand_in(control, label, texts[label.attrib["value"]], background)
    return ElementTree.tostring(root, encoding="unicode")


def people_labels(config: LabelConfig) -> Mapping[str, str]:
    """Return the labels of human boxes in the review project, by class."""
    return _stand_ins(config, _MARK)


def suspected_labels(config: LabelConfig) -> Mapping[str, str]:
    """Return the labels of human boxes that look wrong, by class."""
    return _stand_ins(config, _DOUBT)


def for_people(config: LabelConfig) -> LabelConfig:
    """Return the annotated project's config for writing human boxes."""
    return _written_as(config, people_labels(config))


def for_suspected(config: LabelConfig) -> LabelConfig:
    """Return the annotated project's config for writing human boxes that look wrong."""
    return _written_as(config, suspected_labels(config))


def _stand_ins(config: LabelConfig, mark: str) -> dict[str, str]:
    """Return a label for each class that ends with the mark and is not a class."""
    taken = {text for label in config.labels for text in (label.value, label.stored)}
    labels: dict[str, str] = {}
    for label in config.labels:
        text = f"{label.value} {mark}"
        while text in taken:
            text += mark
        taken.add(text)
        labels[label.value] = text
    return labels


def _written_as(config: LabelConfig, labels: Mapping[str, str]) -> LabelConfig:
    return replace(config, labels=tuple(Label(value, text) for value, text in labels.items()))


def _add_stand_in(
    control: ElementTree.Element, label: ElementTree.Element, text: str, background: str
) -> None:
    """Add a label that stands for another one."""
    ElementTree.SubElement(
        control,
        "Label",
        {
            "value": text,
            # An alias is kept when a class is renamed.
            CLASS_KEY: label.get("alias") or label.attrib["value"],
            "background": background,
            "visible": "false",
            # A key that no keyboard has: without one, the editor would assign a digit.
            "hotkey": f"{_MARK}{sum(CLASS_KEY in tag.attrib for tag in control.iter()) + 1}",
        },
    )
