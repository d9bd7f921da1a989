"""The loop on Pascal VOC and YOLO folders: reviews go back into their xml and txt files."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.formats import load_format, read_dataset
from sparsedet.integrations.files import FilesTool
from sparsedet.tool import MergedImage, PushedImage, ReviewedRegion
from tests.integrations.files.formats.datasets import objects, write_images

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

    def pushed(self) -> list[PushedImage]:
        regions: dict[str, set[str]] = {}
        for id, (name, *_) in FOUND.items():
            regions.setdefault(name, set()).add(id)
        return [
            PushedImage(image.file_name, image.tool_version, frozenset(regions[image.file_name]))
            for image in self.dataset.images
        ]

    def merge(self, pushed: list[PushedImage], *, write: bool) -> dict[str, MergedImage]:
        merged = self.tool.merge("cars", "cars/review", pushed, write=write)
        return {image.tool_id: image for image in merged}

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


@pytest.fixture(params=["voc", "yolo"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    folder = tmp_path / "projects" / "cars"
    folder.mkdir(parents=True)
    images = write_images(SOURCE, tmp_path / "source")
    load_format(request.param).write(SOURCE, folder, images=images)
    tool = FilesTool(str(tmp_path / "projects"))
    cache = tmp_path / "workspace" / "images"
    made = Project(request.param, folder, tool, tool.pull("cars", cache), cache)
    made.labels(EMPTY).unlink()  # an image that nobody has labelled
    return replace(made, dataset=tool.pull("cars", cache))


@pytest.fixture
def judged(project: Project) -> Project:
    """`good`, `near` and `first` stay, `near` moved; `wrong` and the bus by day are deleted; the
    car by day is moved; one box is drawn; the day is complete."""
    push = project.tool.push("cars", project.dataset, mined(project.dataset), model_version="run-1")
    assert (push.review_project, push.created) == ("cars/review", 3)
    reviews = {review.tool_id: review for review in project.tool.open_reviews("cars/review")}
    assert list(reviews) == [NIGHT, DAY, EMPTY]
    by_class = {
        region.category: region for region in reviews[DAY].regions if region.region_id not in FOUND
    }
    by_id = {region.region_id: region for review in reviews.values() for region in review.regions}
    moved = replace(by_class["car"], xyxy=(82, 40, 102, 70))
    drawn = ReviewedRegion("mine", "bus", (90, 5, 110, 15.5))
    project.tool.submit_review(reviews[DAY], [moved, by_id["good"], drawn], complete=True)
    night = [region for region in reviews[NIGHT].regions if region.region_id != "near"]
    near = replace(by_id["near"], xyxy=(75, 40, 105, 70))
    project.tool.submit_review(reviews[NIGHT], [*night, near])
    project.tool.submit_review(reviews[EMPTY], reviews[EMPTY].regions)
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


def test_what_is_pulled(project: Project) -> None:
    summary = project.tool.summary("cars")
    assert (summary.title, summary.images, summary.labels) == ("cars", 3, ("bus", "car"))
    assert [image.tool_id for image in project.dataset.images] == [DAY, NIGHT, EMPTY]
    assert {box.origin for box in project.dataset.boxes} == {"human"}
    assert objects(project.dataset)[NIGHT] == near(("bus", (5, 5, 35, 35)))
    assert (project.images / NIGHT).samefile(project.image_folder / NIGHT)


def test_boxes_are_known_by_their_place(project: Project) -> None:
    """An image stays as it was when boxes come and go on others, or change their order."""
    night = {image.tool_id: image for image in project.dataset.images}[NIGHT]
    own = [box for box in project.dataset.boxes if box.image_id == night.id]
    project.labels(DAY).unlink()
    again = project.tool.pull("cars", project.images)
    after = {image.tool_id: image for image in again.images}
    assert after[NIGHT].tool_version == night.tool_version
    assert after[DAY].tool_version != project.dataset.images[0].tool_version
    (box,) = again.boxes
    assert (box.id, box.tool_id) == (1, own[0].tool_id)
    assert own[0].id != 1


def test_one_box_twice_has_two_ids(project: Project) -> None:
    path = project.labels(NIGHT)
    text = path.read_text(encoding="utf-8")
    if project.format == "voc":
        start, end = text.index("<object>"), text.index("</annotation>")
        text = text[:end] + text[start:]
    else:
        text += text
    path.write_text(text, encoding="utf-8")
    dataset = project.tool.pull("cars", project.images)
    ids = [box.tool_id for box in dataset.boxes]
    assert len(ids) == len(set(ids)) == 4
    project.labels(DAY).unlink()  # renumbers all boxes
    again = project.tool.pull("cars", project.images)
    assert [box.tool_id for box in again.boxes] == ids[2:]


def test_a_dry_merge_writes_nothing_and_agrees_with_the_real_one(
    judged: Project, caplog: pytest.LogCaptureFixture
) -> None:
    before = judged.files()
    planned = judged.merge(judged.pushed(), write=False)
    assert judged.files() == before
    changes = {id: (m.outcome, m.added, m.edited, m.removed) for id, m in planned.items()}
    assert changes == {
        DAY: ("changed", 2, 1, 1),
        NIGHT: ("changed", 1, 0, 0),
        EMPTY: ("changed", 1, 0, 0),
    }
    assert not any(image.marked_complete for image in planned.values())
    assert "can't hold that 1 reviewed images are completely labelled" in caplog.text

    written = judged.merge(judged.pushed(), write=True)
    assert {id: replace(image, version=None) for id, image in written.items()} == planned
    again = judged.tool.pull("cars", judged.images)
    assert objects(again) == {
        DAY: near(
            ("car", (82, 40, 102, 70)), ("car", (40, 10, 60, 30)), ("bus", (90, 5, 110, 15.5))
        ),
        NIGHT: near(("bus", (5, 5, 35, 35)), ("car", (75, 40, 105, 70))),
        EMPTY: near(("bus", (20, 20, 40, 40))),
    }
    versions = {image.tool_id: image.tool_version for image in again.images}
    assert versions == {id: image.version for id, image in written.items()}


def test_everything_else_stays(judged: Project) -> None:
    first = judged.labels(NIGHT).read_text(encoding="utf-8")
    before = judged.files()
    pushed = [image for image in judged.pushed() if image.tool_id == NIGHT]
    judged.merge(pushed, write=True)
    after = judged.files()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {str(judged.labels(NIGHT).relative_to(judged.folder))}
    now = judged.labels(NIGHT).read_text(encoding="utf-8")
    kept = first.removesuffix("\n</annotation>\n")
    assert now.startswith(kept)


@pytest.mark.parametrize("ledger_knows", [True, False])
def test_a_second_merge_finds_nothing_to_do(judged: Project, ledger_knows: bool) -> None:
    written = judged.merge(judged.pushed(), write=True)
    after = judged.files()
    pushed = judged.pushed()
    if ledger_knows:
        pushed = [replace(image, version=written[image.tool_id].version) for image in pushed]
    again = judged.merge(pushed, write=True)
    assert {image.outcome for image in again.values()} == {"same"}
    assert judged.files() == after


def test_an_interrupted_merge_resumes(judged: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the machine stops between two files."""
    real = os.replace
    done: list[str] = []

    def stop_after_one(source: str, target: str) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(str(target))
        real(source, target)

    monkeypatch.setattr(Path, "replace", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        judged.merge(judged.pushed(), write=True)
    monkeypatch.undo()
    assert len(done) == 1
    outcomes = {
        id: image.outcome for id, image in judged.merge(judged.pushed(), write=True).items()
    }
    assert sorted(outcomes.values()) == ["changed", "changed", "same"]
    assert len(read_dataset(judged.folder).dataset.boxes) == 6


def test_a_source_that_changed_is_a_conflict(judged: Project) -> None:
    path = judged.labels(NIGHT)
    old, new = {"voc": ("<xmax>35<", "<xmax>39<"), "yolo": ("0.25 0.375\n", "0.2 0.375\n")}[
        judged.format
    ]
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    merged = judged.merge(judged.pushed(), write=True)
    assert {id: image.outcome for id, image in merged.items()} == {
        DAY: "changed",
        NIGHT: "conflict",
        EMPTY: "changed",
    }
    assert f"its annotations in {path} changed since the push (saved 20" in merged[NIGHT].detail
    assert path.read_text(encoding="utf-8") == text.replace(old, new)


def test_an_image_that_is_gone_is_a_conflict(judged: Project) -> None:
    (judged.image_folder / EMPTY).unlink()
    assert "no longer has the image" in judged.merge(judged.pushed(), write=True)[EMPTY].detail


def test_the_next_round_starts_from_what_was_merged(judged: Project) -> None:
    written = judged.merge(judged.pushed(), write=True)
    dataset = judged.tool.pull("cars", judged.images)
    (night,) = (image for image in dataset.images if image.file_name == NIGHT)
    new = MinedBox("new", night.id, 1, (2, 60, 20, 78), 0.8, threshold=0.5)
    judged.tool.push("cars", dataset, [new], model_version="run-2")
    (review,) = judged.tool.open_reviews("cars/review")
    assert len(review.regions) == 3
    judged.tool.submit_review(review, review.regions)
    pushed = [replace(image, version=written[image.tool_id].version) for image in judged.pushed()]
    merged = judged.merge(pushed, write=True)
    assert {id: (image.outcome, image.added) for id, image in merged.items()} == {
        DAY: ("same", 0),
        NIGHT: ("changed", 1),
        EMPTY: ("same", 0),
    }
    assert len(objects(read_dataset(judged.folder).dataset)[NIGHT]) == 3


def test_a_class_that_is_gone(judged: Project) -> None:
    if judged.format == "voc":  # any name is a class there
        for name in (DAY, NIGHT):
            path = judged.labels(name)
            path.write_text(
                path.read_text(encoding="utf-8").replace("<name>car<", "<name>van<"),
                encoding="utf-8",
            )
        assert judged.merge(judged.pushed(), write=True)[NIGHT].outcome == "changed"
        assert read_dataset(judged.folder).dataset.counts() == {"bus": 3, "car": 1, "van": 1}
        return
    data = judged.folder / "data.yaml"
    data.write_text(data.read_text(encoding="utf-8").replace("1: car", "1: van"), encoding="utf-8")
    before = judged.files()
    with pytest.raises(ToolError, match="has no class 'car', which a review uses; add it"):
        judged.merge(judged.pushed(), write=True)
    assert judged.files() == before


def test_a_workspace_inside_the_project_is_left_out(project: Project) -> None:
    inside = project.folder / "loop"
    shutil.copytree(project.images, inside / "images")
    (inside / "sparsedet.toml").touch()
    again = project.tool.pull("cars", project.images)
    assert again == project.dataset


def test_projects_that_are_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="is the project itself"):
        project.tool.pull("cars", project.image_folder)
    (project.folder / "data.yaml").write_text("names: [dog]\n", encoding="utf-8")
    (project.folder / "Annotations").mkdir(exist_ok=True)
    (project.folder / "Annotations" / "x.xml").write_text("<annotation/>", encoding="utf-8")
    with pytest.raises(ToolError, match="holds both Pascal VOC and YOLO"):
        project.tool.pull("cars", project.images)
    shutil.rmtree(project.folder / "Annotations")
    if project.format == "voc":
        with pytest.raises(AnnotationError, match="no images in"):
            project.tool.pull("cars", project.images)
