"""How `sparsedet round` ends, in words: never without what to do next."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.cli.commands.round_results import show_round
from sparsedet.loop.round_report import RoundReport

PUSHED = RoundReport(
    round=3,
    state="pushed",
    annotations=90,
    mined=0,
    up_for_review=0,
    images=0,
    reviewed=0,
    url=None,
    estimate="about 90 of 100 objects have a box",
    complete=0.9,
)


def shown(capsys: pytest.CaptureFixture[str], **changes: Any) -> str:
    show_round(replace(PUSHED, **changes), Path("cells"), 0.95)
    printed = capsys.readouterr()
    assert PUSHED.estimate in printed.out
    return printed.out + printed.err


@pytest.mark.parametrize("state", ["pushed", "waiting"])
@pytest.mark.parametrize("url", [None, "http://localhost:8080/projects/8"])
def test_a_round_with_nothing_left_to_review_says_so(
    capsys: pytest.CaptureFixture[str], state: str, url: str | None
) -> None:
    """Also where an earlier round has made the place of its reviews."""
    text = " ".join(shown(capsys, state=state, url=url).split())
    assert "round 3: nothing is left to review" in text
    assert "sparsedet round cells --next" in text
    assert "sparsedet review cells --merge" in text
    assert "up for review at" not in text


def test_it_is_finished_where_nothing_is_missing_either(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = " ".join(shown(capsys, state="finished").split())
    assert "finished: nothing is left to review, and at least 95% of the objects have a box" in text
    with_images = {"images": 4, "url": "there", "reviewed": 4}
    assert "nothing is left" not in shown(capsys, state="finished", **with_images)


def test_images_without_any_mined_box_are_to_be_drawn_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = " ".join(shown(capsys, images=34, up_for_review=0, url="there").split())
    assert "no box is certain enough to show; 34 images to draw on are up for review" in text
    assert "0 mined boxes" not in text


@pytest.mark.parametrize("sheets", [None, "http://localhost:8080/projects/9"])
def test_what_is_up_is_named(capsys: pytest.CaptureFixture[str], sheets: str | None) -> None:
    """Boxes on contact sheets open no image."""
    images = 0 if sheets else 3
    text = shown(capsys, images=images, up_for_review=5, url="there", sheets_url=sheets)
    assert "5 mined boxes" in text
    assert "no box is certain enough" not in text
    assert (sheets or "there") in text


def test_one_box_or_image_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    one = {"mined": 1, "up_for_review": 1, "url": "there"}
    box = " ".join(shown(capsys, images=1, **one).split())
    assert "round 3: 1 mined box on 1 image is up for review at there" in box
    on_three = " ".join(shown(capsys, images=3, **one).split())
    assert "1 mined box on 3 images is up" in on_three
    image = " ".join(shown(capsys, images=1, up_for_review=0, url="there").split())
    assert "1 image to draw on is up for review at there" in image
    waiting = shown(capsys, images=1, reviewed=0, up_for_review=1, state="waiting", url="there")
    assert "0 of 1 image reviewed" in " ".join(waiting.split())


def test_held_boxes_are_not_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, state="held", reason="the model is guessing")
    assert "its boxes were not pushed: the model is guessing" in text
    assert "nothing is left" not in text


def test_where_only_sure_boxes_are_up_nobody_is_asked_to_draw_on_their_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    up = {"url": "http://localhost:8080/projects/8", "images": 5, "up_for_review": 9}
    text = " ".join(shown(capsys, **up, sure_only=True).split())
    assert "draw only on images without mined boxes" in text
    assert "draw what is missing" in " ".join(shown(capsys, **up).split())


def test_waiting_for_reviews_it_says_where_they_are_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, state="waiting", images=9, reviewed=2, url="there", sheets_url="on-sheets")
    assert (
        "round 3: 2 of 9 images reviewed since the last push, at there, some on contact sheets at "
        "on-sheets\n" in text
    )
