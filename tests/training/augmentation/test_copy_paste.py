"""Copy-paste: boxes match pasted objects, and nothing known about an image is hidden."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsedet.annotations import Image
from sparsedet.config.augmentations import CopyPasteConfig
from sparsedet.modeling.targets import Role
from sparsedet.training.augmentation.copy_paste import (
    ObjectBank,
    PastedObject,
    draw_copy_paste,
    takes_objects,
    with_pasted,
)
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage

SIZE = (120, 160)
BOX = (60.0, 40.0, 100.0, 70.0)
AT_THE_LEFT, IN_THE_CORNER = (1.0, 40.0, 41.0, 70.0), (118.0, 88.0, 158.0, 118.0)
BLACK, GREY, DARKER, WHITE = 0, 50, 150, 250
CONFIG = CopyPasteConfig()

Row = tuple[Role, tuple[float, ...], int]


def training_image(*rows: Row, id: int = 1, shrunk: tuple[int, int] = (1, 1)) -> TrainingImage:
    """An image that is `shrunk` (height, width) times as large as it is trained on."""
    rows_before, columns_before = shrunk
    scale = np.array([columns_before, rows_before] * 2, dtype=np.float32)
    return TrainingImage(
        source=Image(id, f"{id}.jpg", SIZE[1] * columns_before, SIZE[0] * rows_before),
        folder=Path("images"),
        boxes=np.array([box for _, box, _ in rows], dtype=np.float32).reshape(-1, 4) * scale,
        classes=np.array([number for _, _, number in rows], dtype=np.int64),
        roles=np.array([role for role, _, _ in rows], dtype=np.int64),
        weights=np.ones(len(rows), dtype=np.float32),
    )


def bank_of(*rows: Row, **kwargs: Any) -> ObjectBank:
    return ObjectBank(PackedDataset([training_image(*rows, id=2, **kwargs)]))


def scene(box: tuple[float, ...] = BOX) -> NDArray[np.uint8]:
    """An object on grey ground: white, its left half darker."""
    left, top, right, bottom = map(int, box)
    image = np.full((*SIZE, 3), GREY, dtype=np.uint8)
    image[top:bottom, left:right] = WHITE
    image[top:bottom, left : (left + right) // 2] = DARKER
    return image


def draw(
    seed: int,
    *boxes: tuple[float, ...],
    bank: ObjectBank | None = None,
    config: CopyPasteConfig = CONFIG,
    mirrors: bool = True,
    id: int = 1,
) -> list[PastedObject]:
    """Draw what is pasted into an image with these boxes."""
    return draw_copy_paste(
        training_image(*((Role.LABEL, box, 0) for box in boxes), id=id),
        SIZE,
        bank or bank_of((Role.LABEL, BOX, 7)),
        config,
        np.random.default_rng(seed),
        lambda height, width: SIZE,
        mirrors=mirrors,
    )


def one_object(scale: float = 1.0) -> CopyPasteConfig:
    return CopyPasteConfig(max_objects=1, scale=(scale, scale))


@pytest.mark.parametrize("box", [BOX, AT_THE_LEFT, IN_THE_CORNER])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_object_lies_where_its_box_says(
    box: tuple[float, ...], scale: float, mirrored: bool
) -> None:
    bank = bank_of((Role.LABEL, box, 7), shrunk=(3, 2))
    seen = set()
    for seed in range(20):
        (one,) = draw(seed, bank=bank, config=one_object(scale), mirrors=mirrored)
        assert one.source_size == SIZE
        image = np.full((*SIZE, 3), BLACK, dtype=np.uint8)
        one.paste(scene(box), image)
        left, top, right, bottom = one.box
        assert (right - left, bottom - top) == pytest.approx((40 * scale, 30 * scale), abs=1.5)
        inside = image[round(top) + 2 : round(bottom) - 2, round(left) + 2 : round(right) - 2, 0]
        assert inside.min() > DARKER - 10
        halves = inside[:, :10].mean(), inside[:, -10:].mean()
        expected = (WHITE, DARKER) if one.mirrored else (DARKER, WHITE)
        assert halves == pytest.approx(expected, abs=5)
        # Around the box the source's ground fades out; farther away nothing is changed.
        object_seen = (image[..., 0] > GREY + 50).nonzero()
        for edges, (low, high) in zip(object_seen, ((top, bottom), (left, right)), strict=True):
            assert (edges.min(), edges.max() + 1) == pytest.approx((low, high), abs=1.5)
        x0, y0, x1, y1 = one.place
        away = np.ones(SIZE, dtype=bool)
        away[y0:y1, x0:x1] = False
        assert (image[away] == BLACK).all()
        seen.add((one.mirrored, one.place))
    assert {flag for flag, _ in seen} == ({False, True} if mirrored else {False})
    assert len({place for _, place in seen}) > 10


def test_the_surroundings_of_an_object_fade_out() -> None:
    (one,) = draw(1, config=one_object(), mirrors=False)
    image = np.full((*SIZE, 3), BLACK, dtype=np.uint8)
    one.paste(scene(), image)
    left, top, _, bottom = one.box.round().astype(int)
    margin = image[(top + bottom) // 2, one.place[0] : left, 0].astype(int)
    assert len(margin) == 6
    assert (np.diff(margin) > 0).all()
    assert 0 < margin[0] < 10
    assert GREY - 10 < margin[-1] < GREY


def test_what_else_is_known_of_a_crop_comes_to_be_ignored() -> None:
    near = (102.0, 50.0, 130.0, 60.0)
    rows = [
        (Role.LABEL, BOX, 7),
        (Role.MINED, near, 3),
        (Role.VERIFIED_NEGATIVE, (70.0, 45.0, 80.0, 55.0), 3),
        (Role.IGNORE_REGION, (110.0, 80.0, 120.0, 90.0), 0),
    ]
    # Of the neighbour, four columns of pixels are in the margin of the object.
    bank = bank_of(*rows)
    both = [draw(seed, bank=bank, config=one_object()) for seed in range(9)]
    for (one,) in both:
        x = one.box[0] - 6 if one.mirrored else one.box[2] + 2
        assert one.others.tolist() == [[x, one.box[1] + 10, x + 4, one.box[1] + 20]]
    assert {one.mirrored for (one,) in both} == {False, True}
    result = with_pasted(training_image((Role.LABEL, (0.0, 0.0, 5.0, 5.0), 1)), [one])
    assert result.roles.tolist() == [Role.LABEL, Role.LABEL, Role.IGNORE_REGION]
    assert result.boxes[2].tolist() == one.others[0].tolist()
    # Its class lacks a label there now, whatever is complete in the image.
    assert result.classes.tolist() == [1, 7, 3]


def test_objects_hide_nothing_that_is_known_of_the_image() -> None:
    known = [(5.0, 5.0, 60.0, 60.0), (100.0, 60.0, 150.0, 110.0)]
    counts: Counter[int] = Counter()
    for seed in range(60):
        pasted = draw(seed, *known)
        counts[len(pasted)] += 1
        earlier = list(known)
        for one in pasted:
            x0, y0, x1, y1 = one.place
            assert 0 <= x0 < x1 <= SIZE[1]
            assert 0 <= y0 < y1 <= SIZE[0]
            for left, top, right, bottom in earlier:
                width, height = min(right, x1) - max(left, x0), min(bottom, y1) - max(top, y0)
                covered = max(width, 0) * max(height, 0)
                assert covered <= 0.1 * (right - left) * (bottom - top) + 1e-3
            earlier.append(tuple(one.box.tolist()))
    assert {1, 2} <= set(counts) <= {0, 1, 2, 3}


def test_complete_classes_take_no_room() -> None:
    """Their rows are the whole image, of which a large object hides much."""
    complete = (Role.COMPLETE_CLASS, (0.0, 0.0, 160.0, 120.0), 1)
    known = (Role.LABEL, (0.0, 0.0, 5.0, 5.0), 0)
    bank, large = bank_of((Role.LABEL, BOX, 7)), one_object(2.0)
    pasted = [
        draw_copy_paste(
            training_image(*rows),
            SIZE,
            bank,
            large,
            np.random.default_rng(3),
            lambda height, width: SIZE,
            mirrors=False,
        )
        for rows in ([known], [known, complete])
    ]
    assert len(pasted[0]) == len(pasted[1]) == 1
    assert pasted[0][0].place == pasted[1][0].place


def test_where_there_is_no_room_nothing_is_pasted() -> None:
    everywhere = [(x, y, x + 8.0, y + 8.0) for x in range(0, 160, 8) for y in range(0, 120, 8)]
    assert draw(1, *everywhere) == []
    assert draw(1, config=one_object(5.0)) == []


@pytest.mark.parametrize("box", [(50.0, 50.0, 51.0, 51.0), (50.0, 50.0, 50.0, 60.0)])
def test_what_is_too_small_to_be_seen_is_not_pasted(box: tuple[float, ...]) -> None:
    assert draw(1, bank=bank_of((Role.LABEL, box, 7)), config=one_object()) == []


def test_an_image_takes_no_objects_of_its_own() -> None:
    assert draw(1, id=1) != []
    assert draw(1, id=2) == []


def test_rare_classes_are_pasted_as_often_and_mined_objects_never() -> None:
    common = [(Role.LABEL, (10.0 * k, 0.0, 10.0 * k + 9, 9.0), 0) for k in range(9)]
    other = [(Role.MINED, BOX, 2), (Role.IGNORE_REGION, BOX, 3), (Role.VERIFIED_NEGATIVE, BOX, 4)]
    last = training_image(*other, (Role.LABEL, BOX, 5), id=2)
    bank = ObjectBank(PackedDataset([training_image(*common, id=1), last]))
    assert len(bank) == 10
    rng = np.random.default_rng(0)
    drawn = [bank.draw(rng) for _ in range(400)]
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
        pytest.param(
            [Role.LABEL] * 4 + [Role.MINED] * 2 + [Role.IGNORE_REGION] * 6, 1, id="6 labels"
        ),
        pytest.param([Role.LABEL] * 12, 0.5, id="12 labels"),
        pytest.param([Role.MINED] * 60, 0.1, id="60 labels"),
        pytest.param([Role.VERIFIED_NEGATIVE, Role.IGNORE_REGION], 0, id="not annotated"),
        pytest.param([], 0, id="nothing known"),
        pytest.param([Role.LABEL, Role.EXHAUSTIVE], 0, id="exhaustive"),
    ],
)
def test_images_take_objects_the_more_often_the_fewer_labels_they_have(
    roles: list[Role], share: float
) -> None:
    image = training_image(*((role, BOX, 1) for role in roles))
    rng = np.random.default_rng(0)
    taken = np.mean([takes_objects(image, CONFIG, rng) for _ in range(600)])
    assert taken == (share if share in (0, 1) else pytest.approx(share, abs=0.07))


def test_mined_labels_that_are_less_likely_than_not_are_no_labels_there() -> None:
    image = training_image(*[(Role.MINED, BOX, 1)] * 3)
    likely, unlikely = np.array([[0.5, 0.4, 0.4], [0.4] * 3], dtype=np.float32)
    rng = np.random.default_rng(0)
    assert takes_objects(replace(image, weights=likely), CONFIG, rng)
    assert not takes_objects(replace(image, weights=unlikely), CONFIG, rng)


def test_pasted_objects_are_labels_behind_the_others() -> None:
    image = training_image((Role.LABEL, (0.0, 0.0, 5.0, 5.0), 1), (Role.IGNORE_REGION, BOX, 0))
    pasted = draw(3)
    result = with_pasted(image, pasted)
    assert result.boxes.dtype == np.float32
    assert result.boxes[2:].tolist() == [one.box.tolist() for one in pasted]
    assert result.classes.tolist() == [1, 0, *[7] * len(pasted)]
    assert result.roles.tolist() == [Role.LABEL, Role.IGNORE_REGION, *[Role.LABEL] * len(pasted)]
    assert with_pasted(image, []) is image
