"""COCO detectors detect the same here as in their own library, or are refused."""

import logging
import pickle
import re
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import detectron2
import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from torchvision.models import detection

from sparsedet.config.training_config import load_node
from sparsedet.errors import ConfigError
from sparsedet.export.card import starting_licence
from sparsedet.export.traceable import TraceableDetector
from sparsedet.modeling import checkpoint
from sparsedet.modeling.targets import Role
from sparsedet.modeling.weights.detectors import COCO_NAMES
from sparsedet.modeling.weights.pretrained import fetch_weights
from sparsedet.modeling.weights.torchvision_detectors import to_ours
from tests.modeling.steps import CAT, LABEL, rows, settings, step
from tests.modeling.weights.detectors import (
    FEW,
    FEW_KEYS,
    SHORT_SIDE,
    assert_same,
    config,
    detect,
    images,
    lively,
    loaded_from,
    share_found,
    spread,
    torchvisions,
    torchvisions_detect,
    traced_detect,
)

KINDS = [
    ("mobilenet_v3_large_320_fpn", "mobilenet_fpn", "coco", SHORT_SIDE),
    ("resnet50_fpn_v2", "r50_fpn", "coco:v2", SHORT_SIDE // 2),
]
"""Of torchvision, our configuration and weights, and the short side of images: as many as it takes
a second to look at."""
ZOO_FOLDER, ZOO_FILE = "faster_rcnn_R_50_FPN_3x/137849458", "model_final_280758.pkl"
MOBILENET_FILE = "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"


@pytest.fixture(scope="module")
def mobilenet() -> Any:
    model = deepcopy(torchvisions("mobilenet_v3_large_320_fpn"))
    # What is called N/A is nowhere in COCO: a trained detector gives it no share.
    for place, name in enumerate(MOBILENET_CLASSES):
        if name == "N/A":
            model.roi_heads.box_predictor.cls_score.bias.data[place] = -1e4
    return model


MOBILENET_CLASSES = detection.FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1.meta[
    "categories"
]


@pytest.fixture(scope="module")
def mobilenet_file(mobilenet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    torch.save(mobilenet.state_dict(), path)
    return path


@pytest.mark.parametrize(("kind", "name", "source", "side"), KINDS)
def test_torchvisions_detectors_find_the_same(kind: str, name: str, source: str, side: int) -> None:
    original = torchvisions(kind, side)
    model = build_model(config(name, "MODEL.WEIGHTS", source, classes=90)).eval()
    # Every layer has its counterpart.
    model.load_state_dict(to_ours(original.state_dict()))
    few = images(2, side)
    assert (
        min(share_found(detect(model, one), torchvisions_detect(original, one)) for one in few)
        > 0.7
    )
    # In float32 rounding decides which of two like boxes NMS drops.
    exact, expected = TraceableDetector(model).double(), deepcopy(original).double()
    for image in few if "resnet" in kind else images(8, side):
        assert_same(traced_detect(exact, image), torchvisions_detect(expected, image))


def spelled(name: str) -> str:
    """A class's name as another team may write it."""
    return name.upper().replace(" ", "_")


def test_classes_are_mapped_by_name(mobilenet: Any, mobilenet_file: Path) -> None:
    names = [spelled(name) for name in reversed(COCO_NAMES)]
    model = loaded_from(mobilenet_file, config("mobilenet_fpn"), names)
    exact = TraceableDetector(model).double()
    for image in images(2):
        boxes, scores, theirs = torchvisions_detect(deepcopy(mobilenet).double(), image)
        wanted = [names.index(spelled(MOBILENET_CLASSES[place + 1])) for place in theirs]
        assert_same(traced_detect(exact, image), (boxes, scores, torch.tensor(wanted)))


def test_other_classes_start_from_random_values(
    mobilenet: Any, mobilenet_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = config("mobilenet_fpn", classes=3)
    torch.manual_seed(1)
    fresh = checkpoint.build(cfg).state_dict()
    torch.manual_seed(1)
    with caplog.at_level(logging.WARNING):
        model = loaded_from(mobilenet_file, cfg, ["Traffic-Light", "N/A", "gizmo"])
    (said,) = caplog.messages
    assert "1 of 3 classes found by name; random initial values for N/A, gizmo" in said
    scores, boxes = (
        f"roi_heads.box_predictor.{layer}.weight" for layer in ("cls_score", "bbox_pred")
    )
    ours, theirs = model.state_dict(), mobilenet.state_dict()
    light = MOBILENET_CLASSES.index("traffic light")
    assert torch.equal(ours[scores][0], theirs[scores][light])
    assert torch.equal(ours[boxes][:4], theirs[boxes][4 * light : 4 * light + 4])
    assert torch.equal(ours[scores][3], theirs[scores][0])
    assert torch.equal(ours[scores][1:3], fresh[scores][1:3])
    assert torch.equal(ours[boxes][4:], fresh[boxes][4:])
    changed = [name for name in ours if not torch.equal(ours[name], fresh[name])]
    assert len(changed) > 150


@pytest.fixture(scope="module")
def zoo() -> Any:
    """The zoo's Faster R-CNN as detectron2 builds it by its own configuration."""
    cfg = get_cfg()
    folder = Path(detectron2.__file__).parent / "model_zoo/configs/COCO-Detection"
    cfg.merge_from_file(folder / "faster_rcnn_R_50_FPN_3x.yaml")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RPN.PRE_NMS_TOPK_TEST = cfg.MODEL.RPN.POST_NMS_TOPK_TEST = FEW
    torch.manual_seed(4)
    model = lively(build_model(cfg))
    (probe,) = images(1)
    layers = {
        "proposal_generator.rpn_head.objectness_logits": 2.0,
        "proposal_generator.rpn_head.anchor_deltas": 0.3,
        "roi_heads.box_predictor.cls_score": 2.0,
        "roi_heads.box_predictor.bbox_pred": 0.5,
    }
    spread(model, layers, lambda: detect(model, probe))
    return model


@pytest.fixture(scope="module")
def zoo_file(zoo: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights as the zoo writes them."""
    arrays = {name: value.numpy() for name, value in zoo.state_dict().items()}
    arrays["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4), np.float32)
    path = tmp_path_factory.mktemp("weights") / ZOO_FILE
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
    return path


@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_the_zoos_detector_finds_the_same(
    method: str, zoo: Any, zoo_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = settings(method, "MODEL.WEIGHTS", zoo_file, *FEW_KEYS, config="r50_fpn")
    with caplog.at_level(logging.WARNING):
        model = loaded_from(zoo_file, cfg, list(COCO_NAMES))
    assert [message for message in caplog.messages if "random" in message] == []
    (image,) = images(1)
    assert_same(detect(model, image), detect(zoo, image))


FOLLOWED = [
    ("r50_fpn", "coco", "BGR", 1.0, True, "DefaultAnchorGenerator"),
    ("r101_fpn", "coco", "BGR", 1.0, True, "DefaultAnchorGenerator"),
    ("sparsedet_r101_fpn_coco", "coco", "BGR", 1.0, True, "DefaultAnchorGenerator"),
    ("r50_fpn", f"/data/{ZOO_FILE}", "BGR", 1.0, True, "DefaultAnchorGenerator"),
    ("r50_fpn", "coco:v2", "RGB", 58.395, False, "TorchvisionAnchorGenerator"),
    ("mobilenet_fpn", "coco", "RGB", 58.395, None, "TorchvisionAnchorGenerator"),
]


@pytest.mark.parametrize(("name", "source", "colours", "deviation", "stride", "anchors"), FOLLOWED)
def test_the_configuration_follows_the_weights(
    name: str, source: str, colours: str, deviation: float, stride: bool | None, anchors: str
) -> None:
    cfg = load_node(name, ["MODEL.WEIGHTS", source])
    assert (cfg.INPUT.FORMAT, cfg.MODEL.PIXEL_STD[0]) == (colours, deviation)
    assert anchors == cfg.MODEL.ANCHOR_GENERATOR.NAME
    assert stride in (None, cfg.MODEL.RESNETS.STRIDE_IN_1X1)


@pytest.mark.parametrize(
    ("name", "pairs", "message"),
    [
        ("r50_fpn", "coco INPUT.FORMAT RGB", "FORMAT is RGB, but .* coco needs INPUT.FORMAT BGR"),
        ("r50_fpn", "coco MODEL.RESNETS.STRIDE_IN_1X1 False", "1X1 is False, .*1X1 True"),
        ("r50_fpn", "coco MODEL.ANCHOR_GENERATOR.SIZES [[8],[16],[32],[64],[128]]", "SIZES is"),
        ("r50_fpn", "coco:v2 MODEL.ROI_BOX_HEAD.POOLER_TYPE ROIAlignV2", "needs .*TYPE ROIAlign,"),
        ("mobilenet_fpn", "coco MODEL.ANCHOR_GENERATOR.OFFSET 0.5", r"OFFSET is 0\.5.*OFFSET 0\.0"),
        ("mobilenet_fpn", "coco MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS [[0.55,1,2]]", "RATIOS is"),
        ("mobilenet_fpn", "coco:v2", "not a detector of the configured backbone, build_mobilenet"),
        ("mobilenet_fpn", f"/data/{ZOO_FILE}", "not a detector of the configured backbone"),
        (
            "lite0_fpn",
            "coco",
            "available: coco for build_resnet_fpn_backbone of depth 50; .*",
        ),
        ("r101_fpn", "coco:v2", "resnet_fpn_backbone of depth 101; .*coco:v2 .* of depth 50"),
        ("r50_fpn", "coco:v9", "not a detector of the configured backbone"),
    ],
)
def test_what_contradicts_the_weights_is_refused(name: str, pairs: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_node(name, ["MODEL.WEIGHTS", *pairs.split()])
    assert "\n" not in str(caught.value)


def test_detectors_under_other_names_are_known_by_their_contents(
    mobilenet_file: Path, zoo_file: Path, tmp_path: Path
) -> None:
    """Loaded into the configuration as it is, they would find nothing."""
    renamed = tmp_path / "best.pkl"
    renamed.symlink_to(zoo_file)
    with pytest.raises(ConfigError, match=r"FORMAT is RGB, but .*best\.pkl needs .*FORMAT BGR"):
        loaded_from(renamed, config("r50_fpn"), list(COCO_NAMES))
    with pytest.raises(ConfigError, match=r"NAME is Default.*mine\.pth needs .*NAME Torchvision"):
        loaded_from(mobilenet_file, config("r50_fpn"), list(COCO_NAMES))
    old = detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    torch.save(old.state_dict(), tmp_path / "old.pth")
    with pytest.raises(ConfigError, match=r"old\.pth: a torchvision detector that is neither"):
        loaded_from(tmp_path / "old.pth", config("r50_fpn"), list(COCO_NAMES))


def test_files_of_older_torchvisions_have_other_names(mobilenet: Any) -> None:
    new = mobilenet.state_dict()
    old = {}
    for name, value in new.items():
        name = re.sub(r"(_blocks\.\d)\.0\.", r"\1.", name).replace("conv.0.0.", "conv.")
        if not name.endswith("num_batches_tracked"):
            old[name] = value
    assert "rpn.head.conv.weight" in old
    assert "backbone.fpn.inner_blocks.1.weight" in old
    converted, expected = to_ours(old), to_ours(new)
    assert converted.keys() == expected.keys()
    assert all(torch.equal(converted[name], expected[name]) for name in expected)


def test_where_nothing_can_be_downloaded_a_file_helps(
    caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    for name, put in (
        ("mobilenet_fpn", f"torch/hub/checkpoints/{MOBILENET_FILE}"),
        (
            "r50_fpn",
            f"iopath/detectron2/COCO-Detection/faster_rcnn_R_50_FPN_3x/137849458/{ZOO_FILE}",
        ),
    ):
        with pytest.raises(
            ConfigError, match=f"download https://.* on another machine to {caches / put}"
        ):
            fetch_weights(config(name, "MODEL.WEIGHTS", "coco"))
    # The zoo's names carry no hash.
    (caches / put).parent.mkdir(parents=True, exist_ok=True)
    (caches / put).write_bytes(b"weights")
    assert fetch_weights(config("r50_fpn", "MODEL.WEIGHTS", "coco")) == caches / put
    with pytest.raises(ConfigError, match="can't be fetched"):
        fetch_weights(config("r50_fpn", "MODEL.WEIGHTS", "coco#sha256=0123456789"))
    # torchvision's do, wherever the file is.
    (tmp_path / MOBILENET_FILE).write_bytes(b"weights")
    with pytest.raises(ConfigError, match=r"its sha256 is .*, expected 907ea3f9"):
        fetch_weights(config("mobilenet_fpn", "MODEL.WEIGHTS", tmp_path / MOBILENET_FILE))


@pytest.mark.parametrize(("kind", "name", "source", "side"), KINDS)
def test_exporters_can_follow_them(kind: str, name: str, source: str, side: int) -> None:
    """Traced on two images of another size, whose maps are all halved evenly."""
    # As `export_run` builds it.
    model = build_model(config(name, "MODEL.WEIGHTS", source, classes=90)).eval()
    model.load_state_dict(to_ours(torchvisions(kind, side).state_dict()))
    exact = TraceableDetector(model).double().eval()
    example = torch.zeros((2, 3, 128, 192), dtype=torch.uint8)
    with torch.inference_mode():
        traced: Any = torch.jit.trace(exact, example, check_trace=False)  # type: ignore[no-untyped-call]
    for image in images(2, side):
        assert_same(traced_detect(traced, image), traced_detect(exact, image))


@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_a_mobilenet_is_trained_but_for_its_first_stages(method: str) -> None:
    cfg = settings(method, "MODEL.WEIGHTS", "", config="mobilenet_fpn")
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    torch.manual_seed(0)
    model: Any = checkpoint.build(cfg).train()
    losses = step(model, rows((Role.LABEL, LABEL, CAT)))
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    body = model.backbone.bottom_up
    assert body.stage3.get_parameter("0.block.0.0.weight").grad is None
    assert body.stage4.get_parameter("0.block.0.0.weight").grad.abs().sum() > 0


def test_the_card_names_the_licence() -> None:
    licence = partial(load_node, overrides=["MODEL.WEIGHTS", "coco"])
    assert "CC BY-SA 3.0" in starting_licence(licence("r50_fpn"))
    assert "BSD 3-Clause" in starting_licence(licence("mobilenet_fpn"))
