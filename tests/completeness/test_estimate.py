"""The estimate of missing objects, and its interval."""

from dataclasses import replace

import numpy as np
import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.completeness.assessment import Assessment, assess
from sparsedet.completeness.candidate_file import CandidateFile
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.estimate import Missing
from sparsedet.completeness.expected_precision import EarlierRounds
from sparsedet.completeness.object_count import Count
from sparsedet.completeness.ratio import PRIOR_RATIO
from sparsedet.completeness.selection import Selection
from sparsedet.completeness.unmarked import BoxesOnly
from tests.completeness.scenes import Scene, scene

NEW_BOX = (900.0, 900.0, 950.0, 950.0)


def after_review(found: Scene, opened: set[int]) -> Dataset:
    """Return the annotations after every missing object of some images got its box.

    One that a candidate shows gets it there, the others where no candidate is.
    """
    unknown = found.candidates.unknown
    boxes = list(found.dataset.boxes)
    for image_id in opened:
        rows = np.flatnonzero((unknown.image_ids == image_id) & found.right)
        places = [tuple(map(float, unknown.boxes[row])) for row in rows]
        places += [NEW_BOX] * (found.missing[image_id] - len(places))
        boxes += [
            Box(len(boxes) + 1 + number, image_id, 1, (place[0], place[1], place[2], place[3]))
            for number, place in enumerate(places)
        ]
    images = tuple(replace(i, exhaustive=i.id in opened) for i in found.dataset.images)
    return replace(found.dataset, images=images, boxes=tuple(boxes))


def assessed(found: Scene, opened: set[int] | None = None) -> Assessment:
    """Return where a set stands after images were opened at random, a blind sample."""
    opened = opened or set()
    return assess(
        CandidateFile("run", found.candidates, found.hidden),
        found.dataset,
        after_review(found, opened),
        outcomes={},
        audit=opened,
        selection=Selection(ReviewCosts()),
    )


def truth(found: Scene, opened: set[int]) -> int:
    return sum(count for image, count in found.missing.items() if image not in opened)


def test_an_interval_holds_the_truth_nearly_always() -> None:
    held = widths = 0.0
    runs = 40
    for seed in range(runs):
        labelled, seen = (0.3, 0.5, 0.8)[seed % 3], (0.7, 0.95)[seed % 2]
        found = scene(images=150, labelled=labelled, seen=seen, seed=seed)
        opened = set(range(1, 16))
        standing = assessed(found, opened).completeness
        held += standing.missing_low <= truth(found, opened) <= standing.missing_high
        widths += standing.high - standing.low
    assert held / runs >= 0.8
    assert widths / runs < 0.2


def test_a_blind_sample_makes_it_sharper_and_says_so() -> None:
    found = scene(images=150)
    before, after = (assessed(found, opened).completeness for opened in (set(), {*range(1, 31)}))
    assert before.basis == "model"
    assert "rests on the model" in before.sentence()
    assert (after.basis, after.audited) == ("audit", 30)
    one = replace(after, boxes=1, missing=0.2).sentence()
    assert one.startswith("about 1 of 1 object has a box (")
    assert replace(after, boxes=2).sentence().startswith("about 2 of ")
    assert after.high - after.low < before.high - before.low


def test_a_model_that_tells_objects_apart_knows_their_number_better() -> None:
    widths = []
    for spread in (0.5, 3.0):
        standing = assessed(scene(seen=0.98, spread=spread)).completeness
        widths.append((standing.missing_high - standing.missing_low) / standing.missing)
    assert widths[0] < 0.75 * widths[1]


def test_a_model_does_not_hand_its_certainty_to_the_next_one() -> None:
    sure = assessed(scene(seen=0.98, spread=0.5))
    assert sure.ratio == sure.carried_ratio == PRIOR_RATIO


def test_objects_that_the_model_can_not_see_are_counted() -> None:
    found = scene(images=200, seen=0.5, hidden=0.0)
    opened = set(range(1, 41))
    standing = assessed(found, opened).completeness
    assert standing.missing == pytest.approx(truth(found, opened), rel=0.25)


def test_what_is_complete_lacks_nothing() -> None:
    found = scene(images=30)
    standing = assessed(found, set(range(1, 31)))
    assert (standing.completeness.share, standing.completeness.low) == (1.0, 1.0)
    assert standing.outlooks == ()
    assert "100%" in standing.completeness.sentence()


def test_images_without_annotation_are_expected_to_hold_what_others_hold() -> None:
    found = scene(images=300, objects=2.0, labelled=0.5, seen=0.6)
    bare = {i.id for i in found.dataset.images if not found.dataset.boxes_by_image[i.id]}
    standing = assessed(found)
    expected = sum(o.missing for o in standing.outlooks if o.image.id in bare)
    assert expected == pytest.approx(sum(found.missing[id] for id in bare), rel=0.3)


def test_it_says_how_many_images_bring_the_set_where_it_should_be() -> None:
    found = scene(images=100)
    standing, costs = assessed(found), ReviewCosts()
    images, seconds = standing.until(0.9, costs)
    more, longer = standing.until(0.99, costs)
    assert 0 < images < more <= 100
    assert 0 < seconds < longer
    assert standing.until(0.01, costs) == (0, 0.0)


def test_the_classes_share_the_total_out() -> None:
    standing = assessed(scene()).completeness
    assert sum(own.missing for own in standing.by_class.values()) == pytest.approx(standing.missing)


def test_the_interval_of_a_class_is_wider_than_its_share_of_the_total() -> None:
    missing = Missing({1: 60.0, 2: 40.0}, shape=50.0)
    low, high = missing.interval()
    assert low < 100 < high
    half_low, half_high = missing.interval(0.5)
    assert half_low < low / 2 < 50 < high / 2 < half_high
    # A class that is all that is missing is as certain as the total.
    assert missing.interval(1.0) == (low, high)
    assert missing.interval(0.0) == (0.0, 0.0)


def test_a_class_has_an_interval_around_its_number() -> None:
    found = assessed(with_two_classes(scene())).completeness
    cell = found.by_class["cell"]
    assert cell.missing_low < cell.missing < cell.missing_high
    # All that is missing is of this class.
    assert cell.missing_low == pytest.approx(found.missing_low, abs=1)
    assert cell.missing_high == pytest.approx(found.missing_high, abs=1)


def test_what_an_earlier_model_let_expect_counts_until_it_is_found() -> None:
    own = Missing({1: 3.0, 2: 1.0}, shape=12.0)
    doubted = own.with_earlier(Count(24.0, 0.35), found=6)
    assert 4.0 < sum(doubted.by_image.values()) < 18.0
    assert doubted.by_image[1] == pytest.approx(3 * doubted.by_image[2])
    assert doubted.shape < own.shape
    found_all = own.with_earlier(Count(24.0, 0.35), found=24)
    assert sum(found_all.by_image.values()) < 4.0
    nothing = Missing({1: 0.0, 2: 0.0}, shape=12.0).with_earlier(Count(24.0, 0.35), found=6)
    assert nothing.by_image[1] == nothing.by_image[2] > 0
    # Where nobody is left to look there is nothing to expect.
    assert Missing({}, shape=12.0).with_earlier(Count(24.0, 0.35), found=6).by_image == {}


def test_a_second_model_alone_does_not_end_the_doubts_of_the_first() -> None:
    found = scene(images=150, labelled=0.5, seen=0.7, seed=3)
    alone = assessed(found).completeness
    content = CandidateFile("run", found.candidates, found.hidden)
    first = Count(2 * alone.missing, 0.2)
    later = assess(
        replace(content, earlier=EarlierRounds(missing=first)),
        found.dataset,
        found.dataset,
        outcomes={},
        audit=(),
        selection=Selection(ReviewCosts()),
    ).completeness
    assert alone.missing < later.missing < first.mean


def with_two_classes(found: Scene, *complete: int) -> Scene:
    """Return the scene with a second class, complete classes on every image."""
    dataset = replace(
        found.dataset,
        categories=(*found.dataset.categories, Category(2, "clump")),
        images=tuple(
            replace(image, complete_classes=frozenset(complete)) for image in found.dataset.images
        ),
    )
    return replace(found, dataset=dataset)


def test_a_class_that_is_complete_everywhere_lacks_nothing() -> None:
    found = scene(images=30)
    before = assessed(with_two_classes(found)).completeness
    after = assessed(with_two_classes(found, 2)).completeness
    assert before.by_class["clump"].missing > 0 == after.by_class["clump"].missing
    assert after.missing == pytest.approx(before.missing)
    assert after.by_class["cell"].missing == pytest.approx(after.missing)


def test_an_image_that_is_complete_in_all_classes_is_complete() -> None:
    standing = assessed(with_two_classes(scene(images=30), 1, 2))
    assert standing.completeness.complete_images == 30
    assert standing.completeness.missing == 0
    assert standing.outlooks == ()


def test_boxes_of_complete_classes_say_nothing_of_what_others_lack() -> None:
    """Images without annotation are expected to hold less where most of the classes are absent."""
    found = with_two_classes(scene(images=300, objects=2.0, labelled=0.5, seen=0.6))
    bare = {i.id for i in found.dataset.images if not found.dataset.boxes_by_image[i.id]}
    absent = replace(
        found.dataset,
        images=tuple(
            replace(image, complete_classes=frozenset({1}) if image.id in bare else frozenset())
            for image in found.dataset.images
        ),
    )

    # As they are found: of what is complete there are no candidates.
    others = found.candidates.select(~np.isin(found.candidates.image_ids, list(bare)))

    def expected(given: Scene) -> float:
        outlooks = assessed(given).outlooks
        return sum(outlook.missing for outlook in outlooks if outlook.image.id in bare)

    marked = replace(found, dataset=absent, candidates=others)
    assert 0 < expected(marked) < 0.05 * expected(found)


def test_of_a_class_that_became_complete_nothing_is_missing() -> None:
    found = with_two_classes(scene(images=60, seen=0.5))
    every = {image.id for image in found.dataset.images}

    def missing(marked: set[int], *classes: int) -> float:
        images = tuple(
            replace(i, complete_classes=frozenset(classes) if i.id in marked else frozenset())
            for i in found.dataset.images
        )
        return assess(
            CandidateFile("run", found.candidates, found.hidden),
            found.dataset,
            replace(found.dataset, images=images),
            outcomes={},
            audit=(),
            boxes_only=BoxesOnly(asked=frozenset(every)),
            selection=Selection(ReviewCosts()),
        ).completeness.missing

    before = missing(set())
    assert missing(every, 2) == pytest.approx(before, rel=0.01)  # nothing was found of it
    assert missing(every, 1) < 0.01 * before
    assert missing(set(list(every)[:30]), 1) == pytest.approx(before / 2, rel=0.2)


def test_only_boxes_on_objects_that_had_none_count_as_found() -> None:
    found = scene(images=150, seed=3)
    content = CandidateFile(
        "run", found.candidates, found.hidden, EarlierRounds(missing=Count(400.0, 0.2))
    )

    def missing(now: Dataset) -> float:
        selection = Selection(ReviewCosts())
        assessment = assess(content, found.dataset, now, outcomes={}, audit=(), selection=selection)
        return assessment.completeness.missing

    reviewed = after_review(found, set(range(1, 31)))
    least = missing(reviewed)
    assert least < missing(found.dataset)
    # Boxes on images that are new don't show what others lacked.
    new = Image(1000, "new.png", 1000, 1000)
    drawn = tuple(Box(10_000 + n, 1000, 1, (n, 0, n + 9, 9)) for n in range(300))
    grown = replace(reviewed, images=(*reviewed.images, new), boxes=(*reviewed.boxes, *drawn))
    assert missing(grown) == pytest.approx(least)
    # Wrong boxes that a reviewer deletes don't make the others less.
    wrong = tuple(Box(20_000 + n, 1 + n, 1, (500, 500, 550, 550)) for n in range(100))
    before = replace(found.dataset, boxes=(*found.dataset.boxes, *wrong))
    selection = Selection(ReviewCosts())
    after = assess(content, before, reviewed, outcomes={}, audit=(), selection=selection)
    assert after.completeness.missing == pytest.approx(least, rel=0.03)
