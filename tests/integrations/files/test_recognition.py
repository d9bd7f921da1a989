"""Which reviewed annotation is which box."""

import pytest

from sparsedet.annotations import XYXY, Image
from sparsedet.integrations.files.recognition import FoundBox, recognise
from sparsedet.integrations.files.review_files import Offer
from sparsedet.tool import ReviewedRegion

PLACE: XYXY = (0, 0, 100, 100)


def shifted(pixels: float) -> XYXY:
    """`PLACE` moved right: by 5 an IoU of 0.90, by 10 0.82, by 20 0.67, by 30 0.54, by 40 0.43."""
    return pixels, 0, 100 + pixels, 100


def region(id: str, category: str, xyxy: XYXY) -> ReviewedRegion:
    return ReviewedRegion(id, category, xyxy)


def found(category: str, xyxy: XYXY, *ids: str) -> FoundBox:
    return FoundBox(category, xyxy, ids, unsure=False)


def offer(human: list[ReviewedRegion], mined: list[ReviewedRegion]) -> Offer:
    """Mined boxes are given surest first."""
    return Offer(
        image=Image(1, "a.png", 500, 500),
        human={box.region_id: box for box in human},
        mined={box.region_id: box for box in mined},
        scores={box.region_id: 0.9 - 0.1 * rank for rank, box in enumerate(mined)},
    )


@pytest.mark.parametrize(
    ("human", "mined", "reviewed", "expected"),
    [
        pytest.param(
            [],
            [region("deleted", "cat", PLACE), region("kept", "cat", shifted(20))],
            [found("cat", shifted(20))],
            ["kept"],
            id="a deleted box does not take its neighbour's place",
        ),
        pytest.param(
            [],
            [region("far", "cat", shifted(30)), region("near", "cat", shifted(-20))],
            [found("cat", PLACE)],
            ["near"],
            id="the best overlap of moved boxes",
        ),
        pytest.param(
            [],
            [region("sure", "cat", shifted(20)), region("unsure", "cat", shifted(-20))],
            [found("cat", PLACE)],
            ["sure"],
            id="the surest of equals",
        ),
        pytest.param(
            [],
            [region("deleted", "cat", shifted(20)), region("renamed", "dog", PLACE)],
            [found("cat", PLACE)],
            ["renamed"],
            id="unmoved and renamed before moved",
        ),
        pytest.param(
            [],
            [region("dog", "dog", PLACE), region("cat", "cat", PLACE)],
            [found("cat", PLACE)],
            ["cat"],
            id="the same class before the surer one",
        ),
        pytest.param(
            [region("human", "cat", shifted(30))],
            [region("mined", "cat", shifted(-20))],
            [found("cat", PLACE)],
            ["human"],
            id="of moved boxes people's come first",
        ),
        pytest.param(
            [],
            [region("box", "cat", shifted(40))],
            [found("cat", PLACE)],
            ["drawn"],
            id="too far away",
        ),
        pytest.param(
            [],
            [region("one", "cat", PLACE)],
            [found("cat", PLACE), found("cat", PLACE), found("cat", PLACE)],
            ["one", "drawn", "drawn"],
            id="one to one",
        ),
        pytest.param(
            [],
            [region("deleted", "cat", PLACE), region("moved", "cat", shifted(300))],
            [found("cat", PLACE, "moved")],
            ["moved"],
            id="an id counts more than the place",
        ),
        pytest.param(
            [],
            [region("one", "cat", PLACE)],
            [found("cat", shifted(200), "one"), found("cat", shifted(5), "one")],
            ["drawn", "one"],
            id="a copied box kept the key",
        ),
    ],
)
def test_who_is_who(
    human: list[ReviewedRegion],
    mined: list[ReviewedRegion],
    reviewed: list[FoundBox],
    expected: list[str],
) -> None:
    regions = recognise(offer(human, mined), reviewed)
    assert [
        "drawn" if r.region_id.startswith("drawn-") else r.region_id for r in regions
    ] == expected
    assert len({r.region_id for r in regions}) == len(regions)
    assert [r.xyxy for r in regions] == [box.xyxy for box in reviewed]
