"""Contact sheets: arranged, drawn, and read back as reviews of images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sparsedet.annotations import Box, Category, Dataset, Image, read_image, read_upright
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.reviews import Review, ReviewedRegion, decide
from sparsedet.sheets import Sheet, drawing
from sparsedet.sheets.arrangement import CELL, COLUMNS, CROPS, arrange
from sparsedet.sheets.as_images import as_images
from sparsedet.sheets.drawing import draw_sheets
from sparsedet.sheets.layout import sheet_from_json
from sparsedet.sheets.reading import image_reviews

SIZE = 400, 300
HUMAN = (200.0, 100.0, 240.0, 160.0)


def dataset(count: int = 5) -> Dataset:
    images = tuple(Image(n, f"{n}.png", *SIZE, tool_id=f"t{n}") for n in range(1, count + 1))
    human = Box(1, 1, 1, HUMAN, tool_id="own")
    return Dataset(images, (human,), (Category(1, "king"), Category(2, "queen")))


def mined(count: int, category: int = 1, size: float = 60.0) -> list[MinedBox]:
    """Boxes on images 1 to 5 in turn, the first one surest."""
    return [
        MinedBox(
            f"m{category}-{n}",
            1 + n % 5,
            category,
            (10.0 + n, 20.5, 10.0 + n + size, 20.5 + size / 2),
            0.9,
            0.5,
            expected_precision=1 - n / 100,
        )
        for n in range(count)
    ]


def review(sheet: Sheet, boxes: list[MinedBox]) -> Review:
    """The review of somebody who leaves everything as it is."""
    shown = {
        box.region_id: ReviewedRegion(
            box.region_id, "king", sheet.by_region[box.region_id].to_sheet(box.xyxy)
        )
        for box in boxes
    }
    return Review(
        sheet.name, "7", shown, tuple(shown.values()), "ann", 12.0, offer="7", complete=True
    )


def regions(boxes: list[MinedBox]) -> dict[str, ReviewedRegion]:
    return {box.region_id: ReviewedRegion(box.region_id, "king", box.xyxy) for box in boxes}


def test_a_sheet_shows_one_class_the_surest_first_whatever_the_order() -> None:
    boxes = [*mined(30), *mined(3, category=2)]
    sheets = arrange(boxes, dataset())
    assert [(s.category, len(s.crops)) for s in sheets] == [("king", 24), ("king", 6), ("queen", 3)]
    assert [c.region_id for c in sheets[0].crops] == [f"m1-{n}" for n in range(CROPS)]
    assert arrange(reversed(boxes), dataset()) == sheets
    assert len({sheet.name for sheet in sheets}) == 3
    assert [sheet_from_json(sheet.to_json(), "here") for sheet in sheets] == sheets


def test_crops_lie_in_the_image_and_apart_on_the_sheet() -> None:
    corner = MinedBox("corner", 1, 1, (390.0, 290.0, 400.0, 300.0), 0.9, 0.5)
    whole = MinedBox("whole", 2, 1, (0.0, 0.0, *SIZE), 0.9, 0.5)
    (sheet,) = arrange([corner, whole, *mined(10)], dataset())
    for crop in sheet.crops:
        assert 0 <= crop.window[0] < crop.window[2] <= SIZE[0]
        assert 0 <= crop.window[1] < crop.window[3] <= SIZE[1]
        assert max(crop.place[2] - crop.place[0], crop.place[3] - crop.place[1]) == CELL
        assert crop.place[2] <= sheet.size[0]
        assert crop.place[3] <= sheet.size[1]
    middles = {
        (int(c.place[0] // (CELL + 10)), int(c.place[1] // (CELL + 10))) for c in sheet.crops
    }
    assert len(middles) == 12
    assert max(column for column, _ in middles) == COLUMNS - 1
    shown = sheet.by_region["corner"]
    assert shown.to_image(shown.to_sheet(corner.xyxy)) == pytest.approx(corner.xyxy)


def test_a_picture_shows_what_the_image_shows_and_outlines_annotations(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for n in range(1, 6):
        coarse = rng.integers(0, 200, (6, 8, 3), dtype=np.uint8)
        pixels = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
        assert cv2.imwrite(str(tmp_path / f"{n}.png"), pixels)
    on_human = MinedBox("on-human", 1, 1, HUMAN, 0.9, 0.5)
    data = dataset()
    (sheet,) = arrange([on_human, *mined(4)], data)
    (file,) = draw_sheets([sheet], data, tmp_path, tmp_path / "out")
    picture = read_upright(file.path)
    assert picture.shape == (sheet.size[1], sheet.size[0], 3)
    for crop in sheet.crops:
        left, top, right, bottom = (int(v) for v in crop.place)
        source = read_upright(tmp_path / f"{crop.tool_id[1:]}.png")
        x, y, x2, y2 = (int(v) for v in crop.window)
        wanted = cv2.resize(source[y:y2, x:x2], (right - left, bottom - top))
        off = np.abs(picture[top:bottom, left:right].astype(int) - wanted).mean()
        assert off < (12 if crop.region_id == "on-human" else 4)
    human = sheet.by_region["on-human"].to_sheet(HUMAN)
    edge = picture[round(human[1]), round(human[0]) + 3 : round(human[2]) - 3]
    assert edge.min() > 180  # nothing else is as bright
    # Drawn once: what is there stays.
    file.path.write_bytes(b"as it is")
    draw_sheets([sheet], data, tmp_path, tmp_path / "out")
    assert file.path.read_bytes() == b"as it is"


def test_a_sheet_left_as_it_is_accepts_every_box_where_it_was_mined() -> None:
    boxes = mined(7)
    (sheet,) = arrange(boxes, dataset())
    found = image_reviews(review(sheet, boxes), sheet, regions(boxes), {})
    assert [one.tool_id for one in found] == ["t1", "t2", "t3", "t4", "t5"]
    assert {id: box for one in found for id, box in one.shown.items()} == regions(boxes)
    assert {box.region_id: box for one in found for box in one.regions} == regions(boxes)
    assert sum(one.seconds or 0 for one in found) == pytest.approx(12.0)
    assert len({one.review_id for one in found}) == len({one.offer for one in found}) == 5
    assert all(one.partial and not one.complete for one in found)


def test_what_reviewers_change_on_a_sheet_is_changed_on_the_image() -> None:
    boxes = mined(5, size=140.0)  # shown smaller than it is
    (sheet,) = arrange(boxes, dataset())
    left = {box.region_id: box for box in review(sheet, boxes).regions}
    del left["m1-0"]
    left["m1-1"] = replace(left["m1-1"], category="queen")
    crop = sheet.by_region["m1-2"]
    shift = 6.0
    x, y, x2, y2 = left["m1-2"].xyxy
    left["m1-2"] = replace(left["m1-2"], xyxy=(x + shift, y, x2 + shift, y2))
    left["m1-3"] = replace(left["m1-3"], unsure=True)
    place = sheet.by_region["m1-4"].place
    middle = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
    drawn = ReviewedRegion(
        "drawn", "queen", (middle[0] - 9, middle[1] - 9, middle[0] + 9, middle[1] + 9)
    )
    done = replace(review(sheet, boxes), regions=(*left.values(), drawn))
    found = {one.tool_id: one for one in image_reviews(done, sheet, regions(boxes), {})}

    assert found["t1"].regions == ()
    assert "m1-0" in found["t1"].shown
    (renamed,) = found["t2"].regions
    assert (renamed.category, renamed.xyxy) == ("queen", boxes[1].xyxy)
    (moved,) = found["t3"].regions
    scale = (crop.window[2] - crop.window[0]) / (crop.place[2] - crop.place[0])
    assert scale > 1
    assert moved.xyxy == pytest.approx(
        (
            boxes[2].xyxy[0] + shift * scale,
            boxes[2].xyxy[1],
            boxes[2].xyxy[2] + shift * scale,
            boxes[2].xyxy[3],
        )
    )
    assert found["t4"].regions[0].unsure
    assert [box.region_id for box in found["t5"].regions] == ["m1-4", "drawn"]
    own = sheet.by_region["m1-4"].window
    assert own[0] < found["t5"].regions[1].xyxy[0] < own[2]


def test_a_box_that_was_dragged_off_its_image_is_undecided() -> None:
    """Over the edge of the image, where the sheet shows another one."""
    (sheet,) = arrange(mined(2), dataset())
    as_shown = review(sheet, mined(2))
    first, second = as_shown.regions
    left, top, right, bottom = first.xyxy
    away = replace(first, xyxy=(left - 120, top - 120, right - 120, bottom - 120))
    one, other = image_reviews(
        replace(as_shown, regions=(away, second)), sheet, regions(mined(2)), {}
    )
    shown = regions(mined(2))[first.region_id]
    assert one.regions == (replace(shown, unsure=True),)
    assert not other.regions[0].unsure


def test_boxes_follow_an_image_that_has_another_size_now() -> None:
    boxes = mined(1)
    (sheet,) = arrange(boxes, dataset())
    done = review(sheet, boxes)
    x, y, x2, y2 = done.regions[0].xyxy
    done = replace(done, regions=(replace(done.regions[0], xyxy=(x, y, x2 + 8, y2)),))
    twice = {"m1-0": replace(regions(boxes)["m1-0"], xyxy=tuple(2 * v for v in boxes[0].xyxy))}  # type: ignore[arg-type]
    (found,) = image_reviews(done, sheet, twice, {"t1": (800, 600)})
    assert found.shown["m1-0"].xyxy == twice["m1-0"].xyxy
    assert found.regions[0].xyxy[0] == pytest.approx(2 * boxes[0].xyxy[0])
    assert found.regions[0].xyxy[2] > twice["m1-0"].xyxy[2] + 8


def test_a_sheet_says_nothing_of_whether_an_image_is_complete() -> None:
    whole = Review("t1", "1", {}, (), complete=True, saved_at="2026-01-01T00:00:00+00:00")
    crops = Review("t1", "2", {}, (), partial=True, saved_at="2026-01-02T00:00:00+00:00")
    assert decide([whole, crops], {}).complete
    assert not decide([whole, replace(crops, partial=False)], {}).complete
    boxes = mined(2)
    (sheet,) = arrange(boxes, dataset())
    marked = replace(review(sheet, boxes), complete_classes=frozenset({"king"}))
    for one in image_reviews(marked, sheet, regions(boxes), {}):
        assert not one.complete
        assert not one.complete_classes


def test_boxes_on_no_sheet_and_broken_layouts_are_named() -> None:
    boxes = mined(2)
    (sheet,) = arrange(boxes[:1], dataset())
    with pytest.raises(SparseDetError, match="m1-1 is on no contact sheet"):
        as_images([sheet], dataset(), boxes)
    layout = sheet.to_json()
    crop = layout["crops"][0]
    infinite = float("inf")
    for broken in (
        None,
        {},
        {**layout, "crops": [{"region_id": "x"}]},
        {**layout, "size": [infinite, 10]},
        {**layout, "size": [-10, 10]},
        {**layout, "crops": [{**crop, "window": [0, 0, 10**400, 10]}]},
        {**layout, "crops": [{**crop, "window": [-infinite, 0, infinite, 10]}]},
        {**layout, "crops": [{**crop, "place": [0, 0, float("nan"), 10]}]},
    ):
        with pytest.raises(SparseDetError, match="task 7: invalid layout of a contact sheet"):
            sheet_from_json(broken, "task 7")
    stranger = Dataset((Image(1, "a.png", *SIZE),), (), dataset().categories)
    with pytest.raises(SparseDetError, match="has no tool_id"):
        arrange(boxes[:1], stranger)


def test_an_image_is_decoded_once_for_all_sheets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(1, 5):  # the fifth is missing
        assert cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((*SIZE[::-1], 3), 40 * n, np.uint8))
    decoded: list[str] = []

    def counted(image: Image, folder: Path) -> Any:
        decoded.append(image.file_name)
        return read_image(image, folder)

    monkeypatch.setattr(drawing, "read_image", counted)
    sheets = arrange(mined(60), dataset())
    done: list[int] = []
    files = draw_sheets(sheets, dataset(), tmp_path, tmp_path / "out", done.append)
    assert sorted(decoded) == [f"{n}.png" for n in range(1, 6)]
    assert done == [1, 2, 3]
    for file in files:
        picture = read_upright(file.path)
        for crop in file.sheet.crops:
            left, top, right, bottom = (int(v) for v in crop.place)
            expected = {"t5": 40}.get(crop.tool_id, 40 * int(crop.tool_id[1:]))
            assert (
                abs(float(picture[top + 5 : bottom - 5, left + 5 : right - 5].mean()) - expected)
                < 8
            )
