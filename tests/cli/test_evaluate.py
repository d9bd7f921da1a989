"""`sparsedet eval`: the table of figures that people read."""

import pytest

from sparsedet.cli.evaluate import show_evaluation


def test_the_table_has_coco_s_and_pascal_voc_s_figures(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"AP": 1.0, "AP50": 2.0, "AP75": None, "VOC07_AP50": 3.0, "VOC12_AP50": 4.25}
    result = {**figures, "per_class": {"cat": 5.0}, "images": 6, "annotations": 7}
    show_evaluation("plain in run", result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "plain in run, 6 images, 7 annotations"
    assert [line.strip().rsplit(maxsplit=1) for line in lines[2:]] == [
        ["AP", "1.0"],
        ["AP50", "2.0"],
        ["AP75", "-"],
        ["VOC AP50 (11 recalls)", "3.0"],
        ["VOC AP50 (area)", "4.2"],
        ["AP cat", "5.0"],
    ]
