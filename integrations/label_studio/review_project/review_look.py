"""How boxes look in a review project: a colour per class, and people's boxes paler than mined ones.

The editor draws every box of a control alike, and takes only the colour from the box's label. So
people's boxes are up under labels of their own, `orange ✓` for `orange`: of the same colour, but
transparent. Reviewers can't choose these labels, and reviews that hold them mean the class.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import replace

from ..label_config import CLASS_KEY, Label, LabelConfig, label_tags
from .class_colors import distinct_colors

_MARK = "✓"
_PALE = "66"
"""Opacity of people's boxes as the end of a colour #rrggbbaa: 40 %."""
_DEFAULTS = {"strokeWidth": ("strokewidth",), "fillOpacity": ("fillopacity", "opacity")}
"""What the control gets where its config sets none of the attributes behind it."""
_VALUES = {"strokeWidth": "3", "fillOpacity": "0.1"}
"""The editor's own are a hairline, and a fill that hides the colours of what is in the box."""


def with_review_look(xml: str, config: LabelConfig) -> str:
    """Return the XML of a review project's labelling config with colours and people's labels.

    Args:
        xml: made of the annotated project's config.
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
            tag.remove(label)  # somebody has copied the config of a review project
    labels = label_tags(control)
    shown = people_labels(config)
    colors = distinct_colors([label.get("background", "") for label in labels])
    for number, (label, color) in enumerate(zip(labels, colors, strict=True), start=1):
        value = label.attrib["value"]
        label.set("background", color)
        ElementTree.SubElement(
            control,
            "Label",
            {
                "value": shown[value],
                CLASS_KEY: label.get("alias") or value,  # an alias stays when a class is renamed
                "background": color + _PALE,
                "visible": "false",
                # A key that no keyboard has: without one the editor would give it a digit.
                "hotkey": f"{_MARK}{number}",
            },
        )
    return ElementTree.tostring(root, encoding="unicode")


def people_labels(config: LabelConfig) -> Mapping[str, str]:
    """Return the labels of people's boxes in the review project, by class."""
    taken = {text for label in config.labels for text in (label.value, label.stored)}
    labels: dict[str, str] = {}
    for label in config.labels:
        text = f"{label.value} {_MARK}"
        while text in taken:
            text += _MARK
        taken.add(text)
        labels[label.value] = text
    return labels


def for_people(config: LabelConfig) -> LabelConfig:
    """Return the annotated project's config as the boxes of people are written with it."""
    labels = people_labels(config)
    return replace(config, labels=tuple(Label(value, text) for value, text in labels.items()))
