"""Labelling config and instruction for reviewers of contact sheets."""

import html
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from ..labelling_config.config_labels import Label, label_tags
from ..labelling_config.label_config import LabelConfig
from ..review_project.class_colors import distinct_colors
from ..review_project.hotkeys import free_key, named_keys
from ..review_project.instruction import as_instruction

TITLE_KEY = "sparsedet_title"
"""Key of the layout in the data of a sheet's task."""
_UNSURE = "see the whole image"
_UNSURE_KEY = "n"
"""Its key, unless a class has it."""
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
• <b>Not sure:</b> click it, {press}. It then comes up on its image.<br><br>
<b>Submit</b> (<kbd>Ctrl+Enter</kbd>) confirms that you have looked at all boxes. <b>Skip</b> \
leaves them undecided for later."""


def sheet_xml(config: LabelConfig) -> str:
    """Return the labelling config of a project for contact sheets.

    Args:
        config: config of the annotated project, for its labels.
    """
    labels = _class_tags(config)
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
    colors = distinct_colors([label.get("background", "") for label in labels])
    for label, color in zip(labels, colors, strict=True):
        kept = {key: text for key, text in label.attrib.items() if key in _KEPT}
        ElementTree.SubElement(boxes, "Label", {**kept, "background": color})
    unsure = {"value": unsure_label(config), "background": _UNSURE_COLOR}
    if key := _unsure_key(config):
        unsure["hotkey"] = key
    ElementTree.SubElement(boxes, "Label", unsure)
    return ElementTree.tostring(root, encoding="unicode")


def sheet_instruction(config: LabelConfig) -> str:
    """Return the instruction for reviewers of contact sheets, as HTML."""
    unsure = f"<b>{html.escape(unsure_label(config), quote=False)}</b>"
    key = _unsure_key(config)
    press = f"press <kbd>{key}</kbd> ({unsure})" if key else f"choose {unsure}"
    return as_instruction(_TEXT.format(press=press))


def unsure_label(config: LabelConfig) -> str:
    """Return the label for boxes that can't be decided on a sheet; not a class."""
    taken = {text for label in config.labels for text in (label.value, label.stored)}
    label = _UNSURE
    while label in taken:
        label += "?"
    return label


def _class_tags(config: LabelConfig) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(config.xml)
    return label_tags(next(tag for tag in root.iter() if tag.get("name") == config.control))


def _unsure_key(config: LabelConfig) -> str:
    """Return the key of the label for undecided boxes; empty if all are taken."""
    used = {key for label in _class_tags(config) for key in named_keys(label)}
    return free_key(used, first=_UNSURE_KEY)


def with_unsure(config: LabelConfig) -> LabelConfig:
    """Return a config that also has the label for undecided boxes."""
    label = unsure_label(config)
    return replace(
        config,
        labels=(*config.labels, Label(label, label)),
        texts={**config.texts, label: label},
    )
