"""What people add to the labelling config of a review project, such as a field for comments.

Pushes rewrite the config from the annotated project's. The root lists the tags that they wrote, so
that tags which the annotated project no longer has are removed, while those of people are kept.
"""

import copy
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator
from urllib.parse import quote, unquote

from ..labelling_config.config_xml import is_tag, read_xml, to_text

_WRITTEN = "sparsedet_tags"
"""Attribute of the root: names of tags that a push wrote, quoted as in a URL."""
_OURS = "sparsedet_"
"""Names of our controls begin with it; earlier versions wrote no list."""


def with_additions(xml: str, before: str, image: str) -> str:
    """Return the XML of a review project's config plus what people added to the current one.

    Args:
        xml: the config from the annotated project.
        before: the review project's current config; empty if there is none.
        image: name of the image tag in `xml`, to which additions move if it was renamed.
    """
    root = ElementTree.fromstring(xml)
    written = _names(root)
    root.set(_WRITTEN, " ".join(quote(name, safe="") for name in written))
    if not before:
        return to_text(root)
    current = read_xml(before, "")
    known = {*written, *map(unquote, current.get(_WRITTEN, "").split())}
    added = [copy.deepcopy(tag) for tag in _additions(current, known)]
    root.extend(added)
    targets = set(_names(root))
    for tag in (nested for one in added for nested in one.iter()):
        tag.tail = None
        if tag.get("toName", image) not in targets:
            tag.set("toName", image)
    return to_text(root)


def _additions(
    parent: ElementTree.Element, known: Collection[str]
) -> Iterator[ElementTree.Element]:
    """Yield the outermost tags in which all names are new, with the header above each."""
    header = None
    for tag in parent:
        names = _names(tag)
        if not names:
            header = tag if is_tag(tag, "Header") else None
            continue
        if not any(name in known or name.startswith(_OURS) for name in names):
            if any(is_tag(nested, "Image") for nested in tag.iter()):
                continue  # the annotated project's, renamed since
            if header is not None:
                yield header
            yield tag
        elif "name" not in tag.attrib:
            yield from _additions(tag, known)
        header = None


def _names(root: ElementTree.Element) -> list[str]:
    return [tag.attrib["name"] for tag in root.iter() if "name" in tag.attrib]
