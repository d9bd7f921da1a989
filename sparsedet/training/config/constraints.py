"""Values that would only fail, or silently mean something else, once a training runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.proposal_generator import RPN_HEAD_REGISTRY

from sparsedet.errors import ConfigError
from sparsedet.modeling.timm_backbone import BUILDER, check_timm
from sparsedet.training.data.batch_order import CLASS_BALANCED


def check_config(cfg: CfgNode) -> None:
    """Check the values that detectron2 does not.

    Raises:
        ConfigError: naming the key, its value and what is expected.
    """
    for key, allowed, expected in _RULES:
        value: Any = cfg
        for name in key.split("."):
            value = value[name]
        try:
            fits = allowed(value)
        except TypeError:
            # A text in a tuple of numbers, for instance.
            fits = False
        if not fits:
            raise ConfigError(f"configuration key {key} is {value!r}, expected {expected}")
    if cfg.MODEL.BACKBONE.NAME == BUILDER:
        check_timm(cfg)


def check_batch_size(cfg: CfgNode, images: int, source: Path) -> None:
    """Check that a dataset has the images of a batch.

    Of those that a stage learns from, the annotated ones, there may be fewer: its batches repeat
    some.

    Raises:
        ConfigError: naming the key, and how many images the dataset has.
    """
    batch_size: int = cfg.SOLVER.IMS_PER_BATCH
    if batch_size > images:
        raise ConfigError(
            f"configuration key SOLVER.IMS_PER_BATCH is {batch_size}, more than {source} has "
            f"images ({images}); set it to at most {images}, or add images"
        )


def check_shares(cfg: CfgNode, ranks: int) -> None:
    """Check that so many processes can share a batch, and part their shares.

    Raises:
        ConfigError: naming the key.
    """
    batch_size: int = cfg.SOLVER.IMS_PER_BATCH
    if batch_size % ranks:
        raise ConfigError(
            f"configuration key SOLVER.IMS_PER_BATCH is {batch_size}, which {ranks} processes "
            f"can't share evenly; set it to a multiple of {ranks}"
        )
    share, parts = batch_size // ranks, cfg.SOLVER.ACCUMULATION
    if share % parts:
        raise ConfigError(
            f"configuration key SOLVER.ACCUMULATION is {parts}, which can't part the {share} "
            f"images of a process evenly; set it to a divisor of {share}"
        )


def _positive(value: Any) -> bool:
    return bool(value > 0)


def _not_negative(value: Any) -> bool:
    return bool(value >= 0)


def _all_positive(values: Sequence[Any]) -> bool:
    return len(values) > 0 and all(value > 0 for value in values)


def _share(value: Any) -> bool:
    return bool(0 <= value <= 1)


def _share_below_1(value: Any) -> bool:
    return bool(0 <= value < 1)


def _shares_inside(values: Sequence[Any]) -> bool:
    return all(0 < value < 1 for value in values)


def _range(value: Any) -> bool:
    return len(value) == 2 and bool(0 <= value[0] <= value[1] <= 1)


def _scales(value: Any) -> bool:
    return len(value) == 2 and bool(0 < value[0] <= value[1])


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in names), " or ".join(names)


_RULES: Sequence[tuple[str, Callable[[Any], bool], str]] = (
    ("SOLVER.MAX_ITER", _positive, "at least 1"),
    ("SOLVER.IMS_PER_BATCH", _positive, "at least 1"),
    ("SOLVER.BASE_LR", _positive, "more than 0"),
    ("SOLVER.CHECKPOINT_PERIOD", _positive, "at least 1"),
    ("SOLVER.CHECKPOINTS_KEPT", _positive, "at least 1"),
    ("SOLVER.ACCUMULATION", _positive, "at least 1"),
    ("SOLVER.CHECKPOINT_SECONDS", _positive, "more than 0"),
    ("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", *_one_of("value", "norm")),
    ("SOLVER.AMP.PRECISION", *_one_of("auto", "bf16", "fp16")),
    ("TEST.EVAL_PERIOD", _not_negative, "a number of iterations, or 0 for never"),
    ("SPARSEDET.VALIDATION.HELD_OUT", _share_below_1, "a share, 0 to less than 1"),
    ("SPARSEDET.VALIDATION.DETECTIONS", _positive, "at least 1"),
    ("SPARSEDET.VALIDATION.PATIENCE", _not_negative, "a number of measurements, or 0 for no end"),
    ("SOLVER.OPTIMIZER", *_one_of("SGD", "AdamW")),
    (
        "SOLVER.LR_SCHEDULER_NAME",
        *_one_of("WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR"),
    ),
    ("INPUT.FORMAT", *_one_of("RGB", "BGR")),
    ("INPUT.RANDOM_FLIP", *_one_of("horizontal", "none")),
    ("INPUT.MIN_SIZE_TRAIN", _all_positive, "one or more lengths in pixels"),
    ("INPUT.MAX_SIZE_TRAIN", _positive, "a length in pixels"),
    ("INPUT.MIN_SIZE_TEST", _positive, "a length in pixels"),
    ("INPUT.MAX_SIZE_TEST", _positive, "a length in pixels"),
    ("DATALOADER.NUM_WORKERS", lambda value: value >= -1, "0 or more, or -1 for as many as help"),
    ("DATALOADER.SAMPLER_TRAIN", *_one_of("TrainingSampler", CLASS_BALANCED)),
    ("DATALOADER.REPEAT_THRESHOLD", _share, "a share of the images, 0 to 1"),
    ("DATALOADER.CACHE_MIB", _not_negative, "0 or more"),
    ("DATALOADER.MAX_UNREADABLE", _not_negative, "0 or more"),
    ("SPARSEDET.FEEDBACK.MAX_NEGATIVES", _positive, "at least 1"),
    ("SPARSEDET.MINING.QUANTILE", _share, "a share, 0 to 1"),
    ("SPARSEDET.MINING.DOUBTFUL_QUANTILE", _share, "a share, 0 to 1"),
    ("SPARSEDET.MINING.MAX_THRESHOLD", _share, "a score, 0 to 1"),
    ("SPARSEDET.MINING.DOUBTFUL_RANGE", _range, "two scores, 0 to 1, the lower one first"),
    ("SPARSEDET.MINING.EXPLAINED_IOU", _share, "an IoU, 0 to 1"),
    ("SPARSEDET.MINING.NESTED_SHARE", _share, "a share, 0 to 1"),
    ("SPARSEDET.STAGED.IGNORE_IOU", _share, "an IoU, 0 to 1"),
    ("SPARSEDET.MINING.MIN_LABEL_SCORE", _share, "a score, 0 to 1"),
    ("SPARSEDET.MINING.CLASS_SHARE", _share, "a share, 0 to 1"),
    ("SPARSEDET.MINING.CLASS_PRECISION", _share, "a share, 0 to 1"),
    ("SPARSEDET.STAGED.MINE_AT", _shares_inside, "shares of the iterations, between 0 and 1"),
    ("SPARSEDET.STAGED.MIN_ITER", _not_negative, "0 or more"),
    ("SPARSEDET.STAGED.MIN_MISSING", _share, "a share, 0 to 1"),
    ("SPARSEDET.STAGED.PASTES", _not_negative, "0 or more"),
    ("SPARSEDET.STAGED.PASTE_LABELS", _positive, "at least 1"),
    ("SPARSEDET.STAGED.PASTE_SCALE", _scales, "two factors above 0, the lower one first"),
    ("SPARSEDET.STAGED.ZOOM_SHARE", _share, "a share, 0 to 1"),
    ("SPARSEDET.STAGED.ZOOM", _scales, "two factors above 0, the lower one first"),
    ("SOLVER.EMA_DECAY", _share_below_1, "a share, 0 to less than 1"),
    (
        "MODEL.BACKBONE.NAME",
        lambda value: value in BACKBONE_REGISTRY,
        "a backbone that detectron2 or sparsedet registers",
    ),
    (
        "MODEL.RPN.HEAD_NAME",
        lambda value: value in RPN_HEAD_REGISTRY,
        "a head that detectron2 or sparsedet registers",
    ),
)
