"""Labelling config and instruction for reviewers of contact sheets."""

import html
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from ..labelling_config.config_labels import Label, label_tags
from ..labelling_config.label_config import LabelConfig
from ..review_project.class_colors import distinct_colors
from ..review_project.instruction import as_instruction

TITLE_KEY = "sparsedet_title"
"""Key of the layout in the data of a sheet's task."""
_UNSURE = "see the whole image"
_UNSURE_KEY = "n"
"""Keys that the editor does not use."""
_UNSURE_COLOR = "#606060"
_KEPT = ("value", "alias", "hotkey")
"""Attributes copied from the annotated project's labels."""
_TEXT = """\
Every crop shows one <b>box that a model found</b>, all of one class, the most certain first. Thin \
white outlines are existing annotations: a box on the same object is wrong.<br><br>
• <b>Right:</b> leave the box as it is.<br>
• <b>Wrong:</b> click it, <kbd>Backspace</kbd>. Hiding it (the eye) deletes nothing: a hidden box \
counts as right.<br>
• <b>Wrong class:</b> click it, press the key of the right class.<br>
• <b>Badly placed:</b> drag it, or its corners, within its crop.<br>
• <b>Not sure:</b> click it, press <kbd>{key}</kbd> (<b>{unsure}</b>). It then comes up on its \
image.<br><br>
<b>Submit</b> (<kbd>Ctrl+Enter</kbd>) confirms that you have looked at all boxes. <b>Skip</b> \
leaves them undecided for later."""


def sheet_xml(config: LabelConfig) -> str:
    """Return the labelling config of a project for contact sheets.

    Args:
        config: config of the annotated project, for its labels.
    """
    source = ElementTree.fromstring(config.xml)
    control = next(tag for tag in source.iter() if tag.get("name") == config.control)
    labels = label_tags(control)
    root = ElementTree.Element("View")
    ElementTree.SubElement(root, "Header", value=f"${TITLE_KEY}", size="4")
    ElementTree.SubElement(
        root, "Image", name=config.image, value=f"${config.data_key}", zoom="true"
    )
    boxes = ElementTree.SubElement(
        root,
        "RectangleLabels",
        name=config.control,
        toName=config.image,
        strokeWidth="3",
        fillOpacity="0.05",
    )
    used = {label.get("hotkey", "") for label in labels}
    colors = distinct_colors([label.get("background", "") for label in labels])
    for label, color in zip(labels, colors, strict=True):
        kept = {key: text for key, text in label.attrib.items() if key in _KEPT}
        ElementTree.SubElement(boxes, "Label", {**kept, "background": color})
    unsure = {"value": unsure_label(config), "background": _UNSURE_COLOR}
    if _UNSURE_KEY not in used:
        unsure["hotkey"] = _UNSURE_KEY
    ElementTree.SubElement(boxes, "Label", unsure)
    return ElementTree.tostring(root, encoding="unicode")


def sheet_instruction(config: LabelConfig) -> str:
    """Return the instruction for reviewers of contact sheets, as HTML."""
    unsure = html.escape(unsure_label(config), quote=False)
    return as_instruction(_TEXT.format(key=_UNSURE_KEY, unsure=unsure))


def unsure_label(config: LabelConfig) -> str:
    """Return the label for boxes that can't be decided on a sheet; not a class."""
    taken = {text for label in config.labels for text in (label.value, label.stored)}
    label = _UNSURE
    while label in taken:
        label += "?"
    return label


def with_unsure(config: LabelConfig) -> LabelConfig:
    """Return a config that also has the label for undecided boxes."""
    label = unsure_label(config)
    return replace(
        config,
        labels=(*config.labels, Label(label, label)),
        texts={**config.texts, label: label},
    )
