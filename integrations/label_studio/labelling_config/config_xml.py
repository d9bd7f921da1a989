"""The XML of a labelling config, read safely and normalised.

Label Studio ignores namespaces and the case of tags and attributes. Configs are untrusted, so
document types, which can declare entities, are refused.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator

from sparsedet.errors import ToolError
from sparsedet.wording import first_of

_ATTRIBUTES = (
    "name",
    "toName",
    "value",
    "valueList",
    "alias",
    "on",
    "indexFlag",
    "hotkey",
    "background",
    "choice",
    "perItem",
    "perRegion",
)
"""The attributes used here, in the spelling that `read_xml` returns."""
_SPELLED = {name.lower(): name for name in _ATTRIBUTES}
_TAGS = ("View", "Image", "Rectangle", "RectangleLabels", "Labels", "Label", "Choices", "Choice")
"""The tags used here, likewise: the server's parser misses a `label` next to a `Label` of ours."""
_SPELLED_TAGS = {name.lower(): name for name in _TAGS}
_MAX_SHOWN = 60
_MAX_LISTED = 12
_MAX_DEPTH = 100


def read_xml(xml: str, project: str) -> ElementTree.Element:
    """Return the root of a labelling config, without namespaces and with usual spellings.

    Args:
        xml: the labelling config.
        project: names the project in errors.

    Raises:
        ToolError: if it is empty, not XML or nested too deeply, or declares a document type.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if not xml.strip():
        raise ToolError(
            f"project {project}: it has no labelling config yet; set one with an Image and a "
            "RectangleLabels control"
        )
    try:
        root: ElementTree.Element = fromstring(xml, forbid_dtd=True)
    except DefusedXmlException:
        raise ToolError(
            f"project {project}: its labelling config declares a document type (DOCTYPE) or "
            "entities, which sparsedet does not read; remove them"
        ) from None
    except (ElementTree.ParseError, ValueError) as error:
        raise ToolError(f"project {project}: its labelling config is not XML ({error})") from error
    if _is_deep(root):
        raise ToolError(
            f"project {project}: its labelling config nests tags more than {_MAX_DEPTH} levels deep"
        )
    for tag in root.iter():
        plain = tag.tag.rpartition("}")[2]
        tag.tag = _SPELLED_TAGS.get(plain.lower(), plain)
        for name in list(tag.attrib):
            spelled = _SPELLED.get(name.rpartition("}")[2].lower(), name)
            if spelled not in tag.attrib:
                tag.set(spelled, tag.attrib.pop(name))
    return root


def _is_deep(root: ElementTree.Element) -> bool:
    """Whether tags are nested too deeply to be written again."""
    level = [root]
    for _ in range(_MAX_DEPTH):
        level = [child for tag in level for child in tag]
    return bool(level)


def to_text(root: ElementTree.Element) -> str:
    """Serialise a labelling config as XML."""
    return ElementTree.tostring(root, encoding="unicode")


def is_tag(tag: ElementTree.Element, *names: str) -> bool:
    """Whether the element is one of these tags, ignoring case as Label Studio does."""
    return tag.tag.lower() in {name.lower() for name in names}


def named_tags(root: ElementTree.Element, *names: str) -> Iterator[ElementTree.Element]:
    """Yield the named elements with one of these tags, in the order of the config."""
    return (tag for tag in root.iter() if is_tag(tag, *names) and tag.get("name"))


def shown(text: str) -> str:
    """Return a text of a config for an error, quoted and shortened to fit on a line."""
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")


def listed(names: Iterable[str]) -> str:
    """Return names of a config for an error, only the first ones if there are many."""
    texts = (name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + "..." for name in names)
    return first_of(texts, _MAX_LISTED)
