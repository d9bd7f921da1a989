"""Plain labelling configs: one image, one RectangleLabels control, listed labels.

Review projects always use them: if the annotated project has several images per task, each image
gets its own review task. Other parts of a config that is already plain are kept.
"""

import copy
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from .config_labels import Label, dynamic_path, label_tags
from .config_xml import is_tag, read_xml, to_text
from .data_path import DataPath
from .image_tags import ImageTag
from .label_config import CLASSES_CONTROL, LabelConfig

_KIND = "RectangleLabels"


def is_plain(config: LabelConfig) -> bool:
    """Whether a config is plain."""
    return (
        not config.has_several
        and not config.drawer
        and not config.is_dynamic
        and not config.left_out
        and config.address.key is not None
    )


def plain_config(config: LabelConfig) -> LabelConfig:
    """Return a plain config with the same labels.

    Args:
        config: of an annotated project; of its first image if tasks have several.
    """
    if is_plain(config):
        return config
    root = read_xml(config.xml, "")
    control = next(tag for tag in root.iter() if tag.get("name") == config.images[0].control_name)
    image = next(tag for tag in root.iter() if tag.get("name") == config.images[0].name)
    marks = config.marks
    if config.has_several:
        first = config.of_image(0)
        root, image, control = _alone(image, control, root, config, first)
        marks = tuple(replace(m, to_name=first.image, per_image=False) for m in first.marks[:1])
        names = (first.image, first.control)
    else:
        _without_drawer(root, config)
        names = (config.image, config.control)
    image.set("value", f"${config.data_key}")
    _list_labels(control, config)
    _without_choices(root, config)
    path = DataPath(f"${config.data_key}")
    tag = ImageTag(names[0], control, path)
    return replace(
        config,
        xml=to_text(root),
        image=names[0],
        control=names[1],
        address=path,
        images=(tag,),
        own_labels=(config.labels,),
        marks=marks,
        drawer="",
        shapes=False,
        left_out=frozenset(),
        is_dynamic=False,
    )


def _alone(
    image: ElementTree.Element,
    control: ElementTree.Element,
    root: ElementTree.Element,
    config: LabelConfig,
    first: LabelConfig,
) -> tuple[ElementTree.Element, ElementTree.Element, ElementTree.Element]:
    """Return a config with only an image, its boxes and the complete mark."""
    view = ElementTree.Element(root.tag)
    kept = {key: text for key, text in image.attrib.items() if key != "valueList"}
    own_image = ElementTree.SubElement(view, "Image", {**kept, "name": first.image})
    own_control = copy.deepcopy(control)
    own_control.set("name", first.control)
    own_control.set("toName", first.image)
    own_control.tag = _KIND
    view.append(own_control)
    for mark, own in zip(config.marks[:1], first.marks, strict=False):
        asked = next(tag for tag in root.iter() if tag.get("name") == mark.control)
        own_mark = copy.deepcopy(asked)
        own_mark.set("name", own.control)
        own_mark.set("toName", first.image)
        own_mark.attrib.pop("perItem", None)
        view.append(own_mark)
    return view, own_image, own_control


def _without_drawer(root: ElementTree.Element, config: LabelConfig) -> None:
    """Merge the Rectangle and the Labels of a config into one control."""
    if not config.drawer:
        return
    for parent in root.iter():
        for tag in list(parent):
            if tag.get("name") == config.drawer:
                parent.remove(tag)
            elif tag.get("name") == config.control and is_tag(tag, "Labels"):
                tag.tag = _KIND


def _list_labels(control: ElementTree.Element, config: LabelConfig) -> None:
    """Make a control list exactly the chosen labels."""
    wanted = {label.value: label for label in config.labels}
    ours = label_tags(control)
    for parent in list(control.iter()):
        for tag in [child for child in parent if child in ours]:
            if tag.attrib["value"] not in wanted:
                parent.remove(tag)
    if dynamic_path(control) is not None:
        del control.attrib["value"]
    listed = {tag.attrib["value"] for tag in label_tags(control)}
    for label in wanted.values():
        if label.value not in listed:
            ElementTree.SubElement(control, "Label", _attributes(label))


def _without_choices(root: ElementTree.Element, config: LabelConfig) -> None:
    """Remove choices that mark labels outside the selection: they would mark the whole image."""
    controls = {CLASSES_CONTROL, *(mark.control for mark in config.marks)}
    for control in [tag for tag in root.iter() if tag.get("name") in controls]:
        for parent in list(control.iter()):
            for tag in [child for child in parent if is_tag(child, "Choice")]:
                if tag.get("value") in config.left_out:
                    parent.remove(tag)


def _attributes(label: Label) -> dict[str, str]:
    alias = {} if label.stored == label.value else {"alias": label.stored}
    return {"value": label.value, **alias}
