"""Odd values anywhere in a file: left out or refused in one line, never a traceback."""

import copy
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import write_coco
from sparsedet.annotations.faults import Faults
from sparsedet.errors import SparseDetError
from sparsedet.formats import read_dataset
from tests.integrations.files.formats.datasets import write, write_image

TEXTS = ["", "-1", "nan", "1e400", "x" * 5000, "..", "/", "a/../../b", ";", "1,2,3", "ü"]
ODD: list[Any] = [None, True, -1, 10**400, 1e308, "", "\ud83d", "a\0b", "x" * 5000]
ODD += ["http://[a", [], [[]], {}, {"a": []}]
RESULT = {
    "id": "r",
    "type": "rectanglelabels",
    "original_width": 120,
    "original_height": 80,
    "value": {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 5, "rectanglelabels": ["dog"]},
}
RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
POLYGON = {"label": "dog", "points": [[1, 2], [9, 2], [9, 8]], "shape_type": "polygon"}
FILES: dict[str, Any] = {
    "labelme": {
        "version": "5",
        "shapes": [POLYGON, {**POLYGON, "shape_type": "rectangle", "group_id": 0}],
        "imagePath": "a.jpg",
        "imageWidth": 120,
        "imageHeight": 80,
    },
    "createml": [
        {
            "image": "a.jpg",
            "annotations": [
                {"label": "dog", "coordinates": {"x": 20, "y": 20, "width": 5, "height": 5}}
            ],
        }
    ],
    "via": {
        "a.jpg12": {
            "filename": "a.jpg",
            "regions": [
                {"shape_attributes": RECT, "region_attributes": {"class": "dog"}},
                {
                    "shape_attributes": {
                        "name": "polygon",
                        "all_points_x": [1, 9, 9],
                        "all_points_y": [2, 2, 8],
                    },
                    "region_attributes": {"class": {"dog": True}},
                },
            ],
        }
    },
    "label-studio": [
        {
            "id": 1,
            "data": {"image": "/data/upload/1/a.jpg"},
            "annotations": [{"id": 1, "updated_at": "2026", "result": [RESULT]}],
        }
    ],
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value in a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from _places(inner, (*path, key))


def _changed(content: Any, place: tuple[Any, ...], odd: Any) -> Any:
    changed = copy.deepcopy(content)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = odd
    return changed


def _read(folder: Path, format: str) -> None:
    """Read as commands do, and write what was read."""
    with suppress(SparseDetError):
        dataset = read_dataset(folder, format=format, faults=Faults(folder)).dataset
        write_coco(dataset, folder / "out.txt")


@pytest.mark.parametrize("format", FILES)
def test_odd_values_in_json(format: str, tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    content = FILES[format]
    write(tmp_path, "a.json", json.dumps(content))
    assert read_dataset(tmp_path).dataset.boxes
    numbers = random.Random(1)
    for place in _places(content):
        for odd in numbers.sample(ODD, 3):
            write(tmp_path, "a.json", json.dumps(_changed(content, place, odd)))
            _read(tmp_path, format)


CVAT = (
    '<annotations><image id="{}" name="{}" width="{}" height="{}" subset="{}">'
    '<box label="{}" xtl="{}" ytl="2" xbr="30" ybr="40" rotation="{}"/>'
    '<polygon label="b" points="{}"/></image></annotations>'
)
GOOD = ("0", "a.jpg", "120", "80", "", "dog", "1", "0", "1,2;9,2;9,8")


def test_odd_values_in_xml_and_text(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    write(tmp_path, "annotations.xml", CVAT.format(*GOOD))
    assert len(read_dataset(tmp_path).dataset.boxes) == 2
    numbers = random.Random(1)
    for place in range(len(GOOD)):
        for text in numbers.sample(TEXTS, 3):
            write(tmp_path, "annotations.xml", CVAT.format(*GOOD[:place], text, *GOOD[place + 1 :]))
            _read(tmp_path, "cvat")
    line = ["1", "2", "9", "2", "9", "8", "1", "8", "dog", "0"]
    header = "ImageID,LabelName,XMin,XMax,YMin,YMax"
    row = ["a", "dog", "0.1", "0.5", "0.1", "0.5"]
    columns = "filename,class,xmin,xmax,ymin,ymax"
    table = ["a.jpg", "dog", "10", "50", "10", "50"]
    for text in numbers.sample(TEXTS, 3):
        for place in range(len(line)):
            words = " ".join([*line[:place], text, *line[place + 1 :]])
            write(tmp_path, "dota/labelTxt/a.txt", f"{' '.join(line)}\n{words}\n")
            write_image(tmp_path / "dota/a.jpg")
            _read(tmp_path / "dota", "dota")
        for place in range(len(row)):
            cells = ",".join([*row[:place], text, *row[place + 1 :]])
            write(tmp_path, "oi/boxes.csv", f"{header}\n{','.join(row)}\n{cells}\n")
            write_image(tmp_path / "oi/a.jpg")
            _read(tmp_path / "oi", "open-images")
            cells = ",".join([*table[:place], text, *table[place + 1 :]])
            write(tmp_path, "csv/boxes.csv", f"{columns}\n{','.join(table)}\n{cells}\n")
            write_image(tmp_path / "csv/a.jpg")
            _read(tmp_path / "csv", "csv")
