"""Reviews and merge records as JSON: in the ledger, and in the files of a round."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sparsedet.errors import SparseDetError
from sparsedet.reading import ODD_VALUES
from sparsedet.reviews import NOTHING_WRITTEN, Review, ReviewedRegion, Written

_DETAILS = (
    *("reviewer", "seconds", "complete", "offer", "saved_at", "ground_truth", "skipped"),
    *("partial", "sampled"),
)
"""Plain fields of a review; default values are left out."""

_EMPTY = Review(tool_id="", review_id="", shown={}, regions=())


def review_text(review: Review) -> str:
    """Return a review as JSON text; equal reviews give equal text."""
    details: dict[str, Any] = {name: getattr(review, name) for name in _DETAILS}
    return _text(
        {
            "tool_id": review.tool_id,
            "review_id": review.review_id,
            "shown": {id: _region_to_json(region) for id, region in review.shown.items()},
            "regions": [_region_to_json(region) for region in review.regions],
            **{name: v for name, v in details.items() if v != getattr(_EMPTY, name)},
            **_classes_to_json(review.complete_classes),
        }
    )


def read_review(text: str) -> Review:
    """Return the review that `review_text` wrote.

    Raises:
        SparseDetError: when the text is invalid.
    """
    try:
        value = json.loads(text)
        return replace(
            _EMPTY,
            tool_id=value["tool_id"],
            review_id=value["review_id"],
            shown={id: _region_from_json(region) for id, region in value["shown"].items()},
            regions=tuple(_region_from_json(region) for region in value["regions"]),
            complete_classes=_classes_from_json(value),
            **{name: value[name] for name in _DETAILS if name in value},
        )
    except (*ODD_VALUES, RecursionError) as error:
        raise SparseDetError(_broken("review", error)) from error


def written_to_json(written: Written) -> dict[str, Any]:
    """Return a merge record of an image for a JSON file."""
    return {
        "boxes": {
            id: None if region is None else _region_to_json(region)
            for id, region in written.boxes.items()
        },
        "complete": written.complete,
        "holder": written.holder,
        **_classes_to_json(written.complete_classes),
    }


def written_from_json(value: Any) -> Written:
    """Read the result of `written_to_json`.

    Raises:
        SparseDetError: when the content is invalid.
    """
    try:
        boxes = {
            str(id): None if region is None else _region_from_json(region)
            for id, region in value["boxes"].items()
        }
        return Written(
            boxes,
            bool(value["complete"]),
            str(value.get("holder", "")),
            _classes_from_json(value),
        )
    except ODD_VALUES as error:
        raise SparseDetError(f"invalid merge record of an image ({error!r})") from error


def written_text(written: Written) -> str | None:
    """Return a merge record as JSON text; None if empty."""
    return None if written == NOTHING_WRITTEN else _text(written_to_json(written))


def read_written(text: str | None) -> Written:
    """Read the result of `written_text`."""
    if text is None:
        return NOTHING_WRITTEN
    try:
        return written_from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise SparseDetError(_broken("merge", error)) from error


def _broken(what: str, error: Exception) -> str:
    return (
        f"invalid {what} in the ledger ({type(error).__name__}: {error}); move the ledger away and "
        "run `sparsedet review` to rebuild it"
    )


def category_text(name: str) -> str:
    """Return a category's name as it appears in JSON text."""
    return _text(name)


def _classes_to_json(names: Collection[str]) -> dict[str, list[str]]:
    """Return the entry of complete classes; none without any."""
    return {"complete_classes": sorted(names)} if names else {}


def _classes_from_json(value: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(map(str, value.get("complete_classes", ())))


def _region_to_json(region: ReviewedRegion) -> dict[str, Any]:
    value: dict[str, Any] = {
        "id": region.region_id,
        "category": region.category,
        "xyxy": list(region.xyxy),
    }
    if region.unsure:
        value["unsure"] = True
    if region.content:
        value["content"] = list(region.content)
    return value


def _region_from_json(value: Mapping[str, Any]) -> ReviewedRegion:
    left, top, right, bottom = (float(edge) for edge in value["xyxy"])
    return ReviewedRegion(
        str(value["id"]),
        str(value["category"]),
        (left, top, right, bottom),
        unsure=bool(value.get("unsure", False)),
        content=tuple(value.get("content", ())),
    )


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
