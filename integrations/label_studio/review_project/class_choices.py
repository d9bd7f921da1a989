"""The control with which reviewers mark single classes as complete.

A reviewer who draws all cats of an image but not its many leaves can mark the class, which keeps
the image in the queue for the others. A few classes are checkboxes above the image, many are a
drop-down list with a search; both take one line.
"""

import xml.etree.ElementTree as ElementTree

from sparsedet.errors import ToolError

from ..class_marks import class_control
from ..labelling_config.label_config import CLASSES_CONTROL, LabelConfig

_HEADER = "Every object of these classes has a box, or there are none:"
_STYLE = "display: flex; align-items: center; gap: 1em"
_MOST_TICKED = 8
"""Classes that fit side by side on a usual screen."""
_NO_KEY = "☐"
"""On no keyboard: without a key, the editor would assign the digit of a class."""


def with_class_choices(config: LabelConfig, project: int) -> str:
    """Return the XML of a labelling config with a control for complete classes.

    An existing one is kept, and so is one for the whole image that also takes classes. With a
    single class, the mark of the image is enough.

    Args:
        config: of the annotated project, in the plain form.
        project: the project's number, for errors.

    Raises:
        ToolError: if another tag has the control's name.
    """
    if len(config.labels) < 2 or class_control(config) is not None:
        return config.xml
    root = ElementTree.fromstring(config.xml)
    if any(tag.get("name") == CLASSES_CONTROL for tag in root.iter()):
        raise ToolError(
            f"project {project}: its labelling config has a tag named {CLASSES_CONTROL!r} that is "
            'not a Choices control with choice="multiple" and the names of labels; rename it'
        )
    few = len(config.labels) <= _MOST_TICKED
    line = ElementTree.Element("View", style=_STYLE)
    ElementTree.SubElement(line, "Header", value=_HEADER, size="5")
    control = ElementTree.SubElement(
        line,
        "Choices",
        name=CLASSES_CONTROL,
        toName=config.image,
        choice="multiple",
        required="false",
        layout="inline" if few else "select",
    )
    for number, label in enumerate(config.labels, start=1):
        choice = {"value": label.value, "hotkey": f"{_NO_KEY}{number}"}
        if label.stored != label.value:
            choice["alias"] = label.stored
        ElementTree.SubElement(control, "Choice", choice)
    root.insert(0, line)
    return ElementTree.tostring(root, encoding="unicode")
