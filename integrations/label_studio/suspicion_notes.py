"""Notes on boxes that look wrong, in the same place as reviewers' own notes.

The editor shows a region's note (its `meta`) when the region is selected. The note is only for the
reviewer: it is removed when a review is read, so that no merge writes it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.annotations.suspicions import Suspicion

_PREFIX = "suspected: "
_OURS = re.compile(re.escape(_PREFIX) + r".*\?")
"""Up to the last question mark, since class names may contain some."""


def noted(region: Mapping[str, Any], suspicion: Suspicion, dataset: Dataset) -> dict[str, Any]:
    """Return a region with a note about the suspicion."""
    return {**region, "meta": {"text": [_PREFIX + suspicion.in_words(dataset)]}}


def note_texts(result: Mapping[str, Any]) -> list[Any]:
    """Return the texts of a region's note; the editor keeps it as a list of one."""
    meta = result.get("meta")
    note = meta.get("text") if isinstance(meta, Mapping) else None
    return list(note) if isinstance(note, Sequence) and not isinstance(note, str) else [note]


def without_suspicion(result: Any) -> Any:
    """Return a region without our note; text that a reviewer appended is kept."""
    if not isinstance(result, Mapping):
        return result
    texts = note_texts(result)
    left = [_OURS.sub("", text, count=1) if _is_ours(text) else text for text in texts]
    if left == texts:
        return result
    left = [text.strip() if isinstance(text, str) else text for text in left]
    meta = {key: value for key, value in result["meta"].items() if key != "text"}
    if left := [text for text in left if text]:
        meta["text"] = left
    rest = {key: value for key, value in result.items() if key != "meta"}
    return {**rest, "meta": meta} if meta else rest


def _is_ours(text: object) -> bool:
    return isinstance(text, str) and _OURS.match(text) is not None
