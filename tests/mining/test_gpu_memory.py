"""Too little GPU memory is a one-line error, whatever it was needed for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sparsedet.annotations import Image
from sparsedet.errors import RunError
from sparsedet.mining.detect import detect
from sparsedet.modeling import checkpoint
from sparsedet.modeling.inputs import PixelCache
from tests.training.short_runs import short_config


def run_out(*_given: Any, **_named: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB")


def test_of_a_detection_the_image_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((240, 320, 3), dtype=np.uint8)
    monkeypatch.setattr(PixelCache, "read_views", lambda *_: [pixels])
    monkeypatch.setattr(nn.Identity, "forward", run_out)
    image = Image(7, "7.jpg", 640, 480)
    found = detect(nn.Identity(), short_config(1), [image], Path(), [1])
    with pytest.raises(RunError, match=r"memory .* image id 7 at 320 x 240 pixels; .*--device cpu"):
        list(found)


def test_a_model_may_have_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "build_model", run_out)
    with pytest.raises(RunError, match="not enough GPU memory for the model; close other"):
        checkpoint.build(short_config(1, method="plain").node)
