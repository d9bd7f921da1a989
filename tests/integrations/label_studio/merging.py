"""Shared by tests of merges: a project with boxes up for review, and the loop's part in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.push_modes import PushedImage, ToReview
from sparsedet.reviews import (
    NOTHING_WRITTEN,
    ReviewedRegion,
    SourceState,
    Verdict,
    Written,
    as_written,
    changes,
    decide,
)
from sparsedet.tool import Applied, Plan, Replaced
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.review_project.review_helpers import mode_of

# What else people may have in an annotation, and how it must come out of a merge.
OTHER_RESULTS: list[dict[str, Any]] = [
    {
        "id": "outline",
        "from_name": "outline",
        "to_name": "image",
        "type": "polygonlabels",
        "value": {"points": [[1.5, 2.25], [10, 2], [5, 8]], "polygonlabels": ["table"]},
        "note": None,
    },
    {"id": "light", "from_name": "light", "to_name": "image", "type": "choices", "value": {}},
    {"id": "human-orange", "from_name": "ripe", "to_name": "image", "type": "rating", "value": {}},
    {"type": "relation", "from_id": "human-orange", "to_id": "outline", "direction": "right"},
    {"type": "relation", "from_id": "human-parcel", "to_id": "outline", "direction": "right"},
]


@dataclass
class Pushed:
    """A project whose mined boxes are up for review, as the ledger would remember it."""

    tool: LabelStudioTool
    project: str
    review_project: str
    images: tuple[PushedImage, ...]
    written: dict[str, Written] = field(default_factory=dict)
    kept: list[Replaced] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        return {image.tool_id: image.size for image in self.images if image.size}

    def verdicts(self) -> dict[str, Verdict]:
        """What all reviews say, by image."""
        found = mode_of(self.tool).reviews(self.review_project, self.images).reviews
        boxes = {image.tool_id: image.boxes for image in self.images}
        return {
            image: decide([r for r in found if r.tool_id == image], boxes.get(image, {}))
            for image in dict.fromkeys(review.tool_id for review in found)
        }

    def merge(
        self, *, write: bool = True, keep: Callable[[Replaced], None] | None = None
    ) -> list[Applied]:
        """Merge, and remember what was written, as the loop does."""
        verdicts = self.verdicts()

        def planned(image: str) -> Plan:
            written = self.written.get(image, NOTHING_WRITTEN)
            return lambda state: changes(state, verdicts[image], written)

        plans = {image: planned(image) for image in verdicts}
        found = list(
            self.tool.merge(
                self.project,
                plans,
                sizes=self.sizes,
                keep=(keep or self.kept.append) if write else None,
            )
        )
        for image in found:
            settled = not image.changes.conflicts and not image.overtaken
            if write and settled and image.state is not None:
                before = self.written.get(image.tool_id, NOTHING_WRITTEN)
                self.written[image.tool_id] = as_written(
                    image.state, image.changes, verdicts[image.tool_id], before
                )
        return found

    def annotations(self, image: int) -> list[dict[str, Any]]:
        """Return the annotations of an image, as the server has them, oldest first."""
        where = f"api/tasks/{self.images[image].tool_id}/annotations/"
        found: list[dict[str, Any]] = self.tool.connection.get_json(where, {}, "looking")
        return sorted(found, key=lambda annotation: int(annotation["id"]))

    def annotation(self, image: int) -> dict[str, Any]:
        """Return the one annotation of an image."""
        (annotation,) = self.annotations(image)
        return annotation

    def results(self, image: int) -> dict[str, dict[str, Any]]:
        """Return the boxes and the mark of an image's annotation by id."""
        results = self.annotation(image)["result"]
        return {r["id"]: r for r in results if r["type"] in {"rectanglelabels", "choices"}}


def push(
    tool: LabelStudioTool, pulled: Pulled, mined: Sequence[MinedBox], version: str = "run-1"
) -> Pushed:
    """Pull again, so that the boxes are the newest, and push."""
    dataset = tool.pull(pulled.project, pulled.folder / "images")
    report = mode_of(tool).push(pulled.project, ToReview(dataset, mined, version))
    names = {category.id: category.name for category in dataset.categories}
    images = tuple(
        PushedImage(
            image.tool_id or "",
            image.tool_version,
            {
                box.region_id: ReviewedRegion(box.region_id, names[box.category_id], box.xyxy)
                for box in mined
                if box.image_id == image.id
            },
            (image.width, image.height),
        )
        for image in dataset.images
    )
    return Pushed(tool, pulled.project, report.review_project, images)


def rewrite(tool: LabelStudioTool, task: int | str, *more: dict[str, Any], **keys: Any) -> None:
    """Save further results into the annotation of a task, as a person would."""
    (annotation,) = tool.connection.client.annotations.list(int(task))
    assert annotation.id
    result = [*(annotation.result or []), *more]
    tool.connection.client.annotations.update(annotation.id, result=result, **keys)


def review(tool: LabelStudioTool, pushed: Pushed, image: int, **changed: Any) -> None:
    """Submit an image's review: by name, None deletes a box, XYXY moves it, unsure leaves it open.

    Names that are not on offer are drawn, as oranges.
    """
    complete = changed.pop("complete", False)
    task = pushed.images[image].tool_id
    (offer,) = [r for r in tool.open_reviews(pushed.review_project) if r.tool_id == task]
    kept = []
    for region in offer.regions:
        name = region.region_id
        if name.startswith("mined"):
            name = name[:-2]
        change = changed.pop(name.replace("-", "_"), region)
        if change == "unsure":
            kept.append(replace(region, unsure=True))
        elif isinstance(change, str):
            kept.append(replace(region, category=change))
        elif isinstance(change, tuple):
            kept.append(replace(region, xyxy=change))
        elif change is not None:
            kept.append(region)
    kept += [ReviewedRegion(name, "orange", xyxy) for name, xyxy in changed.items()]
    offer.submit(kept, complete=complete)


def counts(applied: Applied) -> tuple[int, int, int]:
    """Return how many boxes were added, edited and removed."""
    change = applied.changes
    return len(change.added), len(change.edited), len(change.removed)


def boxes_of(state: SourceState | None) -> set[str]:
    assert state is not None
    return set(state.boxes)


def merge_first(pushed: Pushed, keep: Any = None) -> Applied:
    """Merge a project of which one image was reviewed."""
    (applied,) = pushed.merge(keep=keep)
    return applied
