"""What counts as a box in an annotation's results, and what is dropped and counted."""

from typing import Any

import pytest

from sparsedet.integrations.label_studio.demo.project_setup import COMPLETE_CHOICE, labelling_config
from sparsedet.integrations.label_studio.labelling_config.label_config import parse_config
from sparsedet.integrations.label_studio.regions import (
    Oddities,
    Region,
    is_complete,
    read_regions,
    reviewed_region,
)
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio import samples
from tests.integrations.label_studio.samples import PLACE

CONFIG = parse_config(labelling_config(["cat", "dog"]), "7")


def rectangle(**changes: Any) -> dict[str, Any]:
    return samples.rectangle("dog", (200, 100), **changes)


def labelled(*labels: Any, **place: Any) -> dict[str, Any]:
    return {**PLACE, **place, "rectanglelabels": list(labels)}


def read(*results: Any, **more: Any) -> tuple[list[Region], Oddities]:
    oddities = Oddities()
    return list(read_regions(list(results), CONFIG, 5, oddities, **more)), oddities


def test_a_rectangle_is_a_box() -> None:
    regions, oddities = read(rectangle(score=0.5))
    assert regions == [Region("r1", 2, (20.0, 10.0, 60.0, 30.0), 0.5, predicted=True)]
    assert not oddities


@pytest.mark.parametrize(
    ("meta", "unsure"),
    [
        ({"text": ["unsure"]}, True),
        ({"text": [" Unsure "]}, True),
        ({"text": "UNSURE"}, True),
        ({"text": ["half hidden", "unsure"]}, True),
        ({"text": ["not unsure"]}, False),
        ({"text": []}, False),
        ({"text": [7]}, False),
        ({"text": None}, False),
        ("unsure", False),
        (None, False),
    ],
)
def test_a_note_leaves_a_box_undecided(meta: Any, unsure: bool) -> None:
    (region,), oddities = read(rectangle(meta=meta))
    assert region.unsure is unsure
    assert not oddities


@pytest.mark.parametrize(
    ("more", "predicted"),
    [
        ({}, False),
        ({"origin": "manual"}, False),
        ({"score": 0.0}, True),
        ({"origin": "prediction"}, True),
        ({"origin": "prediction-changed"}, True),
    ],
)
def test_score_and_origin_mark_a_models_boxes(more: dict[str, Any], predicted: bool) -> None:
    assert read(rectangle(**more))[0][0].predicted is predicted


@pytest.mark.parametrize("own", [None, 640])
def test_the_given_size_wins_over_the_regions_own(own: int | None) -> None:
    regions, _ = read(rectangle(original_width=own), size=(1000, 1000))
    assert regions[0].xyxy == (100.0, 100.0, 300.0, 300.0)


@pytest.mark.parametrize(
    "other",
    [
        {"type": "choices", "from_name": "quality", "value": {"choices": ["good"]}},
        {"type": "textarea", "id": "r1", "from_name": "note", "value": {"text": ["x"]}},
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ],
)
def test_what_marks_no_place_is_not_counted(other: dict[str, Any]) -> None:
    regions, oddities = read(other, rectangle())
    assert len(regions) == 1
    assert not oddities


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (rectangle(value=labelled("bird")), "unknown label 'bird'"),
        (rectangle(value=labelled(7)), "unknown label '7'"),
        (rectangle(value=labelled()), "no label"),
        (rectangle(value=PLACE), "no label"),
        (rectangle(value=labelled("cat", "dog")), "several labels"),
        (rectangle(value=labelled("cat", x="12")), "x is not a number"),
        (rectangle(value=labelled("cat", width=0)), "no area"),
        (rectangle(value=labelled("cat", x=120)), "outside the image"),
        (rectangle(value=None), "no label"),
        (rectangle(from_name="other"), "of another control"),
        (rectangle(to_name="image2"), "on another object"),
        (rectangle(type="polygonlabels", from_name="p"), "polygon"),
        (rectangle(type="ellipselabels", from_name="e"), "ellipse"),
        (rectangle(type="brushlabels", from_name="b"), "brush"),
        (rectangle(type="keypointlabels", from_name="k"), "keypoint"),
        (rectangle(type="rectangle", from_name="r"), "rectangle"),
        (rectangle(original_width=0), "no image size"),
        ("text", "no region"),
    ],
)
def test_what_is_dropped(odd: Any, reason: str) -> None:
    regions, oddities = read(odd, rectangle(id="fine"))
    assert [region.id for region in regions] == ["fine"]
    assert oddities.dropped == {reason: 1}
    assert oddities.first_task == 5


def test_boxes_that_share_an_id_are_boxes_of_their_own() -> None:
    note = {"id": "r1", "type": "textarea", "from_name": "note", "value": {"text": ["x"]}}
    there = rectangle(value=labelled("cat", x=30.0))
    regions, oddities = read(rectangle(), there, note, rectangle(), there, rectangle(id="r2"))
    ids = [region.id for region in regions]
    assert (ids[0], ids[4], len({*ids})) == ("r1", "r2", 5)
    assert regions[0].content == (rectangle(), note)
    assert [region.content for region in regions[1:4]] == [(there,), (rectangle(),), (there,)]
    assert not oddities
    # The same whenever it is read, and none that a box without id may have.
    assert read(rectangle(id="r2"), rectangle(), there)[0][2].id == ids[1]
    assert ids[1] != read(rectangle(id=None, value=there["value"]))[0][0].id
    # A merge may have written the id of a box without one.
    written = rectangle(id=read(rectangle(id=None))[0][0].id, value=labelled("cat", x=30.0))
    assert len({region.id for region in read(written, rectangle(id=None))[0]}) == 2


def test_a_box_without_id_is_known_by_its_place() -> None:
    here, there = rectangle(id=None), rectangle(id="", value=labelled("cat", x=30.0))
    (first,), _ = read(here)
    ids = [region.id for region in read(rectangle(), there, here, here)[0]]
    assert ids[0] == "r1"
    assert ids[2] == first.id
    assert len({*ids}) == 4
    # Neither other boxes, nor its label or the image's size, nor noise in its numbers matter.
    value = {**labelled("cat"), "x": PLACE["x"] + 1e-9, "rotation": None}
    del value["rotation"]
    noisy = rectangle(id=None, value=value, original_width=9)
    assert read(there, noisy, size=(50, 50))[0][1].id == first.id
    assert read(rectangle(id=None, value=labelled("cat", x=10.01)))[0][0].id != first.id


def test_a_box_carries_what_is_noted_on_it() -> None:
    note = {"id": "r1", "type": "textarea", "from_name": "note", "value": {"text": ["x"]}}
    other = {**note, "id": "r2"}
    nameless = {"type": "choices", "from_name": "c", "value": {}}
    (region, second), _ = read(note, rectangle(), other, nameless, rectangle(id=None))
    assert region.content == (rectangle(), note)
    assert reviewed_region(region, CONFIG).content == region.content
    assert second.content == (rectangle(id=None),)


def test_a_label_is_found_by_value_alias_and_former_name() -> None:
    xml = labelling_config(["cat", "dog"]).replace('"cat"', '"cat" alias="c"')
    options = ToolOptions(rename={"kitty": "cat", "hound": "dog", "tree": ""})
    config = parse_config(xml, "7", options)
    oddities = Oddities()
    labels = ["cat", "c", "kitty", "hound", "tree", "bird"]
    results = [rectangle(id=name, value=labelled(name)) for name in labels]
    found = [
        reviewed_region(region, config).category
        for region in read_regions(results, config, 5, oddities)
    ]
    assert found == ["cat", "cat", "cat", "dog"]
    left_out = "label 'tree' left out by [labels] rename"
    assert oddities.dropped == {"unknown label 'bird'": 1, left_out: 1}
    assert oddities.unknown_labels == {"bird": 1}


@pytest.mark.parametrize("results", [None, "text", 3, {"value": {}}])
def test_results_that_are_no_list(results: Any) -> None:
    oddities = Oddities()
    assert list(read_regions(results, CONFIG, 5, oddities)) == []
    assert oddities.dropped == {"no list of results": 1}


def test_changed_boxes_are_counted_apart_and_the_warning_names_the_first_task() -> None:
    oddities = Oddities()
    for task, result in [
        (9, rectangle(value=labelled("cat", x=90))),
        (8, rectangle(value=labelled("cat", rotation=10))),
        (10, rectangle(value=labelled("bird"))),
    ]:
        list(read_regions([result], CONFIG, task, oddities))
    assert str(oddities) == (
        "dropped 1 (1 unknown label 'bird'), changed 2 (1 clipped at the image's edge, "
        "1 rotated, now the upright box around it); the first in task 8"
    )


@pytest.mark.parametrize(
    ("results", "complete"),
    [
        ([], False),
        (None, False),
        ([{"from_name": "sparsedet_complete", "value": {"choices": [COMPLETE_CHOICE]}}], True),
        ([{"from_name": "sparsedet_complete", "value": {"choices": ["No"]}}], False),
        ([{"from_name": "sparsedet_complete", "value": None}], False),
        ([{"from_name": "other", "value": {"choices": [COMPLETE_CHOICE]}}], False),
        ([rectangle()], False),
    ],
)
def test_only_the_explicit_mark_makes_an_image_complete(results: Any, complete: bool) -> None:
    assert is_complete(results, CONFIG) is complete


@pytest.mark.parametrize("attribute", ["perRegion", "perregion"])
def test_a_choice_about_a_box_marks_no_image(attribute: str) -> None:
    """In a control that asks about each box, such as whether all of it is visible."""
    own = labelling_config(["cat"]).replace("<Choices", f'<Choices {attribute}="true"')
    results = [
        rectangle(),
        {
            "id": rectangle()["id"],
            "from_name": "sparsedet_complete",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [COMPLETE_CHOICE]},
        },
    ]
    config = parse_config(own, "7")
    assert not is_complete(results, config)
    assert not config.marks


def test_the_mark_is_found_by_value_and_alias() -> None:
    """An alias may have been added since it was set."""
    config = parse_config(
        labelling_config(["cat"]).replace(
            f'"{COMPLETE_CHOICE}"', f'"{COMPLETE_CHOICE}" alias="all"'
        ),
        "7",
    )
    for text, complete in ((COMPLETE_CHOICE, True), ("all", True), ("", False)):
        mark = {"from_name": "sparsedet_complete", "value": {"choices": [text]}}
        assert is_complete([mark], config) is complete
