"""Results other than rectangles of one control: which are boxes, and how they are written."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.converter import brush

from sparsedet.integrations.label_studio.annotation_choice import that_count
from sparsedet.integrations.label_studio.annotation_patch import patched, without_shapes
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.labelling_config.label_config import (
    LabelConfig,
    parse_config,
)
from sparsedet.integrations.label_studio.regions import Oddities, read_regions, reviewed_region
from sparsedet.reviews import Changes, ReviewedRegion
from sparsedet.tool import Choice, ToolOptions
from tests.integrations.label_studio.samples import PLACE, rectangle

PLAIN = labelling_config(["cat", "dog"])
BOXES = parse_config(PLAIN, "7", ToolOptions(shapes="boxes"))
SPLIT = parse_config(
    PLAIN.replace("RectangleLabels", "Labels").replace(
        "<Labels", '<Rectangle name="drawer" toName="image"/><Labels'
    ),
    "7",
)
LIST = parse_config(PLAIN.replace('value="$image"', 'valueList="$images"'), "7")
SIZE = (640, 480)
Result = dict[str, Any]


def shape(kind: str, value: Result, **more: Any) -> Result:
    value = {**value, f"{kind}labels": ["cat"]}
    return rectangle(id=kind, from_name="outline", type=f"{kind}labels", value=value, **more)


def strokes(mask: Any) -> Result:
    """A brush region as the editor stores it: the mask as four channels, packed."""
    channels = np.repeat(mask.astype(np.uint8).ravel() * 255, 4)
    packed: list[int] = brush.encode_rle(channels)  # type: ignore[no-untyped-call]
    return {"format": "rle", "rle": packed}


def read(
    results: list[Any], config: LabelConfig, oddities: Oddities | None = None
) -> dict[str, ReviewedRegion]:
    counted_in = Oddities() if oddities is None else oddities  # an empty one is false
    found = read_regions(results, config, 1, counted_in, SIZE)
    return {region.id: reviewed_region(region, config) for region in found}


def drawn(id: str, label: str = "cat") -> list[Result]:
    """A box where one control draws and another labels."""
    return [
        rectangle(id=id, from_name="drawer", type="rectangle", value=dict(PLACE)),
        rectangle(id=id, type="labels", value={**PLACE, "labels": [label]}),
    ]


POLYGON = shape("polygon", {"points": [[10, 10], [30, 20], [20, 50]]})
ELLIPSE = shape("ellipse", {"x": 50, "y": 50, "radiusX": 10, "radiusY": 5, "rotation": 0})


def test_shapes_give_the_boxes_around_them() -> None:
    mask = np.zeros((48, 64), dtype=bool)
    mask[5:20, 10:12] = True
    mask[19, 12:30] = True
    painted = shape("brush", strokes(mask), original_width=64, original_height=48)
    found = read([POLYGON, ELLIPSE, painted], BOXES)
    assert found["polygon"].xyxy == pytest.approx((64, 48, 192, 240))
    assert found["ellipse"].xyxy == pytest.approx((256, 216, 384, 264))
    assert found["brush"].xyxy == pytest.approx((100, 50, 300, 200))
    assert {region.category for region in found.values()} == {"cat"}


@pytest.mark.parametrize("rotation", [90, 30, -45])
def test_the_box_around_a_turned_ellipse_touches_it(rotation: float) -> None:
    turned = shape("ellipse", {**ELLIPSE["value"], "rotation": rotation})
    angles = np.linspace(0, 2 * math.pi, 100_000)
    across, down = 64 * np.cos(angles), 24 * np.sin(angles)
    turn = math.radians(rotation)
    xs = 320 + across * math.cos(turn) - down * math.sin(turn)
    ys = 240 + across * math.sin(turn) + down * math.cos(turn)
    expected = (xs.min(), ys.min(), xs.max(), ys.max())
    assert read([turned], BOXES)["ellipse"].xyxy == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (shape("polygon", {"points": [[1, 1], [2, 2]]}), "polygon without points"),
        (shape("polygon", {"points": [[1], [2], [3]]}), "polygon whose points are not pairs"),
        (shape("polygon", {"points": [[1, math.nan], [2, 2], [3, 3]]}), "points are not finite"),
        (shape("polygon", {"points": [[1, 1], [1, 2], [1, 3]]}), "no area"),
        (shape("ellipse", {"x": 5, "y": "6"}), "ellipse without a place"),
        (shape("brush", {}), "brush without strokes"),
        (shape("brush", {"format": "rle", "rle": [1, 2, 300]}), "brush without strokes"),
        # 4 GB, says the first number; nothing is unpacked.
        (shape("brush", {"format": "rle", "rle": [255] * 8}), "brush of another size"),
        (
            shape("brush", {"format": "rle", "rle": [0, 18, 192, 0]}),  # its size, and no more
            "brush that can't be unpacked",
        ),
    ],
)
def test_broken_shapes_are_counted(broken: Result, reason: str) -> None:
    oddities = Oddities()
    assert read([broken], BOXES, oddities) == {}
    assert reason in str(oddities)


def test_a_shape_of_a_label_that_boxes_lack_is_counted_and_no_reason_to_stop() -> None:
    oddities = Oddities()
    stranger = {**POLYGON, "value": {**POLYGON["value"], "polygonlabels": ["tree"]}}
    assert read([stranger], BOXES, oddities) == {}
    assert "1 polygon with a label that boxes do not have, 'tree'" in str(oddities)
    assert not oddities.unknown_labels


def test_without_the_setting_shapes_are_counted_with_its_name() -> None:
    oddities = Oddities()
    results = [POLYGON, ELLIPSE, shape("keypoint", {})]
    assert read(results, parse_config(PLAIN, "7"), oddities) == {}
    assert "1 ellipse, 1 keypoint, 1 polygon" in str(oddities)
    assert str(oddities).endswith('[source] shapes = "boxes" reads polygons, ellipses and brushes '
                                  "as their boxes")  # fmt: skip
    alone = Oddities()
    read([shape("keypoint", {})], parse_config(PLAIN, "7"), alone)
    assert "[source]" not in str(alone)


def test_no_change_touches_a_shape() -> None:
    results = [POLYGON, rectangle("cat", id="box")]
    boxes = read(results, BOXES)
    wanted = Changes(
        edited={id: replace(box, category="dog") for id, box in boxes.items()},
        removed=frozenset({"polygon"}),
    )
    change = without_shapes(wanted, boxes, BOXES)
    after = patched(results, change, boxes, BOXES, SIZE)
    assert after[0] == POLYGON
    assert after[1]["value"]["rectanglelabels"] == ["dog"]


def test_an_annotation_of_shapes_counts_as_one_with_boxes() -> None:
    outlined = {"id": 1, "updated_at": "2026-01-01", "updated_by": 1, "result": [POLYGON]}
    empty = {"id": 2, "updated_at": "2026-01-02", "updated_by": 1, "result": []}
    assert that_count([outlined, empty], "ground-truth-first", BOXES) == [outlined]
    assert that_count([outlined, empty], "ground-truth-first") == [empty]


def test_a_box_of_two_results_is_read_once() -> None:
    oddities = Oddities()
    results = [*drawn("a"), *drawn("b", "dog"), drawn("c")[0], drawn("d")[1]]
    found = read(results, SPLIT, oddities)
    assert {id: box.category for id, box in found.items()} == {"a": "cat", "b": "dog"}
    assert "1 a label without its rectangle, 1 no label" in str(oddities)


def test_a_box_of_two_results_is_changed_in_both() -> None:
    results = [*drawn("a"), *drawn("b"), *drawn("c")]
    boxes = read(results, SPLIT)
    moved = ReviewedRegion("a", "dog", (0.0, 0.0, 64.0, 48.0))
    change = Changes(edited={"a": moved}, removed=frozenset({"b"}))
    after = patched(results, change, boxes, SPLIT, SIZE)
    place = {"x": 0.0, "y": 0.0, "width": 10.0, "height": 10.0, "rotation": 0}
    assert [(r["id"], r["type"]) for r in after] == [
        *(("a", "rectangle"), ("a", "labels")),
        *(("c", "rectangle"), ("c", "labels")),
    ]
    assert after[0]["value"] == place
    assert after[1]["value"] == {**place, "labels": ["dog"]}
    assert after[2:] == results[4:]


def test_boxes_of_other_images_stay_as_they_are() -> None:
    # A script that gives the same id on every image.
    results = [rectangle(item_index=n) for n in (0, 1, 2)]
    noted = [rectangle(item_index=n, type="textarea", value={"text": ["x"]}) for n in (0, 1)]
    config = LIST.of_image(1)
    boxes = read([*results, *noted], config)
    assert list(boxes) == ["r1"]
    after = patched([*results, *noted], Changes(removed=frozenset({"r1"})), boxes, config, SIZE)
    assert after == [results[0], results[2], noted[0]]
    # Of a time when the task had one image.
    old = rectangle()
    assert list(read([old], LIST.of_image(0))) == ["r1"]
    assert read([old], config) == {}


def test_labels_that_the_choice_leaves_out_are_no_oddity() -> None:
    config = parse_config(PLAIN, "7", ToolOptions(choice=Choice(only=("dog",))))
    oddities = Oddities()
    found = read([rectangle("cat", id="a"), rectangle("dog", id="b")], config, oddities)
    assert list(found) == ["b"]
    assert not oddities
