"""Does training on this machine's GPU do what it does on a CPU? A few minutes, no data needed.

    python benchmarks/gpu_check.py          (or: make gpu-check)

On generated scenes, with the default network:

- the losses of the first step on CPU and GPU agree, for `plain` and `end-to-end`: same seed, same
  batch, and every anchor and proposal sampled, so that no random draw can differ;
- a training with mixed precision learns, stops at Ctrl-C and resumes, mines between its stages, and
  its model mines at the end;
- one step's time on the CPU, divided by that on the GPU.

Exit code 0 when all is well, 1 when a check fails, which is named, and 2 without a CUDA device.
"""

import argparse
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory

import torch
from detectron2.utils.events import EventStorage

from sparsedet.annotations import Dataset
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.proposals import mine_proposals
from sparsedet.completeness.selection import Selection
from sparsedet.config.training_config import TrainingConfig, load_config, read_config
from sparsedet.errors import SparseDetError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.weights.pretrained import load_initial_weights
from sparsedet.run_folder import RunFolder
from sparsedet.runtime.resources import peak_memory
from sparsedet.simulation.scenes import make_scenes
from sparsedet.training.data.loader import batches
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.train import run_training, start_run

SEED = 1
SCENES = 16
TOLERANCE = 1e-3
"""Largest difference of a loss between the devices, as a share of the loss."""
TIMED_STEPS = 12
UNTIMED_STEPS = 2
"""The first of these, in which memory is allocated and algorithms are chosen."""

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
"""The first one that `end-to-end` mines in."""


class CheckFailed(Exception):
    """A check that failed, and why."""


@dataclass(frozen=True)
class Check:
    """What all checks need."""

    device: str
    iterations: int
    dataset: Dataset
    images: Path
    scratch: Path

    def first_step(self, method: str) -> str:
        """Compare the losses of a method's first step on the CPU and the device."""
        on_cpu, there = self._losses(method, "cpu"), self._losses(method, self.device)
        return f"{len(on_cpu)} losses differ by {difference(on_cpu, there):.1e} of them at most"

    def _losses(self, method: str, device: str) -> dict[str, float]:
        config = (
            configuration(ALL_SAMPLED)
            .with_values({"MODEL.DEVICE": device})
            .prepared(method=method, seed=SEED, classes=len(self.dataset.categories))
        )
        images = training_images(self.dataset, self.images, keep_unlabelled=True)
        (batch,) = batches(images, config, seed=SEED, start=0, end=1)
        # Weights are drawn on the CPU, and moved.
        torch.manual_seed(SEED)
        model = checkpoint.build(config.node).train()
        load_initial_weights(model, config.node)
        with EventStorage(MINING_ITERATION), torch.no_grad():
            losses = model(batch)
        return {name: loss.item() for name, loss in losses.items()}

    def training(self) -> str:
        """Train with mixed precision, interrupted once; mine half-way and at the end."""
        run = RunFolder(self.scratch / "training")
        seen: list[StageProgress] = []
        minings: list[PseudoLabels] = []
        changes = {
            "SOLVER.MAX_ITER": self.iterations,
            "SOLVER.IMS_PER_BATCH": 2,
            # A CPU imitates it, slowly.
            "SOLVER.AMP.ENABLED": self.device != "cpu",
            "SOLVER.WARMUP_ITERS": 2,
            "SPARSEDET.STAGED.MIN_ITER": 0,
            "SPARSEDET.STAGED.MINE_AT": (0.5,),
            "SPARSEDET.STAGED.MIN_MISSING": 0.0,
            # The losses of a few steps on changed images are not comparable.
            "SPARSEDET.STAGED.PASTES": 0,
            "SPARSEDET.STAGED.ZOOM_SHARE": 0.0,
        }

        def listen(progress: StageProgress) -> None:
            seen.append(progress)
            if len(seen) == max(1, self.iterations // 4):
                signal.raise_signal(signal.SIGINT)

        callbacks = Callbacks(on_progress=listen, on_mined=minings.append)
        self._start(run, "staged", changes, self.device)
        try:
            run_training(run, callbacks=callbacks)
        except KeyboardInterrupt:
            run_training(run, callbacks=callbacks)
        else:
            raise CheckFailed("Ctrl-C did not stop the training")
        trained_once([progress.iteration for progress in seen], self.iterations)
        first, last = falls([progress.losses["total_loss"] for progress in seen])
        if len(minings) != 1:
            raise CheckFailed(f"mined {len(minings)} times half-way instead of once")
        found = mine_proposals(
            run,
            read_config(run.config),
            self.dataset,
            self.images,
            device=self.device,
            selection=Selection(ReviewCosts()),
        )
        return (
            f"{self.iterations} steps, the loss fell from {first:.2f} to {last:.2f}; mined "
            f"{len(minings[0].labels)} boxes half-way and {len(found.mined)} at the end; at most "
            f"{peak_memory(self.device) / 2**20:,.0f} MiB"
        )

    def step_times(self) -> str:
        """Return how long a step takes on the CPU and on the device."""
        on_cpu, there = self._seconds("cpu"), self._seconds(self.device)
        return (
            f"{1000 * on_cpu:.0f} ms on the CPU, {1000 * there:.0f} ms here: "
            f"ratio {on_cpu / there:.1f}"
        )

    def _seconds(self, device: str) -> float:
        """Return the median of the seconds that a step of `plain` takes."""
        steps = min(TIMED_STEPS, self.iterations)
        run = RunFolder(self.scratch / f"steps-{device}-{time.monotonic_ns()}")
        ends: list[float] = []
        callbacks = Callbacks(on_progress=lambda progress: ends.append(time.monotonic()))
        self._start(run, "plain", {"SOLVER.MAX_ITER": steps}, device)
        run_training(run, callbacks=callbacks)
        seconds = [after - before for before, after in pairwise(ends)]
        return median(seconds[UNTIMED_STEPS:])

    def _start(
        self, run: RunFolder, method: str, changes: Mapping[str, object], device: str
    ) -> None:
        start_run(
            configuration(changes),
            run,
            self.dataset,
            self.images,
            source=Path("scenes"),
            method=method,
            seed=SEED,
            device=device,
        )


def configuration(changes: Mapping[str, object]) -> TrainingConfig:
    """Return the default configuration with some keys changed."""
    return load_config("lite0_fpn", [str(part) for item in changes.items() for part in item])


def difference(expected: Mapping[str, float], found: Mapping[str, float]) -> float:
    """Return the largest difference of a loss, as a share of it; check that it is small."""
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


def trained_once(iterations: Sequence[int], end: int) -> None:
    """Check that every iteration was trained once."""
    if list(iterations) != list(range(1, end + 1)):
        raise CheckFailed(f"trained the iterations {list(iterations)} instead of 1 to {end}")


def falls(losses: Sequence[float]) -> tuple[float, float]:
    """Return the means of the first and the last fifth; check that the loss fell."""
    part = max(1, len(losses) // 5)
    first, last = fmean(losses[:part]), fmean(losses[-part:])
    if not last < first:
        raise CheckFailed(f"the loss did not fall: {first:.4g} at first, {last:.4g} at the end")
    return first, last


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=50, help="of the training")
    parser.add_argument(
        "--device",
        choices=["cuda", "cpu"],
        default="cuda",
        help="cpu: compare the CPU with itself; tests the script",
    )
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing was checked", file=sys.stderr)
        return 2
    print(f"device: {describe(options.device)}")
    # Convolutions would round to 10 bits, which is more than the tolerance.
    torch.backends.cudnn.allow_tf32 = False
    try:
        with TemporaryDirectory() as folder:
            images = Path(folder) / "images"
            dataset = make_scenes(SCENES, images, seed=SEED)
            check = Check(options.device, options.iterations, dataset, images, Path(folder))
            return run_checks(
                {
                    "first step, plain": lambda: check.first_step("plain"),
                    "first step, end-to-end": lambda: check.first_step("end-to-end"),
                    "training": check.training,
                    "step times": check.step_times,
                }
            )
    except SparseDetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def run_checks(checks: Mapping[str, Callable[[], str]]) -> int:
    """Run all checks, even after one failed; return the exit code."""
    failed = 0
    for name, check in checks.items():
        try:
            print(f"{name}: ok, {check()}", flush=True)
        except (CheckFailed, SparseDetError) as error:
            failed += 1
            print(f"{name}: FAILED, {error}", flush=True)
    return 1 if failed else 0


def describe(device: str) -> str:
    """Return the device's name and memory."""
    if device == "cpu":
        return "the CPU, compared with itself"
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB"


if __name__ == "__main__":
    # Deprecations inside torch and detectron2 say nothing about the device.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    sys.exit(main())
