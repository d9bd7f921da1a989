"""Marks of complete classes in projects of files: under present names, in versions, in pushes."""

from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.integrations.files import FilesTool
from sparsedet.integrations.files.annotation_files import identify, with_present_names
from tests.integrations.files.formats.datasets import write_images

BUS, CAR, VAN = 1, 2, 3
CATEGORIES = (Category(BUS, "bus"), Category(CAR, "car"), Category(VAN, "van"))


def dataset(*complete: int) -> Dataset:
    image = Image(1, "a.png", 120, 80, complete_classes=frozenset(complete))
    return Dataset((image,), (Box(1, 1, BUS, (10, 10, 30, 30)),), CATEGORIES)


def marks(given: Dataset, **rename: str) -> set[str]:
    """Return the names of the complete classes after classes were renamed."""
    found = with_present_names(given, rename)
    return {found.category_by_id[id].name for id in found.images[0].complete_classes}


def test_marks_follow_renamed_classes() -> None:
    assert marks(dataset(BUS, VAN), bus="coach") == {"coach", "van"}
    # What is left out is no class any more.
    assert marks(dataset(BUS, VAN), bus="") == {"van"}
    # Two that are one now: it is complete only where both are.
    assert marks(dataset(BUS, VAN), van="car") == {"bus"}
    assert marks(dataset(CAR, VAN), van="car") == {"car"}


def test_a_mark_is_a_change_of_its_image() -> None:
    versions = {identify(dataset(*ids)).images[0].tool_version for ids in ((), (1,), (2,), (1, 2))}
    assert len(versions) == 4
    # Names count, not ids, which other tools renumber.
    renumbered = replace(
        dataset(7),
        categories=(*CATEGORIES[1:], Category(7, "bus")),
        boxes=(Box(1, 1, 7, (10, 10, 30, 30)),),
    )
    assert (
        identify(renumbered).images[0].tool_version == identify(dataset(BUS)).images[0].tool_version
    )


def test_a_pull_has_the_marks_of_the_file(tmp_path: Path) -> None:
    given = dataset(BUS, VAN)
    write_images(given, tmp_path / "cars/images")
    write_coco(given, tmp_path / "cars/annotations.json")
    pulled = FilesTool(str(tmp_path)).pull("cars", tmp_path / "pulled")
    assert pulled.images[0].complete_classes == {BUS, VAN}
    assert read_coco(tmp_path / "cars/annotations.json").images == given.images
