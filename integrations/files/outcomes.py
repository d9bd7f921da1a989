"""`review`: what people made of the boxes that were put up."""

from collections.abc import Mapping

from sparsedet.annotations import Image
from sparsedet.errors import ToolError
from sparsedet.tool import ReviewedImage

from .recognition import FoundBox, found_box, recognise
from .review_files import REVIEWED, TO_REVIEW, ReviewVersion


def read_reviewed(version: ReviewVersion) -> Mapping[str, ReviewedImage]:
    """Return the reviewed images of a model version, by their tool ids.

    Every image that `reviewed.json` lists counts as reviewed. It may carry, beside COCO's keys:
    `images[].exhaustive` (every object has a box), `images[].reviewer` or `info.contributor`,
    `images[].seconds`, and `annotations[].note` of "unsure".

    Raises:
        ToolError: naming file and id, for a category that was not put up.
    """
    return {
        tool_id: ReviewedImage(
            tool_id=tool_id,
            regions=recognise(version.offers[tool_id], _found(version, image)),
            shown=frozenset({*version.offers[tool_id].human, *version.offers[tool_id].mined}),
            reviewer=_reviewer(version, image),
            seconds=_seconds(image),
            complete=image.exhaustive,
            review_id=f"{version.name}/{tool_id}",
        )
        for tool_id, image in version.reviewed_images.items()
    }


def _found(version: ReviewVersion, image: Image) -> list[FoundBox]:
    if version.reviewed is None:
        return []
    known = {category.name for category in version.shown.categories}
    found = []
    for box in version.reviewed.boxes_by_image[image.id]:
        name = version.reviewed.category_by_id[box.category_id].name
        if name not in known:
            raise ToolError(
                f"{version.folder / REVIEWED}: annotations id {box.id}: {TO_REVIEW} has no "
                f"category {name!r} (it has {', '.join(sorted(known))}); rename it there"
            )
        found.append(found_box(box, name))
    return found


def _reviewer(version: ReviewVersion, image: Image) -> str | None:
    info = version.reviewed.extra.get("info") if version.reviewed else None
    contributor = info.get("contributor") if isinstance(info, Mapping) else None
    person = image.extra.get("reviewer") or contributor
    return str(person) if person else None


def _seconds(image: Image) -> float | None:
    seconds = image.extra.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None
