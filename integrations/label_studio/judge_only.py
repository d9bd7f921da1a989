"""A tick for reviewers that judging the boxes of an image is enough, and drawing can wait.

It is a choice that we add to the review project's config and that the image's prediction ticks: the
reviewer sees it, and it changes with the prediction. In submitted reviews it is ignored.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from typing import Any

CONTROL = "sparsedet_judge_only"
TEXT = "drawing can wait"


def with_judge_only(xml: str, image: str) -> str:
    """Add the choice to the XML of a review project's labelling config, if it is missing.

    Args:
        xml: the config.
        image: name of its image tag.
    """
    root = ElementTree.fromstring(xml)
    if any(tag.get("name") == CONTROL for tag in root.iter()):
        return xml
    control = ElementTree.Element(
        "Choices",
        name=CONTROL,
        toName=image,
        choice="multiple",  # shown as a checkbox, not as a radio button
        required="false",
        showInline="true",
    )
    # A key that no keyboard has: without one, the editor would assign the digit of a class.
    ElementTree.SubElement(control, "Choice", value=TEXT, hotkey="✓")
    root.insert(0, control)
    return ElementTree.tostring(root, encoding="unicode")


def judge_only_result(image: str) -> dict[str, Any]:
    """Return the part of a prediction that ticks the choice; `image` as for `with_judge_only`."""
    return {
        "from_name": CONTROL,
        "to_name": image,
        "type": "choices",
        "value": {"choices": [TEXT]},
    }


def is_judge_only(result: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a prediction ticks the choice."""
    return any(part.get("from_name") == CONTROL for part in result)
