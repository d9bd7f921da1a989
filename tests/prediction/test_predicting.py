"""Detection on sources that end in other ways than by their last image."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sparsedet.atomic_io import read_json
from sparsedet.errors import AnnotationError, PredictionError
from sparsedet.prediction.detector import Detector
from sparsedet.prediction.outputs import CocoResults, choose_output
from sparsedet.prediction.predicting import predict_source
from sparsedet.prediction.sources import SourceImage, open_source
from tests.integrations.files.formats.datasets import write_image
from tests.prediction.random_run import make_random_run


class _Stream:
    """Frames without end."""

    total = None
    frame_rate = 25.0
    names = ()

    def __init__(self, *, is_live: bool) -> None:
        self.is_live = is_live

    def __iter__(self) -> Iterator[SourceImage]:
        number = 0
        while True:
            number += 1
            yield SourceImage(number, f"{number}.jpg", np.zeros((40, 60, 3), dtype=np.uint8))


def test_interrupted_pictures_are_completed_by_repeating_the_command(tmp_path: Path) -> None:
    detector = Detector.load(make_random_run(tmp_path / "run"), "cpu")
    folder = tmp_path / "drawn"
    for name in ("a.png", "a.bmp", "b.png"):
        write_image(tmp_path / "photos" / name)
    source = open_source([str(tmp_path / "photos")])

    def stop(done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    output = choose_output(folder, None, detector.classes, None)
    with pytest.raises(KeyboardInterrupt):
        predict_source(detector, source, output, on_image=stop)
    # As labels, it is not to be mixed with pictures.
    with pytest.raises(PredictionError, match="exists already"):
        choose_output(folder, "yolo", detector.classes, None)
    output = choose_output(folder, None, detector.classes, None)
    predict_source(detector, source, output)
    assert sorted(file.name for file in folder.iterdir()) == ["a.jpg", "a.png.jpg", "b.jpg"]
    with pytest.raises(PredictionError, match="exists already"):
        choose_output(folder, None, detector.classes, None)


@pytest.mark.parametrize(("is_live", "after"), [(True, 3), (True, 0), (False, 3)])
def test_ctrl_c_ends_a_camera_and_keeps_what_was_found(
    is_live: bool, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = Detector.load(make_random_run(tmp_path / "run"), "cpu")
    target = tmp_path / "found.json"
    output = CocoResults(target, detector.classes)

    def stop(done: int, total: int | None) -> None:
        if done == after:
            raise KeyboardInterrupt

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if not after:
        monkeypatch.setattr(detector, "predict_all", interrupted)
    source = _Stream(is_live=is_live)
    if is_live and after:
        assert predict_source(detector, source, output, on_image=stop)[""] == after
        assert len(read_json(tmp_path / "found.images.json")["images"]) == after
        return
    with pytest.raises(KeyboardInterrupt):
        predict_source(detector, source, output, on_image=stop)
    assert not target.exists()


@pytest.mark.parametrize(
    ("classes", "names"), [({1: "dog", 2: " cat"}, ["a.jpg"]), ({1: "dog"}, ["a.jpg", "b\x01.jpg"])]
)
def test_names_that_a_format_can_not_store_are_refused_at_once(
    classes: dict[int, str], names: list[str], tmp_path: Path
) -> None:
    with pytest.raises(AnnotationError, match="can't be written in XML"):
        choose_output(tmp_path / "out", "voc", classes, None, names)
    choose_output(tmp_path / "out", "yolo", classes, None, names)


def test_a_video_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"a")
    with pytest.raises(PredictionError, match="exists already"):
        choose_output(tmp_path / "holiday.mp4", None, {1: "dog"}, 25.0)


def test_folders_that_are_links_are_read_once(tmp_path: Path) -> None:
    write_image(tmp_path / "photos/a.png")
    write_image(tmp_path / "disk/deep/b.png")
    links = {"more": tmp_path / "disk", "again": tmp_path / "disk", "up": tmp_path}
    for name, target in {**links, "self": tmp_path / "photos"}.items():
        (tmp_path / "photos" / name).symlink_to(target, target_is_directory=True)
    source = open_source([str(tmp_path / "photos")])
    assert list(source.names) == ["a.png", "again/deep/b.png"]
