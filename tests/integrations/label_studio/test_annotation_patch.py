"""Applying reviews to an annotation's results; without a server."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from sparsedet.integrations.label_studio.annotation_choice import read_task
from sparsedet.integrations.label_studio.annotation_patch import combined, patched
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.geometry import GeometryError
from sparsedet.integrations.label_studio.labelling_config.label_config import parse_config
from sparsedet.integrations.label_studio.regions import (
    Oddities,
    is_complete,
    read_regions,
    reviewed_region,
)
from sparsedet.reviews import (
    NOTHING_WRITTEN,
    Changes,
    Decision,
    Review,
    ReviewedRegion,
    SourceState,
    as_written,
    changes,
    decide,
)
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.samples import PLACE, complete_mark, rectangle

CONFIG = parse_config(labelling_config(["cat", "dog"]), "7")
SIZE = (200, 100)
MINED = {"m1": 50.0, "m2": 0.0}
NUMBERS = count()


def box(id: str | None, x: float = 10.0, label: str = "cat", **more: Any) -> dict[str, Any]:
    value = {**PLACE, "x": x, "rectanglelabels": [label]}
    return rectangle(label, SIZE, id=id, value=value, **more)


def mined(id: str, x: float = 50.0, **more: Any) -> dict[str, Any]:
    return box(id, x, score=0.9, origin="prediction", **more)


def boxes(results: Sequence[dict[str, Any]]) -> dict[str, ReviewedRegion]:
    regions = read_regions(results, CONFIG, 5, Oddities(), SIZE)
    return {region.id: reviewed_region(region, CONFIG) for region in regions}


def review(shown: Sequence[dict[str, Any]] | None, *results: dict[str, Any]) -> Review:
    """Return a review that was shown a prediction, or drawn from scratch."""
    number = next(NUMBERS)
    return Review(
        "5",
        str(number),
        boxes(shown or ()),
        tuple(boxes(results).values()),
        complete=is_complete(results, CONFIG),
        saved_at=f"2026-01-01T00:00:{number % 60:02}Z",
    )


def state(source: Sequence[dict[str, Any]]) -> SourceState:
    annotation = {"id": 3, "result": list(source), "created_at": "2026-01-01T00:00:00Z"}
    read = read_task([annotation], CONFIG, "newest", 5, Oddities(), SIZE)
    found = {region.region_id: region for region in read.boxes}
    return SourceState("5", found, complete=read.complete)


def planned(source: Sequence[dict[str, Any]], *reviews: Review) -> Changes:
    on_offer = {id: boxes([mined(id, x)])[id] for id, x in MINED.items()}
    return changes(state(source), decide(reviews, on_offer))


def apply(source: Sequence[dict[str, Any]], change: Changes) -> list[Any]:
    return list(patched(source, change, state(source).boxes, CONFIG, SIZE))


def merge(source: Sequence[dict[str, Any]], *reviews: Review) -> list[Any]:
    return apply(source, planned(source, *reviews))


def test_an_accepted_box_comes_with_what_the_reviewer_noted_on_it() -> None:
    note = {"id": "m1", "from_name": "size", "to_name": "image", "type": "rating", "value": {}}
    reviewed = review([box("h"), mined("m1")], box("h"), note, mined("m1"))
    assert merge([box("h")], reviewed) == [box("h"), mined("m1"), note]


def test_what_is_grouped_under_a_deleted_box_moves_up_as_in_the_editor() -> None:
    top, gone = box("t", 0.0), box("g", 20.0, parentID="t")
    nested = box("n", 40.0, parentID="g")
    outline = {"id": "o", "from_name": "o", "to_name": "image", "type": "polygonlabels"}
    source = [top, gone, nested, {**outline, "parentID": "n"}, {**outline, "id": "x"}]
    one = merge(source, review([top, gone, nested], top, nested))
    assert one == [top, {**nested, "parentID": "t"}, *source[3:]]
    two = merge(source, review([top, gone, nested], top))
    assert two == [top, {**outline, "parentID": "t"}, source[4]]
    every = merge(source, review([top, gone, nested]))
    assert every == [outline, source[4]]


def test_an_added_box_is_grouped_only_under_regions_that_are_there() -> None:
    """In the review, it may be grouped under a rejected box or one that the source has lost."""
    shown = [box("h"), box("g", 20.0), mined("m1"), mined("m2", 0.0)]
    under = {parent: mined("m1", parentID=parent) for parent in ("h", "m2", "g", "n")}
    nested = mined("m2", 0.0, parentID="m1")

    reviewed = review(shown, box("h"), under["h"], nested)
    assert merge([box("h"), box("g", 20.0)], reviewed) == [box("h"), under["h"], nested]
    for parent in ("m2", "g", "n"):
        assert merge([box("h")], review(shown, box("h"), under[parent])) == [box("h"), mined("m1")]
    # Deleted in the review only after the earlier reviewer had grouped it.
    earlier = review(shown, box("h"), box("g", 20.0, parentID="h"), under["g"])
    grouped = [box("h"), box("g", 20.0, parentID="h")]
    later = review([*grouped, under["g"]], box("h"), under["g"])
    assert merge(grouped, earlier, later) == [box("h"), under["h"]]


@pytest.mark.parametrize("odd", [{"a": 1}, ["h"], 3])
def test_an_odd_group_of_a_region_stops_no_merge(odd: object) -> None:
    shown = [box("h"), box("g", 20.0, parentID=odd), mined("m1")]
    reviewed = review(shown, box("h"), mined("m1", parentID=odd))
    left = {**box("n", 40.0), "type": "polygonlabels", "from_name": "o"}
    source = [*shown[:2], {**left, "parentID": "g"}]
    assert merge(source, reviewed) == [box("h"), left, mined("m1")]


def test_regions_grouped_in_a_circle_that_is_deleted_have_no_group() -> None:
    circle = [box("a", 0.0, parentID="b"), box("b", 20.0, parentID="a")]
    inner = {**box("n", 40.0), "type": "polygonlabels", "from_name": "o"}
    assert merge([*circle, {**inner, "parentID": "a"}], review(circle)) == [inner]


def test_an_accepted_box_is_written_for_the_image_that_it_is_on() -> None:
    """A region that was pasted from another image carries that one's size."""
    pasted = mined("m1", original_width=1280, original_height=960)
    assert merge([box("h")], review([box("h")], box("h"), pasted))[1] == mined("m1")


def test_labels_are_written_as_the_project_stores_them() -> None:
    xml = labelling_config(["cat", "dog"]).replace('"cat"', '"cat" alias="c"')
    config = parse_config(xml, "7", ToolOptions(rename={"kitty": "cat"}))
    kitty = replace(boxes([box("m1")])["m1"], content=(box("m1", label="kitty"),))
    decision = Decision("kept", kitty, "accepted", review(None))
    (added,) = patched([], Changes(added={"m1": decision}), {}, config, SIZE)
    assert added["value"]["rectanglelabels"] == ["c"]
    before = boxes([box("h", label="dog")])
    edit = Changes(edited={"h": replace(before["h"], category="cat")})
    (edited,) = patched([box("h", label="dog")], edit, before, config, SIZE)
    assert edited["value"] == {**PLACE, "rectanglelabels": ["c"]}


def test_a_box_of_which_nothing_but_its_place_is_known_can_be_written() -> None:
    """As the ledger knows boxes whose review was lost."""
    bare = ReviewedRegion("m1", "dog", (-0.5, 10.0, 40.0, 100.0))
    decision = Decision("kept", bare, "accepted", review(None))
    change = Changes(added={"m1": decision}, edited={"h": replace(bare, category="cat")})
    edited, added = apply([box("h", note=1)], change)
    place = {"x": 0.0, "y": 10.0, "width": 20.0, "height": 90.0, "rotation": 0}
    assert added["value"] == {**place, "rectanglelabels": ["dog"]}
    assert (added["id"], added["type"], added["from_name"]) == ("m1", "rectanglelabels", "label")
    assert edited == {**box("h", note=1), "value": {**place, "rectanglelabels": ["cat"]}}
    outside = replace(bare, xyxy=(300.0, 10.0, 340.0, 50.0))
    with pytest.raises(GeometryError):
        apply([box("h")], Changes(edited={"h": outside}))


def test_what_repeats_the_place_of_a_changed_box_moves_with_it() -> None:
    repeated = box("h", type="choices", from_name="kind")
    repeated["value"] = {**repeated["value"], "choices": ["tabby"]}
    source = [box("h", note=1), repeated]
    change = planned(source, review([box("h")], box("h", 30.0, "dog", origin="prediction-changed")))
    assert apply(source, change) == [
        box("h", 30.0, "dog", note=1),
        {**repeated, "value": {**repeated["value"], "x": 30.0}},
    ]
    assert (len(change.added), set(change.edited), len(change.removed)) == (0, {"h"}, 0)


def test_what_belongs_to_a_removed_box_goes_with_it() -> None:
    note = {"id": "h", "from_name": "size", "to_name": "image", "type": "rating", "value": {}}
    outline = box("o", type="polygonlabels", from_name="outline")
    relation = {"type": "relation", "from_id": "o", "to_id": "h"}
    other = {"type": "relation", "from_id": "o", "to_id": "k"}
    source: list[Any] = [box("h"), note, outline, relation, other, box("k", 60.0), "a text"]
    shown = [box("h"), box("k", 60.0)]
    assert merge(source, review(shown, shown[1])) == [outline, other, box("k", 60.0), source[-1]]


def test_a_rotated_box_stays_rotated_when_only_its_label_changes() -> None:
    turned = box("h")
    turned["value"]["rotation"] = 90.0
    upright = box("h")  # as the push shows it: 20 x 40 pixels turned about (20, 10)
    upright["value"] |= {"x": 0.0, "width": 10.0, "height": 40.0}
    renamed = {**upright, "value": {**upright["value"], "rectanglelabels": ["dog"]}}
    (result,) = merge([turned], review([upright], renamed))
    assert result["value"] == {**turned["value"], "rectanglelabels": ["dog"]}
    assert not planned([turned], review([upright], upright))


def test_an_imported_box_without_an_id_is_changed_under_the_one_made_of_its_place() -> None:
    source = [box(None, 70.0), box(None)]
    first, second = boxes(source)
    shown = [box(first, 70.0), box(second)]
    edited = merge(source, review(shown, shown[0], box(second, 40.0)))
    assert edited == [source[0], box(second, 40.0)]
    assert not planned(edited, review(shown, shown[0], box(second, 40.0)))
    assert merge(source, review(shown, shown[1])) == [source[1]]


def test_of_exact_twins_without_ids_one_is_removed() -> None:
    source = [box(None), box("h", 60.0), box(None)]
    first, _, second = boxes(source)
    shown = [box(first), box("h", 60.0), box(second)]
    assert merge(source, review(shown, *shown[1:])) == source[1:]
    assert merge(source, review(shown, *shown[:2])) == source[:2]


def test_of_boxes_that_share_an_id_only_the_one_that_is_meant_is_changed() -> None:
    note = {"id": "h", "from_name": "size", "to_name": "image", "type": "rating", "value": {}}
    source = [box("h"), note, box("h", 60.0, "dog")]
    own = list(boxes(source))[1]
    shown = [box("h"), box(own, 60.0, "dog")]
    assert merge(source, review(shown, shown[1])) == [shown[1]]
    assert merge(source, review(shown, shown[0])) == [box("h"), note]
    moved = merge(source, review(shown, box("h", 30.0), shown[1]))
    assert moved == [box("h", 30.0), note, shown[1]]
    assert boxes(moved).keys() == boxes(source).keys()
    assert merge(source, review(shown, shown[0], box(own, 75.0, "dog"))) == [
        box("h"),
        note,
        box(own, 75.0, "dog"),
    ]


def test_a_later_review_overrules_an_earlier_one() -> None:
    first = review([box("h"), mined("m1")], box("h", 30.0), mined("m1"), box("drawn", 75.0))
    second = review([box("h"), box("m1", 50.0), mined("m2", 0.0)], box("h"), mined("m2", 0.0))
    after = [box("h", 30.0), box("drawn", 75.0), mined("m2", 0.0)]
    assert merge([box("h")], first, second) == after


def test_undecided_boxes_stay_out_and_peoples_own_stay_in() -> None:
    unsure: dict[str, Any] = {"meta": {"text": ["unsure"]}}
    drawn, left = box("d", 75.0, **unsure), mined("m1", **unsure)
    reviewed = review([box("h"), mined("m1")], box("h", 30.0, **unsure), left, drawn)
    assert not planned([box("h")], reviewed)
    # Accepted and merged before, then left open.
    source = [box("h"), mined("m1")]
    verdict = decide([reviewed], boxes([mined("m1")]))
    written = as_written(state(source), Changes(), verdict, NOTHING_WRITTEN)
    written = replace(written, boxes={**written.boxes, **boxes([mined("m1")])})
    assert apply(source, changes(state(source), verdict, written)) == [box("h")]


def test_a_box_that_the_source_leaves_open_is_replaced_by_the_accepted_one() -> None:
    source = [box("h"), mined("m1", meta={"text": ["unsure"]})]
    reviewed = review([box("h"), mined("m1")], box("h"), mined("m1"))
    assert merge(source, reviewed) == [box("h"), mined("m1")]


def test_an_id_that_belongs_to_something_else_by_now_is_not_used_twice() -> None:
    outline = box("m1", type="polygonlabels", from_name="outline")
    reviewed = review([box("h"), mined("m1")], box("h"), mined("m1"))
    after = merge([box("h"), outline], reviewed)
    assert after == [box("h"), outline, mined("m1-2")]
    assert not planned(after, reviewed)


def test_what_no_box_can_be_made_of_stays_as_it_is() -> None:
    both = box("h")
    both["value"] = {**both["value"], "rectanglelabels": ["cat", "dog"]}
    source = [both, box("k", 60.0)]
    reviewed = review([box("k", 60.0)], box("k", 30.0))
    assert merge(source, reviewed) == [both, box("k", 30.0)]


@pytest.mark.parametrize("kind", ["single", "single-radio", "multiple"])
def test_the_mark_leaves_the_choices_that_may_be_made_with_it(kind: str) -> None:
    mark = complete_mark()
    before = {**mark, "id": "old", "value": {"choices": ["blurry"]}}
    reviewed = review([box("h")], box("h"), mark)
    change = planned([before, box("h")], reviewed)
    assert change == Changes(marks_complete=True)
    xml = labelling_config(["cat", "dog"]).replace('choice="multiple"', f'choice="{kind}"')
    (marked, human) = patched([before, box("h")], change, {}, parse_config(xml, "7"), SIZE)
    others = ["blurry"] if kind == "multiple" else []
    assert marked == {**before, "value": {"choices": [*others, *mark["value"]["choices"]]}}
    assert human == box("h")
    assert is_complete(merge([box("h")], reviewed), CONFIG)
    assert not planned([mark], review([box("h")], mark))


def test_several_annotations_become_one() -> None:
    outline = box("o", type="polygonlabels", from_name="outline")
    note = {"id": "a", "from_name": "size", "to_name": "image", "type": "rating", "value": {}}
    of_outline = {**note, "id": "o"}
    light = {"id": "l1", "from_name": "light", "to_name": "image", "type": "choices", "value": {}}
    kept = {"type": "relation", "from_id": "a", "to_id": "o"}
    gone = {"type": "relation", "from_id": "b", "to_id": "o"}
    first = [box("a"), note, outline, of_outline, light, kept, gone, box("b", 60.0)]
    second = [box(None, 30.0), {**light, "id": "l2"}]
    nameless = next(iter(boxes(second)))
    left = [boxes(first)["a"], boxes(second)[nameless]]
    assert combined([first, second], left, CONFIG) == [
        box("a"),
        note,
        box(nameless, 30.0),
        outline,
        of_outline,
        {**light, "id": "l2"},
        kept,
    ]
