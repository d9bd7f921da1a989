"""What a merge of reviews does, as people read it."""

from collections.abc import Mapping, Sequence
from typing import Any

from .output import say, table


def show_merge(images: Sequence[Mapping[str, Any]], command: str, *, written: bool) -> None:
    """Print what a merge did, or would do, and every conflict; `command` would write it."""
    changed = [image for image in images if image["outcome"] == "changed"]
    conflicts = [image for image in images if image["outcome"] == "conflict"]
    table(
        "Merged into the source annotations" if written else "A merge would change",
        ("", "images", "added", "edited", "removed", "marked complete"),
        [
            (
                "changed",
                len(changed),
                *(sum(image[key] for image in changed) for key in ("added", "edited", "removed")),
                sum(image["marked_complete"] for image in changed),
            ),
            ("the same already", len(images) - len(changed) - len(conflicts), "", "", "", ""),
            ("conflicts", len(conflicts), "", "", "", ""),
        ],
    )
    for image in conflicts:
        say(f"conflict: image {image['tool_id']}: {image['detail']}; left as it is")
    if not written and changed:
        say(f"nothing was written; to write it: {command}")
