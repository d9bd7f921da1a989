"""Images that rounds hold out by default, and requirements for an AP."""

import json
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.integrations.files import FilesTool
from sparsedet.loop.settings import TrainingSettings, ValidationSettings
from sparsedet.loop.validation import Labelled, hold_out_some, measured_on, what_ap_takes
from sparsedet.loop.workspace import Workspace
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import GroupBy
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.evaluation.federated import is_federated
from tests.cli.command import sparsedet_here
from tests.loop.test_round_settings import SHORT, Stop, rounds


def images(count: int, annotated: int, complete: Collection[int] = ()) -> Dataset:
    """Images 1 to `count`, the first with a box each, some of them complete; ten to a folder."""
    shown = tuple(
        Image(n, f"{n // 10}/{n}.png", 64, 64, exhaustive=n in complete)
        for n in range(1, count + 1)
    )
    boxes = tuple(Box(n, n, 1, (1.0, 1.0, 9.0, 9.0)) for n in range(1, annotated + 1))
    return Dataset(shown, boxes, (Category(1, "cat"),))


def held(dataset: Dataset, before: Collection[str] = (), group_by: str = "") -> set[int]:
    """Return the ids that are held out; what is left to training has all the others."""
    sides = hold_out_some(dataset, before, 1, GroupBy.parse(group_by) if group_by else None)
    if sides is None:
        return set()
    train, val = ({image.id for image in side.images} for side in sides)
    assert train | val == set(dataset.image_by_id)
    assert not train & val
    return val


@pytest.mark.parametrize(
    ("dataset", "number"),
    [
        (images(500, 300), 30),
        (images(500, 60), 6),
        (images(500, 40), 5),
        (images(500, 20), 5),
        (images(500, 19), 0),
        (images(500, 300, range(1, 10)), 30),
        (images(500, 300, range(1, 11)), 5),
        (images(500, 300, range(1, 101)), 10),
        (images(500, 12, range(1, 13)), 0),
        (images(500, 0), 0),
    ],
)
def test_a_tenth_is_held_out_where_that_costs_little(dataset: Dataset, number: int) -> None:
    chosen = held(dataset)
    assert len(chosen) == number
    complete = {image.id for image in dataset.images if image.exhaustive}
    annotated = {box.image_id for box in dataset.boxes}
    assert chosen <= (complete if len(complete) >= 10 else annotated)


def test_an_image_that_was_held_out_stays_so() -> None:
    first = held(images(500, 100))
    names = {image.file_name for image in images(500, 100).images if image.id in first}
    # The order of images says nothing, nor do further ones, nor marks.
    turned = images(500, 100)
    assert held(replace(turned, images=turned.images[::-1])) == first
    for later in (images(900, 200), images(500, 150, range(1, 61)), images(500, 15)):
        assert held(later, names) >= first
    grown = held(images(900, 200), names)
    assert len(grown) == 20
    complete = set(range(1, 61))
    chosen = held(images(500, 150, complete), names)
    assert len(chosen & complete) == max(6, len(first & complete))
    # Of those that are gone nothing is left.
    gone = images(500, 100)
    gone = gone.with_images(image for image in gone.images if image.id not in first)
    assert not held(gone, names) & first


def test_groups_stay_on_one_side() -> None:
    dataset = images(500, 200)
    chosen = held(dataset, group_by="folder")
    assert 20 <= len(chosen) <= 50
    assert {n // 10 for n in chosen}.isdisjoint(n // 10 for n in range(1, 501) if n not in chosen)
    # One folder of all: to hold it out would leave nothing.
    assert held(images(9, 9), group_by="folder") == set()


def test_ap_is_measured_on_complete_images_where_there_are_enough() -> None:
    dataset, text = measured_on(images(12, 12, range(1, 6)))
    assert [image.id for image in dataset.images] == [1, 2, 3, 4, 5]
    assert len(dataset.boxes) == 5
    assert text == "5 complete images"
    dataset, text = measured_on(images(12, 12, range(1, 5)))
    assert len(dataset.images) == 12
    expected = "12 images, 4 marked as complete: objects without a box count as errors"
    assert text == expected
    assert measured_on(images(1, 1))[1].startswith("1 image, none marked as complete: ")
    first = replace(dataset.images[-1], complete_classes=frozenset({1}))
    marked, text = measured_on(replace(dataset, images=(*dataset.images[:-1], first)))
    assert is_federated(marked)
    assert "count as errors" not in text


@pytest.mark.parametrize(
    ("settings", "labelled", "says"),
    [
        (
            ValidationSettings(),
            Labelled(100, 0),
            "no AP: rounds hold no images out; .*`auto = true`",
        ),
        (ValidationSettings(auto=True), Labelled(7, 0), "it needs 20 images .* there are 7;"),
        (ValidationSettings(auto=True), Labelled(1, 0), "it needs 20 images .* there is 1;"),
        (ValidationSettings(auto=True), Labelled(20, 0), "the next round holds out images"),
        (ValidationSettings(auto=True), None, "$"),
        (ValidationSettings(share=0.2), Labelled(7, 0), "$"),
        (ValidationSettings(data="test.json"), Labelled(7, 0), "$"),
    ],
)
def test_what_it_takes_is_said(
    settings: ValidationSettings, labelled: Labelled | None, says: str
) -> None:
    assert re.search(says, what_ap_takes(settings, labelled, None))


def test_images_are_counted_in_files_as_in_datasets(tmp_path: Path) -> None:
    write_coco(images(30, 20, {19, 20, 21}), tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert Labelled.of_file(content) == Labelled(21, 3)
    assert Labelled.of_file({"images": [1, {"id": 2}], "annotations": [{}, 3]}) == Labelled(0, 0)


def workspace_of(folder: Path, scenes: int) -> Workspace:
    """Make a project of so many scenes, and a workspace for it as `init` does."""
    made = make_scenes(scenes, folder / "scenes", seed=2)
    FilesTool(str(folder)).set_up_project("digits", made, folder / "scenes")
    words = ("init", "work", "--tool", "files", "--url", ".", "--project", "digits")
    assert sparsedet_here(*words, "--mode", "review-project", cwd=folder).status == 0
    workspace = Workspace(folder / "work")
    settings = workspace.settings()
    training = TrainingSettings(keys={**SHORT}, device="cpu", method="plain")
    workspace.write_settings(settings.model_copy(update={"training": training}))
    return workspace


def test_every_round_is_measured_without_asking(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path, 21)
    said: list[str] = []
    rounds(workspace, said).advance(push_anyway=True)
    first = read_coco(workspace.round(1).val)
    assert len(first.images) == 5
    assert len(read_coco(workspace.round(1).train).images) == 16
    evaluation = json.loads(workspace.round(1).evaluation.read_text())
    assert evaluation["images"] == 5
    assert any(re.match(r"AP50 [0-9.]+ on 5 (complete )?images", line) for line in said), said
    status = sparsedet_here("status", workspace.root, "--json").json()
    assert status["rounds"][0]["AP50"] == evaluation["AP50"]
    assert status["ap_takes"] is None

    def stop(progress: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        rounds(workspace, callbacks=Callbacks(on_progress=stop)).advance(force=True)
    second = read_coco(workspace.round(2).val)
    assert {i.file_name for i in second.images} == {i.file_name for i in first.images}


def test_status_says_what_a_figure_takes(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path, 3)

    def stop(progress: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        rounds(workspace, callbacks=Callbacks(on_progress=stop)).advance()
    assert not workspace.round(1).val.exists()
    result = sparsedet_here("status", workspace.root)
    assert result.status == 0
    says = " ".join(result.err.split())
    assert "no AP yet: it needs 20 images with boxes or marked as complete, and there are 3" in says
