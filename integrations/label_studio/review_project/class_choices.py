"""The control with which reviewers say of single classes that every object has a box.

Whoever draws all cats of an image and leaves its many leaves alone has said something: it holds as
a mark of the class, which leaves the image in the queue for the others. A few classes are boxes to
tick above the image, many are a list that opens, with a search: it takes one line either way.
"""

import xml.etree.ElementTree as ElementTree

from sparsedet.errors import ToolError

from ..class_marks import class_control
from ..label_config import CLASSES_CONTROL, LabelConfig

_HEADER = "Every object of these classes has a box, or there is none:"
_STYLE = "display: flex; align-items: center; gap: 1em"
_MOST_TICKED = 8
"""Classes that stand side by side on a usual screen."""
_NO_KEY = "☐"
"""On no keyboard: a choice without a key of its own would get the digit of a class."""


def with_class_choices(config: LabelConfig, project: int) -> str:
    """Return the XML of a labelling config with a control for complete classes.

    One that it has stays as it is; so does one of the whole image that takes classes, too. Where
    there is one class, the mark of the image says it all.

    Args:
        config: of the annotated project, in the plain form.
        project: its number, for errors.

    Raises:
        ToolError: when another tag has the control's name.
    """
    if len(config.labels) < 2 or class_control(config) is not None:
        return config.xml
    root = ElementTree.fromstring(config.xml)
    if any(tag.get("name") == CLASSES_CONTROL for tag in root.iter()):
        raise ToolError(
            f"project {project}: its labelling config has a tag named {CLASSES_CONTROL!r} that is "
            'no Choices control with choice="multiple" and the names of labels; rename it'
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
