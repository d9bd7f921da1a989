"""VOC files in other encodings than UTF-8."""

import codecs
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.formats import read_dataset
from sparsedet.integrations.files.formats.voc_xml import edit_xml
from tests.integrations.files.formats.datasets import write_image

XML = (
    "<annotation><folder>{name}</folder><object><name>{name}</name><bndbox><xmin>1</xmin>"
    "<ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"
)
HEADER = '<?xml version="1.0" encoding="{encoding}"?>\n'
BOX = (0.0, 1.0, 30.0, 40.0)


def xml_file(folder: Path, data: bytes) -> Path:
    write_image(folder / "a.jpg")
    (folder / "a.xml").write_bytes(data)
    return folder / "a.xml"


def xml(name: str, declared: str, codec: str) -> bytes:
    return (HEADER.format(encoding=declared) + XML.format(name=name)).encode(codec)


DECLARED = [
    ("狗", "GB2312", "gb2312"),
    ("鎔", "gb2312", "gbk"),  # not in GB2312, but Windows writes it
    ("狗", "GBK", "gbk"),
    ("狗", "gb18030", "gb18030"),
    ("犬①", "Shift_JIS", "cp932"),
    ("犬", "EUC-JP", "euc_jp"),
    ("개", "euc-kr", "euc_kr"),
    ("狗", "Big5", "big5"),
    ("Straße", "ISO-8859-1", "latin-1"),
    ("10 €", "windows-1252", "cp1252"),
    ("кот", "windows-1251", "cp1251"),
    ("кот", "utf-16", "utf-16"),
    ("狗", "utf-16", "utf-8"),  # as .NET writes it
    ("狗", "gbk", "utf-8-sig"),
    ("狗", "utf-8", "utf-8-sig"),
]


@pytest.mark.parametrize(("name", "declared", "codec"), DECLARED)
def test_declared_encodings(name: str, declared: str, codec: str, tmp_path: Path) -> None:
    xml_file(tmp_path, xml(name, declared, codec))
    dataset = read_dataset(tmp_path, format="voc").dataset
    assert [category.name for category in dataset.categories] == [name]
    assert dataset.images[0].extra["folder"] == name
    assert dataset.boxes[0].xyxy == BOX


@pytest.mark.parametrize(
    ("name", "declared", "codec"), [known for known in DECLARED if known[2] != "utf-16"]
)
def test_edits_keep_the_encoding(name: str, declared: str, codec: str, tmp_path: Path) -> None:
    path = xml_file(tmp_path, before := xml(name, declared, codec))
    assert edit_xml(path, [(name, BOX)], removed=(), edited={}, added=()) == before
    changes = {"edited": {0: (name, (10, 1, 30, 40))}, "added": [("鸟", (1, 1, 9, 9))]}
    path.write_bytes(edit_xml(path, [(name, BOX)], removed=(), **changes))
    dataset = read_dataset(tmp_path, format="voc").dataset
    assert {category.name for category in dataset.categories} == {name, "鸟"}
    assert [box.xyxy for box in dataset.boxes] == [(10, 1, 30, 40), (1, 1, 9, 9)]
    bom = codecs.BOM_UTF8 if codec == "utf-8-sig" else b""
    start = bom + HEADER.format(encoding=declared).encode()
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("codec", ["gbk", "cp932", "latin-1"])
@pytest.mark.parametrize("header", ["", '<?xml version="1.0"?>', HEADER.format(encoding="UTF-8")])
def test_undeclared_encodings(header: str, codec: str, tmp_path: Path) -> None:
    name = {"gbk": "狗", "cp932": "犬", "latin-1": "ß"}[codec]
    xml_file(tmp_path, (header + XML.format(name=name)).encode(codec))
    with pytest.raises(AnnotationError, match=r"a\.xml: not UTF-8 text at line \d, and declares"):
        read_dataset(tmp_path, format="voc")


@pytest.mark.parametrize("declared", ["klingon", "base64", "gbk"])
def test_what_is_not_in_its_encoding_is_a_fault(declared: str, tmp_path: Path) -> None:
    data = HEADER.format(encoding=declared).encode() + XML.encode() + b"\xff\xff"
    xml_file(tmp_path, data)
    faults = Faults(tmp_path)
    assert not read_dataset(tmp_path, format="voc", faults=faults).dataset.images
    assert faults.lines() == ["unreadable label files: 1 (a.xml), left out"]


def test_what_an_edit_would_change_elsewhere_is_refused(tmp_path: Path) -> None:
    before = xml("犬", "shift_jis", "cp932")
    other = before.replace("犬".encode("cp932"), b"\xfa\x4a")  # one of two codes for a character
    path = xml_file(tmp_path, other)
    with pytest.raises(ToolError, match=r"a\.xml: can't be edited in its encoding"):
        edit_xml(path, [("\N{ROMAN NUMERAL ONE}", BOX)], removed=(), edited={}, added=())
