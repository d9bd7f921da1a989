"""`auto` shows small objects larger, in the time and memory that there are, and changes no more."""

import numpy as np
import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.config.auto import (
    ANCHORS,
    TILE,
    Means,
    choose,
    config_to_resume,
    config_to_start,
)
from sparsedet.config.training_config import TrainingConfig, load_config
from sparsedet.errors import ConfigError

BASE = load_config("lite0_fpn")
CPU, GPU = Means("cpu", 2**35), Means("cuda", 2**37)
VGA = (640, 480)


def dataset(*sides: float, sizes: tuple[tuple[int, int], ...] = (VGA,)) -> Dataset:
    """Images of these widths and heights, each with square boxes of these sides, in pixels."""
    images = [Image(number, f"{number}.jpg", *size) for number, size in enumerate(sizes, start=1)]
    boxes = [
        Box(0, image.id, 1, (10.0, 10.0, 10.0 + side, 10.0 + side))
        for image in images
        for side in sides
    ]
    return Dataset(tuple(images), tuple(boxes), (Category(1, "cell"),))


def chosen(config: TrainingConfig) -> dict[str, object]:
    """What differs from the configuration that the choice starts from."""
    keys = config.differing_keys(BASE)
    found = {}
    for key in keys:
        value = config.node
        for part in key.split("."):
            value = value[part]
        found[key] = list(value) if isinstance(value, tuple) else value
    return found


@pytest.mark.parametrize("means", [CPU, GPU])
@pytest.mark.parametrize("sides", [[50, 80, 100, 120], [52], [150, 200, 250, 380]])
def test_ordinary_objects_change_nothing(sides: list[float], means: Means) -> None:
    choice = choose(dataset(*sides), BASE, means)
    assert choice.config.dump() == BASE.dump()
    assert "image size 320 stays" in choice.reason


@pytest.mark.parametrize(
    ("side", "means", "size"), [(46, CPU, 480), (36, CPU, 640), (30, GPU, 800), (24, GPU, 960)]
)
def test_rather_small_objects_get_a_larger_input(side: float, means: Means, size: int) -> None:
    choice = choose(dataset(side), BASE, means)
    short = size * 3 // 4
    assert chosen(choice.config) == {
        "INPUT.MIN_SIZE_TRAIN": [short],
        "INPUT.MAX_SIZE_TRAIN": size,
        "INPUT.MIN_SIZE_TEST": short,
        "INPUT.MAX_SIZE_TEST": size,
    }
    assert f"image size {size} instead of 320 (a step takes about" in choice.reason
    assert f"smaller than {side / 2:.0f} pixels at 320, now" in choice.reason


def test_very_small_objects_are_seen_in_tiles() -> None:
    """A box of 90 pixels is to have 32: 912 pixels are seen as 320."""
    choice = choose(dataset(90, sizes=((2560, 1920),)), BASE, CPU)
    assert chosen(choice.config) == {
        TILE: 928,
        "INPUT.MIN_SIZE_TRAIN": [320],
        "INPUT.MIN_SIZE_TEST": 320,
    }
    assert choice.reason == (
        "auto: tiles of 928 pixels, and whole images at 320; a fifth of the boxes is smaller than "
        "11 pixels at 320, now 31"
    )


def test_tiles_are_not_too_many() -> None:
    sides = [
        choose(dataset(30, sizes=((8000, 6000),)), BASE, means).config.input.tile
        for means in (CPU, GPU)
    ]
    assert sides[0] > sides[1] > 320
    said = choose(dataset(30, sizes=((8000, 6000),)), BASE, CPU).reason
    assert said.endswith(": no closer, for 24 tiles per image")


def test_little_memory_keeps_the_input_small() -> None:
    few = choose(dataset(36), BASE, Means("cpu", 2**31)).config.input
    assert (few.max_size_test, few.tile) == (320, 384)


def test_anchors_follow_objects_that_they_do_not_fit() -> None:
    large = choose(dataset(300, 400, 405, 410, sizes=((500, 500),)), BASE, CPU)
    assert chosen(large.config) == {ANCHORS: [[22], [66], [196]]}
    assert "anchors of 22, 66, 196 pixels" in large.reason


def test_mixed_sizes_have_two_anchors_on_each_map() -> None:
    sides = np.geomspace(4, 460, 30).tolist()
    choice = choose(dataset(*sides), BASE, CPU, given=[TILE])
    assert choice.config.input.max_size_test == 640
    sizes = choice.config.node.MODEL.ANCHOR_GENERATOR.SIZES
    assert [len(own) for own in sizes] == [2, 2, 2]
    flat = [size for own in sizes for size in own]
    assert flat == sorted(flat)
    assert flat[0] == 12
    assert flat[-1] > 96


def test_images_of_different_sizes_count_by_what_is_seen_of_them() -> None:
    """40 pixels are ordinary in a small image, and small in a large one."""
    small, large = (320, 240), (1280, 960)
    assert choose(dataset(40, sizes=(small,)), BASE, CPU).config.dump() == BASE.dump()
    mixed = choose(dataset(40, sizes=(small, large, large, small)), BASE, CPU)
    assert "smaller than 10 pixels" in mixed.reason
    assert mixed.config.dump() != BASE.dump()


def test_without_boxes_nothing_is_chosen() -> None:
    choice = choose(dataset(), BASE, CPU)
    assert choice.config.dump() == BASE.dump()
    assert "no boxes" in choice.reason


def test_crowd_regions_do_not_count() -> None:
    crowded = dataset(100, 5, 5, 5)
    boxes = [Box(0, 1, 1, box.xyxy, iscrowd=box.width < 9) for box in crowded.boxes]
    assert choose(crowded.with_boxes(boxes), BASE, CPU).config.dump() == BASE.dump()


@pytest.mark.parametrize(
    ("pairs", "stays"),
    [
        (["INPUT.MAX_SIZE_TEST", "400"], ("INPUT.MIN_SIZE_TRAIN", (240,))),
        (["INPUT.TILE", "0"], (TILE, 0)),
        (["INPUT.TILE", "200"], (TILE, 200)),
    ],
)
def test_keys_that_are_given_stay(pairs: list[str], stays: tuple[str, object]) -> None:
    small = dataset(5, 10, 20)
    choice = config_to_start("auto", pairs, small, "cpu")
    (key, value) = stays
    node = choice.config.node
    for part in key.split("."):
        node = node[part]
    assert node == value
    anchors = [ANCHORS, "[[9],[18],[36]]"]
    given = config_to_start("auto", [*pairs, *anchors], small, "cpu").config
    assert given.node.MODEL.ANCHOR_GENERATOR.SIZES == [[9], [18], [36]]


def test_a_run_that_resumes_keeps_its_choice() -> None:
    began = config_to_start("auto", [], dataset(10, 20), "cpu").config
    assert began.dump() != BASE.dump()
    assert config_to_resume("auto", [], began).differing_keys(began) == []
    other = config_to_resume("auto", ["SOLVER.MAX_ITER", "7"], began)
    assert other.differing_keys(began) == ["SOLVER.MAX_ITER"]


def test_auto_starts_from_any_configuration() -> None:
    small = dataset(4, 5)
    assert config_to_start("lite0_fpn", [], small, "cpu").reason == ""
    published = config_to_start("auto:r50_fpn", [], small, "cpu")
    assert published.config.model.backbone == "build_resnet_fpn_backbone"
    assert published.config.input.max_size_test > 1333 or published.config.input.tile
    with pytest.raises(ConfigError, match="no configuration 'magic'"):
        load_config("auto:magic")


def test_more_parts_than_images_of_a_batch_are_left_to_the_start_of_the_run() -> None:
    config = load_config("lite0_fpn", ("SOLVER.ACCUMULATION", "64"))
    assert choose(dataset(30), config, CPU).reason
