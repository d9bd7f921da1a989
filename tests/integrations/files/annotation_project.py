"""A project in Pascal VOC or YOLO files, pulled, pushed and reviewed, for tests of merges."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.formats import load_format, read_dataset
from sparsedet.integrations.files import FilesTool
from sparsedet.reviews import ReviewedRegion
from sparsedet.tool import Applied
from tests.integrations.files.formats.datasets import objects, write_images
from tests.integrations.files.memory import Memory, outcome

DAY, NIGHT, EMPTY = "day/a.png", "night/b.png", "z.png"


SOURCE = Dataset(
    images=(Image(1, DAY, 120, 80), Image(2, NIGHT, 120, 80), Image(3, EMPTY, 120, 80)),
    boxes=(
        Box(1, 1, 1, (10, 10, 30, 30), extra={"difficult": 1}),
        Box(2, 1, 2, (80, 40, 100, 70)),
        Box(3, 2, 1, (5, 5, 35, 35)),
    ),
    categories=(Category(1, "bus"), Category(2, "car")),
)


FOUND: dict[str, tuple[str, str, XYXY, float]] = {
    "good": (DAY, "car", (40, 10, 60, 30), 0.9),
    "wrong": (DAY, "bus", (40, 50, 60, 70), 0.6),
    "near": (NIGHT, "car", (70, 40, 100, 70), 0.95),
    "first": (EMPTY, "bus", (20, 20, 40, 40), 0.7),
}


@dataclass(frozen=True)
class Project:
    """A project that has been pulled and pushed."""

    format: str
    folder: Path
    tool: FilesTool
    dataset: Dataset
    images: Path
    memory: Memory

    def labels(self, name: str) -> Path:
        """Return the xml or txt file of an image."""
        stem = name.rsplit(".", 1)[0]
        folder, suffix = {"voc": ("Annotations", "xml"), "yolo": ("labels", "txt")}[self.format]
        return self.folder / folder / f"{stem}.{suffix}"

    @property
    def image_folder(self) -> Path:
        folder = read_dataset(self.folder).images
        assert folder is not None
        return folder

    def files(self) -> dict[str, bytes]:
        """Return all files but images and reviews."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.suffix in (".xml", ".txt", ".yaml") and "review" not in path.parts
        }


def pulled_project(format: str, tmp_path: Path) -> Project:
    """Write a project in a format and pull it."""
    folder = tmp_path / "projects" / "cars"
    folder.mkdir(parents=True)
    images = write_images(SOURCE, tmp_path / "source")
    load_format(format).write(SOURCE, folder, images=images)
    tool = FilesTool(str(tmp_path / "projects"))
    cache = tmp_path / "workspace" / "images"
    made = Project(format, folder, tool, tool.pull("cars", cache), cache, Memory(tool))
    made.labels(EMPTY).unlink()  # an image that nobody has labelled
    return replace(made, dataset=tool.pull("cars", cache))


def judge(project: Project) -> Project:
    """Push and review.

    `good`, `near` and `first` stay, `near` moved; `wrong` and the bus by day are deleted; the car
    by day is moved; one box is drawn; the day is complete.
    """
    push = project.memory.push(project.dataset, mined(project.dataset))
    assert (push.review_project, push.created) == ("cars/review", 3)
    reviews = {review.tool_id: review for review in project.tool.open_reviews("cars/review")}
    assert list(reviews) == [NIGHT, DAY, EMPTY]
    by_class = {
        region.category: region for region in reviews[DAY].regions if region.region_id not in FOUND
    }
    by_id = {region.region_id: region for review in reviews.values() for region in review.regions}
    moved = replace(by_class["car"], xyxy=(82, 40, 102, 70))
    drawn = ReviewedRegion("mine", "bus", (90, 5, 110, 15.5))
    reviews[DAY].submit([moved, by_id["good"], drawn], complete=True)
    night = [region for region in reviews[NIGHT].regions if region.region_id != "near"]
    near = replace(by_id["near"], xyxy=(75, 40, 105, 70))
    reviews[NIGHT].submit([*night, near])
    reviews[EMPTY].submit(reviews[EMPTY].regions)
    return project


def mined(dataset: Dataset) -> list[MinedBox]:
    images = {image.file_name: image.id for image in dataset.images}
    classes = {category.name: category.id for category in dataset.categories}
    return [
        MinedBox(id, images[image], classes[name], xyxy, score, threshold=0.5)
        for id, (image, name, xyxy, score) in FOUND.items()
    ]


def near(*expected: tuple[str, XYXY]) -> list[tuple[str, Any]]:
    """Return objects as they are compared: within a hundredth of a pixel."""
    return [(name, pytest.approx(box, abs=0.01)) for name, box in expected]


def outcomes(merged: dict[str, Applied]) -> dict[str, str]:
    return {id: outcome(one) for id, one in merged.items()}


def change_night(project: Project) -> None:
    """Make the one box of the night wider by 4 pixels."""
    path = project.labels(NIGHT)
    text = path.read_text(encoding="utf-8")
    ((_, (left, top, right, bottom)), *_) = objects(read_dataset(project.folder).dataset)[NIGHT]
    wider = right + 4
    if project.format == "voc":
        text = text.replace(f"<xmax>{right:g}<", f"<xmax>{wider:g}<")
    else:
        first, *others = text.splitlines(keepends=True)
        box = (left + wider) / 240, (top + bottom) / 160, (wider - left) / 120, 0.375
        text = "".join([f"0 {' '.join(f'{v:.10f}' for v in box)}\n", *others])
        assert first.startswith("0 ")
    path.write_text(text, encoding="utf-8")
