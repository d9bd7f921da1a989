"""The control with which reviewers mark an image as complete.

Review projects are ours and always have it, even if the annotated project does not.
"""

import xml.etree.ElementTree as ElementTree

from sparsedet.errors import ToolError

from ..labelling_config.label_config import COMPLETE_CONTROL, COMPLETE_TEXT, LabelConfig
from .hotkeys import free_key, named_keys

_HEADER = "Every object has a box:"
_STYLE = "display: flex; align-items: center; gap: 1em"


def with_complete_mark(config: LabelConfig, project: int, before: str = "") -> str:
    """Return the XML of a labelling config with a control for the mark, added if missing.

    Args:
        config: of the annotated project.
        project: the project's number, for errors.
        before: XML of the review project's current config, whose control for the mark is kept,
            since reviews contain its choice.

    Raises:
        ToolError: if another tag has the control's name.
    """
    if config.complete is not None:
        return config.xml
    root = ElementTree.fromstring(config.xml)
    if _named(root, COMPLETE_CONTROL) is not None:
        raise ToolError(
            f"project {project}: its labelling config has a tag named {COMPLETE_CONTROL!r} that is "
            "not a Choices control with a choice for the image; rename it"
        )
    control = _known_control(before) if before else None
    if control is None:
        control = ElementTree.Element(
            "Choices", name=COMPLETE_CONTROL, required="false", showInline="true"
        )
        ElementTree.SubElement(control, "Choice", value=COMPLETE_TEXT)
    control.set("toName", config.image)
    used = named_keys(root)
    choice = _first_choice(control)
    if choice is not None and (not choice.get("hotkey") or used & named_keys(control)):
        choice.set("hotkey", free_key(used))
    # Above the image: below a tall one, nobody would see it.
    line = ElementTree.Element("View", style=_STYLE)
    ElementTree.SubElement(line, "Header", value=_HEADER, size="5")
    line.append(control)
    root.insert(0, line)
    return ElementTree.tostring(root, encoding="unicode")


def complete_key(xml: str, control: str) -> str:
    """Return the key that marks an image as complete; empty if the config has none."""
    tag = _named(ElementTree.fromstring(xml), control)
    choice = None if tag is None else _first_choice(tag)
    return "" if choice is None else choice.get("hotkey", "")


def _known_control(xml: str) -> ElementTree.Element | None:
    """Return the control of a review project's config, if it is one."""
    known = _named(ElementTree.fromstring(xml), COMPLETE_CONTROL)
    if known is None or known.tag.lower() != "choices" or _first_choice(known) is None:
        return None
    known.tail = None
    return known


def _named(root: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return next((tag for tag in root.iter() if tag.get("name") == name), None)


def _first_choice(control: ElementTree.Element) -> ElementTree.Element | None:
    return next((tag for tag in control.iter() if tag is not control and tag.get("value")), None)
