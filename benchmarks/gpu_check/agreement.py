"""Losses of the first step on CPU and device, and the time of a step on both."""

import time
from collections.abc import Mapping
from itertools import pairwise
from statistics import median

import torch
from detectron2.utils.events import EventStorage

from sparsedet.config.training_config import TrainingConfig, load_config
from sparsedet.modeling import checkpoint
from sparsedet.modeling.weights.pretrained import load_initial_weights
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.loader import batches
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.train import run_training

from .record import Figures
from .resuming import start
from .setting import SEED, CheckFailed, Data, Setting, pairs

TOLERANCE = 1e-3
"""Largest difference of a loss between the devices, as a share of the loss."""
TIMED_STEPS = 12
UNTIMED_STEPS = 2
"""Warm-up: memory is allocated and algorithms are chosen."""

ALL_SAMPLED = {
    "SOLVER.IMS_PER_BATCH": 2,
    # A quarter of the usual pixels, so that all proposals don't take minutes on a CPU.
    "INPUT.MIN_SIZE_TRAIN": (120,),
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 100_000,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 100_000,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 100_000,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 100_000,
    # Nothing is suppressed: of two proposals that score nearly alike, either may be chosen.
    "MODEL.RPN.NMS_THRESH": 1.0,
    "SPARSEDET.PSEUDO_POSITIVES.NMS_THRESH": 1.0,
    # Every proposal off the labels is pseudo-positive.
    "SPARSEDET.PSEUDO_POSITIVES.OBJECTNESS_THRESH": 0.0,
    "SPARSEDET.PSEUDO_POSITIVES.START_ITER": 0,
}
MINING_ITERATION = 1
"""The first iteration in which `end-to-end` mines."""


def first_steps(setting: Setting, data: Data) -> Figures:
    """Compare the losses of each method's first step on the CPU and the device."""
    # Convolutions would round to 10 bits, which is more than the tolerance.
    torch.backends.cudnn.allow_tf32 = False
    try:
        figures: Figures = {}
        for method in ("plain", "end-to-end"):
            on_cpu, there = (_losses(data, method, device) for device in ("cpu", setting.device))
            figures[method] = {
                "losses": len(on_cpu),
                "largest difference": difference(on_cpu, there),
            }
        return figures
    finally:
        torch.backends.cudnn.allow_tf32 = True


def _losses(data: Data, method: str, device: str) -> dict[str, float]:
    config = (
        configuration(ALL_SAMPLED)
        .with_values({"MODEL.DEVICE": device})
        .prepared(method=method, seed=SEED, classes=len(data.train.categories))
    )
    images = training_images(data.train, data.images, keep_unlabelled=True)
    (batch,) = batches(images, config, seed=SEED, start=0, end=1)
    # Weights are drawn on the CPU, and moved.
    torch.manual_seed(SEED)
    model = checkpoint.build(config.node).train()
    load_initial_weights(model, config.node)
    with EventStorage(MINING_ITERATION), torch.no_grad():
        losses = model(batch)
    return {name: loss.item() for name, loss in losses.items()}


def step_times(setting: Setting, data: Data) -> Figures:
    """Return the seconds per step of `plain` on the CPU and the device."""
    on_cpu, there = (_seconds(setting, data, device) for device in ("cpu", setting.device))
    return {"CPU, seconds": on_cpu, "device, seconds": there, "ratio": on_cpu / there}


def _seconds(setting: Setting, data: Data, device: str) -> float:
    """Return the median seconds per step."""
    run = RunFolder(setting.scratch / f"steps-{device}-{time.monotonic_ns()}")
    ends: list[float] = []
    callbacks = Callbacks(on_progress=lambda progress: ends.append(time.monotonic()))
    steps = UNTIMED_STEPS + (3 if setting.quick else TIMED_STEPS)
    sizes = {"SOLVER.IMS_PER_BATCH": 2, "INPUT.MIN_SIZE_TRAIN": (120,)} if setting.quick else {}
    start(run, "plain", configuration({"SOLVER.MAX_ITER": steps, **sizes}), data, device)
    run_training(run, callbacks=callbacks)
    seconds = [after - before for before, after in pairwise(ends)]
    return median(seconds[UNTIMED_STEPS:])


def configuration(changes: Mapping[str, object]) -> TrainingConfig:
    """Return the default configuration with some keys changed."""
    return load_config("lite0_fpn", pairs(changes))


def difference(expected: Mapping[str, float], found: Mapping[str, float]) -> float:
    """Return the largest relative difference of a loss, and check that it is small."""
    if expected.keys() != found.keys():
        raise CheckFailed(f"the losses are {', '.join(found)} instead of {', '.join(expected)}")
    shares = {
        name: abs(found[name] - value) / max(abs(value), 1e-12) for name, value in expected.items()
    }
    # Not `>`, which is false for NaN.
    wrong = [name for name, share in shares.items() if not share <= TOLERANCE]
    if wrong:
        listed = ", ".join(f"{name} {expected[name]:.6g} / {found[name]:.6g}" for name in wrong)
        raise CheckFailed(f"losses on CPU / GPU differ by more than {TOLERANCE:g}: {listed}")
    return max(shares.values())
