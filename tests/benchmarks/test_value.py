"""The value benchmark: time by hand, curves, and tables."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.value.arms import by_hand, review
from benchmarks.value.curves import Curve, count_wrong
from benchmarks.value.intervals import table
from benchmarks.value.loop_arm import share_first_run
from benchmarks.value.report import write_results
from benchmarks.value.setting import Setting, make_setting
from sparsedet.atomic_io import write_json
from sparsedet.loop.workspace import Workspace
from sparsedet.reviews import ReviewedRegion
from sparsedet.simulation.truth import TrueObject


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    work = tmp_path_factory.mktemp("value")
    return make_setting("digits", work, drop=0.7, seed=1, iterations=1)


def test_scenes_of_one_class_hold_all_digits(tmp_path: Path) -> None:
    one = make_setting("digit", tmp_path, drop=0.7, seed=1, iterations=1)
    assert [category.name for category in one.full.categories] == ["digit"]
    assert one.full.counts() == {"digit": len(one.full.boxes)}
    assert len(one.sparse.boxes) == pytest.approx(0.3 * len(one.full.boxes), abs=1)


def test_by_hand_every_missing_object_is_drawn(digits: Setting) -> None:
    curve = by_hand(digits)
    missing = len(digits.full.boxes) - len(digits.sparse.boxes)
    assert curve.found[-1] == curve.objects == len(digits.full.boxes)
    assert curve.objects - curve.start == missing
    assert curve.seconds[-1] == pytest.approx(2 * len(digits.full.images) + 7 * missing)


def test_right_boxes_are_quicker_than_drawing(digits: Setting) -> None:
    names = {category.id: category.name for category in digits.full.categories}
    drawn = {(box.image_id, box.xyxy) for box in digits.sparse.boxes}
    missing = [b for b in digits.full.boxes if (b.image_id, b.xyxy) not in drawn]
    shown = {
        image.id: [
            (ReviewedRegion(f"m{box.id}", names[box.category_id], box.xyxy), 0.9)
            for box in missing
            if box.image_id == image.id
        ]
        for image in digits.sparse.images
    }
    curve = review(digits, "plain", [image.id for image in digits.sparse.images], shown)
    assert curve.found[-1] == curve.objects
    assert curve.seconds[-1] == pytest.approx(
        2 * len(digits.full.images) + 0.7 * len(missing), abs=0.1
    )


def test_the_time_to_a_share_is_that_of_the_image_that_reached_it() -> None:
    curve = Curve("ours", "cats", 0.5, 1, objects=10, start=5)
    for found in (2, 0, 2):
        curve.add(3.0, found)
    assert [curve.seconds_to(share) for share in (0.7, 0.8, 0.9, 0.95)] == [3.0, 9.0, 9.0, None]


def test_the_table_compares_with_the_hand(tmp_path: Path) -> None:
    curves = []
    for arm, seconds in (("hand", 10.0), ("ours", 2.5)):
        curves.append(Curve(arm, "cats", 0.5, 1, objects=10, start=5))
        curves[-1].add(seconds, 5)
    text = write_results(curves, tmp_path)
    assert "| cats | 50% | ours | 1 | 25.0 % | 25.0 % | 25.0 % | 25.0 % |" in text
    assert (tmp_path / "value.png").stat().st_size > 1000


def test_arms_share_the_first_training(digits: Setting, tmp_path: Path) -> None:
    setting = replace(digits, work=tmp_path)
    ours, auto = (Workspace(tmp_path / arm / "workspace") for arm in ("ours", "auto"))
    ours.round(1).run.root.mkdir(parents=True)
    ours.round(1).run.model.write_text("weights")
    share_first_run(setting, auto)
    assert not auto.round(1).root.exists(), "a training that has not finished"
    ours.round(1).mined.write_text("")
    share_first_run(setting, auto)
    assert auto.round(1).run.model.read_text() == "weights"
    auto.round(1).run.model.write_text("its own")
    share_first_run(setting, auto)
    assert auto.round(1).run.model.read_text() == "its own"


def test_wrong_boxes_are_of_the_seeds_that_counted_them(tmp_path: Path) -> None:
    curves = [
        Curve("ours", "cats", 0.5, 1, 10, 5, [1.0], [10]),
        Curve("ours", "cats", 0.5, 2, 10, 5, [1.0], [10], got_in=50, wrong=1),
    ]
    assert write_results(curves, tmp_path).rstrip().endswith("| 2.0% (seed 2) |")
    assert write_results(curves[1:], tmp_path).rstrip().endswith("| 2.0% |")


def test_promises_are_summed_over_seeds_and_kept_apart_by_round(tmp_path: Path) -> None:
    for seed, number, right in ((1, 2, 70), (2, 2, 90), (1, 3, 30)):
        promises = {target: {"boxes": 100, "right": right} for target in ("0.8", "0.9", "0.95")}
        write_json(
            tmp_path / "figures" / f"cats-0.5-s{seed}-ours-r{number}.json",
            {
                "round": number,
                "promises": promises,
                "promises_neutral_wrong": promises,
                "calibration": [[100, 80.0, right]],
                "calibration_of_scores": [[100, 50.0, right]],
                "ranking": {"recall_at_95": right / 100, "area": 0.9},
                "share": 0.8,
                "estimate": {"low": 0.7, "high": 0.79 if seed == 1 else 0.9},
            },
        )
    text = write_results([Curve("hand", "cats", 0.5, 1, 10, 5, [1.0], [10])], tmp_path)
    row = "| cats | ours | 2 | 2 | 0.800 (200) | 0.800 (200) | 0.800 (200) | 0.000 | 0.300 |"
    assert f"{row} 0.800 | 0.900 | 1 of 2 | 14.5 |" in text
    assert "| cats | ours | 3 | 1 | 0.300 (100) |" in text


def test_intervals_that_hold_the_truth_are_counted() -> None:
    text = table(
        {
            "name": f"{name}-0.5-s1-{arm}-r1",
            "share": truth,
            "estimate": {"share": 0.8, "low": 0.75, "high": 0.85},
        }
        for name, truth, arm in (
            ("cats", 0.8, "ours"),
            ("cats", 0.86, "ours"),
            ("dogs", 0.76, "ours"),
            ("dogs", 0.76, "sure-first"),
        )
    )
    assert "- ours: 2 of 3 hold the truth, mean width 10.0 points" in text
    assert "- ours, cats: 1 of 2 hold the truth" in text
    assert "- sure-first, dogs: 1 of 1 hold the truth" in text


def test_boxes_that_got_in_and_show_nothing_are_counted(digits: Setting) -> None:
    first, second = digits.full.boxes[:2]
    nowhere = replace(first, id=10_000, xyxy=(0.0, 0.0, 3.0, 3.0))
    other = next(c.id for c in digits.full.categories if c.id != second.category_id)
    twice = [*digits.full.boxes, replace(first, id=10_001), nowhere]
    renamed = [replace(b, category_id=other) if b.id == second.id else b for b in twice]
    new = len(twice) - len(digits.sparse.boxes)
    nobody = dict.fromkeys(digits.objects, ())
    for after, wrong in ((digits.full.boxes, 0), (twice, 2), (renamed, 3)):
        found = count_wrong(digits.sparse, digits.full.with_boxes(after), digits.objects, nobody)
        assert found[1] == wrong
    assert found[0] == new
    there = {digits.full.image_by_id[first.image_id].file_name: [TrueObject("0", nowhere.xyxy)]}
    labelled = digits.full.category_by_id[first.category_id].name
    neutral = {
        **nobody,
        **{n: [replace(t, category=labelled) for t in own] for n, own in there.items()},
    }
    assert (
        count_wrong(digits.sparse, digits.full.with_boxes(twice), digits.objects, neutral)[1] == 1
    )
