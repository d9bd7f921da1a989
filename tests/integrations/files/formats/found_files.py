"""Small files in YOLO and VOC layouts, for tests of where files are found."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset
from sparsedet.formats import Loaded
from tests.integrations.files.formats.datasets import write, write_image

LINE = "0 0.5 0.5 0.1 0.2\n"


OBJECT = ("dog", pytest.approx((54, 32, 66, 48)))


NAMES = "names: [dog, cat]\n"


XML = (
    "<annotation><object><name>dog</name><bndbox><xmin>55</xmin><ymin>33</ymin><xmax>66</xmax>"
    "<ymax>48</ymax></bndbox></object></annotation>"
)


def yolo(folder: Path, labels: Mapping[str, str], images: tuple[str, ...]) -> Path:
    write(folder, "data.yaml", NAMES)
    for name in images:
        write_image(folder / name)
    for name, text in labels.items():
        write(folder, name, text)
    return folder


def all_there(loaded: Loaded) -> Dataset:
    assert loaded.images is not None
    for image in loaded.dataset.images:
        assert (loaded.images / image.file_name).is_file()
    return loaded.dataset
