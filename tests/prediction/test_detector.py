"""A detector accepts files, arrays and PIL images, with the same result."""

import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sparsedet.annotations import read_upright
from sparsedet.atomic_io import write_json
from sparsedet.config.training_config import read_config
from sparsedet.errors import PredictionError, RunError
from sparsedet.export.exporting import export_run
from sparsedet.mining.detect import detect
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.prediction.detector import Detector, as_bgr
from sparsedet.prediction.found import Found
from sparsedet.reading import read_json
from sparsedet.run_folder import RunFolder
from tests.conftest import Scenes
from tests.prediction.random_run import make_random_run

LOW = 0.002


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def detector(run: Path) -> Detector:
    return Detector.load(run, "cpu")


@pytest.fixture(scope="module")
def photo(scenes: Scenes) -> Path:
    return scenes.images / scenes.dataset.images[0].file_name


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([], "classes: empty"),
        ([[3, "0"], [4, "1"]], r"lists 2 classes, but the model in config\.yaml has 10"),
        ([[3, "0"]], r"lists 1 class, but the model in config\.yaml has 10"),
        ([[3, str(name)] for name in range(10)], "classes: 3 occurs more than once"),
        ([[id, "0"] for id in range(10)], "classes: '0' occurs more than once"),
    ],
)
def test_classes_that_do_not_fit_the_model_are_refused(
    run: Path, tmp_path: Path, classes: list[list[int | str]], said: str
) -> None:
    damaged = RunFolder(Path(shutil.copytree(run, tmp_path / "run")))
    content = read_json(damaged.info_file)
    write_json(damaged.info_file, {**content, "classes": classes})
    with pytest.raises(RunError, match=rf"run\.json: {said}"):
        Detector.load(damaged.root, "cpu")


def test_classes_in_another_order_than_the_models_are_refused(run: Path, tmp_path: Path) -> None:
    damaged = RunFolder(Path(shutil.copytree(run, tmp_path / "run")))
    content = read_json(damaged.info_file)
    write_json(damaged.info_file, {**content, "classes": content["classes"][::-1]})
    with pytest.raises(RunError, match=r"model\.pth: its class 1 is 0, but 9 in .*run\.json"):
        Detector.load(damaged.root, "cpu")
    with pytest.raises(RunError, match=r"its class 1 is 0, but 9"):
        export_run(damaged, tmp_path / "model.pt", "torchscript")


def same(one: Found, other: Found) -> bool:
    return len(one) == len(other) > 0 and np.allclose(one.boxes, other.boxes, atol=1e-3)


def test_it_finds_what_evaluation_and_mining_find(
    detector: Detector, run: Path, scenes: Scenes
) -> None:
    config = read_config(RunFolder(run).config)
    model = build_for_inference(config.node, RunFolder(run).model, "cpu")
    images = scenes.dataset.images[:2]
    expected = list(detect(model, config, images, scenes.images, list(range(3, 13))))
    found = detector.predict_all([scenes.images / i.file_name for i in images], score=0.0)
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other.scores) > 0
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.class_ids, other.category_ids)


def test_arrays_pil_images_and_files_are_one(detector: Detector, photo: Path) -> None:
    bgr = read_upright(photo)
    expected = detector.predict(photo, score=LOW)
    assert same(detector.predict(str(photo), score=LOW), expected)
    assert same(detector.predict(bgr[..., ::-1], score=LOW), expected)
    assert same(detector.predict(bgr, score=LOW, color_order="BGR"), expected)
    with PIL.Image.open(photo) as image:
        assert same(detector.predict(image, score=LOW), expected)


@pytest.mark.parametrize("order", ["rgb", "bgr", "RBG"])
def test_an_unknown_color_order_is_refused(order: str) -> None:
    """It would otherwise be taken for BGR."""
    with pytest.raises(PredictionError, match=f"color order '{order}': expected RGB or BGR"):
        as_bgr(np.zeros((4, 4, 3), np.uint8), order)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_images_of_many_bits_are_not_white(suffix: str, tmp_path: Path) -> None:
    """As in files of 12 bits from a microscope."""
    values = np.linspace(0, 4095, 3000).reshape(50, 60).astype(np.uint16)
    file = tmp_path / f"photo.{suffix}"
    PIL.Image.fromarray(values).save(file)
    with PIL.Image.open(file) as image:
        assert np.array_equal(as_bgr(image), read_upright(file))
        assert as_bgr(image.convert("L").convert("RGB").convert("HSV")).shape == (50, 60, 3)
    shares = PIL.Image.fromarray((values / 4095).astype(np.float32))
    assert as_bgr(shares).max() == 255


def test_images_turned_by_exif_are_upright(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :10] = 255
    file = tmp_path / "turned.jpg"
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(pixels).save(file, exif=exif)
    upright = as_bgr(file)
    assert upright.shape == (40, 20, 3)
    with PIL.Image.open(file) as image:
        assert np.abs(as_bgr(image).astype(int) - upright).max() < 10


@pytest.mark.parametrize("batch", [1, 3])
def test_scores_and_classes_choose(detector: Detector, photo: Path, batch: int) -> None:
    everything, _ = detector.predict_all([photo] * 2, score=0.0, batch=batch)
    best = everything.labels[0]
    limit = float(np.median(everything.scores))
    found = detector.predict(photo, score=limit, classes=[best])
    wanted = (everything.scores >= limit) & (np.array(everything.labels) == best)
    assert len(found) == wanted.sum()
    assert {one.label for one in found} == {best}
    with pytest.raises(PredictionError, match=r"no class 'cow' \(it has 0, 1, "):
        detector.predict(photo, classes=["cow"])


@pytest.mark.parametrize("soft_nms", [False, True])
def test_other_classes_crowd_out_no_detection(
    detector: Detector, photo: Path, soft_nms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image has 100 detections at most, of the classes that are asked for."""
    if soft_nms:
        predictor = detector._model.get_submodule("roi_heads.box_predictor")
        monkeypatch.setattr(predictor, "soft_nms_sigma", 0.5)
    everything = detector.predict(photo, score=0.0)
    rare = min(detector.classes.values(), key=everything.labels.count)
    found = detector.predict(photo, score=0.0, classes=[rare])
    assert len(found) > everything.labels.count(rare)
    assert set(found.labels) == {rare}
    first = everything.select(np.array(everything.labels) == rare)
    assert np.array_equal(found.boxes[: len(first)], first.boxes)
    assert np.array_equal(found.scores[: len(first)], first.scores)
    assert same(detector.predict(photo, score=0.0), everything)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        3,
    ],
)
def test_what_is_no_image_is_refused(detector: Detector, image: object) -> None:
    with pytest.raises(PredictionError, match=r"expected uint8 of shape|expected an array, a path"):
        detector.predict(image)  # type: ignore[arg-type]


def test_grey_arrays_are_images(detector: Detector) -> None:
    grey = np.random.default_rng(1).integers(0, 255, (60, 80), dtype=np.uint8)
    found = detector.predict(grey, score=0.0)
    assert (found.width, found.height) == (80, 60)


def test_tiles_find_in_a_large_image_what_each_part_shows(detector: Detector, photo: Path) -> None:
    """Of four copies of a photo next to each other, the tiles see each at full size."""
    one = read_upright(photo)
    large = np.tile(one, (2, 2, 1))
    side = max(one.shape[:2])
    whole = detector.predict(large, score=LOW, color_order="BGR")
    tiled = detector.predict(large, score=LOW, color_order="BGR", tile=side)
    assert len(tiled) > len(whole)
    assert (tiled.boxes >= 0).all()
    assert (tiled.boxes <= np.array([large.shape[1], large.shape[0]] * 2) + 1e-6).all()
    assert (np.diff(tiled.scores) <= 0).all()
    small = detector.predict(one, score=LOW, color_order="BGR", tile=2 * side)
    assert same(small, detector.predict(one, score=LOW, color_order="BGR"))


def test_tiles_of_the_training_can_be_switched_off_but_not_be_tiny(
    detector: Detector, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = detector.predict(photo, score=LOW)
    monkeypatch.setattr(detector, "_tile", 100)
    assert len(detector.predict(photo, score=LOW)) != len(whole)
    np.testing.assert_array_equal(detector.predict(photo, score=LOW, tile=0).boxes, whole.boxes)
    with pytest.raises(PredictionError, match="tiles of 63 pixels: expected 0, or a side of 64"):
        detector.predict(photo, tile=63)


def test_folders_without_a_model_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run here .*sparsedet train"):
        Detector.load(tmp_path)
