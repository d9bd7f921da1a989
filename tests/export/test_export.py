"""Exported files detect the same as the original, at any size and number of images."""

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from sparsedet.atomic_io import write_json, write_text
from sparsedet.config.training_config import read_config
from sparsedet.errors import ExportError
from sparsedet.export.card import ModelCard
from sparsedet.export.exported import ExportedDetector, difference
from sparsedet.export.exporting import export_run
from sparsedet.export.traceable import NO_BOX, TraceableDetector
from sparsedet.modeling import checkpoint
from sparsedet.prediction.detector import Detector
from sparsedet.prediction.sources import open_source
from sparsedet.run_folder import RunFolder, RunInfo
from tests.cli.command import sparsedet_here
from tests.conftest import Scenes
from tests.prediction.random_run import make_random_run
from tests.training.short_runs import short_config, untrained_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def onnx_file(run: Path) -> Path:
    target = run.parent / "model.onnx"
    export_run(RunFolder(run), target, "onnx")
    return target


@pytest.fixture(scope="module")
def script_file(run: Path) -> Path:
    target = run.parent / "model.pt"
    export_run(RunFolder(run), target, "torchscript")
    return target


@pytest.mark.parametrize("kind", ["onnx", "script"])
def test_it_finds_what_the_original_finds(
    kind: str, run: Path, scenes: Scenes, request: pytest.FixtureRequest
) -> None:
    exported = ExportedDetector.load(request.getfixturevalue(f"{kind}_file"), threads=1)
    images = list(open_source([str(scenes.images)]))[:4]
    found = difference(Detector.load(run, "cpu"), exported, images)
    assert found.images == 4
    assert found.detections > 100
    assert found.unmatched == 0
    assert found.pixels < 0.5
    assert found.scores < 1e-3


def test_images_of_any_size_and_number(onnx_file: Path) -> None:
    """Traced with two images of one size: nothing of that may be left in the file."""
    model, _ = untrained_model()
    plain = TraceableDetector(model)
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    for shape in [(1, 3, 50, 64), (3, 3, 130, 97)]:
        images = rng.integers(0, 255, shape, dtype=np.uint8)
        with torch.inference_mode():
            expected = plain(torch.from_numpy(images))
        for one, other in zip(session.run(None, {"images": images}), expected, strict=True):
            assert one.shape == other.shape
            assert np.abs(one - other.numpy()).max() < 1e-2
            # An image of a batch is detected on as it is alone.
        alone = session.run(None, {"images": images[-1:]})
        assert np.abs(alone[1][0] - session.run(None, {"images": images})[1][-1]).max() < 1e-4


@pytest.mark.parametrize(
    "keys",
    [
        ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "True"),
        ("MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE", "True"),
    ],
)
@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_every_kind_of_head_is_followed(method: str, keys: tuple[str, str]) -> None:
    config = short_config(6, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.001", *keys, method=method)
    torch.manual_seed(2)
    model = checkpoint.build(config.node).eval()
    images = torch.randint(0, 255, (2, 3, 90, 120), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model([{"image": one, "height": 90, "width": 120} for one in images])
        boxes, scores, classes = TraceableDetector(model)(images)
    for number, one in enumerate(expected):
        found = one["instances"]
        count = len(found)
        assert count > 10
        assert (classes[number] >= 0).sum() == count
        assert torch.equal(classes[number][:count], found.pred_classes)
        assert torch.allclose(boxes[number][:count], found.pred_boxes.tensor, atol=1e-2)
        assert torch.allclose(scores[number][:count], found.scores, atol=1e-4)
        assert (scores[number] > NO_BOX).all()


def test_where_nothing_is_found_places_are_empty() -> None:
    model, _ = untrained_model("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.999")
    images = torch.zeros((1, 3, 40, 40), dtype=torch.uint8)
    with torch.inference_mode():
        boxes, scores, classes = TraceableDetector(model)(images)
    assert (scores == 0).all()
    assert (classes == -1).all()
    assert (boxes == 0).all()


def test_the_card_says_what_a_user_of_the_file_needs(run: Path, onnx_file: Path) -> None:
    text = onnx_file.with_suffix(".card.md").read_text()
    assert "EfficientNet-Lite on ImageNet, by Google: Apache 2.0" in text
    assert "Not measured" in text
    assert "| 9 | 9 |" in text
    card = ExportedDetector.load(onnx_file).card
    assert card.classes == {number + 3: str(number) for number in range(10)}
    write_json(run / "evaluation.json", {"AP": 41.23, "AP50": 70.0, "images": 4})
    measured = ModelCard.of_run(RunFolder(run), short_config(6, method="plain"))
    (run / "evaluation.json").unlink()
    assert "- AP: 41.2\n" in measured.to_markdown("model")
    assert "tiles" not in text
    tiled = ModelCard.of_run(RunFolder(run), short_config(6, "INPUT.TILE", "640", method="plain"))
    assert "tiles of 640 x 640 pixels" in tiled.to_markdown("model")
    assert ModelCard.from_json(tiled.to_json(), "model") == tiled
    # What the file can't do, it says.
    assert "soft-NMS" not in text
    soft = short_config(6, "SPARSEDET.SOFT_NMS.ENABLED", "True", method="plain")
    assert "soft-NMS" in ModelCard.of_run(RunFolder(run), soft).to_markdown("model")


def test_other_files_are_refused(tmp_path: Path, onnx_file: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(onnx_file.read_bytes()[:1000])
    with pytest.raises(ExportError, match=r"model\.onnx: ONNX Runtime can't read it"):
        ExportedDetector.load(broken)
    # no-untyped-call: torch.jit has no annotations.
    script = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1))  # type: ignore[no-untyped-call]
    torch.jit.save(script, str(tmp_path / "other.pt"))
    with pytest.raises(ExportError, match=r"other\.pt: not exported by"):
        ExportedDetector.load(tmp_path / "other.pt")
    with pytest.raises(ExportError, match="no such file"):
        ExportedDetector.load(tmp_path / "none.onnx")


def test_the_command_compares_and_says_so(run: Path, scenes: Scenes, tmp_path: Path) -> None:
    target = tmp_path / "model.pt"
    result = sparsedet_here("export", run, "-o", target, "--check", scenes.images)
    assert result.status == 0, result.err
    assert "model card:" in result.out
    assert "0 are in only one of the two" in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.card.md", "model.pt"]
    refused = sparsedet_here("export", run, "-o", target, "--format", "tflite")
    assert "--format tflite: expected onnx or torchscript" in refused.error()


def test_a_run_with_tiles_is_compared_on_whole_images(
    onnx_file: Path, run: Path, scenes: Scenes, tmp_path: Path
) -> None:
    tiled = shutil.copytree(run, tmp_path / "tiled")
    config = read_config(RunFolder(tiled).config).with_values({"INPUT.TILE": 64})
    write_text(RunFolder(tiled).config, config.dump())
    images = list(open_source([str(scenes.images)]))[:2]
    exported = ExportedDetector.load(onnx_file, threads=1)
    assert difference(Detector.load(tiled, "cpu"), exported, images).unmatched == 0


def test_any_name_will_do_but_that_of_the_model(run: Path, tmp_path: Path) -> None:
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    for name, options in [("a.ONNX", ()), ("b.bin", ("--format", "onnx"))]:
        result = sparsedet_here("export", run, "-o", tmp_path / name, *options, "--json")
        assert result.json()["format"] == "onnx"
        assert ExportedDetector.load(tmp_path / name).predict(image).width == 60
    model = RunFolder(run).model
    before = model.read_bytes()
    assert "is the run's own model" in sparsedet_here("export", run, "-o", model).error()
    assert model.read_bytes() == before


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    config = short_config(6).prepared(method="plain", seed=1, classes=1)
    write_text(folder.config, config.dump())
    folder.write_info(RunInfo("run-1", "plain", 1, "-", "-", [(1, "a")], "-"))
    assert "finish the training" in sparsedet_here("export", folder.root, "-o", "m.onnx").error()
    nothing = sparsedet_here("export", tmp_path / "typo", "-o", "m.onnx").error()
    assert "typo: no run here (run.json is missing)" in nothing
