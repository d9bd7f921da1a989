"""Crops of mined boxes by class."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger, LedgerBox
from sparsedet.loop.workspace import Workspace
from sparsedet.reporting import crops
from sparsedet.reporting.crops import CropSection, crop_picture, crop_section, crop_window
from sparsedet.reporting.links import TaskLinks
from sparsedet.reporting.pictures import REJECTED
from tests.reporting.workspaces import add_round, make_workspace, mined_place, review

NO_LINKS = TaskLinks(None)


def mined(number: int, score: float, expected: float | None, category: int = 1) -> MinedBox:
    """The n-th box, on the images in turn."""
    image, place = 1 + number % 4, mined_place(number // 4)
    return MinedBox(f"b{number}", image, category, place, score, 0.1, expected)


def section(workspace: Workspace, count: int) -> CropSection:
    with closing(Ledger(workspace.ledger)) as ledger:
        boxes = ledger.boxes()
    dataset = read_coco(workspace.annotations)
    return crop_section(boxes, dataset, workspace.images, NO_LINKS, count)


def groups(found: CropSection) -> dict[str, list[tuple[str, int, list[float]]]]:
    """Class -> heading, total and the crops' scores of each of its groups."""
    return {
        one.category: [
            (group.heading, group.boxes, [crop.score for crop in group.crops])
            for group in one.groups
        ]
        for one in found.classes
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Eight cells, of which two were rejected and one was withdrawn; the surest has a low score."""
    workspace = make_workspace(tmp_path)
    chances = [(0.2, 0.9), (0.9, 0.8), (0.8, 0.7), (0.7, 0.6), (0.6, 0.5), (0.5, 0.4)]
    boxes = [mined(n, score, expected) for n, (score, expected) in enumerate(chances)]
    boxes += [mined(6, 0.35, 0.3), mined(7, 0.99, 0.2)]
    reviews = [review(3, boxes, rejected="b6"), review(4, boxes, rejected="b3 b7")]
    add_round(workspace, 1, read_coco(workspace.annotations), boxes, reviews)
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.withdraw({"b5"})
    return workspace


def test_groups_hold_the_first_of_each_order(workspace: Workspace) -> None:
    assert groups(section(workspace, 2)) == {
        "cell": [
            ("Surest", 4, [0.2, 0.9]),
            ("Most doubtful", 4, [0.6, 0.8]),
            ("Rejected, most certain first", 3, [0.99, 0.7]),
        ]
    }
    (cell,) = section(workspace, 2).classes
    assert cell.boxes == 7
    assert [crop.outcome for crop in cell.groups[0].crops] == ["pending", "pending"]
    assert cell.groups[0].crops[0].expected == 0.9


def test_no_box_is_in_two_groups(workspace: Workspace) -> None:
    assert groups(section(workspace, 9))["cell"][0] == ("Surest", 4, [0.2, 0.9, 0.8, 0.6])
    assert [name for name, _, _ in groups(section(workspace, 9))["cell"]] == [
        "Surest",
        "Rejected, most certain first",
    ]
    assert groups(section(workspace, 3))["cell"][1] == ("Most doubtful", 4, [0.6])
    assert section(workspace, 0) == CropSection()


def test_many_classes_have_fewer_crops_each(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_coco(workspace.annotations)
    add_round(workspace, 2, dataset, [mined(9 + n, 0.5, None, category=2) for n in range(3)])
    monkeypatch.setattr(crops, "MAX_CROPS", 6)
    assert [len(scores) for _, _, scores in groups(section(workspace, 5))["cell"]] == [1, 1, 1]
    monkeypatch.setattr(crops, "MAX_CLASSES", 1)
    found = section(workspace, 5)
    assert ([one.category for one in found.classes], found.left_out) == (["cell"], 1)


def test_boxes_of_images_that_are_gone_are_left_out(workspace: Workspace) -> None:
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.rename_images({"t1": "gone"})

    assert groups(section(workspace, 1))["cell"][0] == ("Surest", 2, [0.9])


@pytest.mark.parametrize(
    ("xyxy", "window"),
    [
        ((50, 50, 150, 100), (10, 0, 190, 120)),
        ((0, 0, 50, 50), (0, 0, 90, 90)),
        ((190, 110, 200, 120), (160, 80, 200, 120)),
        ((-20, 10, 400, 100), (0, 0, 200, 120)),
        ((90, 50, 92, 52), (71, 31, 111, 71)),
    ],
)
def test_a_crop_is_a_square_inside_of_the_image(
    xyxy: tuple[float, float, float, float], window: tuple[int, int, int, int]
) -> None:
    assert crop_window(xyxy, 200, 120) == window


def test_the_box_is_drawn_where_it_lies() -> None:
    box = LedgerBox(outcome="rejected", left=300, top=200, right=340, bottom=230)
    picture = crop_picture(np.zeros((480, 640, 3), dtype=np.uint8), box)

    assert picture.shape == (crops.SIZE, crops.SIZE, 3)
    rows, columns = np.nonzero((picture == REJECTED.colour).all(axis=-1))
    scale = crops.SIZE / (1.8 * 40)
    assert (columns.min(), columns.max()) == (
        pytest.approx(16 * scale, abs=2),
        pytest.approx(56 * scale, abs=2),
    )
    assert (rows.min(), rows.max()) == (
        pytest.approx(21 * scale, abs=2),
        pytest.approx(51 * scale, abs=2),
    )
