"""Bounds of keys that build models and schedules, by kinds of keys, known by their names.

detectron2 takes any number, and trains on nonsense without a word.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from sparsedet.config.constraints import (
    Count,
    Expected,
    IoU,
    NonNegative,
    NonNegativeNumber,
    Positive,
    Score,
    ShareBelow1,
    unexpected,
)

_KINDS: tuple[tuple[str, Any], ...] = (
    (
        r"(BATCH_SIZE|DETECTIONS)_PER_IMAGE|(PRE|POST)_NMS_TOPK_(TRAIN|TEST)|POOLER_RESOLUTION|"
        r"(CONV|FC)_DIM|(\w+_)?OUT_CHANNELS|NUM_GROUPS|WIDTH_PER_GROUP|RES5_DILATION|NUM_DECAYS",
        Count,
    ),
    (r"NUM_CONV|NUM_FC|POOLER_SAMPLING_RATIO|WARMUP_ITERS", NonNegative),
    (
        r"(\w+_)?LOSS_WEIGHT|SMOOTH_L1_BETA|WARMUP_FACTOR|BASE_LR_END|BATCH_NORM_EPS|MIN_SIZE|"
        r"WEIGHT_DECAY(_NORM|_BIAS)?|(BODY|BIAS)_LR_FACTOR",
        NonNegativeNumber,
    ),
    (r"GAMMA|CLIP_VALUE|NORM_TYPE", Positive),
    (r"MOMENTUM", ShareBelow1),
    (
        r"POSITIVE_FRACTION",
        Annotated[float, Field(gt=0, le=1), Expected("a share above 0, up to 1")],
    ),
    (r"SCORE_THRESH(_TEST)?|OBJECTNESS_THRESH", Score),
    (r"NMS_THRESH(_TEST)?|MAX_LABEL_IOU", IoU),
    (
        r"IOU_THRESHOLDS",
        Annotated[Sequence[IoU], Field(min_length=1), Expected("one or more IoUs, 0 to 1")],
    ),
    (
        r"SIZES|ASPECT_RATIOS",
        Annotated[
            Sequence[Annotated[Sequence[Positive], Field(min_length=1)]],
            Field(min_length=1),
            Expected("lists of one or more numbers above 0"),
        ],
    ),
    (
        r"(RPN|ROI_BOX_HEAD)\.BBOX_REG_WEIGHTS",
        Annotated[
            Sequence[Positive], Field(min_length=4, max_length=4), Expected("four numbers above 0")
        ],
    ),
    (
        r"(RPN|ROI_HEADS)\.IN_FEATURES|TIMM\.OUT_FEATURES",
        Annotated[Sequence[str], Field(min_length=1), Expected("one or more feature levels")],
    ),
    (
        r"PIXEL_MEAN",
        Annotated[
            Sequence[Annotated[float, Field(ge=0, le=255)]],
            Field(min_length=3, max_length=3),
            Expected("three levels, 0 to 255"),
        ],
    ),
    (
        r"PIXEL_STD",
        Annotated[
            Sequence[Positive], Field(min_length=3, max_length=3), Expected("three numbers above 0")
        ],
    ),
)
"""Patterns of the ends of keys, and what these keys hold."""


def check_bounds(values: Mapping[str, Any]) -> None:
    """Check keys whose names say what they hold.

    Args:
        values: by dotted key.

    Raises:
        ConfigError: naming a key, its value and the expected value.
    """
    strict = ConfigDict(strict=True, allow_inf_nan=False)
    for pattern, kind in _KINDS:
        adapter = TypeAdapter[object](kind, config=strict)
        (expected,) = (one.text for one in kind.__metadata__ if isinstance(one, Expected))
        for key, value in values.items():
            if value is None or not re.fullmatch(rf"(.*\.)?({pattern})", key):
                continue
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                raise unexpected(key, value, expected) from error
