"""Pascal VOC folders in their common variants, and errors."""

import os
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, sizes, write, write_image

VOCDEVKIT = """<annotation>
  <folder>VOC2007</folder>
  <filename>000001.jpg</filename>
  <source><database>The VOC2007 Database</database><image>flickr</image></source>
  <owner><flickrid>Fried Camels</flickrid></owner>
  <size><width>120</width><height>80</height><depth>3</depth></size>
  <segmented>0</segmented>
  <!-- a comment -->
  <object>
    <name>person</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>
    <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>120</xmax><ymax>80</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>9</xmin><ymin>2</ymin><xmax>9</xmax><ymax>4</ymax></bndbox></part>
    <part><name>hand</name><bndbox><xmin>9</xmin><ymin>2</ymin><xmax>9</xmax><ymax>4</ymax></bndbox></part>
  </object>
  <object>
    <bndbox><ymax> 21 </ymax><xmax>20.5</xmax><ymin>11.25</ymin><xmin>11</xmin></bndbox>
    <name>
      dog
    </name>
    <id>7</id>
    <attributes><attribute kind="x"><name>age</name><value>3</value></attribute></attributes>
  </object>
</annotation>
"""
BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


def annotation(body: str = "", filename: str = "", size: str = "") -> str:
    return f"<annotation><filename>{filename}</filename>{size}{body}</annotation>"


def box(xmin: str, ymin: str, xmax: str, ymax: str) -> str:
    corners = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in corners.items())
    return f"<object><name>dog</name><bndbox>{inner}</bndbox></object>"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """A folder as VOCdevkit has it, with one image."""
    write(tmp_path, "Annotations/000001.xml", VOCDEVKIT)
    write_image(tmp_path / "JPEGImages/000001.jpg")
    return tmp_path


def test_the_development_kit(voc: Path) -> None:
    """Pixels count from 1, both ends included."""
    assert detect_format(voc) == "voc"
    dataset, images = read_dataset(voc)
    assert images == voc / "JPEGImages"
    assert [(c.id, c.name) for c in dataset.categories] == [(1, "dog"), (2, "person")]
    assert objects(dataset) == {
        "000001.jpg": [("person", (0, 0, 120, 80)), ("dog", (10, 10.25, 20.5, 21))]
    }
    person, dog = dataset.boxes
    corners = {"xmin": 9, "ymin": 2, "xmax": 9, "ymax": 4}
    assert person.extra == {
        "pose": "Left",
        "truncated": 1,
        "difficult": 0,
        "part": [{"name": "head", "bndbox": corners}, {"name": "hand", "bndbox": corners}],
    }
    # COCO has ids of its own.
    assert dog.extra == {
        "voc_id": 7,
        "attributes": {"attribute": {"@kind": "x", "name": "age", "value": 3}},
    }
    assert dataset.images[0].extra == {
        "folder": "VOC2007",
        "source": {"database": "The VOC2007 Database", "image": "flickr"},
        "owner": {"flickrid": "Fried Camels"},
        "segmented": 0,
        "depth": 3,
    }


@pytest.mark.parametrize(
    ("layout", "image_folder"),
    [
        (("Annotations/day/a.xml", "JPEGImages/day/a.jpg"), "JPEGImages"),
        (("Annotations/day/a.xml", "images/day/a.png"), "images"),
        (("annotations/day/a.xml", "images/day/a.png"), "images"),
        (("day/a.xml", "day/a.jpg"), "."),
    ],
    ids=["VOCdevkit", "Label Studio", "lower case", "xml files next to images"],
)
def test_layouts(layout: tuple[str, str], image_folder: str, tmp_path: Path) -> None:
    xml, image = layout
    write(tmp_path, xml, annotation(box("1", "1", "9", "9")))
    write_image(tmp_path / image)
    write_image(tmp_path / image_folder / "no-xml.png")
    dataset, images = read_dataset(tmp_path)
    assert images == tmp_path / image_folder
    name = str(Path(image).relative_to(image_folder))
    assert objects(dataset) == {name: [("dog", (0, 0, 9, 9))], "no-xml.png": []}


def test_numbers_follow_names(tmp_path: Path) -> None:
    """Those of images by file name, with or without an xml file; those of classes by name."""
    words = ["d", "b", "e", "a", "c"]
    names = [f"<object><name>{word}</name>{BOX}</object>" for word in words]
    write(tmp_path, "Annotations/b.xml", annotation("".join(names)))
    for name in ("c.jpg", "a.jpg", "b.jpg", "._b.jpg"):
        write_image(tmp_path / "JPEGImages" / name)
    dataset = read_dataset(tmp_path).dataset
    assert [(c.id, c.name) for c in dataset.categories] == list(enumerate(sorted(words), start=1))
    found = [(image.id, image.file_name) for image in dataset.images]
    assert found == [(1, "a.jpg"), (2, "b.jpg"), (3, "c.jpg")]


ANNOTATED = """<annotation verified="yes">
	<folder>JPEGImages</folder>
	<filename origin="camera">a.jpg</filename>
	<size unit="px">
		<width>120</width>
		<height>80</height>
		<depth>3</depth>
		<bits>8</bits>
	</size>
	<object custom="1">
		<name lang="en">dog</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox by="hand">
			<xmin guessed="">1</xmin>
			<ymin>1</ymin>
			<xmax>9</xmax>
			<ymax>9</ymax>
			<angle>0.5</angle>
		</bndbox>
	</object>
</annotation>
"""


def test_attributes_and_further_elements_of_a_box_are_kept(tmp_path: Path) -> None:
    """LabelImg marks files as verified, other tools give the angles of boxes."""
    write(tmp_path, "Annotations/a.xml", ANNOTATED)
    write_image(tmp_path / "JPEGImages/a.jpg")
    dataset, images = read_dataset(tmp_path)
    assert dataset.images[0].extra == {
        "@verified": "yes",
        "folder": "JPEGImages",
        "filename": {"@origin": "camera"},
        "size": {"@unit": "px", "bits": 8},
        "depth": 3,
    }
    assert dataset.boxes[0].extra == {
        "@custom": "1",
        "name": {"@lang": "en"},
        **{"pose": "Unspecified", "truncated": 0, "difficult": 0},
        "bndbox": {"@by": "hand", "angle": 0.5, "xmin": {"@guessed": ""}},
    }
    assert load_format("voc").losses(dataset) == []
    (tmp_path / "made").mkdir()
    load_format("voc").write(dataset, tmp_path / "made", images=images)
    assert (tmp_path / "made/Annotations/a.xml").read_text(encoding="utf-8") == ANNOTATED
    lost = load_format("yolo").losses(dataset)
    assert "keys of boxes: @custom (1), bndbox (1), name (1)" in lost
    assert any("@verified (1)" in text for text in lost)


def test_a_workspace_among_the_images_is_left_out(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "loop/images"):
        write_image(folder / "a.jpg")
    write(tmp_path, "a.xml", annotation(box("1", "1", "9", "9")))
    write(tmp_path, "loop/sparsedet.toml", "")
    assert list(objects(read_dataset(tmp_path).dataset)) == ["a.jpg"]


@pytest.mark.parametrize(
    ("filename", "files", "expected"),
    [
        ("a.jpg", ["a.jpg"], "a.jpg"),
        ("IMG_0001.jpg", ["a.jpg", "IMG_0001.jpg"], "a.jpg"),
        ("a", ["a.png"], "a.png"),
        ("a.png", ["a.jpg", "a.png"], "a.png"),
        (r"C:\photos\other.jpg", ["other.jpg"], "other.jpg"),
        ("../../etc/other.jpg", ["other.jpg"], "other.jpg"),
    ],
    ids=["usual", "renamed", "without suffix", "two suffixes", "path", "path that leaves"],
)
def test_which_image_is_meant(
    filename: str, files: list[str], expected: str, tmp_path: Path
) -> None:
    write(tmp_path, "Annotations/a.xml", annotation(box("1", "1", "9", "9"), filename))
    for name in files:
        write_image(tmp_path / "JPEGImages" / name)
    found = objects(read_dataset(tmp_path).dataset)
    assert [name for name, boxes in found.items() if boxes] == [expected]


@pytest.mark.parametrize("filename", ["../secret.jpg", "..", "/etc/passwd", "b/../../secret.jpg"])
def test_file_names_do_not_lead_out_of_the_folder(filename: str, tmp_path: Path) -> None:
    write_image(tmp_path / "secret.jpg")
    write(tmp_path, "voc/Annotations/a.xml", annotation(filename=filename))
    write_image(tmp_path / "voc/JPEGImages/b.jpg")
    with pytest.raises(AnnotationError, match=r"a\.xml: its image is not in"):
        read_dataset(tmp_path / "voc")


def test_sizes_are_upright(voc: Path) -> None:
    write_image(voc / "JPEGImages/000001.jpg", 80, 120, orientation=6)
    assert sizes(read_dataset(voc).dataset) == {"000001.jpg": (120, 80)}
    write_image(voc / "JPEGImages/000001.jpg", 120, 80, orientation=6)
    with pytest.raises(AnnotationError, match="seem to ignore the file's EXIF orientation"):
        read_dataset(voc)
    write_image(voc / "JPEGImages/000001.jpg", 80, 120)
    with pytest.raises(AnnotationError, match="seem to have width and height swapped"):
        read_dataset(voc)


@pytest.mark.parametrize("size", ["", "<size/>", "<size><width>0</width><height>0</height></size>"])
def test_a_file_without_size_has_that_of_its_image(size: str, tmp_path: Path) -> None:
    write(tmp_path, "Annotations/a.xml", annotation(size=size))
    write_image(tmp_path / "JPEGImages/a.jpg", 50, 40)
    assert sizes(read_dataset(tmp_path).dataset) == {"a.jpg": (50, 40)}
    (tmp_path / "JPEGImages/a.jpg").unlink()
    (tmp_path / "JPEGImages").rmdir()
    with pytest.raises(AnnotationError, match=r"a\.xml: no <size>, and no image folder"):
        read_dataset(tmp_path)


def test_annotations_without_images(voc: Path) -> None:
    (voc / "JPEGImages/000001.jpg").unlink()
    (voc / "JPEGImages").rmdir()
    dataset, images = read_dataset(voc)
    assert images is None
    assert sizes(dataset) == {"000001.jpg": (120, 80)}


def test_files_that_count_from_zero_give_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = box("0", "5", "9", "9") + box("5", "5", "9", "9")
    write(tmp_path, "Annotations/a.xml", annotation(boxes))
    write_image(tmp_path / "JPEGImages/a.jpg")
    found = objects(read_dataset(tmp_path).dataset)
    assert found == {"a.jpg": [("dog", (0, 4, 9, 9)), ("dog", (4, 4, 9, 9))]}
    (record,) = caplog.records
    assert "1 box starts at 0 (first: " in record.getMessage()


def test_boxes_over_the_edge_are_clipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "Annotations/a.xml", annotation(box("100", "50", "130", "80")))
    write_image(tmp_path / "JPEGImages/a.jpg")
    assert objects(read_dataset(tmp_path).dataset) == {"a.jpg": [("dog", (99, 49, 120, 80))]}
    assert "clipped 1 box that" in caplog.text


def test_splits_keep_the_ids_of_the_whole(tmp_path: Path) -> None:
    for name in ("a", "b", "c d"):
        write(tmp_path, f"Annotations/{name}.xml", annotation(box("1", "1", "9", "9")))
        write_image(tmp_path / f"JPEGImages/{name}.jpg")
    write(tmp_path, "ImageSets/Main/val.txt", "c d\nb  1\n\n")
    write(tmp_path, "ImageSets/Main/broken.txt", "a\nnothing\n")
    dataset = read_dataset(tmp_path, split="val").dataset
    assert [(i.id, i.file_name) for i in dataset.images] == [(2, "b.jpg"), (3, "c d.jpg")]
    assert [box.id for box in dataset.boxes] == [2, 3]
    with pytest.raises(AnnotationError, match=r"broken\.txt:2: no image 'nothing'"):
        read_dataset(tmp_path, split="broken")
    with pytest.raises(AnnotationError, match=r"no split 'train' .*\(found: broken, val\)"):
        read_dataset(tmp_path, split="train")


BOMB = '<!DOCTYPE b [<!ENTITY x "aaaa"><!ENTITY y "&x;&x;&x;">]>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><object>", r"a\.xml: not valid XML at line 1, column 21"),
        (BOMB + "<annotation>&y;</annotation>", r"a\.xml: declares a document type or entities"),
        ("<annotation-list/>", r"a\.xml: the root is <annotation-list>, expected <annotation>"),
        (
            annotation("<a>" * 5000 + "</a>" * 5000),
            r"a\.xml: not a VOC annotation .*nested too deep",
        ),
        (annotation(f"<object>{BOX}</object>"), r"a\.xml: object 1: no <name>"),
        (
            annotation(box("1", "1", "9", "9") + "<object><name>cat</name></object>"),
            r"a\.xml: object 2 \(cat\): no <bndbox>",
        ),
        (annotation(box("1", "x", "9", "9")), r"object 1 \(dog\): ymin is 'x', expected a number"),
        (annotation(box("nan", "1", "9", "9")), r"xmin is 'nan', expected a number"),
        (annotation(box("9", "1", "3", "9")), r"has no area \(xmin 9, ymin 1, xmax 3, ymax 9"),
        (annotation(box("121", "1", "140", "9")), r"lies outside its image of 120 x 80"),
        (
            annotation(size="<size><width>100</width><height>80</height></size>"),
            r"a\.xml: <size> is 100 x 80, but its image a\.jpg is 120 x 80",
        ),
        (
            annotation(size="<size><width>wide</width><height>80</height></size>"),
            r"<size> is wide x 80, expected pixels",
        ),
    ],
)
def test_what_is_refused(content: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, "Annotations/a.xml", content)
    write_image(tmp_path / "JPEGImages/a.jpg")
    with pytest.raises(AnnotationError, match=message):
        read_dataset(tmp_path, format="voc")


def test_ambiguous_images(tmp_path: Path) -> None:
    write(tmp_path, "Annotations/a.xml", annotation())
    write_image(tmp_path / "JPEGImages/a.jpg")
    write_image(tmp_path / "JPEGImages/a.png")
    with pytest.raises(AnnotationError, match=r"its image is ambiguous: a\.jpg and a\.png in"):
        read_dataset(tmp_path)
    write(tmp_path, "Annotations/a.xml", annotation(filename="a.jpg"))
    write(tmp_path, "Annotations/b.xml", annotation(filename="a.jpg"))
    with pytest.raises(AnnotationError, match=r"b\.xml: its image a\.jpg already belongs to"):
        read_dataset(tmp_path)


def test_images_that_would_share_an_xml_file_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "Annotations/a.xml", annotation(box("2", "2", "9", "9"), filename="a.jpg"))
    write_image(tmp_path / "JPEGImages/a.jpg")
    write_image(tmp_path / "JPEGImages/a.png")
    assert [*sizes(read_dataset(tmp_path).dataset)] == ["a.jpg"]
    assert "1 image is left out that would share an xml file" in caplog.text
    assert "(first: a.png, while a.xml names a.jpg)" in caplog.text


def test_a_name_that_is_not_utf8_is_left_out(tmp_path: Path) -> None:
    size = "<size><width>40</width><height>30</height></size>"
    for name in ("a", "b", os.fsdecode(b"caf\xe9")):
        write(tmp_path, f"Annotations/{name}.xml", annotation(size=size))
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert [image.file_name for image in dataset.images] == ["a.jpg", "b.jpg"]
    assert [fault.kind.name for fault in faults.found] == ["labels-broken"]
