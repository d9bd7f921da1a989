"""CVAT's XML for images, exported from tasks and projects."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

LABELS = "<meta><task><labels><label><name>dog</name></label><label><name>an owl</name></label>"
LABELS += "</labels></task></meta>"
BOX = '<box label="dog" occluded="0" xtl="10.00" ytl="20.00" xbr="30.00" ybr="60.00" z_order="0">'


def image(name: str, *shapes: str, subset: str = "", size: tuple[int, int] = (120, 80)) -> str:
    said = f'subset="{subset}" ' if subset else ""
    return (
        f'<image id="0" name="{name}" {said}width="{size[0]}" height="{size[1]}">'
        + "".join(shapes)
        + "</image>"
    )


def cvat(folder: Path, *images: str, files: tuple[str, ...] = ()) -> Path:
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>{LABELS}'
    write(folder, "annotations.xml", text + "".join(images) + "</annotations>")
    for name in files:
        write_image(folder / "images" / name)
    return folder


def test_all_shapes_with_a_box(tmp_path: Path) -> None:
    shapes = (
        BOX + '<attribute name="age">4</attribute></box>',
        '<box label="dog" occluded="1" xtl="40" ytl="30" xbr="80" ybr="50" rotation="90.0"/>',
        '<polygon label="an owl" points="5.5,6.0;25.0,6.0;5.5,16.0"/>',
        '<ellipse label="dog" cx="60" cy="40" rx="10" ry="5"/>',
        '<mask label="dog" rle="1, 2" left="3" top="4" width="10" height="20"/>',
    )
    path = cvat(
        tmp_path,
        image("a b/c d.jpg", *shapes),
        image("empty.jpg"),
        files=("a b/c d.jpg", "empty.jpg"),
    )
    assert detect_format(path) == "cvat"
    dataset, images = read_dataset(path)
    assert images == tmp_path / "images"
    assert objects(dataset) == {
        "a b/c d.jpg": [
            ("dog", (10, 20, 30, 60)),
            ("dog", pytest.approx((50, 20, 70, 60))),
            ("an owl", (5.5, 6, 25, 16)),
            ("dog", (50, 35, 70, 45)),
            ("dog", (3, 4, 13, 24)),
        ],
        "empty.jpg": [],
    }
    assert [c.name for c in dataset.categories] == ["dog", "an owl"]
    assert dataset.boxes[0].extra == {"attributes": {"age": "4"}}
    assert dataset.boxes[1].extra["occluded"] is True
    assert dataset.boxes[2].area == pytest.approx(97.5)
    # An independent count of what the file holds.
    root = ET.parse(tmp_path / "annotations.xml").getroot()
    assert len(dataset.boxes) == sum(len(element) for element in root.iterfind("image"))


def test_without_images_and_a_single_file(tmp_path: Path) -> None:
    cvat(tmp_path, image("a.jpg", BOX + "</box>"))
    dataset, images = read_dataset(tmp_path / "annotations.xml")
    assert images is None
    assert objects(dataset) == {"a.jpg": [("dog", (10, 20, 30, 60))]}


def test_projects_have_a_folder_for_each_subset(tmp_path: Path) -> None:
    """Two tasks may have images of the same name."""
    cvat(
        tmp_path,
        image("a.jpg", BOX + "</box>", subset="Train"),
        image("a.jpg", subset="Validation"),
        image("b.jpg", BOX + "</box>", BOX + "</box>", subset="Validation"),
        files=("Train/a.jpg", "Validation/a.jpg", "Validation/b.jpg"),
    )
    assert load_format("cvat").splits(tmp_path) == ["train", "val"]
    counts = {name: len(own) for name, own in objects(read_dataset(tmp_path).dataset).items()}
    assert counts == {"Train/a.jpg": 1, "Validation/a.jpg": 0, "Validation/b.jpg": 2}
    assert len(read_dataset(tmp_path, split="val").dataset.boxes) == 2
    with pytest.raises(AnnotationError, match=r"no split 'test' \(found: train, val\)"):
        read_dataset(tmp_path, split="test")


def test_frames_have_names_without_suffix(tmp_path: Path) -> None:
    frames = [image(f"frame_00000{n}", *[BOX + "</box>"] * n) for n in range(3)]
    cvat(tmp_path, *frames, files=tuple(f"frame_00000{n}.png" for n in range(3)))
    counts = {name: len(own) for name, own in objects(read_dataset(tmp_path).dataset).items()}
    assert counts == {"frame_000000.png": 0, "frame_000001.png": 1, "frame_000002.png": 2}


def test_tracks_are_refused_by_name(tmp_path: Path) -> None:
    cvat(
        tmp_path,
        '<track id="0" label="dog"><box frame="0" xtl="1" ytl="2" xbr="3" ybr="4"/></track>',
    )
    with pytest.raises(AnnotationError, match=r"contains video tracks.*CVAT for images"):
        read_dataset(tmp_path, faults=Faults(tmp_path))


def test_what_is_wrong_is_left_out_and_listed(tmp_path: Path) -> None:
    cvat(
        tmp_path,
        image(
            "a.jpg",
            BOX + "</box>",
            '<points label="dog" points="1,2"/>',
            '<tag label="dog"/>',
            '<box label="dog" xtl="10" ytl="20" xbr="10" ybr="60"/>',
            '<box label="dog" xtl="ten" ytl="20" xbr="30" ybr="60"/>',
            '<box label="dog" xtl="100" ytl="20" xbr="130" ybr="60"/>',
            '<polygon label="dog" points="1,2;3,4"/>',
        ),
        image("gone.jpg", BOX + "</box>"),
        image("b.jpg", size=(80, 120)),
        files=("a.jpg", "b.jpg"),
    )
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert objects(dataset) == {"a.jpg": [("dog", (10, 20, 30, 60)), ("dog", (100, 20, 120, 60))]}
    assert sorted(fault.kind.name for fault in faults.found) == [
        "box-broken",
        "box-broken",
        "box-over-edge",
        "box-without-area",
        "image-missing",
        "no-box",
        "no-box",
        "size-wrong",
    ]
    assert "annotations.xml: image 0 (a.jpg): points 2" in {fault.where for fault in faults.found}
    with pytest.raises(AnnotationError, match=r"annotations\.xml: image 0 \(a\.jpg\): points 2"):
        read_dataset(tmp_path)


def test_entities_are_refused(tmp_path: Path) -> None:
    text = '<!DOCTYPE a [<!ENTITY b "c">]><annotations><image name="&b;"/></annotations>'
    write(tmp_path, "annotations.xml", text)
    with pytest.raises(AnnotationError, match="declares a document type"):
        read_dataset(tmp_path)
