"""The images of a labelling config, each with the control for its boxes.

A task may show one image, several (each with an Image tag), or a list: `valueList`, whose regions
hold the image's index as `item_index`, or a Repeater, whose tags are repeated per image with its
index in their names.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sparsedet.errors import ControlNeededError, ToolError

from .config_xml import is_tag, listed, named_tags, shown
from .data_path import DataPath

Many = Literal["", "list", "repeater"]
"""How a tag shows several images."""

_OTHER_SHAPES = (
    "PolygonLabels",
    "EllipseLabels",
    "BrushLabels",
    "KeyPointLabels",
    "VectorLabels",
    "BitmaskLabels",
    "Polygon",
    "Ellipse",
    "Brush",
    "KeyPoint",
    "Vector",
    "Bitmask",
)
_BOXABLE = ("polygon", "ellipse", "brush")
_USUAL_FLAG = "{{idx}}"


@dataclass(frozen=True)
class ImageTag:
    """An Image tag and the control for its boxes."""

    name: str
    """Name of the Image: `to_name` of its regions."""
    control: ElementTree.Element = field(compare=False, repr=False)
    """The RectangleLabels, or the Labels if a separate Rectangle draws."""
    path: DataPath
    """Path of the address, or list of addresses, in a task's data."""
    drawer: str = ""
    """Name of the Rectangle; empty if the control itself draws."""
    many: Many = ""
    flag: str = ""
    """Placeholder for the image's index within a Repeater."""
    repeats: DataPath | None = None
    """The list that a Repeater iterates over."""

    @property
    def control_name(self) -> str:
        """`from_name` of results that name a label."""
        return self.control.attrib["name"]

    def count(self, data: Mapping[str, Any]) -> int:
        """Return how many images of a task it shows."""
        if not self.many:
            return 1
        found = (self.repeats or self.path).find(data)
        return len(found) if isinstance(found, Sequence) and not isinstance(found, str) else 0


def find_image_tags(
    root: ElementTree.Element, project: str, wanted: str | None
) -> tuple[ImageTag, ...]:
    """Return the Image tags that have a control for boxes, in the order of the config.

    Args:
        root: of the labelling config.
        project: names the project in errors.
        wanted: name of the control to use; None for the only one of each image.

    Raises:
        ControlNeededError: if an image has several controls, and none is named.
        ToolError: if no image has one, or it can't be used.
    """
    repeaters = _repeated(root, project)
    images = {tag.attrib["name"]: tag for tag in named_tags(root, "Image")}
    controls = _controls(root, images)
    if wanted is not None:
        controls = {name: found for name, found in controls.items() if name == wanted}
        if not controls:
            known = listed(_controls(root, images)) or "none"
            raise ToolError(
                f"project {project}: no RectangleLabels control named {shown(wanted)} "
                f"(found: {known}), as set by [source] control in sparsedet.toml"
            )
    if not controls:
        raise _nothing(root, project)
    tags: list[ImageTag] = []
    for image in images.values():
        on_it = [
            (control, drawer)
            for control, drawer in controls.values()
            if image.attrib["name"] in _targets(control)
        ]
        if len(on_it) > 1:
            names = tuple(control.attrib["name"] for control, _ in on_it)
            raise ControlNeededError(
                f"project {project}: its labelling config has several controls for boxes on one "
                f'image (found: {listed(names)}); name one: [source] control = "..." in '
                "sparsedet.toml, or --control of `sparsedet init`",
                names,
            )
        for control, drawer in on_it:
            tags.append(_image_tag(image, control, drawer, repeaters.get(image), project))
    if not tags:
        raise _points_nowhere(root, controls, project)
    if len(tags) > 1 and any(tag.many for tag in tags):
        raise ToolError(
            f"project {project}: its labelling config has lists of images (valueList or Repeater) "
            f"next to other images; name the control of one of them in [source] control (found: "
            f"{listed(tag.control_name for tag in tags)})"
        )
    return tuple(tags)


def repeated(tag: ImageTag, number: int) -> ImageTag:
    """Return a Repeater's tag for one image of its list."""
    if tag.many != "repeater":
        return tag
    text = str(number)
    control = ElementTree.Element(tag.control.tag, dict(tag.control.attrib))
    control.set("name", tag.control_name.replace(tag.flag, text))
    control.extend(tag.control)
    return replace(
        tag,
        name=tag.name.replace(tag.flag, text),
        control=control,
        drawer=tag.drawer.replace(tag.flag, text),
        path=DataPath(tag.path.text.replace(tag.flag, text)),
    )


def _controls(
    root: ElementTree.Element, images: Mapping[str, ElementTree.Element]
) -> dict[str, tuple[ElementTree.Element, str]]:
    """Return the controls for boxes by name, each with the name of the control that draws."""
    drawers = list(named_tags(root, "Rectangle"))
    found: dict[str, tuple[ElementTree.Element, str]] = {}
    for tag in named_tags(root, "RectangleLabels", "Labels"):
        if is_tag(tag, "RectangleLabels"):
            found[tag.attrib["name"]] = (tag, "")
            continue
        fitting = (d for d in drawers if _targets(d) & _targets(tag) & images.keys())
        if (drawer := next(fitting, None)) is not None:
            found[tag.attrib["name"]] = (tag, drawer.attrib["name"])
    return found


def _targets(control: ElementTree.Element) -> set[str]:
    return {name.strip() for name in control.get("toName", "").split(",")} - {""}


def _repeated(
    root: ElementTree.Element, project: str
) -> dict[ElementTree.Element, ElementTree.Element]:
    """Return the enclosing Repeater of each Image."""
    found: dict[ElementTree.Element, ElementTree.Element] = {}
    for repeater in (tag for tag in root.iter() if is_tag(tag, "Repeater")):
        for image in named_tags(repeater, "Image"):
            if image in found:
                raise ToolError(
                    f"project {project}: its labelling config has a Repeater within another, "
                    "which sparsedet does not support"
                )
            found[image] = repeater
    return found


def _image_tag(
    image: ElementTree.Element,
    control: ElementTree.Element,
    drawer: str,
    repeater: ElementTree.Element | None,
    project: str,
) -> ImageTag:
    name = image.attrib["name"]
    several = image.get("valueList", "")
    path = DataPath(several or image.get("value", ""))
    if not path.text:
        raise ToolError(
            f"project {project}: the Image {shown(name)} of its labelling config has neither value "
            "nor valueList"
        )
    if path.is_constant:
        raise ToolError(
            f"project {project}: the Image {shown(name)} of its labelling config shows the same "
            'image in every task; sparsedet needs a key of the task data, as in value="$image"'
        )
    if repeater is None:
        return ImageTag(name, control, path, drawer, "list" if several else "")
    flag = repeater.get("indexFlag") or _USUAL_FLAG
    repeats = DataPath(repeater.get("on", ""))
    if several or repeats.is_constant or flag not in name or flag not in path.text:
        raise ToolError(
            f"project {project}: the Image {shown(name)} is in a Repeater that sparsedet does not "
            f"support: `on` must name a list in the data, and the Image's name and value must "
            f"contain {shown(flag)}, with one image each"
        )
    return ImageTag(name, control, path, drawer, "repeater", flag, repeats)


def _nothing(root: ElementTree.Element, project: str) -> ToolError:
    """Return the error for a config without a control for boxes."""
    kinds = dict.fromkeys(tag.tag for tag in named_tags(root, *_OTHER_SHAPES))
    no_boxes = f"project {project}: needs a RectangleLabels control for its image (found: none)"
    if any(kind.lower().startswith(_BOXABLE) for kind in kinds):
        return ToolError(
            f"{no_boxes}; it has {listed(kinds)}: add a RectangleLabels control with their labels "
            'for the boxes that sparsedet adds, and set [source] shapes = "boxes"'
        )
    more = f"; it has {listed(kinds)}, which sparsedet does not support" if kinds else ""
    return ToolError(f"{no_boxes}{more}")


def _points_nowhere(
    root: ElementTree.Element,
    controls: Mapping[str, tuple[ElementTree.Element, str]],
    project: str,
) -> ToolError:
    """Return the error for controls whose target is not an image."""
    control = next(iter(controls.values()))[0]
    name, targets = shown(control.attrib["name"]), listed(sorted(_targets(control)))
    if not targets:
        return ToolError(f"project {project}: the control {name} has no toName")
    kinds = {tag.get("name"): tag.tag for tag in root.iter()}
    kind = next((kinds[target] for target in _targets(control) if target in kinds), None)
    what = f"is a {kind}, not an Image" if kind else "is not an Image"
    return ToolError(
        f"project {project}: the control {name} points to {shown(targets)}, which {what} of the "
        "labelling config"
    )
