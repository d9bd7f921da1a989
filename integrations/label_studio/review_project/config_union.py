"""Union of a labelling config with an older one that existing reviews use."""

import copy
import xml.etree.ElementTree as ElementTree


def config_union(config: str, older: str) -> str:
    """Return a labelling config plus the controls, labels and choices of an older one.

    Args:
        config: XML; its order, settings and names win.
        older: XML; its controls and objects of other names are appended, and so are labels and
            choices that a control of the same name and kind lacks.
    """
    root, before = ElementTree.fromstring(config), ElementTree.fromstring(older)
    named = {tag.attrib["name"]: tag for tag in root.iter() if "name" in tag.attrib}
    _append_missing(before, root, named)
    return ElementTree.tostring(root, encoding="unicode")


def _append_missing(
    before: ElementTree.Element, root: ElementTree.Element, named: dict[str, ElementTree.Element]
) -> None:
    for tag in before:
        name = tag.attrib.get("name")
        if name is None:
            _append_missing(tag, root, named)
        elif name not in named:
            root.append(copy.deepcopy(tag))
        elif _kind(named[name]) == _kind(tag):
            _append_values(tag, named[name])


def _append_values(before: ElementTree.Element, control: ElementTree.Element) -> None:
    """Append labels and choices of a control that its newer form lacks."""
    known = {text for tag in control.iter() for text in _stored(tag)}
    for tag in before.iter():
        if tag is not before and _stored(tag) and not set(_stored(tag)) & known:
            control.append(copy.deepcopy(tag))
            known |= {text for nested in tag.iter() for text in _stored(nested)}


def _stored(tag: ElementTree.Element) -> list[str]:
    """Return the texts of a label or choice in results."""
    return [tag.attrib[key] for key in ("value", "alias") if tag.attrib.get(key)]


def _kind(tag: ElementTree.Element) -> str:
    return tag.tag.lower() if isinstance(tag.tag, str) else ""
