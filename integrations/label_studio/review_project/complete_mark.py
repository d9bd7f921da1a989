"""The control with which reviewers say that every object of an image has a box.

Review projects are ours: they have it whether the annotated project does or not.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

from sparsedet.errors import ToolError

from ..label_config import COMPLETE_CONTROL, COMPLETE_TEXT, LabelConfig

_HEADER = "Every object has a box:"
_HOTKEYS = "cxyjknmtgq"
"""The first that no tag of the config uses is taken; none of them is a key of the editor's own."""


def with_complete_mark(config: LabelConfig, project: int) -> str:
    """Return the XML of a labelling config with a control for the mark, added where it has none.

    Args:
        config: of the annotated project.
        project: its number, for errors.

    Raises:
        ToolError: when another tag has the control's name.
    """
    if config.complete is not None:
        return config.xml
    root = ElementTree.fromstring(config.xml)
    if any(tag.attrib.get("name") == COMPLETE_CONTROL for tag in root.iter()):
        raise ToolError(
            f"project {project}: its labelling config has a tag named {COMPLETE_CONTROL!r} that is "
            "no Choices control with a choice; rename it"
        )
    key = _free_hotkey(root.iter())
    ElementTree.SubElement(root, "Header", value=_HEADER, size="5")
    control = ElementTree.SubElement(
        root,
        "Choices",
        name=COMPLETE_CONTROL,
        toName=config.image,
        required="false",
        showInline="true",
    )
    choice = ElementTree.SubElement(control, "Choice", value=COMPLETE_TEXT)
    if key:
        choice.set("hotkey", key)
    return ElementTree.tostring(root, encoding="unicode")


def complete_key(xml: str, control: str) -> str:
    """Return the key that marks an image as complete; empty where the config names none."""
    for tag in ElementTree.fromstring(xml).iter():
        if tag.attrib.get("name") == control:
            choices = (choice for choice in tag.iter() if choice.attrib.get("value"))
            first = next((choice for choice in choices if choice is not tag), None)
            return "" if first is None else first.attrib.get("hotkey", "")
    return ""


def _free_hotkey(tags: Iterable[ElementTree.Element]) -> str:
    """Return a key that no tag uses; empty if all are taken: the editor then finds one."""
    used = {key.strip().lower() for tag in tags for key in tag.attrib.get("hotkey", "").split(",")}
    return next((key for key in _HOTKEYS if key not in used), "")
