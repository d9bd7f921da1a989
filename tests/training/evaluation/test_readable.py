"""Evaluations on images of which some can't be read."""

from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.run_folder import RunInfo
from sparsedet.training.evaluation import readable

IMAGES = tuple(Image(id, f"{id}.png", 90, 90) for id in (1, 2))
BOXES = tuple(Box(id, image_id, 1, (1, 1, 9, 9)) for id, image_id in ((1, 1), (2, 2), (3, 2)))
INFO = RunInfo("run-1", "plain", 1, "-", "-", [(1, "cat")], "-")


def test_a_warning_says_what_was_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def detected(*_: Any, on_unreadable: Any, **__: Any) -> list[Any]:
        on_unreadable(tmp_path / "2.png", "2.png: broken")
        return []

    monkeypatch.setattr(readable, "detect_all", detected)
    dataset = Dataset(IMAGES, BOXES, (Category(1, "cat"),))
    unused: Any = None
    found = readable.detect_readable(unused, unused, INFO, dataset, tmp_path)
    assert found.dataset.images == IMAGES[:1]
    expected = "measured without 1 image that can't be read (2.png), and its 2 annotations"
    assert expected in caplog.text
