"""A stand-in for the ledger's record between pushes, reviews and merges."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.files import FilesTool
from sparsedet.push_modes import PlaceReviews, PushedImage, PushMode, PushReport, ToReview
from sparsedet.reviews import (
    Changes,
    Review,
    ReviewedRegion,
    SourceState,
    Verdict,
    as_written,
    changes,
    decide,
)
from sparsedet.tool import Applied, Replaced


def review_mode(tool: FilesTool) -> PushMode:
    """The one push mode of files."""
    mode: PushMode = tool.push_modes["review-project"]
    return mode


@dataclass
class Memory:
    """Pushes to, and merges into, one project."""

    tool: FilesTool
    project: str = "cars"
    review_project: str = "cars/review"
    pushed: dict[str, PushedImage] = field(default_factory=dict)
    kept: dict[str, Replaced] = field(default_factory=dict)
    """What the last merge replaced."""
    versions: dict[str, str | None] = field(default_factory=dict)
    """How the last merge left the images."""

    @property
    def mode(self) -> PushMode:
        return review_mode(self.tool)

    def push(
        self,
        dataset: Dataset,
        mined: Sequence[MinedBox],
        version: str = "run-1",
        withdrawn: frozenset[str] = frozenset(),
        queue: Sequence[int] = (),
    ) -> PushReport:
        report = self.mode.push(
            self.project, ToReview(dataset, mined, version, queue=queue, withdrawn=withdrawn)
        )
        for image in (dataset.image_by_id[id] for id in queue):
            new = PushedImage(
                image.tool_id or "", image.tool_version, {}, (image.width, image.height)
            )
            self.pushed.setdefault(image.tool_id or "", new)
        for box in mined:
            image = dataset.image_by_id[box.image_id]
            tool_id = image.tool_id or ""
            if tool_id in report.skipped:
                continue
            region = ReviewedRegion(
                box.region_id, dataset.category_by_id[box.category_id].name, box.xyxy
            )
            before = self.pushed.get(tool_id, PushedImage(tool_id, None, {}))
            self.pushed[tool_id] = replace(
                before,
                version=image.tool_version,
                size=(image.width, image.height),
                boxes={**before.boxes, box.region_id: region},
            )
        return report

    def read(self) -> PlaceReviews:
        return self.mode.reviews(self.review_project, list(self.pushed.values()))

    def reviews(self) -> dict[str, list[Review]]:
        """Return the reviews by image."""
        found: dict[str, list[Review]] = {}
        for review in self.read().reviews:
            found.setdefault(review.tool_id, []).append(review)
        return found

    def verdicts(self) -> dict[str, Verdict]:
        return {
            tool_id: decide(reviews, self.pushed[tool_id].boxes)
            for tool_id, reviews in self.reviews().items()
        }

    def merge(self, *, write: bool = True, remember: bool = True) -> dict[str, Applied]:
        """Merge all reviews; without `remember` it was cut off before it could be recorded."""
        verdicts = self.verdicts()
        self.kept, self.versions = {}, {}

        def plan(state: SourceState) -> Changes:
            pushed = self.pushed[state.tool_id]
            return changes(state, verdicts[state.tool_id], pushed.written)

        def keep(replaced: Replaced) -> None:
            self.kept[replaced.tool_id] = replaced

        sizes = {id: image.size for id, image in self.pushed.items() if image.size}
        merged: dict[str, Applied] = {}
        for one in self.tool.merge(
            self.project,
            dict.fromkeys(verdicts, plan),
            sizes=sizes,
            keep=keep if write else None,
        ):
            merged[one.tool_id] = one
            self.versions[one.tool_id] = one.version
            if write and remember and one.state is not None and not one.changes.conflicts:
                pushed = self.pushed[one.tool_id]
                written = as_written(one.state, one.changes, verdicts[one.tool_id], pushed.written)
                self.pushed[one.tool_id] = replace(pushed, written=written)
        return merged

    def restore(self) -> dict[str, str]:
        """Undo the last merge."""
        replaced = [(one, self.versions[id]) for id, one in self.kept.items()]
        return dict(self.tool.restore(self.project, replaced))


def counts(applied: Applied) -> tuple[int, int, int]:
    """Return how many boxes were added, edited and removed."""
    change = applied.changes
    return len(change.added), len(change.edited), len(change.removed)


def outcome(applied: Applied) -> str:
    """Return what became of an image, in a word."""
    if applied.state is None:
        return "gone"
    if applied.changes.conflicts:
        return "conflict"
    return "changed" if applied.changes else "same"


def outcomes(memory: Memory, *, write: bool = True, remember: bool = True) -> dict[str, str]:
    """Merge; return what became of the images."""
    merged = memory.merge(write=write, remember=remember)
    return {id: outcome(one) for id, one in merged.items()}
