"""Pasting: objects lie where their boxes say, and hide nothing that is known of an image."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsedet.annotations import Image
from sparsedet.modeling.targets import Role
from sparsedet.training.packed import PackedImages, TrainingImage
from sparsedet.training.pasting import (
    Donors,
    Paste,
    PasteRule,
    draw_pastes,
    paste_rule,
    takes_objects,
    with_pasted,
)
from sparsedet.training.settings import load_config

SIZE = (120, 160)
BOX = (60.0, 40.0, 100.0, 70.0)
BLACK, GREY, WHITE = 0, 50, 250
RULE = PasteRule(most=3, labels=6, scales=(0.7, 1.4), mirrored=True)


def training_image(*rows: tuple[Role, tuple[float, ...], int], id: int = 1) -> TrainingImage:
    return TrainingImage(
        source=Image(id, f"{id}.jpg", SIZE[1], SIZE[0]),
        folder=Path("images"),
        boxes=np.array([box for _, box, _ in rows], dtype=np.float32).reshape(-1, 4),
        classes=np.array([number for _, _, number in rows], dtype=np.int64),
        roles=np.array([role for role, _, _ in rows], dtype=np.int64),
    )


def scene() -> NDArray[np.uint8]:
    """An object on grey ground: white, its left half darker."""
    image = np.full((*SIZE, 3), GREY, dtype=np.uint8)
    image[40:70, 60:100] = WHITE
    image[40:70, 60:80] = 150
    return image


def draw(
    seed: int, *boxes: tuple[float, ...], donors: Donors | None = None, rule: PasteRule = RULE
) -> list[Paste]:
    return draw_pastes(
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        SIZE,
        donors or Donors(PackedImages([training_image((Role.LABEL, BOX, 7))])),
        rule,
        np.random.default_rng(seed),
        lambda height, width: (height, width),
    )


def one_object(**changes: Any) -> PasteRule:
    rule = {"most": 1, "labels": 6, "scales": (1.0, 1.0), "mirrored": False}
    return PasteRule(**{**rule, **changes})


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_object_lies_where_its_box_says(scale: float, mirrored: bool) -> None:
    seen = set()
    for seed in range(20):
        (paste,) = draw(seed, rule=one_object(scales=(scale, scale), mirrored=mirrored))
        image = np.full((*SIZE, 3), BLACK, dtype=np.uint8)
        paste.onto(image, scene())
        left, top, right, bottom = paste.box
        assert (right - left, bottom - top) == pytest.approx((40 * scale, 30 * scale), abs=1.5)
        inside = image[round(top) + 2 : round(bottom) - 2, round(left) + 2 : round(right) - 2, 0]
        assert inside.min() > 140
        halves = inside[:, :10].mean(), inside[:, -10:].mean()
        assert halves == pytest.approx((WHITE, 150) if paste.mirrored else (150, WHITE), abs=5)
        # Around the box the donor's ground fades out; farther away nothing is changed.
        row = image[round((top + bottom) / 2), :, 0].astype(int)
        margin = row[round(left) - 5 : round(left) - 1]
        assert (np.diff(margin) >= 0).all()
        assert margin.max() <= GREY + 10
        away = np.ones(SIZE, dtype=bool)
        x0, y0, x1, y1 = paste.place
        away[y0:y1, x0:x1] = False
        assert (image[away] == BLACK).all()
        seen.add((paste.mirrored, paste.place))
    assert {flag for flag, _ in seen} == ({False, True} if mirrored else {False})
    assert len({place for _, place in seen}) > 10


def test_objects_hide_nothing_that_is_known_of_the_image() -> None:
    known = [(5.0, 5.0, 60.0, 60.0), (100.0, 60.0, 150.0, 110.0)]
    counts = Counter()
    for seed in range(60):
        pastes = draw(seed, *known)
        counts[len(pastes)] += 1
        earlier = list(known)
        for paste in pastes:
            x0, y0, x1, y1 = paste.place
            assert 0 <= x0 < x1 <= SIZE[1]
            assert 0 <= y0 < y1 <= SIZE[0]
            for left, top, right, bottom in earlier:
                width, height = min(right, x1) - max(left, x0), min(bottom, y1) - max(top, y0)
                covered = max(width, 0) * max(height, 0)
                assert covered <= 0.1 * (right - left) * (bottom - top) + 1e-3
            earlier.append(tuple(paste.box.tolist()))
    assert {1, 2} <= set(counts) <= {0, 1, 2, 3}


def test_where_there_is_no_room_nothing_is_pasted() -> None:
    everywhere = [(x, y, x + 8.0, y + 8.0) for x in range(0, 160, 8) for y in range(0, 120, 8)]
    assert draw(1, *everywhere) == []
    assert draw(1, rule=one_object(scales=(5.0, 5.0))) == []


def test_rare_classes_are_pasted_as_often_and_mined_objects_never() -> None:
    common = [(Role.LABEL, (10.0 * k, 0.0, 10.0 * k + 9, 9.0), 0) for k in range(9)]
    other = [(Role.MINED, BOX, 2), (Role.IGNORED, BOX, 3), (Role.REJECTED, BOX, 4)]
    donors = Donors(
        PackedImages(
            [
                training_image(*common, id=1),
                training_image(*other, (Role.LABEL, BOX, 5), id=2),
            ]
        )
    )
    assert len(donors) == 10
    rng = np.random.default_rng(0)
    drawn = [donors.draw(rng) for _ in range(400)]
    classes = Counter(int(image.classes[row]) for image, row in drawn)
    assert set(classes) == {0, 5}
    assert 150 < classes[5] < 250
    assert all(image.roles[row] == Role.LABEL for image, row in drawn)
    assert len({row for image, row in drawn if image.source.id == 1}) == 9


@pytest.mark.parametrize(
    ("roles", "share"),
    [
        pytest.param([Role.LABEL], 1, id="a label"),
        pytest.param([Role.MINED], 1, id="a mined label"),
        pytest.param([Role.LABEL] * 4 + [Role.MINED] * 2 + [Role.IGNORED] * 6, 1, id="6 labels"),
        pytest.param([Role.LABEL] * 12, 0.5, id="12 labels"),
        pytest.param([Role.MINED] * 60, 0.1, id="60 labels"),
        pytest.param([Role.REJECTED, Role.IGNORED], 0, id="not annotated"),
        pytest.param([], 0, id="nothing known"),
        pytest.param([Role.LABEL, Role.EXHAUSTIVE], 0, id="exhaustive"),
    ],
)
def test_images_take_objects_the_more_often_the_fewer_labels_they_have(
    roles: list[Role], share: float
) -> None:
    image = training_image(*((role, BOX, 1) for role in roles))
    rng = np.random.default_rng(0)
    taken = np.mean([takes_objects(image, RULE, rng) for _ in range(600)])
    assert taken == (share if share in (0, 1) else pytest.approx(share, abs=0.07))


def test_pasted_objects_are_labels_behind_the_others() -> None:
    image = training_image((Role.LABEL, (0.0, 0.0, 5.0, 5.0), 1), (Role.IGNORED, BOX, 0))
    pastes = draw(3)
    result = with_pasted(image, pastes)
    assert result.boxes.dtype == np.float32
    assert result.boxes[2:].tolist() == [paste.box.tolist() for paste in pastes]
    assert result.classes.tolist() == [1, 0, *[7] * len(pastes)]
    assert result.roles.tolist() == [Role.LABEL, Role.IGNORED, *[Role.LABEL] * len(pastes)]
    assert with_pasted(image, []) is image


def test_the_rule_is_the_configurations() -> None:
    keys = [
        *("SPARSEDET.STAGED.PASTE_LABELS", "9", "SPARSEDET.STAGED.PASTES", "5"),
        *("SPARSEDET.STAGED.PASTE_SCALE", "(0.5, 2.0)", "INPUT.RANDOM_FLIP", "none"),
    ]
    assert paste_rule(load_config("lite0_fpn", keys)) == PasteRule(5, 9, (0.5, 2.0), False)
