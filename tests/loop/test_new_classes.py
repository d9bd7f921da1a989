"""Classes that are added after images were marked as complete."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.loop.new_classes import note_new_classes
from sparsedet.loop.workspace import Workspace
from tests.cli.command import sparsedet_here
from tests.loop.test_round_settings import make_workspace, rounds

CAT, DOG, COW = (Category(id, name) for id, name in enumerate(("cat", "dog", "cow"), start=1))
IMAGES = tuple(Image(id, f"{id}.png", 90, 90, exhaustive=id < 4) for id in range(1, 6))
MANY = tuple(Category(id, f"c{id}") for id in range(10, 50))
BEFORE = Dataset(IMAGES, (), (CAT,))
LOOKED_AGAIN = tuple(Box(id, id, DOG.id, (1, 1, 9, 9)) for id in (1, 2))
MARKED_LATER = replace(IMAGES[3], exhaustive=True)
UNMARKED = tuple(replace(image, exhaustive=False) for image in IMAGES)


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (BEFORE, ""),
        (
            replace(BEFORE, categories=(CAT, DOG)),
            "class 'dog' is new: 3 images were marked as complete before it; draw its objects "
            "there, or remove the mark",
        ),
        (
            replace(BEFORE, categories=(CAT, DOG), boxes=LOOKED_AGAIN),
            "class 'dog' is new: 1 image was marked as complete before it; draw its objects there, "
            "or remove the mark",
        ),
        (
            replace(BEFORE, categories=(CAT, DOG, COW), boxes=LOOKED_AGAIN),
            "classes 'dog', 'cow' are new: 3 images were marked as complete before them; draw "
            "their objects there, or remove the mark",
        ),
        (
            replace(BEFORE, categories=(CAT, *MANY)),
            "classes 'c10', 'c11', 'c12', 'c13', 'c14' and 35 more are new: 3 images were marked "
            "as complete before them; draw their objects there, or remove the mark",
        ),
        (Dataset((MARKED_LATER,), (), (CAT, DOG)), ""),
        (Dataset(UNMARKED, (), (CAT, DOG)), ""),
        # It was renamed.
        (replace(BEFORE, categories=(replace(DOG, id=1, aliases=("cat",)),)), ""),
    ],
)
def test_images_marked_before_a_class_are_counted(now: Dataset, line: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert note_new_classes(workspace, now) == ""
    write_coco(BEFORE, workspace.round(1).annotations)
    workspace.round(2).root.mkdir(parents=True)  # not pulled yet
    assert note_new_classes(workspace, now) == line


def test_rounds_and_pulls_say_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    file = tmp_path / "digits/annotations.json"
    full = read_coco(file)
    marked = replace(full, images=tuple(replace(image, exhaustive=True) for image in full.images))
    write_coco(marked, file)
    write_coco(marked, workspace.round(1).annotations)
    new = Category(max(category.id for category in full.categories) + 1, "queen")
    write_coco(replace(marked, categories=(*full.categories, new)), file)
    expected = "class 'queen' is new: 3 images were marked as complete before it"
    said: list[str] = []
    rounds(workspace, said).refresh()
    assert [expected in line for line in said].count(True) == 1
    pulled = sparsedet_here("pull", "-o", workspace.root)
    assert pulled.status == 0, pulled.err
    assert pulled.err.count(expected) == 1
