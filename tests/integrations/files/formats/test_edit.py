"""Editing boxes in xml and txt files leaves everything else unchanged."""

from pathlib import Path

import pytest

from sparsedet.annotations import XYXY
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.integrations.files.formats.voc_xml import edit_xml
from sparsedet.integrations.files.formats.yolo_labels import edit_labels

XML = """<?xml version="1.0" encoding="{encoding}"?>
<!-- made by hand: café -->
<annotation verified="yes">
    <filename>a.jpg</filename><path/>
    <object >
        <name>dog</name  > <!-- a good one -->
        <difficult>0</difficult>
        <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>
        <part><name>dog</name><bndbox><xmin>3</xmin></bndbox></part>
    </object>

    <object><bndbox><ymin>5</ymin><xmin>5.5</xmin><ymax>9</ymax><xmax>9</xmax></bndbox>
        <name>cat</name></object>
    <note a="1 > 0">kept</note>
</annotation>
"""
DOG: tuple[str, XYXY] = ("dog", (0, 1, 30, 40))
CAT: tuple[str, XYXY] = ("cat", (4.5, 4, 9, 9))


def xml_file(folder: Path, encoding: str = "utf-8", end: str = "\n") -> Path:
    text = XML.format(encoding=encoding).replace("\n", end)
    (folder / "a.xml").write_bytes(text.encode(encoding))
    return folder / "a.xml"


def edited(path: Path, **changes: object) -> str:
    wanted = {"removed": (), "edited": {}, "added": (), **changes}
    content: bytes = edit_xml(path, [DOG, CAT], **wanted)
    return content.decode("utf-8")


def test_nothing_to_do(tmp_path: Path) -> None:
    assert edited(xml_file(tmp_path)) == XML.format(encoding="utf-8")


def test_a_moved_box_and_a_renamed_one(tmp_path: Path) -> None:
    moved, renamed = ("dog", (10, 1, 30, 40.125)), ("Straße", (5, 4.5, 9, 9))
    assert edited(xml_file(tmp_path), edited={0: moved, 1: renamed}) == (
        XML.format(encoding="utf-8")
        .replace("<xmin>1</xmin>", "<xmin>11</xmin>")
        .replace("<ymax>40</ymax>", "<ymax>40.125</ymax>")
        .replace("<name>cat</name>", "<name>Stra&#223;e</name>")
    )


def test_a_removed_box(tmp_path: Path) -> None:
    text = XML.format(encoding="utf-8")
    start, end = text.index("\n    <object >"), text.index("\n\n    <object><bndbox>")
    assert edited(xml_file(tmp_path), removed=[0]) == text[:start] + text[end:]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_added_box(end: str, tmp_path: Path) -> None:
    new = """
    <object>
        <name>ape &amp; <!-- --></name>
        <pose>Unspecified</pose>
        <truncated>0</truncated>
        <difficult>0</difficult>
        <bndbox>
            <xmin>1.5</xmin>
            <ymin>1</ymin>
            <xmax>7</xmax>
            <ymax>8</ymax>
        </bndbox>
    </object>""".replace("<!-- -->", "&lt;é").replace("é", "&#233;")
    after = edited(xml_file(tmp_path, end=end), added=[("ape & <é", (0.5, 0, 7, 8))])
    before = XML.format(encoding="utf-8")
    tail = "</note>"
    expected = before.replace(tail, tail + new.replace("        ", "\t").replace("\t", "        "))
    assert after.replace("    ", "") == expected.replace("\n", end).replace("    ", "")


def test_all_at_once(tmp_path: Path) -> None:
    path = xml_file(tmp_path)
    path.write_bytes(
        edit_xml(path, [DOG, CAT], removed=[1], edited={0: ("ape", (0, 0, 9, 9))}, added=[DOG, CAT])
    )
    text = path.read_text(encoding="utf-8")
    assert text.count("<object") == 3
    assert text.count("<name>cat</name>") == 1
    assert "<name>ape</name>" in text
    assert "<!-- made by hand: café -->" in text


def test_other_encodings(tmp_path: Path) -> None:
    path = xml_file(tmp_path, "iso-8859-1")
    after = edit_xml(path, [DOG, CAT], removed=[], edited={}, added=[("Katze 猫", (0, 0, 9, 9))])
    assert "café" in after.decode("iso-8859-1")
    assert b"Katze &#29483;" in after
    path = xml_file(tmp_path, "utf-16")
    with pytest.raises((ToolError, AnnotationError), match=r"a\.xml"):
        edit_xml(path, [DOG, CAT], removed=[], edited={}, added=[DOG])


def test_files_that_changed_in_between(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"a\.xml: changed while it was being merged"):
        edit_xml(xml_file(tmp_path), [DOG], removed=[], edited={}, added=[])
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n", encoding="utf-8")
    with pytest.raises(ToolError, match=r"a\.txt: changed while it was being merged"):
        edit_labels(tmp_path / "a.txt", [], (100, 100), removed=[], edited={}, added=[])


BOX = "0  0.5 0.5\t0.1 0.1"
OUTLINE = "1 0.1 0.1 0.2 0.1 0.15 0.2"
BOX_KNOWN: tuple[int, XYXY] = (0, (45, 45, 55, 55))
OUTLINE_KNOWN: tuple[int, XYXY] = (1, (10, 10, 20, 20))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [BOX, OUTLINE]),
        ({"removed": [0]}, [OUTLINE]),
        ({"edited": {1: (0, (10.5, 10, 20, 20))}}, [BOX, "0 0.1 0.1 0.2 0.1 0.15 0.2"]),
        ({"edited": {1: (1, (30, 10, 40, 20))}}, [BOX, "1 0.35 0.15 0.1 0.1"]),
        (
            {"edited": {0: (0, (30, 10, 40, 20))}},
            ["0 0.3 0.1 0.4 0.1 0.4 0.2 0.3 0.2", OUTLINE],
        ),
        ({"removed": [1], "added": [(2, (30, 10, 40, 20))]}, [BOX, "2 0.35 0.15 0.1 0.1"]),
        (
            {"added": [(2, (30, 10, 40, 20))]},
            [BOX, OUTLINE, "2 0.3 0.1 0.4 0.1 0.4 0.2 0.3 0.2"],
        ),
    ],
)
def test_lines_of_labels(changes: dict[str, object], expected: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(f"{BOX}\r\n\r\n{OUTLINE}".encode())
    wanted = {"removed": (), "edited": {}, "added": (), **changes}
    text = edit_labels(path, [BOX_KNOWN, OUTLINE_KNOWN], (100, 100), **wanted)
    assert text == "".join(line + "\r\n" for line in expected)


def test_a_new_file_of_labels(tmp_path: Path) -> None:
    added = [(2, (30.0, 10.0, 40.0, 20.0))]
    text = edit_labels(tmp_path / "a.txt", [], (100, 100), removed=[], edited={}, added=added)
    assert text == "2 0.35 0.15 0.1 0.1\n"
