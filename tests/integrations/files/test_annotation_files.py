"""The loop on Pascal VOC and YOLO folders: reviews go back into their xml and txt files."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import AnnotationError, SparseDetError, ToolError
from sparsedet.formats import load_format, read_dataset
from sparsedet.integrations.files import FilesTool
from sparsedet.reviews import NOTHING_WRITTEN, ReviewedRegion, changes
from sparsedet.tool import Applied, Replaced, ToolOptions
from tests.integrations.files.formats.datasets import objects, write_images
from tests.integrations.files.memory import Memory, counts, outcome

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


@pytest.fixture(params=["voc", "yolo"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    folder = tmp_path / "projects" / "cars"
    folder.mkdir(parents=True)
    images = write_images(SOURCE, tmp_path / "source")
    load_format(request.param).write(SOURCE, folder, images=images)
    tool = FilesTool(str(tmp_path / "projects"))
    cache = tmp_path / "workspace" / "images"
    made = Project(request.param, folder, tool, tool.pull("cars", cache), cache, Memory(tool))
    made.labels(EMPTY).unlink()  # an image that nobody has labelled
    return replace(made, dataset=tool.pull("cars", cache))


@pytest.fixture
def judged(project: Project) -> Project:
    """`good`, `near` and `first` stay, `near` moved; `wrong` and the bus by day are deleted; the
    car by day is moved; one box is drawn; the day is complete."""
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


def outcomes(merged: dict[str, Applied]) -> dict[str, str]:
    return {id: outcome(one) for id, one in merged.items()}


def test_a_dry_merge_writes_nothing_and_agrees_with_the_real_one(
    judged: Project, caplog: pytest.LogCaptureFixture
) -> None:
    before = judged.files()
    planned = judged.memory.merge(write=False)
    assert judged.files() == before
    assert {id: counts(one) for id, one in planned.items()} == {
        DAY: (2, 1, 1),
        NIGHT: (1, 0, 0),
        EMPTY: (1, 0, 0),
    }
    assert not any(one.changes.marks_complete for one in planned.values())
    assert "can't store that 1 reviewed images are completely labelled" in caplog.text

    written = judged.memory.merge()
    assert {id: replace(one, version=None) for id, one in written.items()} == planned
    again = judged.tool.pull("cars", judged.images)
    assert objects(again) == {
        DAY: near(
            ("car", (82, 40, 102, 70)), ("car", (40, 10, 60, 30)), ("bus", (90, 5, 110, 15.5))
        ),
        NIGHT: near(("bus", (5, 5, 35, 35)), ("car", (75, 40, 105, 70))),
        EMPTY: near(("bus", (20, 20, 40, 40))),
    }
    versions = {image.tool_id: image.tool_version for image in again.images}
    assert versions == {id: one.version for id, one in written.items()}


def test_everything_else_stays(judged: Project) -> None:
    first = judged.labels(NIGHT).read_text(encoding="utf-8")
    before = judged.files()
    judged.memory.merge()
    after = judged.files()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        str(judged.labels(name).relative_to(judged.folder)) for name in (DAY, NIGHT, EMPTY)
    }
    now = judged.labels(NIGHT).read_text(encoding="utf-8")
    kept = first.removesuffix("\n</annotation>\n")
    assert now.startswith(kept)


@pytest.mark.parametrize("remember", [True, False])
def test_a_second_merge_finds_nothing_to_do(judged: Project, remember: bool) -> None:
    judged.memory.merge(remember=remember)
    after = judged.files()
    again = judged.memory.merge()
    assert set(outcomes(again).values()) == {"same"}
    assert {one.version for one in again.values()} == {None}
    assert judged.files() == after


def test_what_a_merge_replaced_comes_back(judged: Project) -> None:
    before = judged.files()
    judged.memory.merge()
    after = judged.files()
    assert judged.memory.restore() == {}
    assert judged.files() == before
    # An image that somebody has changed since stays as it is.
    judged.memory.pushed = {
        id: replace(image, written=NOTHING_WRITTEN) for id, image in judged.memory.pushed.items()
    }
    judged.memory.merge()
    assert judged.files() == after
    change_night(judged)
    left = judged.memory.restore()
    assert list(left) == [NIGHT]
    assert f"annotations in {judged.labels(NIGHT)} changed since the merge" in left[NIGHT]
    files = judged.files()
    assert {name for name in files if files[name] != before.get(name)} == {
        str(judged.labels(NIGHT).relative_to(judged.folder))
    }


@pytest.mark.parametrize("always", [False, True])
def test_what_somebody_saves_in_the_same_moment_is_not_lost(
    judged: Project, monkeypatch: pytest.MonkeyPatch, always: bool
) -> None:
    """A line is drawn by somebody after we read the file and before it is replaced."""
    real = os.fsync
    times: list[int] = []

    def save_meanwhile(file: int) -> None:
        real(file)
        if not times or always:
            times.append(1)
            change_night(judged)

    images = [NIGHT]
    verdicts = judged.memory.verdicts()
    plans = {id: lambda state: changes(state, verdicts[state.tool_id]) for id in images}
    kept: list[Replaced] = []
    monkeypatch.setattr(os, "fsync", save_meanwhile)
    merge = judged.tool.merge("cars", plans, sizes={}, keep=kept.append)
    if always:
        with pytest.raises(SparseDetError, match="changed while it was being written; try again"):
            list(merge)
        assert objects(read_dataset(judged.folder).dataset)[NIGHT] == near(
            ("bus", (5, 5, 35 + 4 * len(times), 35))
        )
        return
    (one,) = merge
    assert objects(read_dataset(judged.folder).dataset)[NIGHT] == near(
        ("bus", (5, 5, 39, 35)), ("car", (75, 40, 105, 70))
    )
    assert one.state is not None
    assert [box.xyxy for box in one.state.boxes.values()] == [
        pytest.approx((5, 5, 39, 35), abs=0.01)
    ]
    assert len(kept) == 2
    judged.tool.restore("cars", [(kept[-1], one.version)])
    assert objects(read_dataset(judged.folder).dataset)[NIGHT] == near(("bus", (5, 5, 39, 35)))


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
        judged.memory.merge()
    monkeypatch.undo()
    assert len(done) == 1
    assert sorted(outcomes(judged.memory.merge()).values()) == ["changed", "changed", "same"]
    assert len(read_dataset(judged.folder).dataset.boxes) == 6


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


def test_only_a_change_of_the_same_box_is_a_conflict(judged: Project) -> None:
    """The night's human box was left alone by the review, the car by day was moved."""
    change_night(judged)
    path = judged.labels(DAY)
    text = path.read_text(encoding="utf-8")
    old, new = {
        "voc": ("<xmax>100<", "<xmax>112<"),
        "yolo": ("0.75 0.6875 0.1666666667 0.375", "0.8 0.6875 0.2666666667 0.375"),
    }[judged.format]
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    before = path.read_bytes()
    merged = judged.memory.merge()
    assert outcomes(merged) == {DAY: "conflict", NIGHT: "changed", EMPTY: "changed"}
    (reason,) = merged[DAY].changes.conflicts.values()
    # The formats hold no ids: a box that moved is another one.
    assert reason == "deleted there, changed in the review"
    state = merged[DAY].state
    assert state is not None
    assert state.saved.startswith(f"{path} saved 20")
    assert path.read_bytes() == before
    assert objects(read_dataset(judged.folder).dataset)[NIGHT] == near(
        ("bus", (5, 5, 39, 35)), ("car", (75, 40, 105, 70))
    )


def test_an_image_that_is_gone(judged: Project) -> None:
    (judged.image_folder / EMPTY).unlink()
    (judged.labels(EMPTY)).unlink(missing_ok=True)
    assert outcomes(judged.memory.merge()) == {DAY: "changed", NIGHT: "changed", EMPTY: "gone"}


def test_the_next_round_starts_from_what_was_merged(judged: Project) -> None:
    judged.memory.merge()
    dataset = judged.tool.pull("cars", judged.images)
    (night,) = (image for image in dataset.images if image.file_name == NIGHT)
    new = MinedBox("new", night.id, 1, (2, 60, 20, 78), 0.8, threshold=0.5)
    judged.memory.push(dataset, [new], "run-2")
    (review,) = judged.tool.open_reviews("cars/review")
    assert len(review.regions) == 3
    review.submit(review.regions)
    merged = judged.memory.merge()
    assert {id: (outcome(one), counts(one)) for id, one in merged.items()} == {
        DAY: ("same", (0, 0, 0)),
        NIGHT: ("changed", (1, 0, 0)),
        EMPTY: ("same", (0, 0, 0)),
    }
    assert len(objects(read_dataset(judged.folder).dataset)[NIGHT]) == 3


def test_a_class_that_is_gone(judged: Project) -> None:
    if judged.format == "voc":  # any name is a class there
        path = judged.labels(NIGHT)
        path.write_text(
            path.read_text(encoding="utf-8").replace("<name>bus<", "<name>van<"), encoding="utf-8"
        )
        assert outcome(judged.memory.merge()[NIGHT]) == "changed"
        assert read_dataset(judged.folder).dataset.counts() == {"bus": 2, "car": 3, "van": 1}
        return
    data = judged.folder / "data.yaml"
    data.write_text(data.read_text(encoding="utf-8").replace("1: car", "1: van"), encoding="utf-8")
    # Nobody knows that the two names mean one class.
    merged = judged.memory.merge()
    assert {id: set(one.changes.unknown.values()) for id, one in merged.items()} == {
        DAY: {"car"},
        NIGHT: {"car"},
        EMPTY: set(),
    }
    assert objects(read_dataset(judged.folder).dataset) == {
        DAY: near(("van", (80, 40, 100, 70)), ("bus", (90, 5, 110, 15.5))),
        NIGHT: near(("bus", (5, 5, 35, 35))),
        EMPTY: near(("bus", (20, 20, 40, 40))),
    }


def test_a_renamed_class(judged: Project) -> None:
    """Half of a VOC folder's files have the new name, a YOLO folder's list has it."""
    if judged.format == "voc":
        path = judged.labels(DAY)
        path.write_text(
            path.read_text(encoding="utf-8").replace("<name>bus<", "<name>coach<"),
            encoding="utf-8",
        )
    else:
        path = judged.folder / "data.yaml"
        path.write_text(
            path.read_text(encoding="utf-8").replace("0: bus", "0: coach"), encoding="utf-8"
        )
    tool = FilesTool(judged.tool.url, ToolOptions(rename={"bus": "coach"}))
    dataset = tool.pull("cars", judged.images)
    assert sorted(c.name for c in dataset.categories) == ["car", "coach"]
    assert dataset.counts() == {"car": 1, "coach": 2}
    assert [c.aliases for c in dataset.categories if c.name == "coach"] == [("bus",)]
    memory = replace(judged.memory, tool=tool)
    memory.pushed = {
        id: replace(
            image,
            boxes={
                box_id: replace(box, category=box.category.replace("bus", "coach"))
                for box_id, box in image.boxes.items()
            },
        )
        for id, image in memory.pushed.items()
    }
    assert outcomes(memory.merge()) == {DAY: "changed", NIGHT: "changed", EMPTY: "changed"}
    assert objects(tool.pull("cars", judged.images)) == {
        DAY: near(
            ("car", (82, 40, 102, 70)), ("car", (40, 10, 60, 30)), ("coach", (90, 5, 110, 15.5))
        ),
        NIGHT: near(("coach", (5, 5, 35, 35)), ("car", (75, 40, 105, 70))),
        EMPTY: near(("coach", (20, 20, 40, 40))),
    }
    assert set(outcomes(memory.merge()).values()) == {"same"}


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
    with pytest.raises(ToolError, match="contains both Pascal VOC and YOLO"):
        project.tool.pull("cars", project.images)
    shutil.rmtree(project.folder / "Annotations")
    if project.format == "voc":
        with pytest.raises(AnnotationError, match="none of its 3 images has a file of labels"):
            project.tool.pull("cars", project.images)
