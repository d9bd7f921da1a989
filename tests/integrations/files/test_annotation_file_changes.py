"""Annotation files that changed since the push: conflicts, deleted images, other classes."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.formats import read_dataset
from sparsedet.integrations.files import FilesTool
from sparsedet.tool import ToolOptions
from tests.integrations.files.annotation_project import (
    DAY,
    EMPTY,
    NIGHT,
    Project,
    change_night,
    judge,
    near,
    outcomes,
    pulled_project,
)
from tests.integrations.files.formats.datasets import objects
from tests.integrations.files.memory import counts, outcome


@pytest.fixture(params=["voc", "yolo"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return pulled_project(request.param, tmp_path)


@pytest.fixture
def judged(project: Project) -> Project:
    return judge(project)


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
