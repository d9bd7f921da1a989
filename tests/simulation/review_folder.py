"""A small annotation tool: its review projects are folders, as any other package could offer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sparsedet.annotations import XYXY
from sparsedet.tool import ReviewedRegion


@dataclass(frozen=True, slots=True)
class Shown:
    """An image that waits for its review."""

    review: Path
    """The file that its review goes into."""
    tool_id: str
    regions: tuple[ReviewedRegion, ...]
    scores: Mapping[str, float]


class ReviewFolder:
    """Offers the images of `<review project>/open.json`, and keeps reviews in files beside it."""

    def __init__(self, url: str | None = None, *, complete_control: str | None = None) -> None:
        self.url = url or "folder:"
        self.complete_control = complete_control

    def open_reviews(self, review_project: str) -> Sequence[Shown]:
        folder = Path(review_project)
        waiting = [
            Shown(
                folder / f"review-{entry['tool_id']}.json",
                entry["tool_id"],
                tuple(
                    ReviewedRegion(region_id, category, tuple(xyxy))
                    for region_id, category, xyxy, _ in entry["boxes"]
                ),
                {box[0]: box[3] for box in entry["boxes"] if box[3] is not None},
            )
            for entry in json.loads((folder / "open.json").read_text(encoding="utf-8"))
        ]
        return [shown for shown in waiting if not shown.review.exists()]

    def submit(
        self,
        review: Shown,
        regions: Sequence[ReviewedRegion],
        *,
        seconds: float = 0.0,
        complete: bool = False,
    ) -> None:
        content = {
            "boxes": [asdict(region) for region in regions],
            "seconds": seconds,
            "complete": self.complete_control if complete else None,
        }
        review.review.write_text(json.dumps(content), encoding="utf-8")


class ReadOnlyFolder:
    """A tool that no script can review in."""

    def __init__(self, url: str | None = None, *, complete_control: str | None = None) -> None:
        self.url = url or "folder:"


Offer = tuple[str, str, XYXY, float | None]
"""Region id, category, XYXY box, and score; without score a person's box."""


def make_review_project(folder: Path, images: Mapping[str, Sequence[Offer]]) -> str:
    """Put up images, tool id -> boxes; return the review project's name."""
    folder.mkdir()
    entries = [{"tool_id": tool_id, "boxes": boxes} for tool_id, boxes in images.items()]
    (folder / "open.json").write_text(json.dumps(entries), encoding="utf-8")
    return str(folder)


def reviews_in(folder: Path) -> dict[str, dict[str, object]]:
    """Return the submitted reviews, by tool id."""
    return {
        path.stem.removeprefix("review-"): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("review-*.json"))
    }
