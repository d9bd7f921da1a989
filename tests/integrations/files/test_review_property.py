"""For any reviews and changes: training sees what a merge writes, and merges are idempotent."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from sparsedet.annotations import Box, Category, Dataset, Image, write_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.formats import load_format
from sparsedet.integrations.files import FilesTool
from sparsedet.reviews import (
    ReviewedRegion,
    SourceState,
    after,
    changes,
    same_box,
)
from tests.integrations.files.formats.datasets import write_images
from tests.integrations.files.memory import Memory, outcome
from tests.reviews.sequences import CATEGORIES, SIZE, NewBox, Person, Round, Story, left_by, stories

IMAGE = "day/a.png"
IDS = {name: number for number, name in enumerate(CATEGORIES, start=1)}


class Player:
    """Plays a story in a project of one format."""

    def __init__(self, folder: Path, format: str, boxes: Iterable[NewBox]) -> None:
        self.format = format
        self.images = folder / "workspace" / "images"
        self.project = folder / "cars"
        self.project.mkdir()
        # A second image, so that all classes of a VOC folder have a box.
        images = (Image(1, IMAGE, *SIZE), Image(2, "b.png", *SIZE))
        own = [Box(0, 1, IDS[box.category], box.xyxy) for box in boxes]
        own += [Box(0, 2, number, (1, 1, 50, 50)) for number in IDS.values()]
        self.write(Dataset(images, tuple(own), tuple(Category(i, n) for n, i in IDS.items())))
        self.memory = Memory(FilesTool(str(folder)))
        self.numbers = count()

    def write(self, dataset: Dataset) -> None:
        """Write the annotations as another tool would."""
        numbered = (replace(box, id=number) for number, box in enumerate(dataset.boxes, start=1))
        dataset = dataset.with_boxes(numbered)
        pictures = write_images(dataset, self.project.parent / "pictures")
        if self.format == "coco":
            write_images(dataset, self.project / "images")
            write_coco(dataset, self.project / "annotations.json")
        else:
            load_format(self.format).write(dataset, self.project, images=pictures)

    def pull(self) -> Dataset:
        dataset: Dataset = self.memory.tool.pull("cars", self.images)
        return dataset

    def state(self) -> SourceState:
        """Return what training reads of the image."""
        dataset = self.pull()
        (image,) = (image for image in dataset.images if image.tool_id == IMAGE)
        regions = [
            ReviewedRegion(
                box.tool_id or "", dataset.category_by_id[box.category_id].name, box.xyxy
            )
            for box in dataset.boxes_by_image[image.id]
        ]
        return SourceState(IMAGE, {box.region_id: box for box in regions}, image.exhaustive)

    def files(self) -> dict[Path, bytes]:
        paths = [self.project / "annotations.json", *self.project.glob("[Al]*/**/*.[xt]*")]
        return {path: path.read_bytes() for path in paths if path.is_file()}

    def push(self, version: str, mined: Iterable[NewBox]) -> None:
        dataset = self.pull()
        ids = {category.name: category.id for category in dataset.categories}
        (image,) = (image for image in dataset.images if image.tool_id == IMAGE)
        found = [
            MinedBox(f"{version}-{number}", image.id, ids[box.category], box.xyxy, 0.5, 0.4)
            for number, box in enumerate(mined)
        ]
        assert self.memory.push(dataset, found, version).created == 1

    def review(self, version: str, people: Iterable[Person]) -> None:
        """Let everybody review what was pushed last."""
        (open_review,) = self.memory.tool.open_reviews("cars/review")
        folder = self.project / "review" / version
        for number, person in enumerate(people):
            open_review.submit(left_by(person, open_review.regions), complete=person.complete)
            (folder / "reviewed.json").rename(folder / f"reviewed-{number}.json")

    def change_source(self, person: Person) -> None:
        if person == Person((), ()):
            return
        dataset = self.pull()
        (image,) = (image for image in dataset.images if image.tool_id == IMAGE)
        ids = {category.name: category.id for category in dataset.categories}
        own = {box.tool_id: box for box in dataset.boxes_by_image[image.id]}
        changed = []
        known = list(self.state().boxes.values())
        for region in left_by(person, known):
            if region.region_id not in own and any(same_box(region, box) for box in known):
                continue  # nobody draws a box that is there
            # An id that no box had before: else it would be that box, moved.
            new = Box(0, image.id, 1, region.xyxy, tool_id=f"theirs-{next(self.numbers)}")
            box = own.get(region.region_id, new)
            category = ids[region.category]
            changed.append(replace(box, category_id=category, xyxy=region.xyxy, area=None))
        others = (box for box in dataset.boxes if box.image_id != image.id)
        self.write(dataset.with_boxes([*changed, *others]))

    def check_merge(self, *, remember: bool) -> None:
        """Merge, and compare what is in the files then with what training would have seen."""
        verdict = self.memory.verdicts().get(IMAGE)
        if verdict is None:
            return
        pushed = self.memory.pushed[IMAGE]
        state = self.state()
        change = changes(state, verdict, pushed.written)
        expected = after(state, change)
        before = self.files()
        applied = self.memory.merge(remember=remember)[IMAGE]
        if self.format != "coco":
            change = replace(change, marks_complete=False)
        assert applied.changes == change
        now = self.state()
        assert_same(expected.values(), now.boxes.values())
        assert now.complete == (state.complete or change.marks_complete)
        if outcome(applied) != "changed":
            assert self.files() == before
            return
        left = self.files()
        again = self.memory.pushed[IMAGE]
        # Where boxes have ids, also when nobody remembers the first merge. Without ids, a box that
        # was moved to where another was before is taken for that one.
        for image in {"coco": (pushed, again)}.get(self.format, (again,)):
            self.memory.pushed[IMAGE] = image
            second = self.memory.merge()[IMAGE]
            assert outcome(second) == "same", second
            assert self.files() == left
        self.memory.pushed[IMAGE] = again


def assert_same(expected: Iterable[ReviewedRegion], found: Iterable[ReviewedRegion]) -> None:
    """Compare boxes by category and place, in any order."""
    left = list(found)
    for box in expected:
        match = next((other for other in left if same_box(box, other)), None)
        assert match is not None, (box, left)
        left.remove(match)
    assert not left


def play(story: Story, format: str) -> None:
    with TemporaryDirectory() as folder:
        player = Player(Path(folder), format, story.boxes)
        for number, round in enumerate(story.rounds):
            play_round(player, f"run-{number}", round)
        player.check_merge(remember=True)


def play_round(player: Player, version: str, round: Round) -> None:
    player.push(version, round.mined)
    player.review(version, round.people)
    player.change_source(round.source)
    if round.merges:
        player.check_merge(remember=round.is_remembered or player.format != "coco")


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
@settings(max_examples=60)
@given(stories())
def test_training_sees_what_a_merge_writes(format: str, story: Story) -> None:
    play(story, format)
